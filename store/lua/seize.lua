-- Take a session from an owner that is gone, if it still holds it at that epoch.
--
-- KEYS[1]  session hash
-- KEYS[2]  journal hash
-- ARGV[1]  replica
-- ARGV[2]  the owner it is taken from
-- ARGV[3]  that owner's epoch
-- ARGV[4]  grace, ms
--
-- Returns as claim.lua does. Repeated, it finds the caller to be the owner and changes nothing.

local held = redis.call('HMGET', KEYS[1], 'owner', 'epoch', 'request')
local owner, epoch, request = held[1], held[2], held[3]

if not owner then
  return {'unknown'}
end
if owner == ARGV[1] then
  return {'own', owner, epoch, 0, request}
end
if owner == '' or (owner == ARGV[2] and epoch == ARGV[3]) then
  return {'own', ARGV[1], take(KEYS[1], KEYS[2], ARGV[1], ARGV[4]), 0, request}
end
return {'relay', owner, epoch}
