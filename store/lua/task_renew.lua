-- Keep the lease of a task's run, if nobody else has begun one since.
--
-- KEYS[1]  task hash
-- ARGV[1]  replica
-- ARGV[2]  fencing number of the run
-- ARGV[3]  lease, ms
-- ARGV[4]  when the run was due, ms
--
-- Returns 1, or 0 when it is another one's by now. A store that lost its data learns again who runs it.

local fence = redis.call('HGET', KEYS[1], 'fence')
if fence and fence ~= ARGV[2] then
  return 0
end
redis.call('HSET', KEYS[1], 'fence', ARGV[2], 'owner', ARGV[1], 'due', ARGV[4], 'until', integer(now() + tonumber(ARGV[3])))
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[3]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
return 1
