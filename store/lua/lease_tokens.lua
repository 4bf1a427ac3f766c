-- Let one caller refresh a login's tokens.
--
-- KEYS[1]  tokens
-- ARGV[1]  who asks
-- ARGV[2]  the number of the tokens that it knows
-- ARGV[3]  how long it may take, in ms
--
-- Returns {'newer', number, tokens}, {'taken'} or {'granted'}. Repeated, it is granted again.

local number = redis.call('HGET', KEYS[1], 'number')
if number and tonumber(number) > tonumber(ARGV[2]) then
  return {'newer', number, redis.call('HGET', KEYS[1], 'data')}
end
local holder = redis.call('HGET', KEYS[1], 'holder')
local ends = tonumber(redis.call('HGET', KEYS[1], 'until') or '0') or 0
if holder and holder ~= ARGV[1] and ends > now() then
  return {'taken'}
end
redis.call('HSET', KEYS[1], 'holder', ARGV[1], 'until', integer(now() + tonumber(ARGV[3])))
if not number then
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
return {'granted'}
