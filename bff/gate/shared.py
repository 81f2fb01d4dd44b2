"""What several gateways share, in Redis: counts and documents. While Redis is away each goes on by itself, and says so.

What requests ask at the same time goes out as one round trip, in the order in which it came; what comes meanwhile goes with
the next. It has a short time limit, and whoever finds Redis away doesn't wait: what is shared is worth less than an answer
in time.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from hashlib import blake2b
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from bff.gate.away import Away
from bff.gate.rate import Bucket, Charge, Count, Counts, Period

TIMEOUT_S = 0.5
AWAY_S = 1.0
"""So long Redis is left alone after it has failed, and between two looks whether it is back."""

_PREFIX = "bff:1:"
"""With the version of what is kept, so that gateways of two versions don't misread each other's."""
_MOST_AT_ONCE = 256
_MOST_WAITING = 10_000
_FAILED = (RedisError, OSError, TimeoutError, ValueError)
_log = logging.getLogger("bff.shared")

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

    def __init__(self, url: str, on_change: Callable[[bool], None] = lambda _: None) -> None:
        self._redis: Redis = Redis.from_url(
            url,
            max_connections=4,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            # A second try would charge twice.
            retry=Retry(NoBackoff(), 0),
        )
        self._on_change = on_change
        self._is_there: bool | None = None
        self._digest = ""
        self._waiting: deque[_Question] = deque()
        self._asking: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Shared: {'there' if self._is_there else 'away'}>"

    @property
    def is_there(self) -> bool:
        """Whether it answered when it was last asked."""
        return bool(self._is_there)

    async def begin(self) -> None:
        """Connect, so that no request waits for it; where it is away, look for it from now on."""
        with suppress(Away):
            await self._ask("PING")

    async def counted(self, charges: Sequence[Charge], *, take: bool) -> list[Count]:
        """The counts after the charges: all of them are made or none. Raises `Away`."""
        arguments: list[Any] = [len(charges), *(_key("rate", *charge.key) for charge in charges), "1" if take else "0"]
        for charge in charges:
            limit = charge.limit
            if isinstance(limit, Bucket):
                arguments += ["bucket", charge.amount, limit.quota, limit.per_s]
            else:
                arguments += ["day" if limit.period is Period.DAY else "month", charge.amount, limit.quota, 0]
        told = [float(each) for each in await self._ask(_SCRIPTED, *arguments)]
        return [Count(*told[start : start + 3]) for start in range(0, len(told), 3)]

    async def get(self, kind: str, name: str) -> bytes | None:
        """What was put under that name. Raises `Away`."""
        found = await self._ask("GET", _key(kind, name))
        return found.encode() if isinstance(found, str) else found

    async def put(self, kind: str, name: str, value: bytes, *, for_s: int) -> None:
        """Keep `value` for so long. Raises `Away`."""
        await self._ask("SET", _key(kind, name), value, "EX", for_s)

    async def _ask(self, *command: Any) -> Any:
        if self._looking is not None or len(self._waiting) >= _MOST_WAITING:
            raise Away
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((command, answer))
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask_all())
        return await answer

    async def _ask_all(self) -> None:
        """Round trip by round trip, until nobody waits."""
        try:
            while self._waiting:
                number = min(len(self._waiting), _MOST_AT_ONCE)
                questions = [self._waiting.popleft() for _ in range(number)]
                try:
                    await self._round_trip(questions)
                except _FAILED as error:
                    questions += self._waiting
                    self._waiting.clear()
                    self._looking = asyncio.create_task(self._look())
                    self._tell(there=False, reason=type(error).__name__)
                    for _, answer in questions:
                        if not answer.done():
                            answer.set_exception(Away())
                    return
                self._tell(there=True)
        finally:
            self._asking = None

    async def _round_trip(self, questions: "Sequence[_Question]") -> None:
        async with asyncio.timeout(TIMEOUT_S):
            answers = await self._piped(questions)
            if any(isinstance(answer, NoScriptError) for answer in answers):
                # Redis is new, or was restarted: nothing has been charged.
                self._digest = await self._redis.script_load(_SCRIPT)  # type: ignore[no-untyped-call, unused-ignore]
                again = [number for number, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
                for number, answer in zip(again, await self._piped([questions[each] for each in again]), strict=True):
                    answers[number] = answer
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        for (_, asked), answer in zip(questions, answers, strict=True):
            if not asked.done():  # whoever asked may have gone
                asked.set_result(answer)

    async def _piped(self, questions: "Sequence[_Question]") -> list[Any]:
        async with self._redis.pipeline(transaction=False) as pipe:
            for command, _ in questions:
                if command[0] is _SCRIPTED:
                    pipe.execute_command("EVALSHA", self._digest or "0" * 40, *command[1:])
                else:
                    pipe.execute_command(*command)
            return await pipe.execute(raise_on_error=False)

    async def _look(self) -> None:
        """While Redis is away: whether it is back."""
        while True:
            await asyncio.sleep(AWAY_S)
            try:
                async with asyncio.timeout(TIMEOUT_S):
                    await self._redis.ping()  # type: ignore[misc, unused-ignore]
            except _FAILED:
                continue
            self._looking = None
            self._tell(there=True)
            return

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
        tasks = [task for task in (self._asking, self._looking) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._redis.aclose(close_connection_pool=True)


_SCRIPTED = "counts"
"""In a question's place of a command: the script, by whatever name Redis knows it."""
_Question = tuple[tuple[Any, ...], "asyncio.Future[Any]"]


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
