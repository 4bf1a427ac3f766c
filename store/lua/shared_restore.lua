-- Put shared values back that the store has lost. Of two that have the same one, the later version counts.
--
-- KEYS[1]  values; KEYS[2] versions; KEYS[3] expiry; KEYS[4] about; KEYS[5] calls; KEYS[6] names: see _shared.lua
-- ARGV[1]  call: names the data set if there is none
-- ARGV[2]  the last version that the caller has seen
-- ARGV[3..] of each field: field, encoded name, version, value or '' where it was removed, ms left or -1
--
-- Returns {born}. Repeated, it finds its versions and changes nothing.

redis.call('HSETNX', KEYS[4], 'born', ARGV[1])
for i = 3, #ARGV, 5 do
  local field, version, lifetime = ARGV[i], tonumber(ARGV[i + 2]), tonumber(ARGV[i + 4])
  if version_of(field) < version then
    put(field, ARGV[i + 3], version, lifetime > 0 and now() + lifetime or 0, ARGV[i + 1])
  end
end
redis.call('HSET', KEYS[4], 'version', integer(math.max(about('version'), tonumber(ARGV[2]))))
forget_removed()
keep()
return {redis.call('HGET', KEYS[4], 'born')}
