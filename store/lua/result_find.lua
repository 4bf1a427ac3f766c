-- Find a result that all replicas use, or who computes it; the first to ask does.
--
-- KEYS[1]  results; KEYS[2] used; KEYS[3] expiry; KEYS[4] about; KEYS[5] ids; KEYS[6] lease: see _result.lua
-- ARGV[1]  field
-- ARGV[2]  call: the same when this very call is repeated, different otherwise
-- ARGV[3]  id of the result that the caller knows; '' for none
-- ARGV[4]  lease, ms
-- ARGV[5]  id of a result that cannot be read, and is to be removed; '' for none
--
-- Returns {'there' or 'same', id, ms left or -1, generation}, {'compute', '', 0, generation}: the caller has the lease,
-- {'held', '', ms left of the lease, generation}: somebody else has it, {'apart', '', 0, generation}: nobody gets it.

local field, call = ARGV[1], ARGV[2]
if not generation() then
  redis.call('HSET', KEYS[4], 'generation', call)
  redis.call('PEXPIRE', KEYS[4], KEPT)
end
local current = generation()

local id, until_ms = redis.call('HGET', KEYS[5], field), redis.call('ZSCORE', KEYS[3], field)
local left = until_ms and tonumber(until_ms) - now() or -1
if id and (id == ARGV[5] or (until_ms and left <= 0) or redis.call('HEXISTS', KEYS[1], field) == 0) then
  drop(field)
  id = false
end
if id then
  redis.call('ZADD', KEYS[2], integer(now()), field)
  if not until_ms and redis.call('PTTL', KEYS[1]) < KEPT * 0.9 then
    keep(KEPT)
  end
  return {id == ARGV[3] and 'same' or 'there', id, integer(left), current}
end

local lease, own = redis.call('GET', KEYS[6]), current .. '/' .. call
if held_by_other(lease, own) then
  return {'held', '', integer(math.max(0, redis.call('PTTL', KEYS[6]))), current}
end
if lease == 'apart' then
  return {'apart', '', '0', current}
end
redis.call('SET', KEYS[6], own, 'PX', ARGV[4])
return {'compute', '', '0', current}
