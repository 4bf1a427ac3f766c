-- Note that a replica beats.
--
-- KEYS[1]  replicas zset
-- ARGV[1]  replica
--
-- Returns the store's time, ms.

local at = now()
redis.call('ZADD', KEYS[1], integer(at), ARGV[1])
return at
