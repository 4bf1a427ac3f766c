-- Put in front of the scripts on jobs (job_*.lua), after _prelude.lua and _shared.lua. Their keys are the same:
--
-- KEYS[1..6]  the shared dict in which sessions see what becomes of the app's jobs: see _shared.lua
-- KEYS[7]  job hash: state (queued, running, done, failed, cancelled), fence, call, attempt, attempts, limit, retention (ms),
--          app, function, arguments, result, error, worker, submitted, began, ended (ms)
-- KEYS[8]  due, zset: job -> when a worker may take it, ms: since when it is queued, or when the lease of its run is over
-- KEYS[9]  kept, zset: job -> when it is forgotten, ms
-- KEYS[10] sizes: job -> bytes of its arguments and its result; '' -> of all jobs
--
-- ARGV[1]  job; ARGV[2] its field in the shared dict, and ARGV[3] its encoded name there

local MAX_FORGOTTEN = 1000 -- at once; the rest goes with the next call

local function resize(job, bytes)
  local before = tonumber(redis.call('HGET', KEYS[10], job) or '0')
  if bytes == 0 then
    redis.call('HDEL', KEYS[10], job)
  else
    redis.call('HSET', KEYS[10], job, bytes)
  end
  redis.call('HINCRBY', KEYS[10], '', bytes - before)
end

-- What has expired by itself is in none of the lists any more.
local function forget_expired()
  local gone = redis.call('ZRANGEBYSCORE', KEYS[9], '-inf', integer(now()), 'LIMIT', 0, MAX_FORGOTTEN)
  for _, job in ipairs(gone) do
    resize(job, 0)
    redis.call('ZREM', KEYS[8], job)
    redis.call('ZREM', KEYS[9], job)
  end
end

-- All lists live as long as the job that lives longest.
local function keep_job(ttl)
  redis.call('ZADD', KEYS[9], integer(now() + ttl), ARGV[1])
  redis.call('PEXPIRE', KEYS[7], integer(ttl))
  for at = 8, 10 do
    if redis.call('PTTL', KEYS[at]) < ttl then
      redis.call('PEXPIRE', KEYS[at], integer(ttl))
    end
  end
end

-- What sessions are told of it, for as long as it is kept.
local function tell(status, ttl)
  if redis.call('HEXISTS', KEYS[4], 'born') == 0 then
    redis.call('HSET', KEYS[4], 'born', ARGV[1] .. integer(now()))
  end
  expire()
  put(ARGV[2], status, next_version(), now() + ttl, ARGV[3])
  forget_removed()
  keep()
end

-- How long it is kept from now on while it is not over: its workers may die, and each has its time.
local function patience()
  local held = redis.call('HMGET', KEYS[7], 'limit', 'retention')
  return tonumber(held[1]) + tonumber(held[2])
end

-- A hash alone is left of one that was cancelled and then forgotten while it ran: see job_forget.lua.
local function was_forgotten()
  return not redis.call('ZSCORE', KEYS[9], ARGV[1])
end

local function is_over(state)
  return state == 'done' or state == 'failed' or state == 'cancelled'
end

-- Jobs that are over, those first that would be forgotten first.
local function dispensable(into)
  for _, job in ipairs(redis.call('ZRANGE', KEYS[9], 0, MAX_FORGOTTEN)) do
    if #into < 50 and job ~= ARGV[1] and not redis.call('ZSCORE', KEYS[8], job) then
      into[#into + 1] = job
    end
  end
  return into
end

local function bytes_with(bytes)
  local before = tonumber(redis.call('HGET', KEYS[10], ARGV[1]) or '0')
  return tonumber(redis.call('HGET', KEYS[10], '') or '0') - before + bytes
end
