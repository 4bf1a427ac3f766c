-- Forget a session if nobody took it from the given owner.
--
-- KEYS[1]  session hash
-- ARGV[1]  owner
-- ARGV[2]  the owner's epoch
--
-- Returns 1 when this call removed it, 2 when it was gone already, 0 when somebody else holds it.

local held = redis.call('HMGET', KEYS[1], 'owner', 'epoch')

if not held[1] then
  return 2
end
if held[1] == ARGV[1] and held[2] == ARGV[2] then
  redis.call('DEL', KEYS[1])
  return 1
end
return 0
