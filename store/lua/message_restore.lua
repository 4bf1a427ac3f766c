-- Put messages back that the store has lost, each in its place.
--
-- KEYS[1]  messages; KEYS[2] about; KEYS[3] calls: see _message.lua
-- ARGV[1]  the data set that the caller knows, which this is from here on if there is none
-- ARGV[2]  the last version that the caller has seen
-- ARGV[3]  its number
-- ARGV[4]  how many messages are kept
-- ARGV[5]  how many bytes of them are kept
-- ARGV[6..] of each message, oldest first: version, number, born, encoded value
--
-- Returns {born}. Repeated, it finds them and changes nothing.

redis.call('HSETNX', KEYS[2], 'born', ARGV[1])
forget_expired()
local there, entries = {}, redis.call('XRANGE', KEYS[1], '-', '+')
for _, entry in ipairs(entries) do
  there[entry[1]] = true
end
local all, missing = {}, 0
for _, entry in ipairs(entries) do
  local name, data_set, value = parts(entry)
  local version, number = string.match(name, '(%d+)-(%d+)')
  all[#all + 1] = {tonumber(version), tonumber(number), data_set, value}
end
for i = 6, #ARGV, 4 do
  local version, number = tonumber(ARGV[i]), tonumber(ARGV[i + 1])
  if not there[id(version, number)] then
    missing = missing + 1
    all[#all + 1] = {version, number, ARGV[i + 2], ARGV[i + 3]}
  end
end
if missing > 0 then
  -- A stream takes what is later than all it had, so it is written anew.
  table.sort(all, function(a, b) return a[1] < b[1] end)
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[2], 'bytes', 0)
  for _, each in ipairs(all) do
    add(each[1], each[2], each[3], each[4])
  end
  trim(tonumber(ARGV[4]), tonumber(ARGV[5]))
end
redis.call('HSET', KEYS[2], 'version', integer(math.max(about('version'), tonumber(ARGV[2]))))
if born() == ARGV[1] then
  redis.call('HSET', KEYS[2], 'number', integer(math.max(about('number'), tonumber(ARGV[3]))))
end
keep()
return {born()}
