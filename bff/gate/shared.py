"""What several gateways share, in Redis: counts and documents. While Redis is away each goes on by itself, and says so.

A question is one round trip and has a short time limit: what is shared is worth less than an answer in time.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from hashlib import blake2b
from typing import Any, TypeVar

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from bff.gate.away import Away
from bff.gate.rate import Bucket, Charge, Count, Counts, Period
from datasources.caller import Clock

TIMEOUT_S = 0.25
AWAY_S = 1.0
"""So long Redis is left alone after it has failed."""

_PREFIX = "bff:1:"
"""With the version of what is kept, so that gateways of two versions don't misread each other's."""
_MOST_CONNECTIONS = 50
_log = logging.getLogger("bff.shared")
_T = TypeVar("_T")

# One count a key, a hash of `left` and `at`; as in `rate.InMemory`, but by Redis's clock alone, so that the gateways'
# clocks may be apart. ARGV: 1 to take all or nothing, 0 to settle; then for each key kind, amount, quota, units a second.
_SCRIPT = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000

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

local take = ARGV[1] == '1'
local counts, granted = {}, true
for number, key in ipairs(KEYS) do
  local first = 2 + (number - 1) * 4
  local kind, amount = ARGV[first], tonumber(ARGV[first + 1])
  local quota, per_s = tonumber(ARGV[first + 2]), tonumber(ARGV[first + 3])
  local known = redis.call('HMGET', key, 'left', 'at')
  local left, at = tonumber(known[1] or quota), tonumber(known[2] or now)
  local ends = nil
  if kind == 'bucket' then
    left = math.min(quota, left + math.max(now - at, 0) * per_s)
  else
    ends = period_end(kind)
    if now >= at then left = quota end
  end
  local wait = 0
  if take and left + 0.000000001 < amount then
    granted = false
    if ends then wait = ends - now else wait = (math.min(amount, quota) - left) / per_s end
    if wait <= 0 then wait = 1 end
  end
  counts[number] = {left, amount, quota, per_s, ends, wait}
end
local told = {}
for number, key in ipairs(KEYS) do
  local left, amount, quota, per_s, ends, wait = unpack(counts[number], 1, 6)
  if granted then
    left = math.min(left - amount, quota)
    local reset = ends and ends - now or (quota - left) / per_s
    redis.call('HSET', key, 'left', string.format('%.9f', left), 'at', string.format('%.6f', ends or now))
    redis.call('PEXPIRE', key, math.ceil(reset * 1000) + 1000)
  end
  local reset = ends and ends - now or (quota - left) / per_s
  told[#told + 1] = string.format('%.6f', math.max(left, 0))
  told[#told + 1] = string.format('%.6f', reset)
  told[#told + 1] = string.format('%.6f', wait)
end
return told
"""


class Shared:
    """Redis, as far as it is there. `on_change` is told when it goes and when it comes back."""

    def __init__(
        self, url: str, on_change: Callable[[bool], None] = lambda _: None, *, clock: Clock = time.monotonic
    ) -> None:
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=_MOST_CONNECTIONS,
            timeout=TIMEOUT_S,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            # A second try would charge twice.
            retry=Retry(NoBackoff(), 0),
        )
        self._redis: Redis = Redis(connection_pool=pool)
        self._on_change = on_change
        self._clock = clock
        self._away_until = 0.0
        self._is_there: bool | None = None
        self._digest = ""

    def __repr__(self) -> str:
        return f"<Shared: {'there' if self._is_there else 'away'}>"

    @property
    def is_there(self) -> bool:
        """Whether it answered when it was last asked."""
        return bool(self._is_there)

    async def counted(self, charges: Sequence[Charge], *, take: bool) -> list[Count]:
        """The counts after the charges. Raises `Away`."""
        keys = [_key("rate", *charge.key) for charge in charges]
        arguments: list[Any] = ["1" if take else "0"]
        for charge in charges:
            limit = charge.limit
            if isinstance(limit, Bucket):
                arguments += ["bucket", charge.amount, limit.quota, limit.per_s]
            else:
                arguments += ["day" if limit.period is Period.DAY else "month", charge.amount, limit.quota, 0]
        told = [float(each) for each in await self._ask(lambda: self._run(keys, arguments))]
        return [Count(*told[start : start + 3]) for start in range(0, len(told), 3)]

    async def _run(self, keys: list[str], arguments: list[Any]) -> Any:
        if self._digest:
            try:
                return await self._redis.evalsha(self._digest, len(keys), *keys, *arguments)  # type: ignore[misc, no-untyped-call, unused-ignore]
            except NoScriptError:
                pass  # Redis was restarted; nothing has been charged
        self._digest = await self._redis.script_load(_SCRIPT)  # type: ignore[no-untyped-call, unused-ignore]
        return await self._redis.evalsha(self._digest, len(keys), *keys, *arguments)  # type: ignore[misc, no-untyped-call, unused-ignore]

    async def get(self, kind: str, name: str) -> bytes | None:
        """What was put under that name. Raises `Away`."""
        found = await self._ask(lambda: self._redis.get(_key(kind, name)))
        return found.encode() if isinstance(found, str) else found

    async def put(self, kind: str, name: str, value: bytes, *, for_s: int) -> None:
        """Keep `value` for so long. Raises `Away`."""
        await self._ask(lambda: self._redis.set(_key(kind, name), value, ex=for_s))

    async def _ask(self, question: Callable[[], Awaitable[_T]]) -> _T:
        if self._clock() < self._away_until:
            raise Away
        try:
            async with asyncio.timeout(TIMEOUT_S):
                answer = await question()
        except (RedisError, OSError, TimeoutError, ValueError) as error:
            self._away_until = self._clock() + AWAY_S
            self._tell(there=False, reason=type(error).__name__)
            raise Away from error
        self._tell(there=True)
        return answer

    def _tell(self, *, there: bool, reason: str | None = None) -> None:
        if there is self._is_there:
            return
        self._is_there = there
        self._on_change(there)
        if there:
            _log.info("shared state in Redis", extra={"fields": {}})
        else:
            _log.warning("Redis is away: this gateway counts by itself", extra={"fields": {"reason": reason}})

    async def aclose(self) -> None:
        """Close all connections."""
        await self._redis.aclose(close_connection_pool=True)


def _key(kind: str, *parts: str) -> str:
    """A key of Redis. What may be personal in it goes as a digest."""
    digest = blake2b(digest_size=16)
    for part in parts:
        encoded = part.encode("utf-8", "surrogatepass")
        digest.update(b"%d:%s" % (len(encoded), encoded))
    return f"{_PREFIX}{kind}:{digest.hexdigest()}"


class SharedCounts:
    """Counts of several gateways; while Redis is away, this one's own. As `rate.Counts`."""

    def __init__(self, shared: Shared, own: Counts) -> None:
        self._shared = shared
        self._own = own

    async def take(self, charges: Sequence[Charge]) -> Sequence[Count]:
        """See `rate.Counts`."""
        try:
            return await self._shared.counted(charges, take=True)
        except Away:
            return await self._own.take(charges)

    async def settle(self, charges: Sequence[Charge]) -> None:
        """See `rate.Counts`."""
        try:
            await self._shared.counted(charges, take=False)
        except Away:
            await self._own.settle(charges)
