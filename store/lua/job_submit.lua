-- Let workers take a new job; or put back one that runs, which the store has lost.
--
-- KEYS[1]  values of the statuses; KEYS[2..10], ARGV[1..3]: see _job.lua
-- ARGV[4]  encoded status; ARGV[5] encoded app; ARGV[6] encoded function; ARGV[7] encoded arguments
-- ARGV[8]  how often it may be begun; ARGV[9] how long each may take, ms; ARGV[10] how long it is known afterwards, ms
-- ARGV[11] how many jobs may wait; ARGV[12] how many are kept; ARGV[13] how many bytes all of them may have
-- ARGV[14] fencing number of the run that goes on, 0 for a new job; ARGV[15] its attempt; ARGV[16] its worker;
-- ARGV[17] its lease, ms
--
-- Returns {'ok'}; {'known'} where there is one already, and nothing is changed; {'waiting'} when too many wait; {'full', job, ...}:
-- some that are over have to be forgotten first. One that runs had its place before, and is put back in any case.

local runs = ARGV[14] ~= '0'
if redis.call('EXISTS', KEYS[7]) == 1 and (runs or not was_forgotten()) then
  return {'known'}
end
forget_expired()
if not runs and redis.call('ZCARD', KEYS[8]) >= tonumber(ARGV[11]) then
  return {'waiting'}
end
if not runs and (redis.call('ZCARD', KEYS[9]) >= tonumber(ARGV[12]) or bytes_with(#ARGV[7]) > tonumber(ARGV[13])) then
  return dispensable({'full'})
end

redis.call('DEL', KEYS[7])
redis.call('HSET', KEYS[7], 'state', runs and 'running' or 'queued', 'app', ARGV[5], 'function', ARGV[6],
           'arguments', ARGV[7], 'attempts', ARGV[8], 'limit', ARGV[9], 'retention', ARGV[10], 'attempt', ARGV[15],
           'fence', ARGV[14], 'worker', ARGV[16], 'submitted', integer(now()), 'began', runs and integer(now()) or '0')
redis.call('ZADD', KEYS[8], integer(now() + (runs and tonumber(ARGV[17]) or 0)), ARGV[1])
resize(ARGV[1], #ARGV[7])
keep_job(patience())
tell(ARGV[4], patience())
return {'ok'}
