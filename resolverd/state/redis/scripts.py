"""What is decided where the record is: small scripts, of one key each, so that they run in a cluster as well.

Each has two forms: for a key a record, and for a field of a hash, whose changes are told in the same step, so that they are told
in the order in which they were made.

``ARGV``: 1 octets of a frame at the most · 2 newest schema read · 3 now, milliseconds · 4 PXAT, or the field · 5 the channel ·
6 what stands before the frame in a message · 7… the script's own.
"""

from typing import Final

_LENGTH: Final = """
local function fits(n)
  if type(n) == 'table' and not string.find(n.err, 'WRONGTYPE') then error(n.err) end
  return type(n) == 'number' and n > 0 and n <= tonumber(ARGV[1])
end
"""
"""Whether what has this length may be a record. What is of another type is none; any other error is the caller's to know."""
_RECORD: Final = """
local function read()
  if not fits(redis.pcall('STRLEN', KEYS[1])) then return false end
  return redis.call('GET', KEYS[1])
end
local function write(raw) redis.call('SET', KEYS[1], raw, 'PXAT', ARGV[4]) end
local function remove() redis.call('DEL', KEYS[1]) end
"""
_FIELD: Final = """
local function read()
  if not fits(redis.pcall('HSTRLEN', KEYS[1], ARGV[4])) then return false end
  return redis.call('HGET', KEYS[1], ARGV[4])
end
local function write(raw)
  redis.call('HSET', KEYS[1], ARGV[4], raw)
  redis.call('PUBLISH', ARGV[5], ARGV[6] .. raw)
end
local function remove()
  redis.call('HDEL', KEYS[1], ARGV[4])
  redis.call('PUBLISH', ARGV[5], ARGV[6])
end
"""
_VALUE: Final = """
local function value()
  local raw = read()
  if not raw or #raw < 18 or string.byte(raw, 1) ~= 247 then return false end
  local schema, digits = string.byte(raw, 2), string.sub(raw, 3, 18)
  if schema < 1 or schema > tonumber(ARGV[2]) or not string.match(digits, '^%d+$') then return false end
  if tonumber(digits) <= tonumber(ARGV[3]) then return false end
  return string.sub(raw, 19)
end
"""

_CAS: Final = """
local found = value()
if ARGV[7] == '0' then
  if found then return 0 end
elseif found ~= ARGV[8] then
  return 0
end
if ARGV[9] == '' then remove() else write(ARGV[9]) end
return 1
"""
"""7 whether a value is expected · 8 which · 9 the frame that takes its place, empty to remove it. 1 where it did."""

_ADD: Final = """
local found = value()
local count = 0
if found and #found <= 19 and string.match(found, '^%-?%d+$') then
  if #found > 15 then return false end
  count = tonumber(found)
end
local sum = string.format('%.0f', count + tonumber(ARGV[7]) + 0)
write(ARGV[8] .. sum)
return sum
"""
"""7 the amount, of at most 15 digits · 8 the head of a frame. What it is then; nothing is done, and nothing returned, where a
double has not room for it."""

CAS: Final = (_LENGTH + _RECORD + _VALUE + _CAS).encode()
CAS_FIELD: Final = (_LENGTH + _FIELD + _VALUE + _CAS).encode()
ADD: Final = (_LENGTH + _RECORD + _VALUE + _ADD).encode()
ADD_FIELD: Final = (_LENGTH + _FIELD + _VALUE + _ADD).encode()
EXACT: Final = 10**15
"""Amounts below it, and counts of so many digits, make sums that a double has exactly."""

PUT_FIELD: Final = b"redis.call('HSET', KEYS[1], ARGV[1], ARGV[4]) return redis.call('PUBLISH', ARGV[2], ARGV[3] .. ARGV[4])"
"""1 field · 2 channel · 3 what stands before the frame in a message · 4 the frame."""
DELETE_FIELD: Final = b"redis.call('HDEL', KEYS[1], ARGV[1]) return redis.call('PUBLISH', ARGV[2], ARGV[3])"
GET_FIELD: Final = (
    b"local n = redis.call('HSTRLEN', KEYS[1], ARGV[1]) "
    b"if n > tonumber(ARGV[2]) then return redis.error_reply('OVERSIZED record') end "
    b"return redis.call('HGET', KEYS[1], ARGV[1])"
)
"""1 field · 2 octets at the most. An error where it is larger."""
GET_FIELDS: Final = b"""
local found, octets = {}, 0
for i = 3, #ARGV do
  local length = redis.call('HSTRLEN', KEYS[1], ARGV[i])
  if length > tonumber(ARGV[1]) then
    found[i - 2] = length
  else
    octets = octets + length
    if i > 3 and octets > tonumber(ARGV[2]) then break end
    found[i - 2] = redis.call('HGET', KEYS[1], ARGV[i])
  end
end
return found
"""
"""1 octets of a frame at the most · 2 octets of all, behind which the rest is left out · 3… fields. Of what is larger than a
frame its length."""
REMOVE_FIELD: Final = (
    b"if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then return redis.call('HDEL', KEYS[1], ARGV[1]) end return 0"
)
"""1 field · 2 the frame that it must still have. How many were removed."""
