-- Set a session aside that ended its owners, if the replica still owns it: no page that is open begins it anew.
--
-- KEYS[1]  session hash
-- KEYS[2]  journal hash
-- ARGV[1]  replica
-- ARGV[2]  the replica's epoch
-- ARGV[3]  for how long, ms
-- ARGV[4]  why: a ParkReason
--
-- Returns 1 when it is parked, by this call or an earlier one, else 0. What stays is what end.lua leaves, and whose
-- session it was. A new page view (put_handoff) begins it anew.

local held = redis.call('HMGET', KEYS[1], 'owner', 'epoch', 'app', 'session_id', 'deaths', 'parked')

if not held[1] then
  return held[6] and 1 or 0
end
if held[1] ~= ARGV[1] or held[2] ~= ARGV[2] then
  return 0
end
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('HSET', KEYS[1], 'epoch', held[2], 'ended', '1', 'parked', integer(now()), 'app', held[3],
           'session_id', held[4], 'deaths', held[5] or '0', 'reason', ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
