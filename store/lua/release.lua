-- Give a session up, but keep its record for whoever claims it next.
--
-- KEYS[1]  session hash
-- KEYS[2]  journal hash
-- ARGV[1]  replica
-- ARGV[2]  the replica's epoch
-- ARGV[3]  retention, ms
--
-- Returns 1 when released, by this call or by an earlier one of this owner at this epoch; else 0.

local held = redis.call('HMGET', KEYS[1], 'owner', 'epoch', 'released_by')
local owner, epoch, released_by = held[1], held[2], held[3]

if epoch ~= ARGV[2] then
  return 0
end
if owner == ARGV[1] then
  redis.call('HSET', KEYS[1], 'state', 'stored', 'owner', '', 'released_by', ARGV[1])
  redis.call('HDEL', KEYS[1], 'deaths', 'suspects', 'alone') -- this owner has survived it
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
  redis.call('PEXPIRE', KEYS[2], ARGV[3])
  return 1
end
return owner == '' and released_by == ARGV[1] and 1 or 0
