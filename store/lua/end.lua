-- End a session for good if nobody took it from the given owner: what pages left before does not begin it anew.
--
-- KEYS[1]  session hash
-- KEYS[2]  journal hash
-- ARGV[1]  owner, '' for a session that nobody owns
-- ARGV[2]  the epoch that was seen
-- ARGV[3]  for how long earlier handoffs are of no use, ms
--
-- Returns 1 when it has ended, by this call or before, 0 when somebody else holds it.
-- What stays is a hash without an owner: no session, but its epoch fences a late owner.

local held = redis.call('HMGET', KEYS[1], 'owner', 'epoch')

if held[1] and (held[1] ~= ARGV[1] or held[2] ~= ARGV[2]) then
  return 0
end
local epoch = math.max(tonumber(held[2]) or 0, tonumber(ARGV[2]))
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('HSET', KEYS[1], 'epoch', integer(epoch), 'ended', '1')
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
