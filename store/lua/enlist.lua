-- Note that a replica beats.
--
-- KEYS[1]  replicas zset
-- ARGV[1]  replica
--
-- Returns 1 when the replica is new in the list, else 0.

return redis.call('ZADD', KEYS[1], integer(now()), ARGV[1])
