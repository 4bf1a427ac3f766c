-- Keep the lease of a job's run, and say how far it is, if nobody else has begun one since.
--
-- KEYS[1]  values of the statuses; KEYS[2..10], ARGV[1..3]: see _job.lua
-- ARGV[4]  encoded status; '' where nothing has changed
-- ARGV[5]  fencing number of the run
-- ARGV[6]  lease, ms
--
-- Returns 'ok'; 'cancelled', 'stale' (another run has it) or 'gone' (the store lost it): then nothing is changed.

local held = redis.call('HMGET', KEYS[7], 'state', 'fence')
if not held[1] then
  return 'gone'
end
if held[1] == 'cancelled' then
  return 'cancelled'
end
if held[1] ~= 'running' or held[2] ~= ARGV[5] then
  return 'stale'
end
redis.call('ZADD', KEYS[8], integer(now() + tonumber(ARGV[6])), ARGV[1])
if ARGV[4] ~= '' then
  tell(ARGV[4], patience())
end
return 'ok'
