"""The Lua script that counts in Redis. Each count is a hash with the fields `left` and `at`, as in `counts.InMemory`.

That of a sliding window has a field for each part of the window, with the units that were used in it.

It uses only Redis's clock, since the clocks of gateways may differ. It repairs unusable values: a key of another type,
a field that is no number, a time in the future after the clock was set back.
"""

CLOCK = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
"""

# ARGV: "1" to grant all charges or none, "0" to make them anyway; then for each key kind, amount, quota, and units a second
# or, for a sliding window, its seconds.
# Returns for each key: units left, seconds until the whole quota is available, seconds until the charge can be granted.
COUNT = (
    CLOCK
    + """
local function period_end(kind)
  local day = math.floor(now / 86400)
  if kind == 'day' then return (day + 1) * 86400 end
  -- The civil calendar from days, with years that begin in March, so that leap days come last.
  local z = day + 719468
  local era = math.floor(z / 146097)
  local of_era = z - era * 146097
  local leaps = math.floor(of_era / 1460) - math.floor(of_era / 36524) + math.floor(of_era / 146096)
  local year = math.floor((of_era - leaps) / 365)
  local of_year = of_era - (365 * year + math.floor(year / 4) - math.floor(year / 100))
  local shifted = math.floor((5 * of_year + 2) / 153)
  local of_month = of_year - math.floor((153 * shifted + 2) / 5)
  local month = shifted < 10 and shifted + 3 or shifted - 9
  year = year + era * 400 + (month <= 2 and 1 or 0)
  local lengths = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}
  local length = lengths[month]
  if month == 2 and (year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0)) then length = 29 end
  return (day - of_month + length) * 86400
end

-- The stored fields; nil if there are none, or they can't be read.
local function stored(key)
  local known = redis.pcall('HMGET', key, 'left', 'at')
  if known.err then
    redis.call('DEL', key)
    return nil, nil
  end
  local left, at = tonumber(known[1] or ''), tonumber(known[2] or '')
  if not left or not at or left ~= left or at ~= at or left < -1e15 then return nil, nil end
  return left, at
end

-- Of a sliding window: the units that were used in it, and for each of its 61 parts the units of that part. Older parts are
-- deleted. A part counts until all of it is out of the window.
local function used_in(key, window, slot)
  local known = redis.pcall('HGETALL', key)
  if known.err then
    redis.call('DEL', key)
    return 0, {}
  end
  local used, parts = 0, {}
  for number = 1, #known, 2 do
    local part, units = tonumber(known[number]), tonumber(known[number + 1])
    if part and units and units == units and part >= slot - 60 and part <= slot then
      used = used + units
      parts[#parts + 1] = {part, units}
    else
      redis.call('HDEL', key, known[number])
    end
  end
  table.sort(parts, function(one, other) return one[1] < other[1] end)
  return used, parts
end

local take = ARGV[1] == '1'
local counts, granted = {}, true
for number, key in ipairs(KEYS) do
  local first = 2 + (number - 1) * 4
  local kind, amount = ARGV[first], tonumber(ARGV[first + 1])
  local quota, per_s = tonumber(ARGV[first + 2]), tonumber(ARGV[first + 3])
  local left, at = nil, nil
  local ends, was_ahead, slot, parts = nil, false, nil, nil
  if kind == 'window' then
    slot = math.floor(now * 60 / per_s)
    local used
    used, parts = used_in(key, per_s, slot)
    left = math.min(quota - used, quota)
  else
    left, at = stored(key)
  end
  if kind == 'window' then
    -- nothing more to read
  elseif kind == 'bucket' then
    was_ahead = at ~= nil and at > now
    left = left and math.min(quota, left + math.max(now - at, 0) * per_s) or quota
  else
    ends = period_end(kind)
    -- The count of another period: one that has ended, or a future one if the clock was set back.
    if not at or math.abs(at - ends) > 1 then left = quota end
  end
  local wait = 0
  if take and left + 0.000000001 < amount then
    granted = false
    if parts then
      local missing = math.min(amount, quota) - left
      wait = per_s
      for _, part in ipairs(parts) do
        missing = missing - part[2]
        if missing <= 0.000000001 then
          wait = (part[1] + 61) * per_s / 60 - now
          break
        end
      end
    elseif ends then wait = ends - now
    else wait = (math.min(amount, quota) - left) / per_s end
    if wait <= 0 then wait = 1 end
  end
  counts[number] = {left, amount, quota, per_s, ends, wait, was_ahead, slot, parts}
end
local results = {}
for number, key in ipairs(KEYS) do
  local left, amount, quota, per_s, ends, wait, was_ahead, slot, parts = unpack(counts[number], 1, 9)
  local before = left
  if granted then left = math.min(left - amount, quota) end
  local reset
  if slot then
    local newest = before ~= left and slot or #parts > 0 and parts[#parts][1] or nil
    reset = newest and (newest + 61) * per_s / 60 - now or 0
    if before ~= left then
      redis.call('HINCRBYFLOAT', key, string.format('%.0f', slot), string.format('%.9f', before - left))
      redis.call('PEXPIRE', key, math.ceil(per_s * 1020) + 1000)
    end
  else
    reset = ends and ends - now or (quota - left) / per_s
  end
  if not slot and (granted or was_ahead) then
    redis.call('HSET', key, 'left', string.format('%.9f', left), 'at', string.format('%.6f', ends or now))
    redis.call('PEXPIRE', key, math.ceil(reset * 1000) + 1000)
  end
  results[#results + 1] = string.format('%.6f', math.max(left, 0))
  results[#results + 1] = string.format('%.6f', reset)
  results[#results + 1] = string.format('%.6f', wait)
end
return results
"""
)
