-- Agree on a secret: the first proposal is what all have, until somebody replaces it.
--
-- KEYS[1]  secret
-- ARGV[1]  proposal
-- ARGV[2]  what the caller has found there, to be replaced; '' for nothing
--
-- Returns what is there now. Repeated, it finds the proposal and changes nothing.

local held = redis.call('GET', KEYS[1])
if held and (ARGV[2] == '' or held ~= ARGV[2]) then
  return held
end
redis.call('SET', KEYS[1], ARGV[1])
return ARGV[1]
