-- A job's run has ended: the job is over, or is to be run again; if nobody else has begun a run since.
--
-- KEYS[1]  values of the statuses; KEYS[2..10], ARGV[1..3]: see _job.lua
-- ARGV[4]  encoded status
-- ARGV[5]  fencing number of the run
-- ARGV[6]  state: done or failed; queued to run it again
-- ARGV[7]  encoded result; ARGV[8] encoded error; '' for none
-- ARGV[9]  with queued: ms after which it may be run again
-- ARGV[10] with queued: how often it counts as begun
-- ARGV[11] how many bytes all jobs may have
--
-- Returns {'ok'}, also when repeated; {'cancelled'}, {'stale'} (another run has it), {'gone'} (the store lost it); {'full', job, ...}:
-- some that are over have to be forgotten first. Nothing is changed then.

local held = redis.call('HMGET', KEYS[7], 'state', 'fence', 'arguments', 'retention')
if not held[1] then
  return {'gone'}
end
if held[1] == 'cancelled' then
  return {'cancelled'}
end
if held[2] ~= ARGV[5] then
  return {'stale'}
end
if held[1] ~= 'running' then
  return {held[1] == ARGV[6] and 'ok' or 'stale'}
end
if ARGV[6] == 'queued' then
  redis.call('HSET', KEYS[7], 'state', 'queued', 'attempt', ARGV[10], 'error', ARGV[8])
  redis.call('ZADD', KEYS[8], integer(now() + tonumber(ARGV[9])), ARGV[1])
  keep_job(patience() + tonumber(ARGV[9]))
  tell(ARGV[4], patience() + tonumber(ARGV[9]))
  return {'ok'}
end
forget_expired()
if ARGV[7] ~= '' and bytes_with(#ARGV[7]) > tonumber(ARGV[11]) then
  return dispensable({'full'})
end
local retention = tonumber(held[4])
redis.call('HSET', KEYS[7], 'state', ARGV[6], 'result', ARGV[7], 'error', ARGV[8], 'ended', integer(now()))
redis.call('HDEL', KEYS[7], 'arguments')
redis.call('ZREM', KEYS[8], ARGV[1])
resize(ARGV[1], #ARGV[7])
keep_job(retention)
tell(ARGV[4], retention)
return {'ok'}
