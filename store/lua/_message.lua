-- Put in front of the scripts on messages (message_*.lua), after _prelude.lua. Their keys are the same:
--
-- KEYS[1]  messages, stream: <version>-<number> -> born, value (see about)
-- KEYS[2]  about: version (of the last message; it grows also when the store lost its data), number (how many there were
--          in this data set), born (which data set this is), bytes (of what is kept)
-- KEYS[3]  calls, zset: call -> until when it is known, ms

local KEPT = 24 * 3600 * 1000 -- ms after the last message for which messages are kept
local KNOWN = 30 * 24 * 3600 * 1000 -- ms for which it is known how many there were
local OVERHEAD = 64 -- bytes that a message takes besides its value, about

local function about(name)
  return tonumber(redis.call('HGET', KEYS[2], name) or '0') or 0
end

local function born()
  return redis.call('HGET', KEYS[2], 'born') or ''
end

local function id(version, number)
  return integer(version) .. '-' .. integer(number)
end

-- {id, born, value} of an entry of the stream.
local function parts(entry)
  return entry[1], entry[2][2], entry[2][4]
end

local function add(version, number, data_set, value)
  redis.call('XADD', KEYS[1], id(version, number), 'b', data_set, 'm', value)
  redis.call('HINCRBY', KEYS[2], 'bytes', #value + OVERHEAD)
end

-- Bytes are counted from zero where the messages have expired.
local function forget_expired()
  if redis.call('EXISTS', KEYS[1]) == 0 then
    redis.call('HSET', KEYS[2], 'bytes', 0)
  end
end

-- The oldest go first; the last one stays.
local function trim(max_count, max_bytes)
  local count, bytes = redis.call('XLEN', KEYS[1]), about('bytes')
  while count > 1 and (count > max_count or bytes > max_bytes) do
    local name, _, value = parts(redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1])
    redis.call('XDEL', KEYS[1], name)
    count, bytes = count - 1, bytes - #value - OVERHEAD
  end
  redis.call('HSET', KEYS[2], 'bytes', integer(bytes))
end

local function keep()
  redis.call('PEXPIRE', KEYS[1], KEPT)
  redis.call('PEXPIRE', KEYS[2], KNOWN)
end
