-- Read what was published on a topic since a version.
--
-- KEYS[1]  messages; KEYS[2] about; KEYS[3] calls: see _message.lua
-- ARGV[1]  the version up to which the reader knows everything; -1 for a reader that begins here
-- ARGV[2]  how many of the last messages a reader that begins here gets
--
-- Returns {born or '', version, number} of the last message, and of each that follows: id, born, value.

local found = {born(), integer(about('version')), integer(about('number'))}
local since, last = tonumber(ARGV[1]), tonumber(ARGV[2])
local entries = {}
if since >= 0 and about('version') > since then
  entries = redis.call('XRANGE', KEYS[1], integer(since + 1), '+')
elseif since < 0 and last > 0 then
  local newest = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', last)
  for i = #newest, 1, -1 do
    entries[#entries + 1] = newest[i]
  end
end
for _, entry in ipairs(entries) do
  local name, data_set, value = parts(entry)
  found[#found + 1] = name
  found[#found + 1] = data_set
  found[#found + 1] = value
end
return found
