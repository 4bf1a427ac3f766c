-- Keep a login's tokens in the place of all earlier ones, whoever is refreshing those.
--
-- KEYS[1]  tokens
-- ARGV[1]  the tokens, encrypted
-- ARGV[2]  how long they are kept, in ms
--
-- Returns their number. The clock is in it so that it does not go back when the store lost its data.

local held = tonumber(redis.call('HGET', KEYS[1], 'number') or '0') or 0
local number = integer(math.max(held + 1, now()))
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'number', number, 'data', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return number
