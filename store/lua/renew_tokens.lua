-- Replace a login's tokens by what they were refreshed to, and give the lease back.
--
-- KEYS[1]  tokens
-- ARGV[1]  who has the lease
-- ARGV[2]  the number of the tokens that were refreshed; 0 if there were none in the store
-- ARGV[3]  the new ones, encrypted; '' for none
-- ARGV[4]  how long they are kept, in ms
--
-- Returns 1, or 0 if somebody else has the lease or there are newer ones by now; then nothing happens.
-- Repeated, it answers 1 again.

local holder = redis.call('HGET', KEYS[1], 'holder')
local held = tonumber(redis.call('HGET', KEYS[1], 'number') or '0') or 0
if redis.call('HGET', KEYS[1], 'renewed_by') == ARGV[1] then
  return 1
end
if (holder and holder ~= ARGV[1]) or held > tonumber(ARGV[2]) then
  return 0
end
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[1], 'holder', 'until')
  return 1
end
local number = integer(math.max(held + 1, now()))
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'number', number, 'data', ARGV[3], 'renewed_by', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1
