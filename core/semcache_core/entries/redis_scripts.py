"""What the record in Redis does on the server: each script is one atomic step.

Redis runs one script at a time, which puts commits in the order of `seq`. All keys begin with
`KEYS[1]`, a name in braces, so that a cluster keeps them on one node:

    {name}            hash: seq, entries, size, trimmed, schema, id
    {name}:e:KEY      hash: an entry; Redis drops it by itself when it expires
    {name}:info       hash: KEY -> scope, tenant, size; what is needed to forget an entry
    {name}:log        sorted set of keys by seq, as are :scope:SCOPE and :tenant:TENANT
    {name}:lru, :lfu, :expires   sorted sets of keys, in the order in which they go
    {name}:tombstones sorted set of [key, scope, seq] by seq
    {name}:meta       hash
"""

from __future__ import annotations

_COMMON = """
local p = KEYS[1]
if redis.call('HGET', p, 'id') ~= ARGV[1] then
  return redis.error_reply('GONE the record is not the one that was opened')
end
local function set_of(name, which) return p .. ':' .. name .. ':' .. which end
-- Uses before times: a double holds both, the times to some hundredths of a second.
local function lfu(uses, last) return string.format('%.17g', uses + last / 1e11) end
local function forget(key)
  local found = redis.call('HGET', p .. ':info', key)
  if not found then return nil end
  local info = cjson.decode(found)
  redis.call('HDEL', p .. ':info', key)
  redis.call('UNLINK', p .. ':e:' .. key)
  for _, name in ipairs({'log', 'lru', 'lfu', 'expires'}) do
    redis.call('ZREM', p .. ':' .. name, key)
  end
  redis.call('ZREM', set_of('scope', info[1]), key)
  redis.call('ZREM', set_of('tenant', info[2]), key)
  redis.call('HINCRBY', p, 'entries', -1)
  redis.call('HINCRBY', p, 'size', -info[3])
  return info
end
"""

FIELDS = 12
"""Arguments an entry: key, scope, tenant, size, "1" with a vector, when it expires and, in
milliseconds, when Redis drops it (either may be empty), head, vector, payload, uses, last use."""

PUT = (
    _COMMON
    + """
local first = nil
for i = 2, #ARGV, 12 do
  local key, scope, tenant, size = ARGV[i], ARGV[i+1], ARGV[i+2], ARGV[i+3]
  forget(key)
  local seq = redis.call('HINCRBY', p, 'seq', 1)
  first = first or seq
  redis.call('HINCRBY', p, 'entries', 1)
  redis.call('HINCRBY', p, 'size', size)
  redis.call('HSET', p .. ':info', key, cjson.encode({scope, tenant, tonumber(size)}))
  redis.call('HSET', p .. ':e:' .. key, 's', seq, 'h', ARGV[i+7], 'v', ARGV[i+8],
    'p', ARGV[i+9], 'u', ARGV[i+10], 'l', ARGV[i+11])
  redis.call('ZADD', p .. ':log', seq, key)
  redis.call('ZADD', set_of('tenant', tenant), seq, key)
  if ARGV[i+4] == '1' then redis.call('ZADD', set_of('scope', scope), seq, key) end
  redis.call('ZADD', p .. ':lru', ARGV[i+11], key)
  redis.call('ZADD', p .. ':lfu', lfu(tonumber(ARGV[i+10]), tonumber(ARGV[i+11])), key)
  if ARGV[i+5] ~= '' then redis.call('ZADD', p .. ':expires', ARGV[i+5], key) end
  if ARGV[i+6] ~= '' then redis.call('PEXPIREAT', p .. ':e:' .. key, ARGV[i+6]) end
end
return first
"""
)

DELETE = (
    _COMMON
    + """
local gone = {}
for i = 3, #ARGV do
  local info = forget(ARGV[i])
  if info then
    local seq = redis.call('HINCRBY', p, 'seq', 1)
    local line = cjson.encode({ARGV[i], info[1], seq})
    redis.call('ZADD', p .. ':tombstones', seq, line)
    table.insert(gone, line)
  end
end
local seq = tonumber(redis.call('HGET', p, 'seq'))
local kept = tonumber(ARGV[2])
if seq - tonumber(redis.call('HGET', p, 'trimmed')) > 2 * kept then
  redis.call('ZREMRANGEBYSCORE', p .. ':tombstones', '-inf', seq - kept)
  redis.call('HSET', p, 'trimmed', seq - kept)
end
return gone
"""
)

WIPE = (
    _COMMON
    + """
local keys = redis.call('ZRANGEBYSCORE', p .. ':log', '-inf', ARGV[2], 'LIMIT', 0, ARGV[3])
for _, key in ipairs(keys) do forget(key) end
redis.call('HSET', p, 'trimmed', redis.call('HINCRBY', p, 'seq', 1))
redis.call('UNLINK', p .. ':tombstones')
return #keys
"""
)
"""Deletes entries up to a seq without tombstones: whoever reads the log starts anew."""

TOUCH = (
    _COMMON
    + """
for i = 2, #ARGV, 3 do
  local key, row = ARGV[i], p .. ':e:' .. ARGV[i]
  if redis.call('EXISTS', row) == 1 then
    local uses = redis.call('HINCRBY', row, 'u', ARGV[i+1])
    local last = redis.call('HGET', row, 'l')
    if tonumber(ARGV[i+2]) > tonumber(last) then last = ARGV[i+2] end
    redis.call('HSET', row, 'l', last)
    redis.call('ZADD', p .. ':lru', last, key)
    redis.call('ZADD', p .. ':lfu', lfu(uses, tonumber(last)), key)
  end
end
"""
)

CHANGES = """
local p, after = KEYS[1], ARGV[1]
local trimmed = redis.call('HGET', p, 'trimmed')
if trimmed and tonumber(after) < tonumber(trimmed) then return false end
local function above(name)
  return redis.call('ZRANGEBYSCORE', p .. name, '(' .. after, '+inf', 'WITHSCORES',
    'LIMIT', 0, ARGV[2])
end
return {above(':log'), above(':tombstones')}
"""

SWAP = (
    _COMMON
    + """
local held = redis.call('HGET', p .. ':meta', ARGV[2])
if ARGV[3] == '1' then
  if held ~= ARGV[4] then return 0 end
elseif held then
  return 0
end
redis.call('HSET', p .. ':meta', ARGV[2], ARGV[5])
return 1
"""
)
"""Name, whether a value is expected, that value, and the new one."""

SET = (
    _COMMON
    + """
redis.call('HSET', p .. ':meta', ARGV[2], ARGV[3])
"""
)
