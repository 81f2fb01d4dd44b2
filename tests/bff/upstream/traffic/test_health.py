"""Health checks: which requests are sent, what passes, how long a streak must be, and that only cancellation ends them."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from bff.upstream.events import InstanceChanged, InstanceState
from bff.upstream.traffic.balance import Balance, Instance, InstanceOptions
from bff.upstream.traffic.call import Call, Reply
from bff.upstream.traffic.health import HealthChecks, HealthOptions, next_streak
from bff.upstream.wire import AnswerTooLarge, ConnectionBroken, NotConnected, Unsendable, WireReply, WireRequest
from tests.support.fakes import Clock, Heard, answer, ended, hang, settle

IN, UNHEALTHY = InstanceState.IN, InstanceState.UNHEALTHY
OPTIONS = HealthOptions(interval_s=5, timeout_s=1, unhealthy_after=2, healthy_after=2)


def url(number: int) -> str:
    """An instance's URL."""
    return f"http://10.11.12.{number}:8001/base"


async def never(call: Call, instance: Instance) -> Reply:
    """An attempt that is never made: checks are no calls."""
    raise AssertionError


class Rig:
    """Checks of a balancer's instances over a scripted wire; the test starts each round."""

    def __init__(self, weights: Sequence[int] = (1, 1), options: HealthOptions = OPTIONS) -> None:
        self.heard = Heard()
        instances = [InstanceOptions(url(number), weight) for number, weight in enumerate(weights, start=1)]
        self.balance = Balance("users", instances, never, self.heard, clock=Clock())
        self.how: dict[str, Any] = {}
        self.sent: list[WireRequest] = []
        self.limits: list[int] = []
        self.slept: list[float] = []
        self.next_round = asyncio.Event()
        self.checks = HealthChecks("users", self.balance, self, options, self._sleep)

    async def send(self, request: WireRequest, *, max_response_bytes: int) -> WireReply:
        """The wire: answers, raises or hangs as told."""
        self.sent.append(request)
        self.limits.append(max_response_bytes)
        how = self.how.get(request.url.removesuffix("/health"), answer())
        if isinstance(how, BaseException):
            raise how
        reply = how if isinstance(how, WireReply) else await how(request)
        assert isinstance(reply, WireReply)
        return reply

    async def aclose(self) -> None:
        """Nothing is open."""

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.next_round.clear()
        await self.next_round.wait()

    @property
    def states(self) -> list[InstanceState]:
        """Each instance's state."""
        return [instance.state for instance in self.balance.instances]

    @property
    def asked(self) -> list[str]:
        """Which URLs were asked since this was last looked at."""
        urls = [request.url for request in self.sent]
        self.sent.clear()
        return urls

    async def rounds(self, number: int, how: Any, times: int = 1) -> list[InstanceState]:
        """So many rounds in which one instance is so: the states after it."""
        self.how[url(number)] = how
        for _ in range(times):
            await self.checks.check()
        return self.states


async def test_each_instance_is_checked_at_its_path() -> None:
    """GET, without any caller's headers, at most 64 KiB of a response. An instance that gets no calls isn't checked."""
    rig = Rig((1, 0, 5))
    await rig.checks.check()
    headers = (("Accept", "*/*"), ("User-Agent", "bff"))
    assert rig.sent == [WireRequest("GET", f"{url(number)}/health", headers) for number in (1, 3)]
    assert rig.limits == [65_536] * 2


@pytest.mark.parametrize("status", [200, 204, 299])
async def test_a_2xx_is_a_pass(status: int) -> None:
    """Whatever its body."""
    assert await Rig().rounds(1, answer(status, b"no JSON"), 5) == [IN, IN]


BAD = [
    answer(100),
    answer(199),
    answer(300),
    answer(304),
    answer(404),
    answer(429),
    answer(500),
    answer(503),
    NotConnected(),
    ConnectionBroken(),
    AnswerTooLarge(),
    Unsendable(),
    TimeoutError(),
    ZeroDivisionError("a fault of ours"),
]


@pytest.mark.parametrize("how", BAD, ids=repr)
async def test_anything_else_is_a_failure(how: Any) -> None:
    """Another status, no response, an internal error. After enough in a row the instance is out; the other one isn't."""
    rig = Rig()
    assert await rig.rounds(1, how) == [IN, IN]
    assert await rig.rounds(1, how) == [UNHEALTHY, IN]
    assert rig.heard == [InstanceChanged("users", 1, UNHEALTHY)]


@pytest.mark.parametrize(
    ("row", "passed", "after"),
    [(0, True, 1), (0, False, -1), (3, True, 4), (3, False, -1), (-3, False, -4), (-3, True, 1)],
)
def test_a_streak_ends_with_the_opposite_result(row: int, passed: bool, after: int) -> None:
    """Passes count up, failures down, and either begins at one."""
    assert next_streak(row, passed=passed) == after


@pytest.mark.parametrize(
    ("unhealthy_after", "healthy_after", "rounds", "told"),
    [
        (2, 1, "--+-+--", [(2, UNHEALTHY), (3, IN), (7, UNHEALTHY)]),
        (1, 1, "-+-", [(1, UNHEALTHY), (2, IN), (3, UNHEALTHY)]),
        (3, 2, "--+--+---+-++-", [(9, UNHEALTHY), (13, IN)]),
        (2, 3, "----++-++-+++++", [(2, UNHEALTHY), (13, IN)]),
    ],
)
async def test_only_a_long_enough_streak_changes_the_health(
    unhealthy_after: int, healthy_after: int, rounds: str, told: list[tuple[int, InstanceState]]
) -> None:
    """Single different results change nothing. Each change is reported once, in the round that completes the streak."""
    rig = Rig((1,), HealthOptions(interval_s=5, unhealthy_after=unhealthy_after, healthy_after=healthy_after))
    heard = []
    for number, sign in enumerate(rounds, start=1):
        await rig.rounds(1, answer(200 if sign == "+" else 500))
        heard += [(number, event.state) for event in rig.heard if isinstance(event, InstanceChanged)]
        rig.heard.clear()
    assert heard == told


async def test_checks_of_a_round_run_at_once_and_time_out(loop_clock: Clock) -> None:
    """A round takes as long as its slowest check, at most the timeout. An instance that hangs has failed."""
    rig = Rig((1, 1, 1))
    rig.how = {url(1): hang, url(2): hang}
    for _ in range(2):
        a_round = asyncio.ensure_future(rig.checks.check())
        await settle()
        assert len(rig.asked) == 3
        await loop_clock.advance(0.9)
        assert not a_round.done()
        await loop_clock.advance(0.2)
        await ended(a_round)
    assert rig.states == [UNHEALTHY, UNHEALTHY, IN]


async def test_rounds_begin_at_once_and_follow_at_the_interval() -> None:
    """No failed check ends them, whatever the exception."""
    rig = Rig((1,))
    running = asyncio.ensure_future(rig.checks.run())
    for number, how in enumerate(BAD, start=1):
        rig.how[url(1)] = how
        rig.next_round.set()
        await settle()
        assert (len(rig.sent), rig.slept) == (number, [5] * number)
    assert rig.states == [UNHEALTHY]
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ended(running)


async def test_cancellation_ends_all_checks_of_a_round() -> None:
    """No check is left running, and a cancelled check is no failure."""
    rig = Rig((1, 1))
    stopped = []

    async def hold(_: WireRequest) -> WireReply:
        try:
            return await hang(None)
        finally:
            stopped.append(True)

    rig.how = {url(1): hold, url(2): hold}
    running = asyncio.ensure_future(rig.checks.run())
    await settle()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ended(running)
    assert stopped == [True, True]
    assert (rig.slept, repr(rig.checks)) == ([], "<HealthChecks users: streaks []>")


async def test_a_cancelled_check_is_not_a_failed_check() -> None:
    """Cancellation is raised at any point of a round, and the round reports nothing."""
    rig = Rig((1,), HealthOptions(interval_s=5, unhealthy_after=1))
    rig.how[url(1)] = asyncio.CancelledError()
    with pytest.raises(asyncio.CancelledError):
        await ended(asyncio.ensure_future(rig.checks.run()))
    assert (rig.states, rig.slept) == ([IN], [])


async def test_without_an_interval_there_are_no_checks() -> None:
    """The default: it returns at once and sends nothing."""
    rig = Rig(options=HealthOptions())
    await ended(asyncio.ensure_future(rig.checks.run()))
    assert (rig.sent, rig.slept) == ([], [])


async def test_the_next_round_uses_the_changed_list() -> None:
    """New instances are checked, removed ones aren't, and the others keep their streak."""
    rig = Rig()
    await rig.rounds(2, answer(500))
    assert rig.asked == [f"{url(1)}/health", f"{url(2)}/health"]
    rig.balance.set_instances([InstanceOptions(url(2)), InstanceOptions(url(3))])
    assert await rig.rounds(2, answer(500)) == [UNHEALTHY, IN]
    assert rig.asked == [f"{url(2)}/health", f"{url(3)}/health"]
    assert rig.heard == [InstanceChanged("users", 1, UNHEALTHY)]


async def test_the_list_may_change_during_a_round() -> None:
    """The result of a removed instance is dropped: its number may be another one's."""
    rig = Rig()
    await rig.rounds(1, answer(500))
    gate = asyncio.Event()

    async def wait(_: WireRequest) -> WireReply:
        await gate.wait()
        return answer(500)

    rig.how[url(1)] = wait
    a_round = asyncio.ensure_future(rig.checks.check())
    await settle()
    rig.balance.set_instances([InstanceOptions(url(2)), InstanceOptions(url(3))])
    gate.set()
    await ended(a_round)
    assert (rig.states, rig.heard) == ([IN, IN], [])
    await rig.checks.check()
    assert repr(rig.checks) == "<HealthChecks users: streaks [3, 1]>"


@pytest.mark.parametrize(
    "wrong",
    [
        {"interval_s": -1},
        {"interval_s": 3601},
        {"interval_s": "nan"},
        {"timeout_s": 0},
        {"unhealthy_after": 0},
        {"healthy_after": 0},
        {"path": "health"},
        {"path": ""},
        {"port": 1},
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    """With the setting's name: limits, a path that would extend the host's name, an unknown key."""
    with pytest.raises(ValidationError, match="|".join((*wrong, "slash"))):
        TypeAdapter(HealthOptions).validate_python(wrong)
