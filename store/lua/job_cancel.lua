-- Cancel a job that is not over. Whoever runs it finds that out with its next renewal, and cannot end it any more.
--
-- KEYS[1]  values of the statuses; KEYS[2..10], ARGV[1..3]: see _job.lua
-- ARGV[4]  encoded status
--
-- Returns the state that it had; '' where there is none.

local state = redis.call('HGET', KEYS[7], 'state')
if not state or is_over(state) then
  return state or ''
end
local retention = tonumber(redis.call('HGET', KEYS[7], 'retention'))
redis.call('HSET', KEYS[7], 'state', 'cancelled', 'ended', integer(now()))
redis.call('HDEL', KEYS[7], 'arguments')
redis.call('ZREM', KEYS[8], ARGV[1])
resize(ARGV[1], 0)
keep_job(retention)
tell(ARGV[4], retention)
return state
