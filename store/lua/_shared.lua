-- Put in front of the scripts on shared values (shared_*.lua), after _prelude.lua. Their keys are the same:
--
-- KEYS[1]  values: field -> encoded value
-- KEYS[2]  versions, zset: field -> version of its last change; of removed fields, too, as long as there is room
-- KEYS[3]  expiry, zset: field -> when it goes, ms
-- KEYS[4]  about: version (the last one), bytes (of fields and values), born (which data set this is), floor (what was
--          removed up to that version is forgotten)
-- KEYS[5]  calls, zset: call -> when it was made, ms
-- KEYS[6]  names: field -> encoded name, of removed fields, too

local KEPT = 30 * 24 * 3600 * 1000 -- ms after which nobody uses it any more
local REMEMBERED = 10 * 1000 -- ms in which a call may be repeated
local MAX_REMOVED = 1000 -- removed fields whose versions are known
local MAX_EXPIRED = 1000 -- at once; the rest goes with the next call

local function about(name)
  return tonumber(redis.call('HGET', KEYS[4], name) or '0') or 0
end

-- Grows with each change, also when the store lost its data: there are less than a million changes a second.
local function next_version()
  local time = redis.call('TIME')
  local version = math.max(about('version') + 1, tonumber(time[1]) * 1000000 + tonumber(time[2]))
  redis.call('HSET', KEYS[4], 'version', integer(version))
  return version
end

local function version_of(field)
  return tonumber(redis.call('ZSCORE', KEYS[2], field) or '0')
end

local function size_of(field)
  return redis.call('HSTRLEN', KEYS[1], field)
end

-- Removed, if `value` is ''. `until_ms` is 0 where it does not expire.
local function put(field, value, version, until_ms, name)
  local before = size_of(field)
  if name then
    redis.call('HSETNX', KEYS[6], field, name)
  end
  redis.call('ZADD', KEYS[2], integer(version), field)
  if value == '' then
    redis.call('HDEL', KEYS[1], field)
  else
    redis.call('HSET', KEYS[1], field, value)
  end
  if value ~= '' and until_ms > 0 then
    redis.call('ZADD', KEYS[3], integer(until_ms), field)
  else
    redis.call('ZREM', KEYS[3], field)
  end
  redis.call('HINCRBY', KEYS[4], 'bytes', size_of(field) - before)
end

local function forget_removed()
  if redis.call('ZCARD', KEYS[2]) - redis.call('HLEN', KEYS[1]) <= MAX_REMOVED then
    return
  end
  local known = redis.call('ZRANGE', KEYS[2], 0, -1, 'WITHSCORES')
  local removed, floor = 0, 0
  for i = 1, #known, 2 do
    if removed < MAX_REMOVED / 2 and redis.call('HEXISTS', KEYS[1], known[i]) == 0 then
      redis.call('ZREM', KEYS[2], known[i])
      redis.call('HDEL', KEYS[6], known[i])
      removed, floor = removed + 1, tonumber(known[i + 1])
    end
  end
  redis.call('HSET', KEYS[4], 'floor', integer(math.max(floor, about('floor'))))
end

local function expire()
  local due = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', integer(now()), 'LIMIT', 0, MAX_EXPIRED)
  for _, field in ipairs(due) do
    put(field, '', next_version(), 0)
  end
  if #due > 0 then
    forget_removed()
  end
end

-- Milliseconds that are left of it; -1 where it does not expire.
local function left(field)
  local at = redis.call('ZSCORE', KEYS[3], field)
  return at and math.max(1, tonumber(at) - now()) or -1
end

-- What a field is: name (of a removed one: as in KEYS[6]), version, value, ms left; -1 where it does not expire,
-- and -2 where it was removed.
local function describe(field, into)
  local value = redis.call('HGET', KEYS[1], field)
  into[#into + 1] = value and field or (redis.call('HGET', KEYS[6], field) or '')
  into[#into + 1] = integer(version_of(field))
  into[#into + 1] = value or ''
  into[#into + 1] = value and left(field) or -2
  return into
end

-- All of it goes together, a month after it was last used.
local function keep()
  for _, key in ipairs({KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[6]}) do
    redis.call('PEXPIRE', key, KEPT)
  end
end
