-- Note when sessions are due to be discarded because their owner is gone. A later time wins over
-- an earlier one: a session that found an owner and lost it again has its full time again.
--
-- KEYS[1]   unused zset
-- ARGV[1]   time until they are due, ms
-- ARGV[2..] session tags
--
-- Returns how many tags are new in the list.

local due = integer(now() + tonumber(ARGV[1]))
local added = 0
for i = 2, #ARGV do
  added = added + redis.call('ZADD', KEYS[1], 'GT', due, ARGV[i])
end
return added
