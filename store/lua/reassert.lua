-- Say again who owns a session: after the store lost data, or when the owner may have lost the session.
--
-- KEYS[1]  session hash
-- KEYS[2]  journal hash
-- ARGV[1]  replica
-- ARGV[2]  the replica's epoch
-- ARGV[3]  record version
-- ARGV[4]  app
-- ARGV[5]  session id
-- ARGV[6]  encoded request
--
-- Returns 'kept' when the record says the same; 'restored' when it was missing or older, so that
-- the journal has to be written anew; 'lost' when somebody else owns the session by now, or ended it.

local held = redis.call('HMGET', KEYS[1], 'owner', 'epoch')

if held[1] == ARGV[1] and held[2] == ARGV[2] then
  return 'kept'
end
if held[2] and (tonumber(held[2]) or 0) >= tonumber(ARGV[2]) then
  return 'lost'
end
redis.call('HSET', KEYS[1], 'v', ARGV[3], 'app', ARGV[4], 'session_id', ARGV[5],
           'created', integer(now()), 'request', ARGV[6],
           'state', 'live', 'owner', ARGV[1], 'epoch', ARGV[2])
redis.call('PERSIST', KEYS[1])
redis.call('DEL', KEYS[2])
return 'restored'
