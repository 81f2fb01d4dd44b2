"""State that several gateways share in Redis: counts and documents. While Redis is unavailable each gateway uses its own.

The commands of concurrent requests are sent in one round trip, in order. Commands that arrive meanwhile go with the next.
A reply in time matters more than shared state, so the wait is limited:
1. A request waits for Redis at most `wait_s` in all (`SharedStateBudget`), and never past its deadline.
2. After a round trip that takes `wait_s`, or `_MOST_SLOW_IN_ROW` slow ones in a row, Redis counts as unavailable. It is not
   used until it answers a ping fast; the pings are `RECONNECT_S` apart.
3. Commands that need no reply (corrections of cost, registrations) are queued, and no request waits for them.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from hashlib import blake2b
from itertools import chain
from math import ceil, isfinite
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, ResponseError

from bff.gate.counts import Bucket, Charge, Count, Counts, Period, SlidingWindow
from bff.gate.script import COUNT
from bff.gate.shared_state import SharedStateBudget, SharedStateUnavailable
from bff.runtime.log import Log

WAIT_S = 0.25
RECONNECT_S = 1.0
"""Seconds between reconnect attempts after a failure."""
TICK_S = 0.025
"""Seconds between two ticks. Waiting is counted in ticks of the event loop, not in seconds, and a late tick counts as one:
a busy process must not take its own delay for a slow Redis."""

_SLOW_RATIO = 0.4
"""A round trip that takes at least this share of `wait_s` is slow."""
_MOST_SLOW_IN_ROW = 3
"""Consecutive slow round trips after which Redis counts as unavailable."""
_PREFIX = "bff:1:"
"""Begins every key. It has the version of the stored format, so that gateways of two versions don't misread each other."""
_MOST_IN_ROUND_TRIP = 256
_MOST_QUEUED = 10_000
_MOST_UNAWAITED = 1_000
_log = Log("bff.shared")


class _Command:
    """A command for Redis.

    Attributes:
        arguments: the command's name and arguments; the name `_COUNT_SCRIPT` stands for the script.
        reply: completed with the reply; None if no request waits for it.
        wait_budget: of the request that waits.
        most_ticks: the request stops waiting when `wait_budget.waited` reaches it.
    """

    __slots__ = ("arguments", "most_ticks", "reply", "wait_budget")

    def __init__(
        self,
        arguments: tuple[Any, ...],
        reply: "asyncio.Future[Any] | None",
        wait_budget: SharedStateBudget,
        most_ticks: int,
    ) -> None:
        self.arguments = arguments
        self.reply = reply
        self.wait_budget = wait_budget
        self.most_ticks = most_ticks

    @property
    def is_wanted(self) -> bool:
        """Whether to send the command: False if the request that waited has ended or stopped waiting."""
        return self.reply is None or not self.reply.done()

    def fail(self) -> None:
        """End the wait with `SharedStateUnavailable`."""
        if self.reply is not None and not self.reply.done():
            self.reply.set_exception(SharedStateUnavailable())


_NO_BUDGET = SharedStateBudget()
"""The wait budget of commands that no request waits for. Never counted."""


class Shared:
    """A Redis that may become unavailable. `on_change` is called with whether it is available, each time that changes."""

    def __init__(self, url: str, on_change: Callable[[bool], None] = lambda _: None, *, wait_s: float = WAIT_S) -> None:
        self._redis: Redis = Redis.from_url(
            url,
            max_connections=4,
            # `_tick` limits the time of a whole round trip.
            socket_timeout=None,
            socket_connect_timeout=wait_s,
            # A retry would charge twice.
            retry=Retry(NoBackoff(), 0),
        )
        self._on_change = on_change
        self._most_ticks = ceil(wait_s / TICK_S)
        self._slow_ticks = ceil(_SLOW_RATIO * wait_s / TICK_S)
        self._is_available: bool | None = None
        self._script_digest = ""
        self._queue: deque[_Command] = deque()
        self._unawaited = 0
        """The number of commands in `_queue` that no request waits for."""
        self._in_flight: Sequence[_Command] = ()
        """The commands of the current round trip. Its time limit and its ticks so far follow."""
        self._timeout: asyncio.Timeout | None = None
        self._is_given_up = False
        self._ticks = 0
        self._slow_in_row = 0
        self._sending: asyncio.Task[None] | None = None
        self._reconnecting: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<Shared: {'available' if self._is_available else 'unavailable'}>"

    @property
    def is_available(self) -> bool:
        """Whether Redis answered the last command."""
        return bool(self._is_available)

    async def begin(self) -> None:
        """Connect now, so that no request has to wait for it. If Redis is unavailable, keep trying in the background."""
        with suppress(SharedStateUnavailable):
            await self._send(SharedStateBudget(), "PING")

    async def counted(self, charges: Sequence[Charge], wait_budget: SharedStateBudget) -> list[Count]:
        """The counts after the charges: all are granted or none. Raises `SharedStateUnavailable`."""
        numbers = await self._send(wait_budget, _COUNT_SCRIPT, *_arguments(charges, take=True))
        return _counts(numbers, len(charges))

    def settle_later(self, charges: Sequence[Charge]) -> bool:
        """Queue charges that may bring counts below zero; negative amounts are given back. False if the queue is full."""
        return self._enqueue_unawaited(_COUNT_SCRIPT, *_arguments(charges, take=False))

    async def get(self, kind: str, name: str, wait_budget: SharedStateBudget) -> bytes | None:
        """The value that was stored under that name, or None. Raises `SharedStateUnavailable`."""
        found = await self._send(wait_budget, "GET", _key(kind, name))
        if found is not None and not isinstance(found, bytes):
            raise SharedStateUnavailable
        return found

    def put_later(self, kind: str, name: str, value: bytes, *, for_s: int) -> None:
        """Queue a value to be stored for `for_s` seconds. It is lost if Redis is unavailable or the queue is full."""
        self._enqueue_unawaited("SET", _key(kind, name), value, "EX", for_s)

    async def _send(self, wait_budget: SharedStateBudget, *arguments: Any) -> Any:
        most_ticks = self._most_ticks
        if wait_budget.deadline is not None:
            most_ticks = min(most_ticks, wait_budget.waited + ceil(wait_budget.deadline.left() / TICK_S))
        if self._reconnecting is not None or len(self._queue) >= _MOST_QUEUED or wait_budget.waited >= most_ticks:
            raise SharedStateUnavailable
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._enqueue(_Command(arguments, reply, wait_budget, most_ticks))
        return await reply

    def _enqueue_unawaited(self, *arguments: Any) -> bool:
        if self._reconnecting is not None or self._unawaited >= _MOST_UNAWAITED:
            return False
        self._unawaited += 1
        self._enqueue(_Command(arguments, None, _NO_BUDGET, 0))
        return True

    def _enqueue(self, command: _Command) -> None:
        self._queue.append(command)
        if self._sending is None:
            self._sending = asyncio.create_task(self._send_all())
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(TICK_S, self._tick)

    def _tick(self) -> None:
        """Count a tick for each waiting request and for the round trip. Requests past their limit stop waiting."""
        waiting = [each for each in chain(self._in_flight, self._queue) if each.reply is not None and not each.reply.done()]
        for wait_budget in {each.wait_budget for each in waiting}:
            wait_budget.waited += 1
        for command in waiting:
            if command.wait_budget.waited >= command.most_ticks:
                command.fail()
        self._ticks += 1
        loop = asyncio.get_running_loop()
        if self._timeout is not None and not self._is_given_up and self._ticks >= self._most_ticks:
            self._timeout.reschedule(loop.time())
            self._is_given_up = True  # the cancelled round trip may take long to end, so it is not awaited
            self._give_up("slow")
        self._timer = None if self._sending is None else loop.call_later(TICK_S, self._tick)

    def _next_commands(self) -> list[_Command]:
        """The commands of the next round trip."""
        commands: list[_Command] = []
        while self._queue and len(commands) < _MOST_IN_ROUND_TRIP:
            command = self._queue.popleft()
            self._unawaited -= command.reply is None
            if command.is_wanted:
                commands.append(command)
        return commands

    async def _send_all(self) -> None:
        """Make round trips until no command is left, or Redis is unavailable."""
        try:
            while commands := self._next_commands():
                self._in_flight, self._ticks, self._is_given_up = commands, 0, False
                try:
                    replies = await self._round_trip(commands)
                except Exception as error:  # noqa: BLE001 - whatever the client raises, no request may wait forever
                    if not self._is_given_up:
                        self._give_up(type(error).__name__)
                    continue
                finally:
                    self._in_flight, self._timeout = (), None
                if self._is_given_up:  # the replies came too late
                    continue
                for command, reply in zip(commands, replies, strict=True):
                    if isinstance(reply, Exception):
                        command.fail()
                    elif command.reply is not None and not command.reply.done():
                        command.reply.set_result(reply)
                self._set_available(available=True)
                self._slow_in_row = self._slow_in_row + 1 if self._ticks >= self._slow_ticks else 0
                if self._slow_in_row >= _MOST_SLOW_IN_ROW:
                    self._give_up("slow")
        finally:
            self._sending = None

    def _give_up(self, reason: str) -> None:
        """Redis is unavailable: fail all commands, and try to reconnect."""
        lost = [*self._in_flight, *self._queue]
        self._queue.clear()
        self._unawaited = self._slow_in_row = 0
        self._reconnecting = asyncio.create_task(self._reconnect())
        self._set_available(available=False, reason=reason)
        for command in lost:
            command.fail()

    async def _round_trip(self, commands: Sequence[_Command]) -> list[Any]:
        """The replies to the commands. A reply may be an error that concerns only its own key."""
        async with asyncio.timeout(None) as self._timeout:
            replies = await self._pipeline(commands)
            if any(isinstance(reply, NoScriptError) for reply in replies):
                # Redis is new, or was restarted: nothing has been charged, so these commands can be sent again.
                self._script_digest = await self._redis.script_load(COUNT)  # type: ignore[no-untyped-call, unused-ignore]
                unknown = [number for number, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
                for number, reply in zip(unknown, await self._pipeline([commands[each] for each in unknown]), strict=True):
                    replies[number] = reply
        for reply in replies:
            if isinstance(reply, BaseException) and not _is_of_one_key(reply):
                raise reply
        return replies

    async def _pipeline(self, commands: Sequence[_Command]) -> list[Any]:
        async with self._redis.pipeline(transaction=False) as pipe:
            for command in commands:
                arguments = command.arguments
                if arguments[0] is _COUNT_SCRIPT:
                    pipe.execute_command("EVALSHA", self._script_digest or "0" * 40, *arguments[1:])
                else:
                    pipe.execute_command(*arguments)
            return await pipe.execute(raise_on_error=False)

    async def _reconnect(self) -> None:
        """Ping Redis until it answers fast."""
        while True:
            await asyncio.sleep(RECONNECT_S)
            try:
                async with asyncio.timeout(self._slow_ticks * TICK_S):
                    await self._redis.ping()  # type: ignore[misc, unused-ignore]
            except Exception:  # noqa: BLE001, S112 - after any error Redis is still unavailable
                continue
            self._reconnecting = None
            self._set_available(available=True)
            return

    def _set_available(self, *, available: bool, reason: str | None = None) -> None:
        if available is self._is_available:
            return
        self._is_available = available
        self._on_change(available)
        if available:
            _log.info("shared state in Redis")
        else:
            _log.warning("Redis is unavailable: this gateway uses its own counts", reason=reason)

    async def aclose(self) -> None:
        """Close all connections. Waiting requests go on without Redis."""
        if self._timer is not None:
            self._timer.cancel()
        lost = [*self._in_flight, *self._queue]
        tasks = [task for task in (self._sending, self._reconnecting) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for command in lost:
            command.fail()
        await self._redis.aclose(close_connection_pool=True)


_COUNT_SCRIPT = "counts"
"""The name of the command that runs the script. Redis knows the script by a digest, which may not be known yet."""


def _is_of_one_key(error: BaseException) -> bool:
    """Whether the error concerns one key only, which has another type. After any other error Redis counts as unavailable."""
    return isinstance(error, ResponseError) and str(error).startswith("WRONGTYPE")


def _arguments(charges: Sequence[Charge], *, take: bool) -> list[Any]:
    """The script's arguments: `take` refuses charges that exceed a limit, otherwise they are made in any case."""
    arguments: list[Any] = [len(charges), *(_key("rate", *charge.key) for charge in charges), "1" if take else "0"]
    for charge in charges:
        limit = charge.limit
        if isinstance(limit, Bucket):
            arguments += ["bucket", charge.amount, limit.quota, limit.per_s]
        elif isinstance(limit, SlidingWindow):
            arguments += ["window", charge.amount, limit.quota, limit.window_s]
        else:
            arguments += ["day" if limit.period is Period.DAY else "month", charge.amount, limit.quota, 0]
    return arguments


def _counts(reply: Any, number: int) -> list[Count]:
    """The counts in the script's reply: three numbers a charge. Raises `SharedStateUnavailable` for any other reply."""
    try:
        numbers = [float(each) for each in reply]
    except (TypeError, ValueError):
        raise SharedStateUnavailable from None
    if len(numbers) != 3 * number or not all(map(isfinite, numbers)):
        raise SharedStateUnavailable
    return [Count(*numbers[start : start + 3]) for start in range(0, len(numbers), 3)]


def _key(kind: str, *parts: str) -> str:
    """A key in Redis. It holds only a digest of the parts, which may be personal."""
    digest = blake2b(digest_size=16)
    for part in parts:
        encoded = part.encode("utf-8", "surrogatepass")
        digest.update(b"%d:%s" % (len(encoded), encoded))
    return f"{_PREFIX}{kind}:{digest.hexdigest()}"


class SharedCounts:
    """A `counts.Counts` in Redis. While Redis is unavailable, this process's own counts are used."""

    def __init__(self, shared: Shared, own: Counts) -> None:
        self._shared = shared
        self._own = own

    async def take(self, charges: Sequence[Charge], wait_budget: SharedStateBudget | None = None) -> Sequence[Count]:
        """See `counts.Counts`."""
        try:
            return await self._shared.counted(charges, wait_budget or SharedStateBudget())
        except SharedStateUnavailable:
            return await self._own.take(charges)

    async def settle(self, charges: Sequence[Charge]) -> None:
        """See `counts.Counts`. If a correction is lost, the original charge remains."""
        if not self._shared.settle_later(charges):
            await self._own.settle(charges)
