-- Put in front of every script of this directory.

-- Milliseconds since the Unix epoch, by the clock of the node that holds the keys.
local function now()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- An integer as text. Lua's own conversion writes large numbers as 1.7e+12.
local function integer(number)
  return string.format('%.0f', number)
end

-- Makes `replica` the owner and returns the raised epoch. The clock is in it so that the epoch
-- does not go back when the record was lost; `stored + 1` so that it does not when the clock did.
-- Record and journal expire after `grace` ms until the owner's beat keeps them, unless they had longer.
local function take(session, journal, replica, grace)
  local stored = tonumber(redis.call('HGET', session, 'epoch') or '0') or 0
  local epoch = integer(math.max(stored + 1, now()))
  redis.call('HSET', session, 'state', 'live', 'owner', replica, 'epoch', epoch, 'taken', integer(now()))
  if redis.call('PTTL', session) < tonumber(grace) then
    redis.call('PEXPIRE', session, grace)
    redis.call('PEXPIRE', journal, grace)
  end
  return epoch
end
