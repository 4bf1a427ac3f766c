-- Note that a run of a task has ended, if nobody else has begun one since.
--
-- KEYS[1]  task hash
-- ARGV[1]  fencing number of the run
-- ARGV[2]  encoded error; '' for none
--
-- Returns 1, or 0 when it is another one's by now. Repeated, it changes nothing but the time.

if redis.call('HGET', KEYS[1], 'fence') ~= ARGV[1] then
  return 0
end
redis.call('HSET', KEYS[1], 'ended', ARGV[1], 'ended_at', integer(now()), 'error', ARGV[2], 'until', '0')
return 1
