-- Write what changed in a session, if the writer still owns it.
--
-- KEYS[1]  session hash
-- KEYS[2]  journal hash
-- ARGV[1]  replica
-- ARGV[2]  the replica's epoch
-- ARGV[3]  number of this write: 1 for an owner's first, else one more than the write before
-- ARGV[4]  1 to replace all there is, else 0
-- ARGV[5]  how many fields to remove
-- ARGV[6..] the fields to remove, then pairs of field and value to set
--
-- Returns 'ok'; 'stale' when somebody else owns the session; 'gone' when there is no record of it;
-- 'behind' when the writes before this one are not all there, so that only a whole journal helps.
-- Repeated, it finds its number and changes nothing.

local held = redis.call('HMGET', KEYS[1], 'owner', 'epoch')

if not held[1] then
  return 'gone'
end
if held[1] ~= ARGV[1] or held[2] ~= ARGV[2] then
  return 'stale'
end

local number = tonumber(ARGV[3])
local stamp = ARGV[2] .. '/' .. ARGV[3]
local last = redis.call('HGET', KEYS[2], 'write')
if last == stamp then
  return 'ok'
end
if ARGV[4] == '1' then
  redis.call('DEL', KEYS[2])
elseif number > 1 and last ~= ARGV[2] .. '/' .. integer(number - 1) then
  return 'behind'
end

local first = 6 + tonumber(ARGV[5])
for i = 6, first - 1 do
  redis.call('HDEL', KEYS[2], ARGV[i])
end
redis.call('HSET', KEYS[2], 'write', stamp, unpack(ARGV, first, math.min(first + 999, #ARGV)))
for i = first + 1000, #ARGV, 1000 do -- Lua passes a few thousand values at most
  redis.call('HSET', KEYS[2], unpack(ARGV, i, math.min(i + 999, #ARGV)))
end
redis.call('HSET', KEYS[1], 'active', integer(now())) -- for seize.lua
local ttl = redis.call('PTTL', KEYS[1])
if ttl > 0 then
  redis.call('PEXPIRE', KEYS[2], ttl)
else
  redis.call('PERSIST', KEYS[2])
end
return 'ok'
