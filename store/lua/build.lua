-- Note that a replica is about to build an app for its first time.
--
-- KEYS[1]  building zset of the app
-- ARGV[1]  replica
-- ARGV[2]  for how long that counts, ms
--
-- Returns the replicas that are noted, the caller included.

local at, counts = now(), tonumber(ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', integer(at - counts))
redis.call('ZADD', KEYS[1], integer(at), ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return redis.call('ZRANGE', KEYS[1], 0, -1)
