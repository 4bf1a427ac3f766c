-- Put in front of every script of this directory.

-- Milliseconds since the Unix epoch, by the clock of the node that holds the keys. The same in all of a script.
local began

local function now()
  if not began then
    local time = redis.call('TIME')
    began = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
  end
  return began
end

-- An integer as text. Lua's own conversion writes large numbers as 1.7e+12.
local function integer(number)
  return string.format('%.0f', number)
end

-- Makes `replica` the owner and returns the raised epoch. The clock is in it so that the epoch
-- does not go back when the record was lost; `stored + 1` so that it does not when the clock did.
-- Record and journal expire after `grace` ms until the owner's beat keeps them, unless they had longer.
-- `before` is the epoch of the record, if it has one; further fields of it and their values may follow.
local function take(session, journal, replica, grace, before, ...)
  local epoch = integer(math.max((tonumber(before or '0') or 0) + 1, now()))
  redis.call('HSET', session, 'state', 'live', 'owner', replica, 'epoch', epoch, 'taken', integer(now()), ...)
  if redis.call('PTTL', session) < tonumber(grace) then
    redis.call('PEXPIRE', session, grace)
    redis.call('PEXPIRE', journal, grace)
  end
  return epoch
end
