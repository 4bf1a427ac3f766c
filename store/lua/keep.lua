-- Stop a session's record from expiring, if the replica still owns it. (A plain PERSIST by one
-- that lost it would make somebody else's stored record stay for ever.)
--
-- KEYS[1]  session hash
-- KEYS[2]  journal hash
-- ARGV[1]  replica
--
-- Returns 1 when the replica owns the session, else 0.

if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then
  return 0
end
redis.call('PERSIST', KEYS[1])
redis.call('PERSIST', KEYS[2])
return 1
