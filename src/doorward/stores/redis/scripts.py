"""What is changed in Redis, each by one atomic script on one key.

A script says in Lua what a rule says in Python (``rotation/rules.py``, ``sessions/rules.py``); a property holds the two
together.  Each is given the time or asks the server for it, and answers with it, so that what is decided afterwards is
decided at the same instant.

A script whose reply was lost may be called again where it says ``repeats``: it then finds its own work done.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from hashlib import sha1

from doorward.stores.redis.row import FORMAT, KEPT_LONGER, NONE, Fixed, Row, milliseconds

_CARRIER = Fixed.__struct_fields__.index("carrier") + 1
_PLACES = ", ".join(f"{name} = {place}" for place, name in enumerate(Row.__struct_fields__, start=1))

# ARGV[1] is the time in microseconds, or empty.
_TIME = """
local function time()
  if ARGV[1] ~= '' then return tonumber(ARGV[1]) end
  local now = redis.call('TIME')
  return now[1] * 1000000 + now[2]
end
"""

_ROW = f"""
local F = {{ {_PLACES} }}
local NONE, KEPT_LONGER = {NONE}, {milliseconds(KEPT_LONGER)}

local function read()
  local value = redis.call('GET', KEYS[1])
  if not value then return nil end
  local is_packed, row = pcall(cmsgpack.unpack, value)
  if not is_packed or type(row) ~= 'table' or row[F.format] ~= {FORMAT} then
    error('DOORWARD a row of another format')
  end
  return row, value
end

local function lives(row, now)
  return row[F.ended_at] == NONE and row[F.idle_expires_at] > now and row[F.expires_at] > now
end

-- What it writes is kept for as long as the session lives, and a little longer; what has ended, as long as it was.
local function write(row, now)
  local value = cmsgpack.pack(row)
  if row[F.ended_at] ~= NONE then
    redis.call('SET', KEYS[1], value, 'KEEPTTL')
  else
    local left = math.min(row[F.idle_expires_at], row[F.expires_at]) - now
    redis.call('SET', KEYS[1], value, 'PX', math.ceil(left / 1000) + KEPT_LONGER)
  end
  return value
end

local function use(row, now, idle)
  row[F.last_seen_at] = math.max(row[F.last_seen_at], now)
  row[F.idle_expires_at] = math.min(math.max(row[F.idle_expires_at], idle), row[F.expires_at])
end

-- As ``decide_idle_limit``.
local function idle_limit(row, idle, idle_remembered)
  local remembered = row[F.remembered] or cjson.decode(row[F.fixed])[{_CARRIER}] == 'token'
  return tonumber(remembered and idle_remembered or idle)
end

local function finish(row, now, reason, work)
  row[F.ended_at], row[F.ended_reason], row[F.ended_by] = now, reason, work
  return write(row, now)
end

-- As it was judged, from the given argument on; the secret is among it because a change of the password moves it.
local function is_as_seen(row, from)
  return row[F.secret_hash] == ARGV[from]
    and row[F.generation] == tonumber(ARGV[from + 1])
    and row[F.made_at] == tonumber(ARGV[from + 2])
    and row[F.acknowledged] == (ARGV[from + 3] == '1')
    and row[F.retried] == (ARGV[from + 4] == '1')
end
"""


@dataclass(frozen=True)
class Script:
    """A script on one key.

    Args:
        name: for people.
        text: in Lua; KEYS[1] is the key, ARGV[1] the time or empty.
        repeats: whether it may be called again where it is not known whether it has run.
    """

    name: str
    text: str
    repeats: bool = True

    @cached_property
    def digest(self) -> str:
        """What the server calls it by."""
        return sha1(self.text.encode(), usedforsecurity=False).hexdigest()


def _on_row(name: str, body: str, *, repeats: bool = True) -> Script:
    return Script(name=name, text=_TIME + _ROW + body, repeats=repeats)


# Sessions.  Where nothing else is said: ``{whether it took, the row as it is now or false, the time}``.

LOOK = Script(name="look", text=_TIME + "return {redis.call('GET', KEYS[1]), time()}")
"""``{value or false, the time}``."""

ROTATE = _on_row(
    "rotate",
    """
-- 2 hash, 3 generation, 4 attempt, 5 rest, 6 how long it lives unused, 7 how long where it is remembered
local now = time()
local row, value = read()
if not row then return {0, false, now} end
local rested = row[F.generation] == 0 or row[F.made_at] <= now - tonumber(ARGV[5])
if row[F.secret_hash] ~= ARGV[2] or row[F.generation] ~= tonumber(ARGV[3]) or not rested or not lives(row, now) then
  return {0, value, now}
end
row[F.predecessor] = row[F.generation]
row[F.generation] = row[F.generation] + 1
row[F.made_at], row[F.first_at] = now, now
row[F.attempt], row[F.displaced] = ARGV[4], NONE
row[F.acknowledged], row[F.retried] = false, false
use(row, now, now + idle_limit(row, ARGV[6], ARGV[7]))
return {1, write(row, now), now}
""",
    # Whoever comes second finds another generation; whether he was the first himself, only the client's retry tells.
    repeats=False,
)

REPLACE = _on_row(
    "replace",
    """
-- 2 until, 3 to 7 as seen, 8 first_at as seen, 9 generation, 10 made_at, 11 predecessor, 12 first_at, 13 attempt,
-- 14 displaced, 15 acknowledged, 16 retried, 17 healed_in, 18 last_seen_at, 19 idle_expires_at
local now = time()
local row, value = read()
if not row or not lives(row, now) or not is_as_seen(row, 3) or (ARGV[2] ~= '' and now > tonumber(ARGV[2])) then
  return {0, value or false, now}
end
row[F.generation] = tonumber(ARGV[9])
row[F.made_at] = ARGV[10] == ARGV[5] and tonumber(ARGV[10]) or now
row[F.predecessor] = tonumber(ARGV[11])
row[F.first_at] = ARGV[12] == ARGV[8] and tonumber(ARGV[12]) or now
row[F.attempt], row[F.displaced] = ARGV[13], tonumber(ARGV[14])
row[F.acknowledged], row[F.retried] = ARGV[15] == '1', ARGV[16] == '1'
row[F.healed_in] = ARGV[17]
row[F.last_seen_at] = math.max(row[F.last_seen_at], tonumber(ARGV[18]))
row[F.idle_expires_at] = math.max(row[F.idle_expires_at], tonumber(ARGV[19]))
return {1, write(row, now), now}
""",
    repeats=False,
)

ACKNOWLEDGE = _on_row(
    "acknowledge",
    """
-- 2 generation
local now = time()
local row = read()
if not row or row[F.ended_at] ~= NONE or row[F.acknowledged] or row[F.generation] ~= tonumber(ARGV[2]) then
  return {0, false, now}
end
row[F.acknowledged] = true
redis.call('SET', KEYS[1], cmsgpack.pack(row), 'KEEPTTL')
return {1, false, now}
""",
)

TOUCH = _on_row(
    "touch",
    """
-- 2 how long it lives unused
local now = time()
local row = read()
if not row or not lives(row, now) then return {0, false, now} end
use(row, now, now + tonumber(ARGV[2]))
return {1, write(row, now), now}
""",
)

END = _on_row(
    "end",
    """
-- 2 reason, 3 work, 4 only under a version below, or empty
local now = time()
local row, value = read()
if not row then return {0, false, now} end
if row[F.ended_by] == ARGV[3] then return {1, value, now} end
if not lives(row, now) or (ARGV[4] ~= '' and row[F.account_version] >= tonumber(ARGV[4])) then
  return {0, value, now}
end
return {1, finish(row, now, ARGV[2], ARGV[3]), now}
""",
)

END_AS_SEEN = _on_row(
    "end as seen",
    """
-- 2 reason, 3 work, 4 to 8 as seen
local now = time()
local row, value = read()
if not row then return {0, false, now} end
if row[F.ended_by] == ARGV[3] then return {1, value, now} end
if not lives(row, now) or not is_as_seen(row, 4) then return {0, value, now} end
return {1, finish(row, now, ARGV[2], ARGV[3]), now}
""",
)

CARRY = _on_row(
    "carry",
    """
-- 2 from version, 3 to version, 4 roles or empty, 5 hash or empty
local now = time()
local row, value = read()
if not row or not lives(row, now) then return {0, value or false, now} end
local to = tonumber(ARGV[3])
if row[F.account_version] == to then
  return {(ARGV[5] == '' or row[F.secret_hash] == ARGV[5]) and 1 or 0, value, now}
end
if row[F.account_version] ~= tonumber(ARGV[2]) then return {0, value, now} end
row[F.account_version] = to
if ARGV[4] ~= '' then row[F.roles] = ARGV[4] end
if ARGV[5] ~= '' then row[F.secret_hash] = ARGV[5] end
return {1, write(row, now), now}
""",
)

# Keys of a session that starts, and of its pointer

PUT = Script(
    name="put",
    text="""
-- 2 value, 3 for how many milliseconds.  A session that is starting may have been put by a call whose reply was lost.
local there = redis.call('GET', KEYS[1])
if there and there ~= ARGV[2] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
""",
)

KEEP = Script(name="keep", text="return redis.call('PEXPIRE', KEYS[1], ARGV[2])")
"""Let a key live for so many milliseconds.  0: it is gone."""

POINT = Script(name="point", text="redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) return 1")
"""Write what leads to a session, for so many milliseconds: also where another node has lost it."""

REMOVE = Script(name="remove", text="return redis.call('DEL', KEYS[1])")

# The index of an account: a sorted set of session keys, by the order in which they joined.  Below zero: it is starting.

JOIN = Script(
    name="join",
    text=_TIME
    + """
-- 2 member, 3 for how many milliseconds.  Answers {the time, how many there are}.
local now = time()
local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')
local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
local order = math.max(now, tonumber(last[2] or 0) + 1, 1 - tonumber(first[2] or 0))
if not redis.call('ZSCORE', KEYS[1], ARGV[2]) then
  redis.call('ZADD', KEYS[1], string.format('%.0f', -order), ARGV[2])
end
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[3]) then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
return {now, redis.call('ZCARD', KEYS[1])}
""",
)

SETTLE = Script(
    name="settle",
    text="""
-- 2 member.  0: it was taken for lost meanwhile.
local order = redis.call('ZSCORE', KEYS[1], ARGV[2])
if not order then return 0 end
if tonumber(order) < 0 then redis.call('ZADD', KEYS[1], string.format('%.0f', -tonumber(order)), ARGV[2]) end
return 1
""",
)

BELONG = Script(
    name="belong",
    text="""
-- 2 member, 3 order, 4 for how many milliseconds.  Nothing but a longer life where it is there.
redis.call('ZADD', KEYS[1], 'NX', ARGV[3], ARGV[2])
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[4]) then redis.call('PEXPIRE', KEYS[1], ARGV[4]) end
return 1
""",
)
"""Let a session that has been used belong to its account: also where another node has lost that."""

MEMBERS = Script(name="members", text=_TIME + "return {time(), redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')}")
"""``{the time, {member, order, ...}}``."""

HEAL = Script(
    name="heal",
    text=_TIME
    + """
-- 2 for how long a session may be starting, 3 and following: members whose session is not there.
local now = time()
for place = 3, #ARGV do
  local order = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[place]) or 0)
  if order > 0 or now + order > tonumber(ARGV[2]) then redis.call('ZREM', KEYS[1], ARGV[place]) end
end
return 0
""",
)

LEAVE = Script(name="leave", text="return redis.call('ZREM', KEYS[1], ARGV[2])")
