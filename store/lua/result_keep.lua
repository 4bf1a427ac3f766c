-- Keep a result that was computed, and end the lease for it; make room for it.
--
-- KEYS[1]  results; KEYS[2] used; KEYS[3] expiry; KEYS[4] about; KEYS[5] ids; KEYS[6] lease: see _result.lua
-- ARGV[1]  field
-- ARGV[2]  call of the lease, which becomes the result's id
-- ARGV[3]  generation in which it was begun
-- ARGV[4]  encoded result
-- ARGV[5]  ms after which it goes; 0 for a month after its last use
-- ARGV[6]  how many bytes all results may have
--
-- Returns {1, how many were evicted, bytes of all}; {0, 0, bytes} when it was forgotten meanwhile, or somebody else
-- computes it; {0, MAX_EVICTED, bytes} when that many had to go and there is still no room for it. Repeated, it changes nothing. A store that lost its data takes it, too.

local field, own = ARGV[1], ARGV[3] .. '/' .. ARGV[2]
local current, lease = generation(), redis.call('GET', KEYS[6])
local bytes = tonumber(redis.call('HGET', KEYS[4], 'bytes') or '0')
if (current and current ~= ARGV[3]) or lease == 'void' or held_by_other(lease, own) then
  return {0, 0, integer(bytes)}
end
redis.call('HSET', KEYS[4], 'generation', ARGV[3])
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('DEL', KEYS[2], KEYS[3], KEYS[5])
  redis.call('HSET', KEYS[4], 'bytes', 0)
end

drop(field)
for _, due in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', integer(now()), 'LIMIT', 0, MAX_EXPIRED)) do
  drop(due)
end
local room = math.max(0, tonumber(ARGV[6]) - #ARGV[4] - #field - OVERHEAD)
local function used()
  return tonumber(redis.call('HGET', KEYS[4], 'bytes'))
end
local evicted = 0
while used() > room do
  if evicted == MAX_EVICTED then
    redis.call('DEL', KEYS[6])
    return {0, evicted, integer(used())}
  end
  local oldest = redis.call('ZRANGE', KEYS[2], 0, 0)[1]
  if not oldest then
    redis.call('HSET', KEYS[4], 'bytes', 0)
    break
  end
  drop(oldest)
  evicted = evicted + 1
end

local lifetime = tonumber(ARGV[5])
redis.call('HSET', KEYS[1], field, ARGV[4])
redis.call('HSET', KEYS[5], field, ARGV[2])
redis.call('ZADD', KEYS[2], integer(now()), field)
if lifetime > 0 then
  redis.call('ZADD', KEYS[3], integer(now() + lifetime), field)
end
redis.call('HINCRBY', KEYS[4], 'bytes', size_of(field))
redis.call('DEL', KEYS[6])
keep(lifetime > 0 and lifetime or KEPT)
return {1, evicted, redis.call('HGET', KEYS[4], 'bytes')}
