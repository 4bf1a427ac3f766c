-- Forget a job that is over, or that the store has lost.
--
-- KEYS[1]  values of the statuses; KEYS[2..10], ARGV[1..3]: see _job.lua
--
-- Returns 1, or 0 when it is not over.

local CANCELLED = 10 * 60 * 1000 -- ms in which who runs a cancelled job finds that out, and does not put it back as lost

local state = redis.call('HGET', KEYS[7], 'state')
if state and not is_over(state) then
  return 0
end
if state == 'cancelled' then
  redis.call('PEXPIRE', KEYS[7], math.min(CANCELLED, redis.call('PTTL', KEYS[7])))
else
  redis.call('DEL', KEYS[7])
end
redis.call('ZREM', KEYS[8], ARGV[1])
redis.call('ZREM', KEYS[9], ARGV[1])
resize(ARGV[1], 0)
if redis.call('HEXISTS', KEYS[1], ARGV[2]) == 1 then
  put(ARGV[2], '', next_version(), 0)
  forget_removed()
end
return 1
