"""Breaker: the seven cases of its docstring, and all of it against a simple, slow model."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace

from bff.upstream.conventions import Problem
from bff.upstream.errors import (
    BadAnswer,
    BreakerOpen,
    Busy,
    Forbidden,
    NotReached,
    Rejected,
    SourceError,
    TimedOut,
    Unauthenticated,
)
from bff.upstream.events import BreakerChanged, BreakerState
from bff.upstream.traffic.breaker import Breaker, BreakerOptions, BreakerPolicy, Permit, Verdict
from bff.upstream.traffic.call import Call, Reply
from tests.support.fakes import Clock, Heard, ended, hang, make_call, make_caller, ok, settle

CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN
OPENED, HALF_OPENED, REOPENED, MENDED = (CLOSED, OPEN), (OPEN, HALF_OPEN), (HALF_OPEN, OPEN), (HALF_OPEN, CLOSED)
VERDICTS = {"+": Verdict.SUCCESS, "-": Verdict.FAILURE, "0": Verdict.NONE}
OPTIONS = BreakerOptions(window_s=10, minimum_calls=4, failure_ratio=0.5, open_s=30, half_open_calls=1)


class Rig:
    """A breaker with its own time, and the changes it reported."""

    def __init__(self, options: BreakerOptions = OPTIONS) -> None:
        self.now = 1000.0
        self.options = options
        self.turns: list[tuple[BreakerState, BreakerState]] = []
        self.forced: list[bool] = []
        self.breaker = Breaker(options, self._turned)

    def _turned(self, before: BreakerState, after: BreakerState, forced: bool) -> None:
        self.turns.append((before, after))
        self.forced.append(forced)

    def admit(self) -> Permit:
        """Ask for a permit that there must be."""
        permit = self.breaker.admit(self.now)
        assert isinstance(permit, Permit)
        return permit

    def refuse(self) -> float:
        """Ask for a permit that there must not be: the seconds to wait."""
        left = self.breaker.admit(self.now)
        assert isinstance(left, float)
        return left

    def settle(self, permit: Permit, verdict: str, duration_s: float = 0.0) -> None:
        """Tell how a call ended."""
        self.breaker.settle(permit, VERDICTS[verdict], self.now, duration_s)

    def calls(self, verdicts: str) -> BreakerState:
        """Make a row of calls, `+` well, `-` badly, `0` without a verdict; the state after it."""
        for verdict in verdicts:
            self.settle(self.admit(), verdict)
        return self.breaker.state

    def opened(self) -> "Rig":
        """The same, opened by failures."""
        assert self.calls("-" * self.options.minimum_calls) is OPEN
        return self

    def half_opened(self) -> "tuple[Rig, Permit]":
        """The same, half open, with the permit of the probe that half opened it."""
        self.opened()
        self.now += self.options.open_s
        return self, self.admit()


# 1. closed


@pytest.mark.parametrize(
    ("verdicts", "state"),
    [
        ("++++++++", CLOSED),
        ("---", CLOSED),  # too few to judge by
        ("----", OPEN),
        ("++--", OPEN),  # the share is reached
        ("+++--", CLOSED),  # 2 of 5
        ("+++---", OPEN),  # 3 of 6
        ("---+", CLOSED),  # a success that completes the minimum opens nothing
        ("---+-", OPEN),  # the next failure does
        ("---0000", CLOSED),  # calls without a verdict are no calls
        ("--00--", OPEN),
    ],
)
def test_it_opens_at_the_share_of_failures_once_there_are_enough_calls(verdicts: str, state: BreakerState) -> None:
    """Case 1: both the minimum of calls and the share of failures must be reached, and only a failure opens it."""
    rig = Rig()
    assert rig.calls(verdicts) is state
    assert rig.turns == ([OPENED] if state is OPEN else [])


@pytest.mark.parametrize(("ratio", "verdicts"), [(1.0, "----"), (0.25, "+++-"), (0.75, "+---"), (0.01, "+++-")])
def test_the_share_is_a_setting(ratio: float, verdicts: str) -> None:
    """It opens with the failure that reaches the share, not before."""
    rig = Rig(BreakerOptions(minimum_calls=4, failure_ratio=ratio))
    assert rig.calls(verdicts[:-1]) is CLOSED
    assert rig.calls(verdicts[-1]) is OPEN


def test_one_call_may_be_enough() -> None:
    """With a minimum of 1 the first failure opens it."""
    assert Rig(BreakerOptions(minimum_calls=1)).calls("-") is OPEN


@pytest.mark.parametrize(("apart_s", "state"), [(3.0, OPEN), (8.9, OPEN), (10.0, CLOSED), (25.0, CLOSED)])
def test_only_failures_in_the_window_count(apart_s: float, state: BreakerState) -> None:
    """Older failures are dropped."""
    rig = Rig()
    rig.calls("---")
    rig.now += apart_s
    assert rig.calls("-") is state


def test_the_window_slides() -> None:
    """A steady rate of failures, never enough within one window, never opens it."""
    rig = Rig()
    for _ in range(40):
        assert rig.calls("-") is CLOSED
        rig.now += 3.5
    rig.calls("-")
    rig.now += 1
    assert rig.calls("-") is OPEN  # but a little faster does


def test_old_successes_do_not_outweigh_a_fresh_failure() -> None:
    """Successes leave the window as failures do."""
    rig = Rig()
    rig.calls("+" * 1000)
    rig.now += 10
    assert rig.calls("----") is OPEN


def late(rig: Rig, calls: str) -> BreakerState:
    """A sequence of successful calls, `s` slow, `q` quick."""
    for call in calls:
        rig.settle(rig.admit(), "+", 1.5 if call == "s" else 1.0)
    return rig.breaker.state


SLOW = BreakerOptions(minimum_calls=4, slow_call_s=1.0, slow_call_ratio=0.5)


@pytest.mark.parametrize(
    ("calls", "state"),
    [("ssss", OPEN), ("qqss", OPEN), ("qqqs", CLOSED), ("qqqssq", CLOSED), ("sssq", CLOSED), ("sss", CLOSED)],
)
def test_it_opens_at_the_share_of_slow_calls_too(calls: str, state: BreakerState) -> None:
    """Case 1: also if all succeed. A call is slow if it takes longer than the limit; a quick call never opens it."""
    assert late(Rig(SLOW), calls) is state


def test_without_a_limit_no_call_is_slow() -> None:
    """The default."""
    assert late(Rig(BreakerOptions(minimum_calls=1, slow_call_ratio=0.1)), "ssss") is CLOSED


def test_a_slow_probe_opens_it_again() -> None:
    """Case 3: a service that replies late has not recovered."""
    rig, probe = Rig(BreakerOptions(minimum_calls=4, slow_call_s=1.0)).half_opened()
    rig.settle(probe, "+", 1.5)
    assert rig.breaker.state is OPEN


def test_a_call_without_a_verdict_is_not_slow() -> None:
    """Case 5: a call that its caller ended says nothing."""
    rig = Rig(SLOW)
    for _ in range(8):
        rig.settle(rig.admit(), "0", 1.5)
    assert rig.breaker.state is CLOSED


# 6. reconsidered


def test_reconsider_makes_it_half_open_at_once() -> None:
    """Case 6: its counts may no longer hold, so a probe decides."""
    rig = Rig().opened()
    rig.breaker.reconsider()
    rig.settle(rig.admit(), "+")
    assert rig.turns == [OPENED, HALF_OPENED, MENDED]


@pytest.mark.parametrize("forced", [None, OPEN, CLOSED])
def test_reconsider_changes_only_an_open_breaker(forced: BreakerState | None) -> None:
    """Closed it stays closed, and forced it stays forced."""
    rig = Rig()
    rig.breaker.force(forced)
    rig.turns.clear()
    rig.breaker.reconsider()
    assert rig.turns == []


# 7. forced


def test_forced_open_it_refuses_all_calls() -> None:
    """Case 7: without probes, however long it stays so."""
    rig = Rig()
    rig.breaker.force(OPEN)
    for _ in range(3):
        assert rig.refuse() == 30
        rig.now += 100
    assert rig.turns == [OPENED]


def test_forced_closed_it_lets_all_pass() -> None:
    """Case 7: whatever their results."""
    rig = Rig().opened()
    rig.breaker.force(CLOSED)
    assert rig.calls("-" * 50) is CLOSED
    assert rig.turns == [OPENED, (OPEN, CLOSED)]


@pytest.mark.parametrize("state", [OPEN, CLOSED])
def test_released_it_is_closed_with_an_empty_window(state: BreakerState) -> None:
    """Case 7: then its own rule holds."""
    rig = Rig()
    rig.calls("---")
    rig.breaker.force(state)
    rig.breaker.force(None)
    assert (rig.breaker.state, rig.breaker.forced) == (CLOSED, None)
    assert rig.calls("---") is CLOSED
    assert rig.calls("-") is OPEN


def test_each_forced_change_is_reported_once() -> None:
    """Also if the state is the same as before. Forcing the same state again changes nothing."""
    rig = Rig()
    for state in (CLOSED, CLOSED, OPEN, OPEN, None, None):
        rig.breaker.force(state)
    assert rig.turns == [(CLOSED, CLOSED), OPENED, (OPEN, CLOSED)]
    assert rig.forced == [True, True, True]


def test_the_result_of_a_call_from_before_it_was_forced_is_ignored() -> None:
    """Case 4 holds here as well."""
    rig = Rig()
    permits = [rig.admit() for _ in range(4)]
    rig.breaker.force(OPEN)
    rig.breaker.force(None)
    for permit in permits:
        rig.settle(permit, "-")
    assert rig.breaker.state is CLOSED


def test_half_open_cannot_be_forced() -> None:
    """It is a transition."""
    with pytest.raises(ValueError, match="half open"):
        Rig().breaker.force(HALF_OPEN)


# 2. open


def test_open_refuses_until_its_time_is_over() -> None:
    """Case 2: all calls are refused, with the seconds left. The first call after that makes it half open."""
    rig = Rig().opened()
    for passed_s, left_s in ((0, 30.0), (12.5, 17.5), (17.25, 0.25)):
        rig.now += passed_s
        assert rig.refuse() == left_s
    assert rig.breaker.state is OPEN
    rig.now += 0.25
    assert rig.breaker.state is OPEN  # time alone does not turn it
    rig.admit()
    assert rig.breaker.state is HALF_OPEN
    assert rig.turns == [OPENED, HALF_OPENED]


# 3. half open


@pytest.mark.parametrize("probes", [1, 2, 5])
def test_half_open_limits_the_probes(probes: int) -> None:
    """Case 3: as many as set at once. Other calls are refused, with a short time to wait."""
    rig, _ = Rig(BreakerOptions(half_open_calls=probes)).half_opened()
    for _ in range(probes - 1):
        rig.admit()
    assert rig.refuse() == 1.0
    assert rig.breaker.state is HALF_OPEN


@pytest.mark.parametrize("open_s", [1, 30])
@pytest.mark.parametrize("probes", [1, 2, 5])
def test_it_closes_when_enough_probes_succeeded(probes: int, open_s: float) -> None:
    """Case 3: with the last of them, and with an empty window."""
    rig, first = Rig(BreakerOptions(10, 4, 0.5, open_s, probes)).half_opened()
    permits = [first] + [rig.admit() for _ in range(probes - 1)]
    for permit in permits:
        assert rig.breaker.state is HALF_OPEN
        rig.settle(permit, "+")
    assert rig.breaker.state is CLOSED
    assert rig.turns == [OPENED, HALF_OPENED, MENDED]
    assert rig.calls("---") is CLOSED  # the failures that opened it are forgotten
    assert rig.calls("-") is OPEN


def test_probes_that_succeeded_count_towards_the_limit() -> None:
    """Running and successful probes count together: no more are sent than are needed."""
    rig, first = Rig(BreakerOptions(half_open_calls=2)).half_opened()
    rig.settle(first, "+")
    second = rig.admit()
    rig.refuse()
    rig.settle(second, "+")
    assert rig.breaker.state is CLOSED


@pytest.mark.parametrize("passed", [0, 1, 2])
def test_one_failed_probe_opens_it_again(passed: int) -> None:
    """Case 3: however many succeeded before it. It stays open for the whole time again."""
    rig, permit = Rig(BreakerOptions(half_open_calls=3)).half_opened()
    for _ in range(passed):
        rig.settle(permit, "+")
        permit = rig.admit()
    rig.now += 5
    rig.settle(permit, "-")
    assert rig.turns == [OPENED, HALF_OPENED, REOPENED]
    assert rig.refuse() == 30.0


def test_it_may_open_and_half_open_any_number_of_times() -> None:
    """After each failed probe it is open for its time, and the next call after that is a probe."""
    rig, probe = Rig().half_opened()
    for _ in range(5):
        rig.settle(probe, "-")
        rig.now += 29.5
        rig.refuse()
        rig.now += 0.5
        probe = rig.admit()
    rig.settle(probe, "+")
    assert rig.breaker.state is CLOSED


# 4. stale permits


@pytest.mark.parametrize("verdict", "+-0")
def test_the_result_of_a_call_from_before_a_change_is_ignored(verdict: str) -> None:
    """Case 4: in every state."""
    rig = Rig()
    old = rig.admit()
    rig.opened()
    rig.settle(old, verdict)
    assert rig.breaker.state is OPEN
    rig.now += 30
    probe = rig.admit()
    rig.settle(old, verdict)
    assert rig.breaker.state is HALF_OPEN
    rig.refuse()  # nor does it free the probe's permit
    rig.settle(probe, "+")
    for _ in range(10):
        rig.settle(old, verdict)
    assert rig.breaker.state is CLOSED
    assert rig.calls("---") is CLOSED


def test_the_result_of_a_probe_from_an_earlier_half_open_is_ignored() -> None:
    """Case 4: one of two probes failed; the other's late success doesn't count for the next half open state."""
    rig, first = Rig(BreakerOptions(half_open_calls=2)).half_opened()
    second = rig.admit()
    rig.settle(first, "-")
    rig.now += 30
    probes = [rig.admit(), rig.admit()]
    rig.settle(second, "+")
    rig.refuse()
    rig.settle(probes[0], "+")
    assert rig.breaker.state is HALF_OPEN
    rig.settle(probes[1], "+")
    assert rig.breaker.state is CLOSED


# 5. without a verdict


def test_a_probe_without_a_verdict_returns_its_permit() -> None:
    """Case 5: the breaker stays half open, and the next call is a probe."""
    rig, probe = Rig().half_opened()
    rig.refuse()
    rig.settle(probe, "0")
    assert rig.breaker.state is HALF_OPEN
    probe = rig.admit()
    rig.refuse()
    rig.settle(probe, "+")
    assert rig.breaker.state is CLOSED


# the whole of it, against a model


@dataclass
class Model:
    """The docstring's rules, literally: a list of all calls since it closed, searched each time."""

    options: BreakerOptions
    state: BreakerState = CLOSED
    forced: BreakerState | None = None
    log: list[tuple[float, bool, bool]] = field(default_factory=list)
    opened_at: float = 0.0
    out: set[int] = field(default_factory=set)  # permits of this state
    passed: int = 0
    turns: list[tuple[BreakerState, BreakerState, bool]] = field(default_factory=list)

    def admit(self, now: float, number: int) -> float | None:
        """Let call `number` through: None; or the seconds that it is told."""
        if self.forced is OPEN:
            return self.options.open_s
        if self.forced is CLOSED:
            self.out.add(number)
            return None
        if self.state is OPEN and now >= self.opened_at + self.options.open_s:
            self.turn(HALF_OPEN)
        full = self.state is HALF_OPEN and len(self.out) + self.passed >= self.options.half_open_calls
        if self.state is OPEN:
            return self.opened_at + self.options.open_s - now
        if full:
            return 1.0
        self.out.add(number)
        return None

    def force(self, state: BreakerState | None) -> None:
        """Held in a state, or let go."""
        if state is not self.forced:
            self.forced = state
            self.turn(state or CLOSED, forced=True)

    def settle(self, now: float, number: int, verdict: Verdict, duration_s: float) -> None:
        """Call `number` has ended."""
        if number not in self.out:
            return
        self.out.remove(number)
        if verdict is Verdict.NONE or self.forced is not None:
            return
        failed = verdict is Verdict.FAILURE
        slow = self.options.slow_call_s is not None and duration_s > self.options.slow_call_s
        if self.state is HALF_OPEN:
            self.passed += not failed and not slow
            if failed or slow:
                self.open(now)
            elif self.passed == self.options.half_open_calls:
                self.turn(CLOSED)
        else:
            self.log.append((now, failed, slow))
            bucket_s = self.options.window_s / 10
            inside = [(bad, late) for at, bad, late in self.log if now // bucket_s - at // bucket_s < 10]
            failures, laggards = sum(bad for bad, _ in inside), sum(late for _, late in inside)
            too_many = failures >= self.options.failure_ratio * len(inside)
            too_slow = self.options.slow_call_s is not None and laggards >= self.options.slow_call_ratio * len(inside)
            if (failed or slow) and len(inside) >= self.options.minimum_calls and (too_many or too_slow):
                self.open(now)

    def open(self, now: float) -> None:
        """Open it."""
        self.opened_at = now
        self.turn(OPEN)

    def turn(self, state: BreakerState, *, forced: bool = False) -> None:
        """Begin another state."""
        self.turns.append((self.state, state, forced))
        self.state = state
        self.out.clear()
        self.log.clear()
        self.passed = 0


class BreakerAgainstModel(RuleBasedStateMachine):
    """Calls begin and end with any result, soon or late; the breaker and its model never differ."""

    @initialize(
        minimum=st.integers(1, 4),
        ratio=st.sampled_from([0.25, 0.5, 1.0]),
        probes=st.integers(1, 3),
        open_s=st.sampled_from([2, 30]),
        slow_call_s=st.sampled_from([None, 1.0]),
        slow_ratio=st.sampled_from([0.25, 1.0]),
    )
    def begin(
        self, minimum: int, ratio: float, probes: int, open_s: int, slow_call_s: float | None, slow_ratio: float
    ) -> None:
        """Any settings."""
        self.rig = Rig(BreakerOptions(10.0, minimum, ratio, float(open_s), probes, slow_call_s, slow_ratio))
        self.model = Model(self.rig.options)
        self.permits: dict[int, Permit] = {}
        self.numbers: Iterator[int] = iter(range(10_000))

    def ask(self) -> tuple[int, Permit | None]:
        """A call's number, and its permit if it got one; refused it is told the same seconds by both."""
        number = next(self.numbers)
        permit = self.rig.breaker.admit(self.rig.now)
        assert (None if isinstance(permit, Permit) else permit) == self.model.admit(self.rig.now, number)
        return number, permit if isinstance(permit, Permit) else None

    @rule()
    def come(self) -> None:
        """A call asks for a permit."""
        number, permit = self.ask()
        if permit is not None:
            self.permits[number] = permit

    @precondition(lambda self: self.permits)
    @rule(data=st.data(), verdict=st.sampled_from("---++0"), duration_s=st.sampled_from([0.0, 1.0, 1.5]))
    def end(self, data: st.DataObject, verdict: str, duration_s: float) -> None:
        """One of the calls that are out ends, sooner or later."""
        number = data.draw(st.sampled_from(sorted(self.permits)))
        self.rig.settle(self.permits.pop(number), verdict, duration_s)
        self.model.settle(self.rig.now, number, VERDICTS[verdict], duration_s)

    @rule()
    def reconsider(self) -> None:
        """The source has moved."""
        self.rig.breaker.reconsider()
        if self.model.state is OPEN and self.model.forced is None:
            self.model.turn(HALF_OPEN)

    @rule(state=st.sampled_from([OPEN, CLOSED, None, None]))
    def force(self, state: BreakerState | None) -> None:
        """An administrator holds it, or lets it go."""
        self.rig.breaker.force(state)
        self.model.force(state)

    @rule(verdicts=st.text("--+0", min_size=1, max_size=4), duration_s=st.sampled_from([0.0, 1.5]))
    def come_and_end(self, verdicts: str, duration_s: float) -> None:
        """Calls, one after the other, as most are."""
        for verdict in verdicts:
            number, permit = self.ask()
            if permit is not None:
                self.rig.settle(permit, verdict, duration_s)
                self.model.settle(self.rig.now, number, VERDICTS[verdict], duration_s)

    @rule(quarters=st.sampled_from([1, 2, 4, 7, 8, 36, 39, 40, 41, 119, 120]))
    def wait(self, quarters: int) -> None:
        """Time passes, in quarters of a second: exact in binary."""
        self.rig.now += quarters / 4

    @invariant()
    def same(self) -> None:
        """Same state, held or not; and the same changes were told, in the same order."""
        assert (self.rig.breaker.state, self.rig.breaker.forced) == (self.model.state, self.model.forced)
        told = [(*turn, forced) for turn, forced in zip(self.rig.turns, self.rig.forced, strict=True)]
        assert told == self.model.turns


TestBreakerAgainstModel = BreakerAgainstModel.TestCase
TestBreakerAgainstModel.settings = settings(derandomize=True, deadline=None, max_examples=80, stateful_step_count=50)


# around calls


class Guarded:
    """The policy, with calls that end as the test says."""

    def __init__(self, options: BreakerOptions = OPTIONS) -> None:
        self.clock, self.heard = Clock(), Heard()
        self.policy = BreakerPolicy("users", options, self.heard, self.clock)
        self.call = make_call(make_caller(self.clock))
        self.asked = 0

    async def ask(self, error: BaseException | None = None) -> Reply:
        """One call that ends so."""

        async def service(call: Call) -> Reply:
            self.asked += 1
            if error is not None:
                raise error
            return await ok(call)

        return await self.policy(self.call, service)

    async def suffer(self, error: BaseException, times: int = 1) -> None:
        """So many calls that fail so."""
        for _ in range(times):
            with pytest.raises(type(error)) as caught:
                await self.ask(error)
            assert caught.value is error

    async def half_open(self) -> "asyncio.Task[Reply]":
        """Open it, let its time pass, and send in a probe that hangs."""
        await self.suffer(BadAnswer("users", counts=True), OPTIONS.minimum_calls)
        self.clock.now += OPTIONS.open_s
        probe = asyncio.create_task(self.policy(self.call, hang))
        await settle()
        assert self.policy.breaker.state is HALF_OPEN
        return probe


COUNTING = [
    NotReached("users", sent=False),
    NotReached("users", sent=True),
    Busy("users", 503, 1.0),
    TimedOut("users", counts=True),
    BadAnswer("users", counts=True),
]
ANSWERED = [
    Busy("users", 429, 1.0),
    BadAnswer("users", counts=False),
    Unauthenticated("users"),
    Forbidden("users"),
    Rejected("users", 404, Problem()),
    Rejected("users", 422, Problem()),
]
SILENT = [TimedOut("users", counts=False), TimedOut("users", counts=False, asked=False), SourceError("users", "unsendable")]
FAULTS = [ZeroDivisionError(), asyncio.CancelledError()]


@pytest.mark.parametrize("error", COUNTING, ids=repr)
async def test_errors_that_count_open_it(error: SourceError) -> None:
    """Once open no call is sent, and the error says when to retry."""
    guarded = Guarded()
    await guarded.suffer(error, 4)
    guarded.clock.now += 10
    with pytest.raises(BreakerOpen) as caught:
        await guarded.ask()
    assert (caught.value.retry_after, caught.value.asked, caught.value.counts) == (20.0, False, False)
    assert guarded.asked == 4
    assert guarded.heard.turns == [OPENED]
    assert guarded.heard[0].source == "users"


@pytest.mark.parametrize("error", [*ANSWERED, *SILENT, *FAULTS], ids=repr)
async def test_errors_that_do_not_count_never_open_it(error: BaseException) -> None:
    """No client can open a breaker: not by a 4xx, however often, nor by leaving, nor by an internal error."""
    guarded = Guarded()
    await guarded.suffer(error, 50)
    assert guarded.policy.breaker.state is CLOSED


@pytest.mark.parametrize("error", ANSWERED, ids=repr)
async def test_an_answer_that_does_not_count_is_a_success(error: SourceError) -> None:
    """A service that refuses a request works: the refusal counts as a call without failure, and as a successful probe."""
    guarded = Guarded()
    await guarded.suffer(error, 5)
    await guarded.suffer(COUNTING[0], 4)
    assert guarded.policy.breaker.state is CLOSED  # 4 of 9
    await guarded.suffer(COUNTING[0])
    guarded.clock.now += 30
    await guarded.suffer(error)
    assert guarded.policy.breaker.state is CLOSED
    assert guarded.heard.turns == [OPENED, HALF_OPENED, MENDED]


@pytest.mark.parametrize("error", [*SILENT, *FAULTS], ids=repr)
async def test_a_call_that_was_never_sent_does_not_count(error: BaseException) -> None:
    """Neither in the window nor as a probe, whose permit is returned."""
    guarded = Guarded()
    await guarded.suffer(error, 20)
    await guarded.suffer(COUNTING[0], 4)
    assert guarded.policy.breaker.state is OPEN  # 4 of 4
    guarded.clock.now += 30
    await guarded.suffer(error)
    assert guarded.policy.breaker.state is HALF_OPEN
    assert (await guarded.ask()).value == "well"
    assert guarded.policy.breaker.state is CLOSED


@pytest.mark.parametrize("probes", [1, 3])
async def test_of_many_at_once_only_the_probes_get_through(probes: int) -> None:
    """Many calls at once, when the open time is over: the probes pass, all others are refused."""
    guarded = Guarded(BreakerOptions(minimum_calls=4, half_open_calls=probes))
    await guarded.suffer(COUNTING[0], 4)
    guarded.clock.now += 30
    crowd = [asyncio.create_task(guarded.policy(guarded.call, hang)) for _ in range(50)]
    await settle()
    refused = [task for task in crowd if task.done()]
    assert len(refused) == 50 - probes
    assert {type(task.exception()) for task in refused} == {BreakerOpen}
    for task in crowd:
        task.cancel()
    await asyncio.gather(*crowd, return_exceptions=True)
    assert guarded.heard.turns == [OPENED, HALF_OPENED]


async def test_a_cancelled_probe_returns_its_permit() -> None:
    """A client that disconnects must not leave the breaker half open for ever."""
    guarded = Guarded()
    probe = await guarded.half_open()
    with pytest.raises(BreakerOpen) as caught:
        await guarded.ask()
    assert caught.value.retry_after == 1.0
    probe.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ended(probe)
    assert guarded.policy.breaker.state is HALF_OPEN
    assert (await guarded.ask()).value == "well"
    assert guarded.policy.breaker.state is CLOSED


async def test_all_changes_are_reported_in_order() -> None:
    """Listeners get each change once, with the source and both states."""
    guarded = Guarded()
    (await guarded.half_open()).cancel()
    await settle()
    await guarded.suffer(COUNTING[0])
    guarded.clock.now += 30
    await guarded.ask()
    assert guarded.heard.turns == [OPENED, HALF_OPENED, REOPENED, HALF_OPENED, MENDED]
    assert len(guarded.heard) == 5


def test_its_repr_shows_its_state() -> None:
    """One line, for a log."""
    assert repr(Rig().opened().breaker) == "<Breaker open, epoch 1>"


# By route


READ, WRITE = "GET /users/{id}", "PATCH /users/{id}"


def per_route(heard: Heard, clock: Clock) -> BreakerPolicy:
    """A breaker for each route, which opens with the first failure."""
    return BreakerPolicy("users", BreakerOptions(minimum_calls=1, per_route=True), heard, clock)


async def fail(_: Call) -> Reply:
    """A service that is down."""
    raise BadAnswer("users", counts=True)


async def test_a_route_s_failures_are_its_own(clock: Clock, heard: Heard) -> None:
    """Writes go on while reads are refused. The source's state is the worst of its routes'."""
    policy, caller = per_route(heard, clock), make_caller(clock)
    with pytest.raises(BadAnswer):
        await policy(make_call(caller), fail)
    with pytest.raises(BreakerOpen):
        await policy(make_call(caller), ok)
    assert (await policy(make_call(caller, method="PATCH"), ok)).value == "well"
    assert {route: breaker.state for route, breaker in policy.routes.items()} == {READ: OPEN, WRITE: CLOSED}
    assert policy.state is OPEN
    changes = [(event.route, event.after) for event in heard if isinstance(event, BreakerChanged)]
    assert changes == [(READ, OPEN)]


async def test_forcing_holds_for_all_routes(clock: Clock, heard: Heard) -> None:
    """Also for routes whose first call comes later."""
    policy, caller = per_route(heard, clock), make_caller(clock)
    await policy(make_call(caller), ok)
    policy.force(OPEN)
    for method in ("GET", "PATCH"):
        with pytest.raises(BreakerOpen):
            await policy(make_call(caller, method=method), ok)
    assert (policy.state, policy.forced) == (OPEN, OPEN)
    told = [(event.route, event.forced) for event in heard if isinstance(event, BreakerChanged)]
    assert told == [(None, True), (READ, True), (WRITE, True)]
    policy.force(None)
    await policy(make_call(caller, method="PATCH"), ok)
    assert (policy.state, policy.forced) == (CLOSED, None)


async def test_the_number_of_route_breakers_is_limited(clock: Clock, heard: Heard) -> None:
    """Beyond a hundred routes, the others share one. The first hundred keep theirs."""
    policy, caller = per_route(heard, clock), make_caller(clock)
    for number in range(150):
        await policy(make_call(caller, route=f"/{number}"), ok)
    assert list(policy.routes) == [*(f"GET /{number}" for number in range(100)), "…"]
    clock.now += 10  # so that one failure weighs all
    with pytest.raises(BadAnswer):
        await policy(make_call(caller, route="/149"), fail)
    with pytest.raises(BreakerOpen):
        await policy(make_call(caller, route="/120"), ok)
    assert (await policy(make_call(caller, route="/99"), ok)).value == "well"
    with pytest.raises(BadAnswer):
        await policy(make_call(caller, route="/0"), fail)
    assert [route for route, breaker in policy.routes.items() if breaker.state is OPEN] == ["GET /0", "…"]


async def test_the_source_shows_the_worst_of_its_routes(clock: Clock, heard: Heard) -> None:
    """Open is worse than half open, half open than closed, whichever route came first."""
    policy, caller = per_route(heard, clock), make_caller(clock)
    read, write, removal = (make_call(caller, method=method) for method in ("GET", "PATCH", "DELETE"))
    await policy(removal, ok)
    assert policy.state is CLOSED
    with pytest.raises(BadAnswer):
        await policy(read, fail)
    clock.now += 30
    probe = asyncio.create_task(policy(read, hang))
    await settle()
    assert policy.state is HALF_OPEN
    with pytest.raises(BadAnswer):
        await policy(write, fail)
    assert policy.state is OPEN
    assert [breaker.state for breaker in policy.routes.values()] == [CLOSED, HALF_OPEN, OPEN]
    probe.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ended(probe)


async def test_reconsider_holds_for_all_routes(clock: Clock, heard: Heard) -> None:
    """The instances are the same for all routes: each open breaker sends a probe at once."""
    policy, caller = per_route(heard, clock), make_caller(clock)
    calls = [make_call(caller, method=method) for method in ("GET", "PATCH")]
    for call in calls:
        with pytest.raises(BadAnswer):
            await policy(call, fail)
    policy.reconsider()
    assert policy.state is HALF_OPEN
    for call in calls:
        assert (await policy(call, ok)).value == "well"
    assert policy.state is CLOSED


async def test_by_default_all_routes_share_one_breaker(clock: Clock, heard: Heard) -> None:
    """The source's."""
    policy = BreakerPolicy("users", BreakerOptions(minimum_calls=1), heard, clock)
    with pytest.raises(BadAnswer):
        await policy(make_call(make_caller(clock)), fail)
    with pytest.raises(BreakerOpen):
        await policy(make_call(make_caller(clock), method="PATCH"), ok)
    assert (policy.routes, policy.state) == ({}, OPEN)


async def test_the_policy_measures_how_long_a_call_takes(clock: Clock, heard: Heard) -> None:
    """From its permit to its end."""

    async def slow(_: Call) -> Reply:
        clock.now += 1.5
        return Reply(200, "late")

    policy = BreakerPolicy("users", BreakerOptions(minimum_calls=1, slow_call_s=1.0), heard, clock)
    await policy(make_call(make_caller(clock)), slow)
    assert policy.state is OPEN


def test_failures_in_a_row_open_it() -> None:
    """Five in a row, however many calls succeeded before; a success begins the count again."""
    changes: list[BreakerState] = []
    options = BreakerOptions(failures_in_row=5, minimum_calls=1000, open_s=30.0)
    breaker = Breaker(options, lambda _, after, __: changes.append(after))

    def settle(verdict: Verdict, now: float = 0.0) -> None:
        permit = breaker.admit(now)
        assert isinstance(permit, Permit)
        breaker.settle(permit, verdict, now)

    for _ in range(100):
        settle(Verdict.SUCCESS)
    for _ in range(4):
        settle(Verdict.FAILURE)
    settle(Verdict.NONE)
    settle(Verdict.SUCCESS)
    for _ in range(4):
        settle(Verdict.FAILURE)
    assert changes == []
    settle(Verdict.FAILURE)
    assert changes == [BreakerState.OPEN]
    assert breaker.admit(29.0) == 1.0
    settle(Verdict.SUCCESS, 30.0)
    assert changes == [BreakerState.OPEN, BreakerState.HALF_OPEN, BreakerState.CLOSED]
    for _ in range(4):
        settle(Verdict.FAILURE, 31.0)
    assert breaker.state is BreakerState.CLOSED


async def test_parts_of_a_refused_batch_are_no_further_failures(clock: Clock) -> None:
    """Else one bad id of a client could open the breaker. Their successes count."""
    policy = BreakerPolicy("users", BreakerOptions(minimum_calls=1, failure_ratio=0.01), lambda _: None, clock)

    async def fails(_: Call) -> Reply:
        raise BadAnswer("users", counts=True, status=500)

    call = make_call(make_caller(clock))
    for _ in range(10):
        with pytest.raises(BadAnswer):
            await policy(replace(call, is_part=True), fails)
    assert policy.state is BreakerState.CLOSED
    with pytest.raises(BadAnswer):
        await policy(call, fails)
    assert policy.state is BreakerState.OPEN
