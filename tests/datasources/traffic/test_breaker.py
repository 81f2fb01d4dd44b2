"""Breaker: the five cases of its docstring, and the whole of it against a model that is slow and plain."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from datasources.errors import (
    BadAnswer,
    BreakerOpen,
    Busy,
    Forbidden,
    NotReached,
    Problem,
    Rejected,
    SourceError,
    TimedOut,
    Unauthenticated,
)
from datasources.events import BreakerState
from datasources.traffic.breaker import Breaker, BreakerOptions, BreakerPolicy, Permit, Verdict, Window
from datasources.traffic.call import Call, Reply
from tests.datasources.fakes import Clock, Heard, ended, hang, make_call, make_caller, ok, settle

CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN
OPENED, HALF_OPENED, REOPENED, MENDED = (CLOSED, OPEN), (OPEN, HALF_OPEN), (HALF_OPEN, OPEN), (HALF_OPEN, CLOSED)
VERDICTS = {"+": Verdict.SUCCESS, "-": Verdict.FAILURE, "0": Verdict.NONE}
OPTIONS = BreakerOptions(window_s=10, minimum_calls=4, failure_ratio=0.5, open_s=30, half_open_calls=1)


class Rig:
    """A breaker with its own time, and the changes it told."""

    def __init__(self, options: BreakerOptions = OPTIONS) -> None:
        self.now = 1000.0
        self.options = options
        self.turns: list[tuple[BreakerState, BreakerState]] = []
        self.breaker = Breaker(options, lambda before, after: self.turns.append((before, after)))

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

    def settle(self, permit: Permit, verdict: str) -> None:
        """Tell how a call ended."""
        self.breaker.settle(permit, VERDICTS[verdict], self.now)

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
    """Case 1: both the minimum of calls and the share of failures must be reached, and a failure is what opens it."""
    rig = Rig()
    assert rig.calls(verdicts) is state
    assert rig.turns == ([OPENED] if state is OPEN else [])


@pytest.mark.parametrize(("ratio", "verdicts"), [(1.0, "----"), (0.25, "+++-"), (0.75, "+---"), (0.01, "+++-")])
def test_the_share_is_a_setting(ratio: float, verdicts: str) -> None:
    """It opens with the failure that reaches the share, and not before."""
    rig = Rig(BreakerOptions(minimum_calls=4, failure_ratio=ratio))
    assert rig.calls(verdicts[:-1]) is CLOSED
    assert rig.calls(verdicts[-1]) is OPEN


def test_one_call_may_be_enough() -> None:
    """With a minimum of 1 the first failure opens it."""
    assert Rig(BreakerOptions(minimum_calls=1)).calls("-") is OPEN


@pytest.mark.parametrize(("apart_s", "state"), [(3.0, OPEN), (8.9, OPEN), (10.0, CLOSED), (25.0, CLOSED)])
def test_only_what_lies_in_the_window_is_held_against_it(apart_s: float, state: BreakerState) -> None:
    """Failures older than the window are forgotten."""
    rig = Rig()
    rig.calls("---")
    rig.now += apart_s
    assert rig.calls("-") is state


def test_the_window_slides() -> None:
    """A steady trickle of failures, never enough of them within one window, never opens it."""
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


steps = st.lists(st.tuples(st.integers(0, 400), st.sampled_from([True, False, None])), max_size=40)


@settings(derandomize=True, deadline=None)
@given(steps, st.sampled_from([0.5, 10.0, 60.0]))
def test_a_window_counts_the_calls_of_its_length(steps: list[tuple[int, bool | None]], length_s: float) -> None:
    """All of the last nine tenths of its length are in, nothing older than its length is; between lies one bucket."""
    window, log, now = Window(length_s), [], 1000.0
    for step, failed in steps:
        now += step / 100 * length_s
        if failed is not None:  # else only time passes
            window.add(now, failed=failed)
            log.append((now, failed))
        calls, failures = window.totals(now)
        young = [was for at, was in log if now - at < 0.9 * length_s - 1e-6]
        inside = [was for at, was in log if now - at < length_s + 1e-6]
        assert len(young) <= calls <= len(inside)
        assert sum(young) <= failures <= sum(inside)


def test_a_window_stays_small() -> None:
    """However many calls: ten buckets, no list of calls."""
    window = Window(10)
    for tick in range(5000):
        window.add(1000 + tick / 50, failed=True)
    assert len(window._buckets) == 10


# 2. open


def test_open_refuses_until_its_time_is_over() -> None:
    """Case 2: all are refused, and told the seconds left; the first call after that half opens it."""
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
def test_half_open_admits_so_many_probes_and_no_more(probes: int) -> None:
    """Case 3: as many probes as set are out at once; all others are refused, with a moment to wait."""
    rig, _ = Rig(BreakerOptions(half_open_calls=probes)).half_opened()
    for _ in range(probes - 1):
        rig.admit()
    assert rig.refuse() == 1.0
    assert rig.breaker.state is HALF_OPEN


@pytest.mark.parametrize("open_s", [1, 30])
@pytest.mark.parametrize("probes", [1, 2, 5])
def test_it_closes_when_so_many_probes_have_passed(probes: int, open_s: float) -> None:
    """Case 3: not before the last of them; and then it starts from nothing, however lately it failed."""
    rig, first = Rig(BreakerOptions(10, 4, 0.5, open_s, probes)).half_opened()
    permits = [first] + [rig.admit() for _ in range(probes - 1)]
    for permit in permits:
        assert rig.breaker.state is HALF_OPEN
        rig.settle(permit, "+")
    assert rig.breaker.state is CLOSED
    assert rig.turns == [OPENED, HALF_OPENED, MENDED]
    assert rig.calls("---") is CLOSED  # the failures that opened it are forgotten
    assert rig.calls("-") is OPEN


def test_a_probe_that_passed_is_not_probed_again() -> None:
    """Probes count together, those that are out and those that have passed: no more go out than are needed."""
    rig, first = Rig(BreakerOptions(half_open_calls=2)).half_opened()
    rig.settle(first, "+")
    second = rig.admit()
    rig.refuse()
    rig.settle(second, "+")
    assert rig.breaker.state is CLOSED


@pytest.mark.parametrize("passed", [0, 1, 2])
def test_one_failed_probe_opens_it_again(passed: int) -> None:
    """Case 3: however many passed before it; and the whole time begins anew."""
    rig, permit = Rig(BreakerOptions(half_open_calls=3)).half_opened()
    for _ in range(passed):
        rig.settle(permit, "+")
        permit = rig.admit()
    rig.now += 5
    rig.settle(permit, "-")
    assert rig.turns == [OPENED, HALF_OPENED, REOPENED]
    assert rig.refuse() == 30.0


def test_it_may_open_and_half_open_for_ever() -> None:
    """Each failed probe costs one open time, and the next call after it is the next probe."""
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
def test_a_call_from_before_says_nothing_of_now(verdict: str) -> None:
    """Case 4: a result of a call that was admitted before the last change is dropped, in every state."""
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


def test_a_probe_from_the_last_try_says_nothing_of_this_one() -> None:
    """Case 4: of two probes one failed; the other's success, come late, is no success of the next half open."""
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


def test_a_probe_without_a_verdict_gives_its_permit_back() -> None:
    """Case 5: the breaker stays half open, and the next call is the probe."""
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
    """What the docstring says, word for word: a list of all calls of this closed period, searched each time."""

    options: BreakerOptions
    state: BreakerState = CLOSED
    log: list[tuple[float, bool]] = field(default_factory=list)
    opened_at: float = 0.0
    out: set[int] = field(default_factory=set)  # permits of this state
    passed: int = 0

    def admit(self, now: float, number: int) -> bool:
        """Whether call `number` is let through."""
        if self.state is OPEN and now >= self.opened_at + self.options.open_s:
            self.turn(HALF_OPEN)
        full = self.state is HALF_OPEN and len(self.out) + self.passed >= self.options.half_open_calls
        if self.state is OPEN or full:
            return False
        self.out.add(number)
        return True

    def settle(self, now: float, number: int, verdict: Verdict) -> None:
        """Call `number` has ended."""
        if number not in self.out:
            return
        self.out.remove(number)
        if verdict is Verdict.NONE:
            return
        failed = verdict is Verdict.FAILURE
        if self.state is HALF_OPEN:
            self.passed += not failed
            if failed:
                self.open(now)
            elif self.passed == self.options.half_open_calls:
                self.turn(CLOSED)
        else:
            self.log.append((now, failed))
            bucket_s = self.options.window_s / 10
            inside = [was for at, was in self.log if now // bucket_s - at // bucket_s < 10]
            enough = len(inside) >= self.options.minimum_calls
            if failed and enough and sum(inside) >= self.options.failure_ratio * len(inside):
                self.open(now)

    def open(self, now: float) -> None:
        """Open it."""
        self.opened_at = now
        self.turn(OPEN)

    def turn(self, state: BreakerState) -> None:
        """Begin another state."""
        self.state = state
        self.out.clear()
        self.log.clear()
        self.passed = 0


class BreakerAgainstModel(RuleBasedStateMachine):
    """Calls come, end well or badly or not at all, late or soon; the breaker and its model never differ."""

    @initialize(
        minimum=st.integers(1, 4),
        ratio=st.sampled_from([0.25, 0.5, 1.0]),
        probes=st.integers(1, 3),
        open_s=st.sampled_from([2, 30]),
    )
    def begin(self, minimum: int, ratio: float, probes: int, open_s: int) -> None:
        """Any settings."""
        self.rig = Rig(BreakerOptions(10.0, minimum, ratio, float(open_s), probes))
        self.model = Model(self.rig.options)
        self.permits: dict[int, Permit] = {}
        self.numbers: Iterator[int] = iter(range(10_000))
        self.told = CLOSED

    @rule()
    def come(self) -> None:
        """A call asks for a permit."""
        number = next(self.numbers)
        permit = self.rig.breaker.admit(self.rig.now)
        assert isinstance(permit, Permit) is self.model.admit(self.rig.now, number)
        if isinstance(permit, Permit):
            self.permits[number] = permit
        else:
            assert 0 < permit <= self.rig.options.open_s

    @precondition(lambda self: self.permits)
    @rule(data=st.data(), verdict=st.sampled_from("---++0"))
    def end(self, data: st.DataObject, verdict: str) -> None:
        """One of the calls that are out ends."""
        number = data.draw(st.sampled_from(sorted(self.permits)))
        self.rig.settle(self.permits.pop(number), verdict)
        self.model.settle(self.rig.now, number, VERDICTS[verdict])

    @rule(verdicts=st.text("--+0", min_size=1, max_size=4))
    def come_and_end(self, verdicts: str) -> None:
        """Calls, one after the other, as most are."""
        for verdict in verdicts:
            number = next(self.numbers)
            permit = self.rig.breaker.admit(self.rig.now)
            assert isinstance(permit, Permit) is self.model.admit(self.rig.now, number)
            if isinstance(permit, Permit):
                self.rig.settle(permit, verdict)
                self.model.settle(self.rig.now, number, VERDICTS[verdict])

    @rule(quarters=st.sampled_from([1, 2, 4, 7, 8, 36, 39, 40, 41, 119, 120]))
    def wait(self, quarters: int) -> None:
        """Time passes, in quarters of a second: exact in binary."""
        self.rig.now += quarters / 4

    @invariant()
    def same(self) -> None:
        """Same state; and the changes told lead there, each from where the last one led."""
        assert self.rig.breaker.state is self.model.state
        for before, after in self.rig.turns:
            assert before is self.told
            self.told = after
        self.rig.turns.clear()
        assert self.told is self.model.state


TestBreakerAgainstModel = BreakerAgainstModel.TestCase
TestBreakerAgainstModel.settings = settings(derandomize=True, deadline=None, max_examples=80, stateful_step_count=50)


# around calls


class Guarded:
    """The policy, with calls that end as they are told."""

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
async def test_what_counts_opens_it(error: SourceError) -> None:
    """Errors that count are failures; once open nobody is asked, and the error says when to come back."""
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
async def test_what_does_not_count_never_opens_it(error: BaseException) -> None:
    """No client can open a breaker by what it asks: a 4xx, however often, nor can giving up, nor a fault of ours."""
    guarded = Guarded()
    await guarded.suffer(error, 50)
    assert guarded.policy.breaker.state is CLOSED


@pytest.mark.parametrize("error", ANSWERED, ids=repr)
async def test_an_answer_that_does_not_count_is_a_success(error: SourceError) -> None:
    """A service that says no is alive: it dilutes failures, and as a probe's result it closes the breaker."""
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
async def test_what_shows_nothing_is_no_call(error: BaseException) -> None:
    """It neither dilutes failures nor closes a half open breaker; the probe's permit is free for the next."""
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
    """A crowd that arrives in the same moment at a breaker whose time is over: the probes pass, all others are refused."""
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


async def test_a_cancelled_probe_gives_its_permit_back() -> None:
    """A viewer who closes the tab must not leave the breaker half open for ever."""
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


async def test_all_changes_are_told_in_order() -> None:
    """Listeners hear of every change once, with the source, from where and to where."""
    guarded = Guarded()
    (await guarded.half_open()).cancel()
    await settle()
    await guarded.suffer(COUNTING[0])
    guarded.clock.now += 30
    await guarded.ask()
    assert guarded.heard.turns == [OPENED, HALF_OPENED, REOPENED, HALF_OPENED, MENDED]
    assert len(guarded.heard) == 5


def test_its_state_can_be_read_in_a_log() -> None:
    """One line, with its state."""
    assert repr(Rig().opened().breaker) == "<Breaker open, epoch 1>"
