-- Forget a session if nobody took it from the given owner; or keep it claimable for a while.
--
-- KEYS[1]  session hash
-- KEYS[2]  journal hash
-- ARGV[1]  owner
-- ARGV[2]  the owner's epoch
-- ARGV[3]  retention, ms: how long a session that has a journal stays claimable; 0 for not at all
--
-- Returns 1 when this call removed it, 2 when it was gone already, 0 when somebody else holds it,
-- 3 when it stays claimable.

local held = redis.call('HMGET', KEYS[1], 'owner', 'epoch')

if not held[1] then
  return 2
end
if held[1] ~= ARGV[1] or held[2] ~= ARGV[2] then
  return 0
end
if tonumber(ARGV[3]) > 0 and redis.call('EXISTS', KEYS[2]) == 1 then
  redis.call('HSET', KEYS[1], 'state', 'stored', 'owner', '', 'released_by', ARGV[1])
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
  redis.call('PEXPIRE', KEYS[2], ARGV[3])
  return 3
end
redis.call('DEL', KEYS[1], KEYS[2])
return 1
