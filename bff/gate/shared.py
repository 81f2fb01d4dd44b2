"""State that several gateways share in Redis: counts and documents. While Redis is away each gateway uses its own.

Commands of concurrent requests go out in one round trip, in order; those that come during it go with the next.
An answer in time matters more than shared state, so the wait is limited:
1. A request waits for Redis at most `wait_s` in all (`SharedStateBudget`), and never past its deadline.
2. After a round trip that takes `wait_s`, or several slow ones in a row, Redis counts as away and isn't used for `AWAY_S`.
3. Commands that need no answer (corrections of cost, registrations) are queued, and no request waits for them.
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

from bff.gate.counts import Bucket, Charge, Count, Counts, Period
from bff.gate.script import COUNT
from bff.gate.shared_state import SharedStateBudget, SharedStateUnavailable
from bff.runtime.log import Log

WAIT_S = 0.25
AWAY_S = 1.0
"""Seconds without Redis after a failure, and between attempts to reconnect."""
TICK_S = 0.025
"""Waiting is counted in ticks of the event loop and not in seconds: a late tick counts as one."""

_SLOW_RATIO = 0.4
"""A round trip that takes this share of `wait_s` is slow."""
_MOST_SLOW = 3
"""Consecutive slow round trips after which Redis counts as away."""
_PREFIX = "bff:1:"
"""With the version of what is kept, so that gateways of two versions don't misread each other's."""
_MOST_AT_ONCE = 256
_MOST_WAITING = 10_000
_MOST_LATER = 1_000
_log = Log("bff.shared")


class _Question:
    """A command for Redis. `answer` is None if no request waits for it; `most` is the limit of `patience.waited`."""

    __slots__ = ("answer", "command", "most", "wait_budget")

    def __init__(
        self,
        command: tuple[Any, ...],
        answer: "asyncio.Future[Any] | None",
        wait_budget: SharedStateBudget,
        most: int,
    ) -> None:
        self.command = command
        self.answer = answer
        self.wait_budget = wait_budget
        self.most = most

    @property
    def is_wanted(self) -> bool:
        """Whether to send it: False once the request that waited has ended or given up."""
        return self.answer is None or not self.answer.done()

    def lose(self) -> None:
        """There will be no answer."""
        if self.answer is not None and not self.answer.done():
            self.answer.set_exception(SharedStateUnavailable())


_UNAWAITED = SharedStateBudget()
"""The patience of commands that no request waits for. Never counted."""


class Shared:
    """Redis, as far as it is there. `on_change` is told when it goes and when it comes back."""

    def __init__(self, url: str, on_change: Callable[[bool], None] = lambda _: None, *, wait_s: float = WAIT_S) -> None:
        self._redis: Redis = Redis.from_url(
            url,
            max_connections=4,
            # Each round trip is bounded as a whole, below.
            socket_timeout=None,
            socket_connect_timeout=wait_s,
            # A second try would charge twice.
            retry=Retry(NoBackoff(), 0),
        )
        self._on_change = on_change
        self._most_ticks = ceil(wait_s / TICK_S)
        self._slow_ticks = ceil(_SLOW_RATIO * wait_s / TICK_S)
        self._is_there: bool | None = None
        self._digest = ""
        self._waiting: deque[_Question] = deque()
        self._later = 0
        """The number of commands in `_waiting` that no request waits for."""
        self._asked: Sequence[_Question] = ()
        """The commands of the current round trip; below, its time limit and its ticks so far."""
        self._limit: asyncio.Timeout | None = None
        self._is_given_up = False
        self._ticks = 0
        self._slow = 0
        self._asking: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._ticking: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<Shared: {'there' if self._is_there else 'away'}>"

    @property
    def is_there(self) -> bool:
        """Whether it answered when it was last asked."""
        return bool(self._is_there)

    async def begin(self) -> None:
        """Connect now, so that no request has to wait for it. If Redis is away, keep trying."""
        with suppress(SharedStateUnavailable):
            await self._ask(SharedStateBudget(), "PING")

    async def counted(self, charges: Sequence[Charge], wait_budget: SharedStateBudget) -> list[Count]:
        """The counts after the charges: all of them are made or none. Raises `SharedStateUnavailable`."""
        figures = await self._ask(wait_budget, _SCRIPTED, *_arguments(charges, take=True))
        return _counts(figures, len(charges))

    def settle_later(self, charges: Sequence[Charge]) -> bool:
        """Take, or give back where amounts are below zero, without waiting. False if that can't be queued."""
        return self._ask_later(_SCRIPTED, *_arguments(charges, take=False))

    async def get(self, kind: str, name: str, wait_budget: SharedStateBudget) -> bytes | None:
        """What was put under that name. Raises `SharedStateUnavailable`."""
        found = await self._ask(wait_budget, "GET", _key(kind, name))
        if found is not None and not isinstance(found, bytes):
            raise SharedStateUnavailable
        return found

    def put_later(self, kind: str, name: str, value: bytes, *, for_s: int) -> None:
        """Store `value` for `for_s` seconds, without waiting. It is lost if Redis is away."""
        self._ask_later("SET", _key(kind, name), value, "EX", for_s)

    async def _ask(self, wait_budget: SharedStateBudget, *command: Any) -> Any:
        most = self._most_ticks
        if wait_budget.deadline is not None:
            most = min(most, wait_budget.waited + ceil(wait_budget.deadline.left() / TICK_S))
        if self._looking is not None or len(self._waiting) >= _MOST_WAITING or wait_budget.waited >= most:
            raise SharedStateUnavailable
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._begin(_Question(command, answer, wait_budget, most))
        return await answer

    def _ask_later(self, *command: Any) -> bool:
        if self._looking is not None or self._later >= _MOST_LATER:
            return False
        self._later += 1
        self._begin(_Question(command, None, _UNAWAITED, 0))
        return True

    def _begin(self, question: _Question) -> None:
        self._waiting.append(question)
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask_all())
        if self._ticking is None:
            self._ticking = asyncio.get_running_loop().call_later(TICK_S, self._tick)

    def _tick(self) -> None:
        """Count a tick for each waiting request and for the round trip. Requests past their limit stop waiting."""
        waiting = [each for each in chain(self._asked, self._waiting) if each.answer is not None and not each.answer.done()]
        for wait_budget in {each.wait_budget for each in waiting}:
            wait_budget.waited += 1
        for question in waiting:
            if question.wait_budget.waited >= question.most:
                question.lose()
        self._ticks += 1
        loop = asyncio.get_running_loop()
        if self._limit is not None and not self._is_given_up and self._ticks >= self._most_ticks:
            self._limit.reschedule(loop.time())
            self._is_given_up = True  # the cancelled round trip may take long to end, so it is not awaited
            self._give_up("slow")
        self._ticking = None if self._asking is None else loop.call_later(TICK_S, self._tick)

    def _next(self) -> list[_Question]:
        """The commands of the next round trip."""
        questions: list[_Question] = []
        while self._waiting and len(questions) < _MOST_AT_ONCE:
            question = self._waiting.popleft()
            self._later -= question.answer is None
            if question.is_wanted:
                questions.append(question)
        return questions

    async def _ask_all(self) -> None:
        """Make round trips until no command is left, or Redis is away."""
        try:
            while questions := self._next():
                self._asked, self._ticks, self._is_given_up = questions, 0, False
                try:
                    answers = await self._round_trip(questions)
                except Exception as error:  # noqa: BLE001 - whatever the client raises, no request may wait forever
                    if not self._is_given_up:
                        self._give_up(type(error).__name__)
                    continue
                finally:
                    self._asked, self._limit = (), None
                if self._is_given_up:  # the answers came too late
                    continue
                for question, answer in zip(questions, answers, strict=True):
                    if isinstance(answer, Exception):
                        question.lose()
                    elif question.answer is not None and not question.answer.done():
                        question.answer.set_result(answer)
                self._tell(there=True)
                self._slow = self._slow + 1 if self._ticks >= self._slow_ticks else 0
                if self._slow >= _MOST_SLOW:
                    self._give_up("slow")
        finally:
            self._asking = None

    def _give_up(self, reason: str) -> None:
        """Redis is away: fail all commands, and try to reconnect."""
        lost = [*self._asked, *self._waiting]
        self._waiting.clear()
        self._later = self._slow = 0
        self._looking = asyncio.create_task(self._look())
        self._tell(there=False, reason=reason)
        for question in lost:
            question.lose()

    async def _round_trip(self, questions: Sequence[_Question]) -> list[Any]:
        """The answers. One of them may be an error that concerns only its own key."""
        async with asyncio.timeout(None) as self._limit:
            answers = await self._piped(questions)
            if any(isinstance(answer, NoScriptError) for answer in answers):
                # Redis is new, or was restarted: nothing has been charged.
                self._digest = await self._redis.script_load(COUNT)  # type: ignore[no-untyped-call, unused-ignore]
                again = [number for number, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
                for number, answer in zip(again, await self._piped([questions[each] for each in again]), strict=True):
                    answers[number] = answer
        for answer in answers:
            if isinstance(answer, BaseException) and not _is_of_one_key(answer):
                raise answer
        return answers

    async def _piped(self, questions: Sequence[_Question]) -> list[Any]:
        async with self._redis.pipeline(transaction=False) as pipe:
            for question in questions:
                command = question.command
                if command[0] is _SCRIPTED:
                    pipe.execute_command("EVALSHA", self._digest or "0" * 40, *command[1:])
                else:
                    pipe.execute_command(*command)
            return await pipe.execute(raise_on_error=False)

    async def _look(self) -> None:
        """While Redis is away: try it until it answers fast."""
        while True:
            await asyncio.sleep(AWAY_S)
            try:
                async with asyncio.timeout(self._slow_ticks * TICK_S):
                    await self._redis.ping()  # type: ignore[misc, unused-ignore]
            except Exception:  # noqa: BLE001, S112 - after any error Redis is still away
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
            _log.info("shared state in Redis")
        else:
            _log.warning("Redis is away: this gateway counts by itself", reason=reason)

    async def aclose(self) -> None:
        """Close all connections. Waiting requests go on without Redis."""
        if self._ticking is not None:
            self._ticking.cancel()
        lost = [*self._asked, *self._waiting]
        tasks = [task for task in (self._asking, self._looking) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for question in lost:
            question.lose()
        await self._redis.aclose(close_connection_pool=True)


_SCRIPTED = "counts"
"""In a question's place of a command: the script, by whatever name Redis knows it."""


def _is_of_one_key(error: BaseException) -> bool:
    """Whether the error concerns one key only, which has another type. After any other, Redis counts as away."""
    return isinstance(error, ResponseError) and str(error).startswith("WRONGTYPE")


def _arguments(charges: Sequence[Charge], *, take: bool) -> list[Any]:
    arguments: list[Any] = [len(charges), *(_key("rate", *charge.key) for charge in charges), "1" if take else "0"]
    for charge in charges:
        limit = charge.limit
        if isinstance(limit, Bucket):
            arguments += ["bucket", charge.amount, limit.quota, limit.per_s]
        else:
            arguments += ["day" if limit.period is Period.DAY else "month", charge.amount, limit.quota, 0]
    return arguments


def _counts(answer: Any, number: int) -> list[Count]:
    """The script's answer: three figures for each charge. Raises `SharedStateUnavailable` if it is anything else."""
    try:
        figures = [float(each) for each in answer]
    except (TypeError, ValueError):
        raise SharedStateUnavailable from None
    if len(figures) != 3 * number or not all(map(isfinite, figures)):
        raise SharedStateUnavailable
    return [Count(*figures[start : start + 3]) for start in range(0, len(figures), 3)]


def _key(kind: str, *parts: str) -> str:
    """A key of Redis. What may be personal in it goes as a digest."""
    digest = blake2b(digest_size=16)
    for part in parts:
        encoded = part.encode("utf-8", "surrogatepass")
        digest.update(b"%d:%s" % (len(encoded), encoded))
    return f"{_PREFIX}{kind}:{digest.hexdigest()}"


class SharedCounts:
    """Counts of several gateways; while Redis is away, this one's own. As `counts.Counts`."""

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
