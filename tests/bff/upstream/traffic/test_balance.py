"""Balance: which instance gets a call, which is ejected and for how long, and which errors then count against the source."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from pydantic import TypeAdapter, ValidationError

from bff.upstream.conventions import Problem
from bff.upstream.errors import BadAnswer, Busy, NotReached, Rejected, SourceError, TimedOut, Unauthenticated
from bff.upstream.events import InstanceChanged, InstanceState
from bff.upstream.traffic.balance import Balance, BalanceOptions, Instance, InstanceOptions, Pool
from bff.upstream.traffic.call import Call, Reply
from tests.support.fakes import Clock, Heard, ended, make_call, make_caller, settle

IN, EJECTED, UNHEALTHY = InstanceState.IN, InstanceState.EJECTED, InstanceState.UNHEALTHY
OPTIONS = BalanceOptions(consecutive_faults=3, ejection_s=10, max_ejection_s=60, max_ejected_ratio=0.5)
MakeError = Callable[[], BaseException]


def fault() -> SourceError:
    """An error that counts. A new one for each call, as the balancer may change it."""
    return NotReached("users", sent=False)


FAULTS: list[MakeError] = [
    fault,
    lambda: TimedOut("users", counts=True),
    lambda: Busy("users", 503, None),
    lambda: BadAnswer("users", counts=True),
]
ANSWERS: list[MakeError] = [
    lambda: Busy("users", 429, None),
    lambda: BadAnswer("users", counts=False),
    lambda: Unauthenticated("users"),
    lambda: Rejected("users", 409, Problem()),
]
SILENT: list[MakeError] = [
    lambda: TimedOut("users", counts=False),
    lambda: SourceError("users", "unsendable"),
    asyncio.CancelledError,
    lambda: ZeroDivisionError("a fault of ours"),
]


class Rig:
    """A balancer over an attempt; the test says for each instance how its calls end."""

    def __init__(
        self,
        weights: Sequence[int] = (1, 1),
        options: BalanceOptions = OPTIONS,
        picks: Callable[[], float] | None = None,
    ) -> None:
        self.clock = Clock()
        self.heard = Heard()
        self.asked: list[int] = []
        self.ends: dict[str, MakeError | asyncio.Event] = {}
        self.endings: dict[asyncio.Event, MakeError | None] = {}
        instances = [InstanceOptions(url(number), weight) for number, weight in enumerate(weights, start=1)]
        chance = picks or random.Random(7).random
        self.balance = Balance("users", instances, self._attempt, self.heard, options, self.clock, chance)

    async def _attempt(self, call: Call, instance: Instance) -> Reply:
        self.asked.append(instance.number)
        end = self.ends.get(instance.url)
        if isinstance(end, asyncio.Event):
            await end.wait()
            end = self.endings.get(end)
        if end is not None:
            raise end()
        return Reply(200, instance.url)

    def __getitem__(self, number: int) -> Instance:
        return self.balance.instances[number - 1]

    @property
    def states(self) -> list[InstanceState]:
        """Each instance's state, as the status shows it."""
        return [instance.state for instance in self.balance.instances]

    @property
    def running(self) -> list[int]:
        """Each instance's calls in flight."""
        return [instance.in_flight for instance in self.balance.instances]

    @property
    def told(self) -> list[tuple[int, InstanceState, float | None]]:
        """What listeners heard."""
        assert all(isinstance(event, InstanceChanged) and event.source == "users" for event in self.heard)
        return [(event.instance, event.state, event.for_s) for event in self.heard if isinstance(event, InstanceChanged)]

    def call(self, *tried: int) -> Call:
        """A call that was sent to those before."""
        return make_call(make_caller(self.clock), tried=list(tried))

    async def ask(self, times: int = 1) -> Counter[int]:
        """Make so many calls, one after the other, that must go well: how many each instance got."""
        before = len(self.asked)
        for _ in range(times):
            await self.balance(self.call())
        return Counter(self.asked[before:])

    async def send(self, number: int, make: MakeError | None = None, times: int = 1) -> BaseException | None:
        """Have one instance, the only one that wasn't tried, end so many calls so. The last one's error."""
        self.ends.pop(self[number].url, None)
        if make is not None:
            self.ends[self[number].url] = make
        others = [instance.number for instance in self.balance.instances if instance.number != number]
        caught: BaseException | None = None
        for _ in range(times):
            try:
                await self.balance(self.call(*others))
            except (SourceError, asyncio.CancelledError, ZeroDivisionError) as error:
                caught = error
            assert self.asked[-1] == number, "it was out, so that another one was asked"
        self.ends.pop(self[number].url, None)
        return caught

    async def eject(self, *numbers: int) -> None:
        """Have those fail until they are out."""
        for number in numbers:
            await self.send(number, fault, OPTIONS.consecutive_faults)
            assert self[number].state is EJECTED

    async def hang(self, number: int | None, calls: int, make: MakeError | None = None) -> "list[asyncio.Task[Reply]]":
        """Begin calls, to one instance or to any, that end so when they are told to. Calls after these don't hang."""
        hanging = asyncio.Event()
        self.endings[hanging] = make
        self.ends = dict.fromkeys((instance.url for instance in self.balance.instances), hanging)
        others = [i.number for i in self.balance.instances if number not in (None, i.number)]
        tasks = [asyncio.ensure_future(self.balance(self.call(*others))) for _ in range(calls)]
        await settle()
        self.ends.clear()
        return tasks

    async def end(self, tasks: "list[asyncio.Task[Reply]]") -> list[Reply | BaseException]:
        """Tell the calls that hang to end: what came of them."""
        for hanging in self.endings:
            hanging.set()
        return await asyncio.gather(*tasks, return_exceptions=True)


def url(number: int) -> str:
    """An instance's URL."""
    return f"http://10.11.12.{number}:8001"


def picks(*numbers: float) -> Callable[[], float]:
    """Random numbers given by the test. It fails if more are needed."""
    return iter(numbers).__next__


def no_chance() -> float:
    """Fails if a random number is needed."""
    raise AssertionError("there was nothing to choose")


# the choice


@pytest.mark.parametrize("weights", [(1, 1), (9, 1), (1, 2, 3), (5, 0, 5), (1,) * 7])
async def test_with_nothing_in_flight_the_shares_are_the_weights(weights: tuple[int, ...]) -> None:
    """Over many calls, one at a time, each instance gets its weight's share; weight 0 gets none."""
    rig = Rig(weights)
    got = await rig.ask(6000)
    for number, weight in enumerate(weights, start=1):
        assert got[number] / 6000 == pytest.approx(weight / sum(weights), abs=0.02)
    assert all(got[number] == 0 for number, weight in enumerate(weights, start=1) if not weight)


@pytest.mark.parametrize(
    ("chance", "number"),
    [((0.0, 0.95), 1), ((0.95, 0.0), 2), ((0.89, 0.89), 1), ((0.9, 0.0), 2), ((0.9999999999999999, 0.0), 2)],
)
async def test_the_first_pick_wins_a_tie(chance: tuple[float, float], number: int) -> None:
    """A canary with one of ten parts gets the last tenth of the random numbers."""
    assert await Rig((9, 1), picks=picks(*chance)).ask() == {number: 1}


@pytest.mark.parametrize(
    ("weights", "running", "chance", "number"),
    [
        ((1, 1), (1, 0), (0.0, 0.9), 2),
        ((1, 1), (0, 1), (0.9, 0.0), 1),
        ((1, 1), (1, 0), (0.0, 0.1), 1),  # both picks are the busy one: it takes it
        ((1, 1), (2, 2), (0.9, 0.0), 2),
        ((3, 1), (2, 1), (0.9, 0.0), 1),  # two thirds of a call for each unit of weight against one
        ((3, 1), (3, 1), (0.9, 0.0), 2),  # a tie
        ((3, 1), (3, 1), (0.0, 0.9), 1),
        ((3, 1), (4, 1), (0.0, 0.9), 2),
    ],
)
async def test_the_pick_with_fewer_calls_for_its_weight_is_taken(
    weights: tuple[int, int], running: tuple[int, int], chance: tuple[float, float], number: int
) -> None:
    """Power of two choices: calls in flight, divided by the weight."""
    rig = Rig(weights, picks=picks(*chance))
    for instance, in_flight in zip(rig.balance.instances, running, strict=True):
        instance.in_flight = in_flight
    assert await rig.ask() == {number: 1}


@pytest.mark.parametrize(("weights", "shares"), [((1, 1, 1, 1), (60, 60, 60, 60)), ((3, 1), (180, 60))])
async def test_under_load_the_calls_in_flight_stay_even(weights: tuple[int, ...], shares: tuple[int, ...]) -> None:
    """Of 240 hanging calls each instance has its share within a few; random picks alone would spread further."""
    rig = Rig(weights)
    tasks = await rig.hang(None, 240)
    assert rig.running == pytest.approx(shares, abs=4)
    await rig.end(tasks)
    assert rig.running == [0] * len(weights)


async def test_an_instance_that_hangs_gets_few_calls() -> None:
    """The other one gets all calls but those for which both picks were the instance that hangs."""
    rig = Rig()
    tasks = await rig.hang(1, 1)
    assert (await rig.ask(2000))[1] / 2000 == pytest.approx(0.25, abs=0.03)
    await rig.end(tasks)
    assert (await rig.ask(2000))[1] / 2000 == pytest.approx(0.5, abs=0.03)


async def test_a_single_instance_needs_no_random_number() -> None:
    """If only one can be chosen: alone in the list, alone with a weight, or the only one that is in."""
    assert await Rig((1,), picks=no_chance).ask(3) == {1: 3}
    assert await Rig((0, 2, 0), picks=no_chance).ask(3) == {2: 3}
    rig = Rig((1, 1), picks=no_chance)
    await rig.eject(1)
    assert await rig.ask(3) == {2: 3}


@pytest.mark.parametrize("ending", ["", "/"])
async def test_a_slash_at_the_end_of_a_url_is_dropped(ending: str) -> None:
    """A target begins with a slash."""
    rig = Rig((1,))
    rig.balance.set_instances([InstanceOptions(f"http://users.test:1/base{ending}")])
    assert (await rig.balance(rig.call())).value == "http://users.test:1/base"


# suspects


@pytest.mark.parametrize("make", FAULTS)
@pytest.mark.parametrize(("chance", "number"), [((0.0, 0.9), 2), ((0.9, 0.0), 2), ((0.0, 0.1), 1)])
async def test_a_suspect_loses(make: MakeError, chance: tuple[float, float], number: int) -> None:
    """After a fault an instance is chosen only if both picks are it, however busy the other one is."""
    rig = Rig(picks=picks(*chance))
    await rig.send(1, make)
    rig[2].in_flight = 50
    assert await rig.ask() == {number: 1}


async def test_between_suspects_the_load_decides() -> None:
    """As between two instances without faults."""
    rig = Rig(picks=picks(0.0, 0.9))
    await rig.send(1, fault)
    await rig.send(2, fault)
    rig[1].in_flight = 1
    assert await rig.ask() == {2: 1}


@pytest.mark.parametrize("make", FAULTS)
async def test_an_instance_is_unhealthy_from_a_fault_to_its_next_reply(make: MakeError) -> None:
    """The other instances are not affected."""
    rig = Rig()
    assert (rig[1].healthy, rig[2].healthy) == (True, True)
    await rig.send(2, make)
    assert (rig[1].healthy, rig[2].healthy) == (True, False)
    await rig.send(2)
    assert (rig[1].healthy, rig[2].healthy) == (True, True)


@pytest.mark.parametrize("make", ANSWERS)
async def test_a_refusal_by_the_service_clears_the_suspicion(make: MakeError) -> None:
    """It is a reply: the suspicion and the count of faults end with it."""
    rig = Rig()
    await rig.send(1, fault, 2)
    await rig.send(1, make)
    assert rig[1].healthy
    await rig.send(1, fault, 2)
    assert rig.states == [IN, IN]


@pytest.mark.parametrize("make", SILENT)
async def test_a_call_without_a_result_changes_nothing(make: MakeError) -> None:
    """A cancelled call or an internal error neither suspects an instance, nor clears it, nor resets its count."""
    rig = Rig()
    await rig.send(1, make, 10)
    assert rig[1].healthy
    await rig.send(1, fault, 2)
    await rig.send(1, make)
    assert not rig[1].healthy
    assert rig.states == [IN, IN]
    await rig.send(1, fault)
    assert rig.states == [EJECTED, IN]


# tries


async def test_a_retry_goes_to_another_instance() -> None:
    """A call notes its instances, and goes to each of them once before it goes to one again."""
    rig = Rig((9, 1, 1))
    for _ in range(50):
        call = rig.call()
        for _ in range(3):
            await rig.balance(call)
        assert sorted(call.tried) == [1, 2, 3]
        await rig.balance(call)
        assert len(call.tried) == 4


async def test_the_instance_is_noted_before_the_attempt() -> None:
    """A hedge must know where the first attempt hangs."""
    rig = Rig((1,))
    call = rig.call()
    for make in (fault, asyncio.CancelledError):
        rig.ends[url(1)] = make
        with pytest.raises((SourceError, asyncio.CancelledError)):
            await rig.balance(call)
    rig.ends[url(1)] = asyncio.Event()
    hanging = asyncio.ensure_future(rig.balance(call))
    await settle()
    assert call.tried == [1, 1, 1]
    hanging.cancel()
    await settle()


async def test_a_suspect_is_preferred_to_an_instance_that_was_tried() -> None:
    """This call saw the other one fail."""
    rig = Rig()
    await rig.send(2, fault)
    await rig.balance(call := rig.call(1))
    assert call.tried == [1, 2]


async def test_a_tried_instance_is_preferred_to_one_that_is_out() -> None:
    """An instance that is out isn't chosen just because the others were tried."""
    rig = Rig()
    await rig.eject(2)
    await rig.balance(call := rig.call(1))
    assert call.tried == [1, 1]


async def test_when_all_were_tried_all_may_be_chosen() -> None:
    """By weight, as always."""
    rig = Rig((3, 1))
    for _ in range(2000):
        await rig.balance(rig.call(1, 2))
    assert Counter(rig.asked)[1] / 2000 == pytest.approx(0.75, abs=0.03)


async def test_retries_follow_the_weights_of_the_other_instances() -> None:
    """The weight of a tried instance doesn't count."""
    rig = Rig((90, 3, 1))
    for _ in range(2000):
        await rig.balance(rig.call(1))
    assert Counter(rig.asked)[2] / 2000 == pytest.approx(0.75, abs=0.03)


# ejection


@pytest.mark.parametrize("make", FAULTS)
async def test_consecutive_faults_eject(make: MakeError) -> None:
    """Exactly with the last of them. Then the instance gets no calls, and the event says for how long."""
    rig = Rig()
    await rig.send(1, make, 2)
    assert (rig.states, rig.told) == ([IN, IN], [])
    await rig.send(1, make)
    assert (rig.states, rig.told) == ([EJECTED, IN], [(1, EJECTED, 10.0)])
    assert await rig.ask(200) == {2: 200}


async def test_a_reply_in_between_resets_the_count() -> None:
    """Faults that are not consecutive eject no instance."""
    rig = Rig()
    for _ in range(20):
        await rig.send(1, fault, 2)
        await rig.send(1)
    assert rig.told == []


async def test_each_instance_has_its_own_count() -> None:
    """Faults of one aren't added to another's."""
    rig = Rig((1, 1, 1))
    for number in (1, 2, 3, 1, 2, 3):
        await rig.send(number, fault)
    assert rig.told == []


async def test_an_ejection_ends_on_time() -> None:
    """With the first choice after its time. The count is 0, and the instance stays suspect until it replies."""
    rig = Rig()
    await rig.eject(1)
    rig.clock.now += 9.75
    assert await rig.ask(50) == {2: 50}
    rig.clock.now += 0.25
    assert rig.states == [EJECTED, IN]
    await rig.send(2)
    assert rig.told == [(1, EJECTED, 10.0), (1, IN, None)]
    assert rig.states == [IN, IN]
    assert not rig[1].healthy
    await rig.send(1, fault, 2)
    assert rig.states == [IN, IN]
    await rig.send(1, fault)
    assert rig.states == [EJECTED, IN]


async def test_after_an_ejection_an_instance_gets_few_calls_first() -> None:
    """It is suspect: chosen only if both picks are it. After a reply it gets its share."""
    rig = Rig(picks=picks(0.0, 0.9, 0.9, 0.0, 0.1, 0.1, 0.0, 0.9))
    await rig.eject(1)
    rig.clock.now += 10
    await rig.ask(4)
    assert rig.asked[-4:] == [2, 2, 1, 1]
    assert rig[1].healthy


async def test_ejections_double_up_to_the_longest() -> None:
    """10, 20, 40 seconds, and then always 60."""
    rig = Rig()
    for for_s in (10, 20, 40, 60, 60, 60):
        await rig.eject(1)
        assert rig.told[-1] == (1, EJECTED, for_s)
        rig.clock.now += for_s - 0.25
        await rig.ask()
        assert rig[1].state is EJECTED
        rig.clock.now += 0.25
        await rig.ask()
        assert rig[1].state is IN


async def test_the_longest_ejection_limits_the_first_too() -> None:
    """If the settings contradict each other, the shorter time is used."""
    rig = Rig(options=BalanceOptions(consecutive_faults=3, ejection_s=100, max_ejection_s=30))
    await rig.eject(1)
    assert rig.told == [(1, EJECTED, 30.0)]


@pytest.mark.parametrize(
    ("rows", "for_s"),
    [
        ([(20, True)], 10),  # answered, as long after its return as it was out: forgotten
        ([(19.75, True)], 40),
        ([(1000, None)], 40),  # it got no call: nothing is known
        ([(19.75, True), (0.25, True)], 10),
        ([(15, False), (15, True)], 40),  # the fault in between: well for 15 only
        ([(15, False), (5, True), (15, True)], 10),
        ([(20, False), (0, True)], 40),
    ],
)
async def test_the_doubling_is_reset_after_a_time_without_faults(
    rows: list[tuple[float, bool | None]], for_s: float
) -> None:
    """The time counts from its return or last fault, whichever is later, and must be as long as its last ejection."""
    rig = Rig()
    for out_s in (10, 20):
        await rig.eject(1)
        rig.clock.now += out_s
        await rig.ask()
    for after_s, well in rows:
        rig.clock.now += after_s
        if well is not None:
            await rig.send(1, None if well else fault)
    await rig.eject(1)
    assert rig.told[-1] == (1, EJECTED, for_s)


@pytest.mark.parametrize(("make", "after_s"), [(None, 9.75), (None, 1000), (fault, 9.75)])
async def test_calls_from_before_an_ejection_do_not_change_it(make: MakeError | None, after_s: float) -> None:
    """They neither prolong nor end it, and don't reset the doubling."""
    rig = Rig((1, 1, 1, 1))
    late = await rig.hang(1, 5, make)
    await rig.eject(1)
    rig.clock.now += after_s
    await rig.end(late)
    assert (rig.told, rig.running) == ([(1, EJECTED, 10.0)], [0, 0, 0, 0])
    rig.clock.now += 0.25
    await rig.send(2)
    assert rig.told == [(1, EJECTED, 10.0), (1, IN, None)]
    await rig.eject(1)
    assert rig.told[-1] == (1, EJECTED, 20.0)


async def test_each_ejection_ends_at_its_own_time() -> None:
    """The end of one ejection ends no other."""
    rig = Rig((1, 1, 1, 1))
    await rig.eject(1)
    rig.clock.now += 5
    await rig.eject(2)
    for at_s, states in ((5, [IN, EJECTED, IN, IN]), (5, [IN, IN, IN, IN])):
        rig.clock.now += at_s
        await rig.send(3)
        assert rig.states == states


async def test_an_ejection_past_its_time_does_not_count_in_the_share() -> None:
    """Also if no instance was chosen since: late faults see which instances are in by now."""
    rig = Rig()
    late = await rig.hang(2, 3, fault)
    await rig.eject(1)
    rig.clock.now += 10
    await rig.end(late)
    assert rig.states == [IN, EJECTED]


@pytest.mark.parametrize(
    ("weights", "ratio", "most"),
    [
        ((1,), 0.5, 0),
        ((1, 1), 0.5, 1),
        ((1, 1, 1), 0.5, 1),
        ((1, 1, 1, 1), 0.5, 2),
        ((1, 1, 0), 0.5, 1),
        ((1, 0, 0, 0), 0.5, 0),  # an instance with weight 0 is no fallback
        ((1, 1, 1), 0.0, 0),
        ((1, 1, 1), 1.0, 3),
        ((1,) * 10, 0.3, 3),
        ((1,) * 50, 0.58, 29),  # in binary fractions a little less than 29
    ],
)
async def test_at_most_a_share_is_ejected(weights: tuple[int, ...], ratio: float, most: int) -> None:
    """Of those with a weight, rounded down: the others stay in, however many faults they have."""
    rig = Rig(weights, BalanceOptions(consecutive_faults=3, max_ejected_ratio=ratio))
    for instance in rig.balance.instances:
        instance.suspect = bool(instance.weight)
        rig.ends[instance.url] = fault
    for _ in range(3000):
        with pytest.raises(NotReached):
            await rig.balance(rig.call())
    assert rig.states.count(EJECTED) == most


async def test_an_instance_kept_in_by_the_share_is_ejected_later() -> None:
    """With its next fault after another instance's return."""
    rig = Rig()
    await rig.eject(1)
    await rig.send(2, fault, 10)
    assert rig.states == [EJECTED, IN]
    rig.clock.now += 10
    await rig.send(2, fault)
    assert rig.states == [IN, EJECTED]


async def test_if_all_are_out_all_may_be_chosen() -> None:
    """By weight, as always, until an ejection ends."""
    rig = Rig((3, 1, 0), BalanceOptions(consecutive_faults=3, max_ejected_ratio=1.0))
    await rig.eject(1, 2)
    for instance in rig.balance.instances:
        instance.suspect = False
    got = await rig.ask(2000)
    assert got[1] / 2000 == pytest.approx(0.75, abs=0.03)
    assert got[3] == 0
    assert rig.states[:2] == [EJECTED, EJECTED]
    rig.clock.now += 10
    await rig.ask()
    assert rig.states[:2] == [IN, IN]


async def test_with_all_out_a_retry_still_goes_to_another_instance() -> None:
    """A tried instance is avoided."""
    rig = Rig((1, 1, 1), BalanceOptions(consecutive_faults=3, max_ejected_ratio=1.0))
    await rig.eject(1, 2, 3)
    for _ in range(20):
        call = rig.call()
        for _ in range(3):
            await rig.balance(call)
        assert sorted(call.tried) == [1, 2, 3]


# what the source's breaker hears of it


@pytest.mark.parametrize("make", FAULTS)
async def test_a_fault_does_not_count_while_another_instance_is_healthy(make: MakeError) -> None:
    """One dead instance of two must not open the source's breaker. It counts for the ejection."""
    rig = Rig()
    for _ in range(3):
        error = await rig.send(1, make)
        assert isinstance(error, SourceError)
        assert not error.counts
    assert rig.states == [EJECTED, IN]


@pytest.mark.parametrize("make", FAULTS)
async def test_a_fault_counts_if_no_other_instance_is_healthy(make: MakeError) -> None:
    """Alone, beside a suspect, beside one that is out, and beside one with weight 0."""
    alone, suspect, out, idle = Rig((1,)), Rig(), Rig(), Rig((1, 0))
    await suspect.send(2, fault)
    await out.eject(2)
    out[2].suspect = False
    for rig in (alone, suspect, out):
        error = await rig.send(1, make)
        assert isinstance(error, SourceError)
        assert error.counts
    idle.ends[url(1)] = make
    with pytest.raises(SourceError) as caught:
        await idle.balance(idle.call())
    assert caught.value.counts


async def test_with_two_dead_instances_the_retrys_fault_counts() -> None:
    """The first fault counts for its instance only; with the second fault no instance is healthy."""
    rig = Rig()
    rig.ends = {url(1): fault, url(2): fault}
    call = rig.call()
    verdicts = []
    for _ in range(4):
        with pytest.raises(NotReached) as caught:
            await rig.balance(call)
        verdicts.append(caught.value.counts)
    assert verdicts == [False, True, True, True]


@pytest.mark.parametrize("make", ANSWERS + SILENT)
async def test_an_error_that_does_not_count_is_raised_unchanged(make: MakeError) -> None:
    """Whichever instances are healthy."""
    for rig in (Rig((1,)), Rig()):
        error = await rig.send(1, make)
        assert type(error) is type(make())
        assert not getattr(error, "counts", False)


# calls in flight


@pytest.mark.parametrize("make", [*FAULTS, *ANSWERS, *SILENT])
async def test_a_call_that_ended_is_not_in_flight(make: MakeError) -> None:
    """However it ended."""
    rig = Rig()
    await rig.send(1, make, 2)
    assert rig.running == [0, 0]


async def test_a_cancelled_call_is_not_in_flight() -> None:
    """From the moment it is cancelled; the others stay in flight."""
    rig = Rig((1,))
    tasks = await rig.hang(1, 5)
    assert rig.running == [5]
    for left, task in enumerate(tasks[:3], start=1):
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await ended(task)
        assert rig.running == [5 - left]
    assert rig[1].healthy
    await rig.end(tasks[3:])
    assert rig.running == [0]


# health checks


async def test_an_unhealthy_instance_is_out_until_it_is_healthy() -> None:
    """No time ends it. Listeners get each change once, without a duration."""
    rig = Rig()
    for _ in range(3):
        rig.balance.set_health(rig[1], healthy=False)
    rig.clock.now += 1e6
    assert await rig.ask(50) == {2: 50}
    assert (rig.states, rig[1].healthy) == ([UNHEALTHY, IN], False)
    for _ in range(3):
        rig.balance.set_health(rig[1], healthy=True)
    assert rig.told == [(1, UNHEALTHY, None), (1, IN, None)]
    assert rig[1].healthy
    assert (await rig.ask(50)).keys() == {1, 2}


async def test_all_may_be_unhealthy() -> None:
    """The share limits ejections only. With all out, all may be chosen."""
    rig = Rig((1, 1, 1))
    for instance in rig.balance.instances:
        rig.balance.set_health(instance, healthy=False)
    assert rig.states == [UNHEALTHY] * 3
    assert (await rig.ask(50)).keys() == {1, 2, 3}


async def test_a_check_that_passes_ends_no_ejection() -> None:
    """Health checks may pass while calls fail. Nor does a pass clear the suspicion of an instance that is in."""
    rig = Rig()
    await rig.eject(1)
    await rig.send(2, fault)
    for instance in rig.balance.instances:
        rig.balance.set_health(instance, healthy=True)
    assert (rig.states, rig[2].suspect) == ([EJECTED, IN], True)
    assert len(rig.told) == 1


async def test_a_failed_check_replaces_an_ejection() -> None:
    """Then only a check puts it back: without suspicion, with a count of 0; the doubling goes on."""
    rig = Rig()
    await rig.eject(1)
    rig.balance.set_health(rig[1], healthy=False)
    rig.clock.now += 100
    await rig.ask()
    assert rig.states == [UNHEALTHY, IN]
    rig.balance.set_health(rig[1], healthy=True)
    assert rig[1].healthy
    await rig.send(1, fault, 2)
    assert rig.states == [IN, IN]
    await rig.send(1, fault)
    assert rig.told[1:] == [(1, UNHEALTHY, None), (1, IN, None), (1, EJECTED, 20.0)]


async def test_an_unhealthy_instance_uses_up_the_ejected_share() -> None:
    """No instance is ejected beside it, and the ejection that would end soonest ends."""
    rig = Rig((1, 1, 1, 1))
    await rig.eject(3)
    rig.clock.now += 1
    await rig.eject(2)
    rig.balance.set_health(rig[1], healthy=False)
    assert rig.states == [UNHEALTHY, EJECTED, IN, IN]
    await rig.send(4, fault, 10)
    assert rig.states == [UNHEALTHY, EJECTED, IN, IN]
    rig.balance.set_health(rig[4], healthy=False)
    assert rig.states == [UNHEALTHY, IN, IN, UNHEALTHY]


# a list that changes


async def test_an_instance_that_stays_keeps_its_state() -> None:
    """The same object under its URL, with state, count and calls in flight. Number and weight are those of the new list."""
    rig = Rig((1, 1, 1))
    await rig.eject(1)
    tasks = await rig.hang(3, 4)
    first, _, third = rig.balance.instances
    rig.balance.set_instances([InstanceOptions(url(3) + "/", 5), InstanceOptions(url(4)), InstanceOptions(url(1), 2)])
    assert rig.balance.instances[0] is third
    assert rig.balance.instances[2] is first
    assert [(i.number, i.weight, i.state, i.in_flight) for i in rig.balance.instances] == [
        (1, 5, IN, 4),
        (2, 1, IN, 0),
        (3, 2, EJECTED, 0),
    ]
    await rig.end(tasks)
    assert rig.running == [0, 0, 0]
    assert await rig.ask(600) == pytest.approx({1: 500, 2: 100}, abs=30)
    rig.clock.now += 10
    await rig.ask()
    assert rig.told[-1] == (3, IN, None)


async def test_a_removed_instance_finishes_its_calls() -> None:
    """It gets no more, and there are no events of it, whatever its last calls or checks."""
    rig = Rig()
    tasks = await rig.hang(1, 3)
    gone = rig[1]
    rig.balance.set_instances([InstanceOptions(url(2))])
    assert rig[1].url == url(2)
    assert await rig.end(tasks) == [Reply(200, url(1))] * 3
    assert gone.in_flight == 0
    assert await rig.ask(20) == {1: 20}
    rig.balance.set_health(gone, healthy=False)
    assert rig.told == []


async def test_faults_of_a_removed_instance_eject_none() -> None:
    """Its number may be another one's. As another instance is healthy, they don't count against the source."""
    rig = Rig()
    tasks = await rig.hang(1, 5, fault)
    rig.balance.set_instances([InstanceOptions(url(2)), InstanceOptions(url(3))])
    for error in await rig.end(tasks):
        assert isinstance(error, NotReached)
        assert not error.counts
    assert (rig.told, rig.states) == ([], [IN, IN])


async def test_a_shorter_list_ends_ejections_beyond_the_share() -> None:
    """A single instance is never ejected, nor is the only one with a weight."""
    for rest in ([InstanceOptions(url(1))], [InstanceOptions(url(1)), InstanceOptions(url(2), 0)]):
        rig = Rig()
        await rig.eject(1)
        rig.balance.set_instances(rest)
        assert rig.told == [(1, EJECTED, 10.0), (1, IN, None)]


async def test_weight_0_drains_an_instance() -> None:
    """It gets no new calls, and its last ones don't eject it. With a weight again it goes on with its state."""
    rig = Rig((1, 1, 1))
    late = await rig.hang(1, 4, fault)
    rig.balance.set_instances([InstanceOptions(url(n), weight) for n, weight in ((1, 0), (2, 1), (3, 1))])
    assert (await rig.ask(50)).keys() == {2, 3}
    await rig.end(late)
    assert (rig.running, rig.told) == ([0, 0, 0], [])
    rig.balance.set_instances([InstanceOptions(url(n)) for n in (1, 2, 3)])
    await rig.send(1, fault)
    assert rig.states == [EJECTED, IN, IN]


async def test_weight_0_does_not_count_in_the_share() -> None:
    """An instance without calls is neither counted as out, nor put back in place of another."""
    rig = Rig((1, 1, 0))
    rig.balance.set_health(rig[3], healthy=False)
    await rig.eject(1)
    rig.balance.set_instances([InstanceOptions(url(n), weight) for n, weight in ((1, 0), (2, 1), (3, 0))])
    rig.balance.set_health(rig[2], healthy=False)
    assert rig.states == [EJECTED, UNHEALTHY, UNHEALTHY]


@pytest.mark.parametrize("options", [[], [InstanceOptions(url(9), 0)], [InstanceOptions(url(9), 0)] * 2])
async def test_a_list_without_a_weight_is_refused(options: list[InstanceOptions]) -> None:
    """At the start and later. Then the list stays unchanged, and the error has no address."""
    rig = Rig()
    with pytest.raises(ValueError, match="Expected an instance of users with a weight") as caught:
        rig.balance.set_instances(options)
    assert "10.11" not in str(caught.value)
    assert (await rig.ask(50)).keys() == {1, 2}
    with pytest.raises(ValueError, match="with a weight"):
        Balance("users", options, rig._attempt, rig.heard)


@pytest.mark.parametrize(
    "wrong",
    [
        {"consecutive_faults": 0},
        {"consecutive_faults": 1001},
        {"ejection_s": 0},
        {"max_ejection_s": 0},
        {"max_ejected_ratio": -0.1},
        {"max_ejected_ratio": 1.1},
        {"ejections": 1},
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    """With the setting's name, before anything runs."""
    with pytest.raises(ValidationError, match="|".join(wrong)):
        TypeAdapter(BalanceOptions).validate_python(wrong)


# all together


class Fleet(RuleBasedStateMachine):
    """A balancer through faults, replies, checks, list changes and time: its invariants hold after each step."""

    def __init__(self) -> None:
        super().__init__()
        self.rig = Rig((1, 2, 3, 1))
        self.known = {1, 2, 3, 4}

    def run(self, number: int, make: MakeError | None) -> None:
        """One call to whoever is chosen, with those of other numbers tried before."""
        self.rig.ends = {} if make is None else {instance.url: make for instance in self.rig.balance.instances}
        call = self.rig.call(*(i.number for i in self.rig.balance.instances if i.number != number))
        with suppress(SourceError, ZeroDivisionError, asyncio.CancelledError, StopIteration):
            self.rig.balance(call).send(None)  # nothing in it waits: no event loop is needed
        chosen = self.rig[call.tried[-1]]
        assert chosen.weight
        # Each one in, that wasn't tried, goes before; and no one is asked while it is out, if another one is in.
        out = chosen.state is not IN and make is None
        assert not out or all(i.state is not IN for i in self.rig.balance.instances if i.weight)

    @rule(number=st.integers(1, 6), make=st.sampled_from([None, *FAULTS, *ANSWERS, *SILENT]))
    def call(self, number: int, make: MakeError | None) -> None:
        """A call ends somehow."""
        self.run(number, make)

    @rule(number=st.integers(1, 6))
    def break_down(self, number: int) -> None:
        """Faults in a row."""
        for _ in range(3):
            self.run(number, fault)

    @rule(seconds=st.sampled_from([0.5, 5.0, 10.0, 60.0]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.rig.clock.now += seconds

    @rule(number=st.integers(1, 6), healthy=st.booleans())
    def check(self, number: int, healthy: bool) -> None:
        """A health check found something."""
        if number <= len(self.rig.balance.instances):
            self.rig.balance.set_health(self.rig[number], healthy=healthy)

    @rule(
        weights=st.lists(st.tuples(st.integers(1, 6), st.integers(0, 3)), min_size=1, max_size=6, unique_by=lambda w: w[0])
    )
    def change(self, weights: list[tuple[int, int]]) -> None:
        """Another list."""
        if any(weight for _, weight in weights):
            self.rig.balance.set_instances([InstanceOptions(url(n), weight) for n, weight in weights])

    @invariant()
    def share(self) -> None:
        """Where one is ejected, those that are out are within the share."""
        weighted = [i for i in self.rig.balance.instances if i.weight]
        if any(i.state is EJECTED for i in weighted):
            assert sum(i.state is not IN for i in weighted) <= len(weighted) // 2

    @invariant()
    def kept_in_order(self) -> None:
        """Numbers are places, nothing is in flight, and what each choice needs is as the states are."""
        balance = self.rig.balance
        assert [i.number for i in balance.instances] == list(range(1, len(balance.instances) + 1))
        assert self.rig.running == [0] * len(balance.instances)
        weighted = [i for i in balance.instances if i.weight]
        assert list(balance._pool.instances) == ([i for i in weighted if i.state is IN] or weighted)
        assert all((i.back_at < 1e9) is (i.state is EJECTED) for i in balance.instances)
        assert balance._next_back_at == min(i.back_at for i in balance.instances)


TestFleet = Fleet.TestCase


def test_a_repr_shows_no_address() -> None:
    """One line each, with numbers and never a URL."""
    rig = Rig((3, 1))
    rig[1].suspect = True
    assert repr(rig[1]) == "<Instance 1 weight=3 in, suspect, 0 running>"
    assert repr(rig[2]) == "<Instance 2 weight=1 in, 0 running>"
    assert repr(Pool(rig.balance.instances)) == "<Pool of 1, 2>"
    assert repr(rig.balance) == "<Balance users: 2 of 2 in>"
    rig.balance.set_health(rig[2], healthy=False)
    assert repr(rig.balance) == "<Balance users: 1 of 2 in>"
