-- Forget one result, or all, and what is being computed of them.
--
-- KEYS[1]  results; KEYS[2] used; KEYS[3] expiry; KEYS[4] about; KEYS[5] ids; KEYS[6] lease: see _result.lua
-- ARGV[1]  field; '' for all
-- ARGV[2]  the next generation
-- ARGV[3]  ms in which what is being computed of the field is not kept
--
-- Returns how many there were.

if ARGV[1] ~= '' then
  local found = redis.call('HEXISTS', KEYS[1], ARGV[1])
  drop(ARGV[1])
  redis.call('SET', KEYS[6], 'void', 'PX', ARGV[3])
  return found
end
local found = redis.call('HLEN', KEYS[1])
redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3], KEYS[5])
redis.call('HSET', KEYS[4], 'generation', ARGV[2], 'bytes', 0)
redis.call('PEXPIRE', KEYS[4], KEPT)
return found
