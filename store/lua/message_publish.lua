-- Publish one message on a topic, and wake up who waits for messages.
--
-- KEYS[1]  messages; KEYS[2] about; KEYS[3] calls: see _message.lua
-- ARGV[1]  call: the same when this very call is repeated, different otherwise
-- ARGV[2]  encoded value
-- ARGV[3]  the data set that the publisher knows; '' for none
-- ARGV[4]  the last version of it that the publisher has seen
-- ARGV[5]  how many messages are kept
-- ARGV[6]  how many bytes of them are kept
-- ARGV[7]  ms for which the call is known
-- ARGV[8]  how many calls are known
-- ARGV[9]  channel for wake-ups
-- ARGV[10] what is said there
--
-- Returns {'ok', born, version, number}; {'done', ...} with what is last there by now when a repeated call finds itself done;
-- {'lost'} when the store lost what the publisher has seen.

local known = born()
if (ARGV[3] ~= '' and known ~= ARGV[3]) or about('version') < tonumber(ARGV[4]) then
  return {'lost'}
end
if redis.call('ZSCORE', KEYS[3], ARGV[1]) then
  return {'done', known, integer(about('version')), integer(about('number'))}
end
if known == '' then
  known = ARGV[1]
  redis.call('HSET', KEYS[2], 'born', known)
end
forget_expired()

-- As with shared values: less than a million a second, so it grows also when the store lost its data.
local time = redis.call('TIME')
local version = math.max(about('version') + 1, tonumber(time[1]) * 1000000 + tonumber(time[2]))
local number = about('number') + 1
add(version, number, known, ARGV[2])
redis.call('HSET', KEYS[2], 'version', integer(version), 'number', integer(number))
trim(tonumber(ARGV[5]), tonumber(ARGV[6]))
keep()

redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', integer(now()))
redis.call('ZADD', KEYS[3], integer(now() + tonumber(ARGV[7])), ARGV[1])
redis.call('ZREMRANGEBYRANK', KEYS[3], 0, -1 - tonumber(ARGV[8]))
redis.call('PEXPIRE', KEYS[3], math.max(tonumber(ARGV[7]), redis.call('PTTL', KEYS[3])))

-- A wake-up only, which may be lost; so is one that this user of Redis may not send.
redis.pcall('PUBLISH', ARGV[9], ARGV[10])
return {'ok', known, integer(version), integer(number)}
