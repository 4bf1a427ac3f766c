-- Begin a run of a task that one replica at a time runs, if one is due and nobody else is at it.
--
-- KEYS[1]  task hash
-- ARGV[1]  replica
-- ARGV[2]  call: the same when this very call is repeated, different otherwise
-- ARGV[3]  when the latest run was due, ms; 0 to ask for the time only
-- ARGV[4]  when the next one is due, ms
-- ARGV[5]  the latest due time of which the caller knows that a run of it has begun, ms
-- ARGV[6]  since when the caller has the task, ms: what was due before is not made up for, where nothing is known
-- ARGV[7]  lease, ms
-- ARGV[8]  how long the task is known after it was last asked about, ms
-- ARGV[9]  encoded app; ARGV[10] encoded name; ARGV[11] schedule
--
-- Returns {'run', fence, ms}: the caller has the lease; {'held', ms left of the lease, ms, due}: another run has it;
-- {'done', 0, ms, due}: nothing is to be done before the next one. ms is the store's time. The fencing number grows with
-- each run, also of one due time whose first runner died, and when the store lost its data.

local at, due = now(), tonumber(ARGV[3])
if due == 0 then
  return {'done', 0, integer(at), '0'}
end
local held = redis.call('HMGET', KEYS[1], 'due', 'fence', 'ended', 'until', 'call')
local fence = tonumber(held[2] or '0')
if held[5] == ARGV[2] then
  return {'run', integer(fence), integer(at)}
end
local last = math.max(tonumber(held[1] or ARGV[6]), tonumber(ARGV[5]))

redis.call('HSET', KEYS[1], 'app', ARGV[9], 'name', ARGV[10], 'schedule', ARGV[11], 'next', ARGV[4])
redis.call('HSETNX', KEYS[1], 'due', integer(last))
redis.call('PEXPIRE', KEYS[1], ARGV[8])

local left = tonumber(held[4] or '0') - at
if left > 0 then
  return {'held', integer(left), integer(at), integer(last)}
end
local unfinished = fence > 0 and held[3] ~= held[2]
if due < last or (due == last and not unfinished) then
  return {'done', 0, integer(at), integer(last)}
end
fence = math.max(fence + 1, at)
redis.call('HSET', KEYS[1], 'due', integer(due), 'fence', integer(fence), 'owner', ARGV[1], 'call', ARGV[2],
           'began', integer(at), 'until', integer(at + tonumber(ARGV[7])))
return {'run', integer(fence), integer(at)}
