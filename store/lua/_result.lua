-- Put in front of the scripts on results (result_*.lua), after _prelude.lua. Their keys are the same:
--
-- KEYS[1]  results: field -> encoded result
-- KEYS[2]  used, zset: field -> when it was used last, ms
-- KEYS[3]  expiry, zset: field -> when it goes, ms
-- KEYS[4]  about: bytes (of fields and results), generation (another one after all were forgotten)
-- KEYS[5]  ids: field -> id of the result
-- KEYS[6]  lease of one field: generation/call of who computes it; 'apart' while nobody should wait for anybody,
--          'void' where what is being computed is not to be kept

local KEPT = 30 * 24 * 3600 * 1000 -- ms after its last use
local OVERHEAD = 200 -- bytes, about, that Redis takes for a result besides what is in it
local MAX_EXPIRED = 1000 -- at once
local MAX_EVICTED = 1000 -- at once: nobody else is served meanwhile

local function generation()
  return redis.call('HGET', KEYS[4], 'generation')
end

-- Whether somebody else than `own` computes it, in the generation that there is.
local function held_by_other(lease, own)
  local current = generation() or ''
  return lease and lease ~= 'void' and lease ~= 'apart' and lease ~= own and
         string.sub(lease, 1, #current + 1) == current .. '/'
end

local function size_of(field)
  return redis.call('HEXISTS', KEYS[1], field) == 1 and redis.call('HSTRLEN', KEYS[1], field) + #field + OVERHEAD or 0
end

local function drop(field)
  local size = size_of(field)
  if size > 0 then -- Lua writes -0
    redis.call('HINCRBY', KEYS[4], 'bytes', -size)
  end
  redis.call('HDEL', KEYS[1], field)
  redis.call('ZREM', KEYS[2], field)
  redis.call('ZREM', KEYS[3], field)
  redis.call('HDEL', KEYS[5], field)
end

-- All of it goes when the last result does, but what is known about it stays.
local function keep(ms)
  for i, key in ipairs({KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]}) do
    local wanted = i == 4 and math.max(ms, KEPT) or ms
    if redis.call('PTTL', key) < wanted then
      redis.call('PEXPIRE', key, integer(wanted))
    end
  end
end
