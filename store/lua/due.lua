-- List the sessions that are due to be discarded, longest due first.
--
-- KEYS[1]  unused zset
-- ARGV[1]  how many at most
--
-- Returns their tags.

return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', integer(now()), 'LIMIT', 0, ARGV[1])
