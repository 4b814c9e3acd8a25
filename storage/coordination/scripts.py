"""Lua scripts for Redis: the token bucket of `storage.coordination.memory.MemoryBucket`, by the clock of Redis.

Replicas of other versions use the fields `level`, `at` and `held` too: never rename them.
"""

ACQUIRE = """
local rate, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local stored = redis.call('HMGET', KEYS[1], 'level', 'at', 'held')
local level = tonumber(stored[1]) or burst
local at = tonumber(stored[2]) or now
local held = tonumber(stored[3]) or 0
level = math.min(burst, level + math.max(0, now - at) * rate)
at = math.max(at, now)
local ok, wait = 0, 0
if held > now then
  wait = held - now
elseif level < 1 then
  wait = (1 - level) / rate
else
  level = level - 1
  ok = 1
end
redis.call('HSET', KEYS[1], 'level', string.format('%.6f', level), 'at', string.format('%.6f', at),
           'held', string.format('%.6f', held))
local full = math.max(0, held - now) + (burst - level) / rate
redis.call('PEXPIRE', KEYS[1], math.ceil(full * 1000) + 1000)
return {ok, string.format('%.6f', wait), string.format('%.6f', level)}
"""

BLOCK = """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local until_ = now + tonumber(ARGV[1])
local held = tonumber(redis.call('HGET', KEYS[1], 'held')) or 0
if until_ > held then
  local text = string.format('%.6f', until_)
  redis.call('HSET', KEYS[1], 'level', '1', 'at', text, 'held', text)
  redis.call('PEXPIRE', KEYS[1], math.ceil(tonumber(ARGV[1]) * 1000) + 60000)
end
return 1
"""
