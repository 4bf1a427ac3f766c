-- Become the owner of a session if nobody is; else say who is.
--
-- KEYS[1]  session hash
-- KEYS[2]  journal hash
-- KEYS[3]  handoff of the token; absent when there is no token
-- ARGV[1]  replica
-- ARGV[2]  call: the same when this very call is repeated, different otherwise
-- ARGV[3]  encoded request, or ''
-- ARGV[4]  grace, ms
-- ARGV[5]  record version
-- ARGV[6]  app
-- ARGV[7]  session id
--
-- Returns {'own', replica, epoch, created 0|1, request, deaths, suspects, alone}, {'relay', owner, epoch},
-- {'parked', reason} (see park.lua) or {'unknown'}. What deaths, suspects and alone are: seize.lua.
-- Repeated, it finds the caller to be the owner and changes nothing. A session that was ended (end.lua)
-- begins anew from a request only.

local held = redis.call('HMGET', KEYS[1], 'owner', 'epoch', 'call', 'request', 'ended', 'parked', 'deaths', 'suspects',
                        'alone')
local owner, epoch, call, request, ended = held[1], held[2], held[3], held[4], held[5]
local deaths, suspects, alone = held[7] or '0', held[8] or '0', held[9] or '0'

if not owner then
  request = ARGV[3]
  if request == '' and KEYS[3] and not ended then
    request = redis.call('GET', KEYS[3]) or ''
  end
  if request == '' then
    return held[6] and {'parked', redis.call('HGET', KEYS[1], 'reason') or ''} or {'unknown'}
  end
  if epoch then -- it was ended before
    redis.call('HDEL', KEYS[1], 'ended', 'parked', 'deaths', 'reason')
    redis.call('PERSIST', KEYS[1])
  end
  epoch = take(KEYS[1], KEYS[2], ARGV[1], ARGV[4], epoch, 'v', ARGV[5], 'app', ARGV[6], 'session_id', ARGV[7],
               'created', integer(now()), 'request', request, 'call', ARGV[2])
  return {'own', ARGV[1], epoch, 1, request, 0, 0, 0}
end

if owner == ARGV[1] then
  return {'own', owner, epoch, call == ARGV[2] and 1 or 0, request, deaths, suspects, alone}
end
if owner ~= '' then
  return {'relay', owner, epoch}
end
return {'own', ARGV[1], take(KEYS[1], KEYS[2], ARGV[1], ARGV[4], epoch), 0, request, deaths, suspects, alone}
