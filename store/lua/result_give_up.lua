-- End the lease for a result without having one.
--
-- KEYS[1]  results; KEYS[2] used; KEYS[3] expiry; KEYS[4] about; KEYS[5] ids; KEYS[6] lease: see _result.lua
-- ARGV[1]  call of the lease
-- ARGV[2]  generation in which it was begun
-- ARGV[3]  ms in which nobody else gets it; 0 for none
--
-- Returns 1, or 0 when the lease was another one's. Repeated, it changes nothing.

if redis.call('GET', KEYS[6]) ~= ARGV[2] .. '/' .. ARGV[1] then
  return 0
end
if tonumber(ARGV[3]) > 0 then
  redis.call('SET', KEYS[6], 'apart', 'PX', ARGV[3])
else
  redis.call('DEL', KEYS[6])
end
return 1
