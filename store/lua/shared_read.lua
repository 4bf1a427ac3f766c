-- Read what has changed in shared values since a version.
--
-- KEYS[1]  values; KEYS[2] versions; KEYS[3] expiry; KEYS[4] about; KEYS[5] calls; KEYS[6] names: see _shared.lua
-- ARGV[1]  the version up to which the reader knows everything; 0 for nothing
-- ARGV[2]  the data set that the reader knows; '' for none
--
-- Returns {born or '', last version, 1 if all there is follows, 0 if what has changed does}, and of each field what
-- describe in _shared.lua says. Nothing follows where the data set is another one.

local born = redis.call('HGET', KEYS[4], 'born') or ''
if born == '' then
  return {'', '0', tonumber(ARGV[1]) == 0 and 1 or 0}
end
expire()
if redis.call('PTTL', KEYS[4]) < KEPT * 0.9 then
  keep()
end
local since, last = tonumber(ARGV[1]), about('version')
if since > 0 and (born ~= ARGV[2] or last <= since) then
  return {born, integer(last), 0}
end

local whole = since == 0 or since < about('floor')
local found = {born, integer(last), whole and 1 or 0}
local fields
if whole then
  fields = redis.call('HKEYS', KEYS[1])
else
  fields = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. integer(since), '+inf')
end
for _, field in ipairs(fields) do
  describe(field, found)
end
return found
