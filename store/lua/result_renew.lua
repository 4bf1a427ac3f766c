-- Keep the lease for a result that is being computed, unless it was forgotten or is another one's.
--
-- KEYS[1]  results; KEYS[2] used; KEYS[3] expiry; KEYS[4] about; KEYS[5] ids; KEYS[6] lease: see _result.lua
-- ARGV[1]  call of the lease
-- ARGV[2]  generation in which it was begun
-- ARGV[3]  lease, ms
--
-- Returns 1, or 0 when it is not the caller's any more. A store that lost its data learns of it again.

local own, current, lease = ARGV[2] .. '/' .. ARGV[1], generation(), redis.call('GET', KEYS[6])
if (current and current ~= ARGV[2]) or lease == 'void' or held_by_other(lease, own) then
  return 0
end
redis.call('SET', KEYS[6], own, 'PX', ARGV[3])
return 1
