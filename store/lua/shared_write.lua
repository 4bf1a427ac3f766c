-- Change one shared value, if it is still what the writer has seen.
--
-- KEYS[1]  values; KEYS[2] versions; KEYS[3] expiry; KEYS[4] about; KEYS[5] calls; KEYS[6] names: see _shared.lua
-- ARGV[1]  call: the same when this very call is repeated, different otherwise
-- ARGV[2]  field
-- ARGV[3]  encoded value; '' to remove it
-- ARGV[4]  ms after which it goes; 0 for never
-- ARGV[5]  the version that the writer has of it, 0 for none; '' for whatever there is
-- ARGV[6]  the data set that the writer knows; '' for none
-- ARGV[7]  the last version of it that the writer has seen
-- ARGV[8]  how many bytes all of it may have
-- ARGV[9]  encoded name
--
-- Returns {'ok', born, version}; {'changed', born, name, version, value, ms left} with what it is by now (see describe in
-- _shared.lua), also when a repeated call finds itself done ('done' instead of 'changed'); {'lost'} when the store lost
-- what the writer has seen; {'full', born, bytes that there would be}.

local born = redis.call('HGET', KEYS[4], 'born')
if (ARGV[6] ~= '' and born ~= ARGV[6]) or about('version') < tonumber(ARGV[7]) then
  return {'lost'}
end
if not born then
  born = ARGV[1]
  redis.call('HSET', KEYS[4], 'born', born)
end
expire()

local field, value = ARGV[2], ARGV[3]
local held = redis.call('HEXISTS', KEYS[1], field) == 1 and version_of(field) or 0
if redis.call('ZSCORE', KEYS[5], ARGV[1]) then
  return describe(field, {'done', born})
end
if ARGV[5] ~= '' and tonumber(ARGV[5]) ~= held then
  return describe(field, {'changed', born})
end
local bytes = about('bytes') - size_of(field) + #value
if value ~= '' and bytes > tonumber(ARGV[8]) then
  return {'full', born, bytes}
end

local version = next_version()
local lifetime = tonumber(ARGV[4])
put(field, value, version, lifetime > 0 and now() + lifetime or 0, ARGV[9])
forget_removed()
redis.call('ZADD', KEYS[5], integer(now()), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[5], '-inf', integer(now() - REMEMBERED))
redis.call('PEXPIRE', KEYS[5], REMEMBERED)
keep()
return {'ok', born, integer(version)}
