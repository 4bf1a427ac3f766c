-- Begin a run of a job, if it is due and nobody was faster.
--
-- KEYS[1]  values of the statuses; KEYS[2..10], ARGV[1..3]: see _job.lua
-- ARGV[4]  encoded status, with the next attempt
-- ARGV[5]  worker
-- ARGV[6]  call: the same when this very call is repeated, different otherwise
-- ARGV[7]  the attempt that the worker has seen
-- ARGV[8]  lease, ms
--
-- Returns {'run', fence, arguments}; {'held'} when somebody has it, or was faster; {'gone'} when there is nothing to run;
-- {'exhausted', fence} when it was begun as often as it may be. The fencing number grows with each run of the job.

local held = redis.call('HMGET', KEYS[7], 'state', 'fence', 'call', 'attempt', 'attempts')
local fence = tonumber(held[2] or '0')
if not held[1] or is_over(held[1]) then
  redis.call('ZREM', KEYS[8], ARGV[1])
  return {'gone'}
end
if held[3] == ARGV[6] then
  return {'run', integer(fence), redis.call('HGET', KEYS[7], 'arguments')}
end
if tonumber(redis.call('ZSCORE', KEYS[8], ARGV[1]) or '0') > now() or held[4] ~= ARGV[7] then
  return {'held'}
end
if tonumber(held[4]) >= tonumber(held[5]) then
  return {'exhausted', integer(fence)}
end
fence = math.max(fence + 1, now())
redis.call('HSET', KEYS[7], 'state', 'running', 'fence', integer(fence), 'call', ARGV[6], 'worker', ARGV[5],
           'attempt', tonumber(held[4]) + 1, 'began', integer(now()))
redis.call('ZADD', KEYS[8], integer(now() + tonumber(ARGV[8])), ARGV[1])
keep_job(patience())
tell(ARGV[4], patience())
return {'run', integer(fence), redis.call('HGET', KEYS[7], 'arguments')}
