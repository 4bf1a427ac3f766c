-- Take a session from an owner that is gone, if it still holds it at that epoch, and count the owner's death.
--
-- KEYS[1]  session hash
-- KEYS[2]  journal hash
-- ARGV[1]  replica
-- ARGV[2]  the owner it is taken from
-- ARGV[3]  that owner's epoch
-- ARGV[4]  grace, ms
-- ARGV[5]  when that owner last beat, ms; '' when that is not known any more
-- ARGV[6]  how many sessions that owner had announced work on; 0 when this is not one of them
-- ARGV[7]  calm, ms
--
-- Returns as claim.lua does. Repeated, it finds the caller to be the owner and changes nothing.
--
-- `deaths` counts owners in a row that died within `calm` of taking the session or of its last change. An owner that
-- had it for longer did not die of restoring it, so that the count begins anew. Many sessions of one owner may be
-- counted for one death; which of them it worked on is in `suspects`. `alone` counts deaths in a row, up to the last,
-- at which it worked on this session and on no other: one such death may be chance where replicas are killed from outside.

local held = redis.call('HMGET', KEYS[1], 'owner', 'epoch', 'request', 'deaths', 'suspects', 'taken', 'active',
                        'alone')
local owner, epoch, request = held[1], held[2], held[3]
local deaths, suspects = tonumber(held[4] or '0'), held[5] or '0'
local alone = tonumber(held[8] or '0')

if not owner then
  return {'unknown'}
end
if owner == ARGV[1] then
  return {'own', owner, epoch, 0, request, deaths, suspects, alone}
end
if owner ~= '' and (owner ~= ARGV[2] or epoch ~= ARGV[3]) then
  return {'relay', owner, epoch}
end
if owner ~= '' then
  local calm, died = tonumber(ARGV[7]), tonumber(ARGV[5]) or now()
  local taken = tonumber(held[6] or '0')
  local active = math.max(taken, tonumber(held[7] or '0'))
  suspects = ARGV[6]
  if died - taken > calm then
    deaths = 0
  end
  if suspects ~= '0' or died - active <= calm then
    deaths = deaths + 1
  end
  alone = suspects == '1' and math.min(alone + 1, deaths) or 0
  redis.call('HSET', KEYS[1], 'deaths', integer(deaths), 'suspects', suspects, 'alone', integer(alone))
end
return {'own', ARGV[1], take(KEYS[1], KEYS[2], ARGV[1], ARGV[4], epoch), 0, request, deaths, suspects, alone}
