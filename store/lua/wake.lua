-- Note that the owner of a session begins to run its app only now: what it dies of from here on is counted (seize.lua).
--
-- KEYS[1]  session hash
-- KEYS[2]  journal hash
-- ARGV[1]  replica
-- ARGV[2]  the replica's epoch
--
-- Returns 'ok'; 'gone' when the store lost the record; 'stale' when somebody else owns the session by now, or ended it.

local held = redis.call('HMGET', KEYS[1], 'owner', 'epoch')

if held[1] == ARGV[1] and held[2] == ARGV[2] then
  redis.call('HSET', KEYS[1], 'taken', integer(now()))
  return 'ok'
end
if held[2] and (tonumber(held[2]) or 0) >= tonumber(ARGV[2]) then
  return 'stale'
end
return 'gone'
