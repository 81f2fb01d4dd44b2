"""Single flight: equal reads at the same time share one call, and no request fails because another one ended."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from bff.runtime.error_copies import again
from bff.upstream.caller import Caller
from bff.upstream.errors import BadAnswer, BreakerOpen, Busy, SourceError, TimedOut
from bff.upstream.events import CallRetried, CallShared
from bff.upstream.traffic.call import Call, Reply, RequestedKeys
from bff.upstream.traffic.single_flight import SingleFlight
from tests.support.fakes import Clock, Heard, ended, make_call, make_caller, settle


@dataclass
class Below:
    """What is below the policy: records the calls, blocks them until `gate` is set, and replies."""

    answer: Any = None
    calls: list[Call] = field(default_factory=list)
    cancelled: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, call: Call) -> Reply:
        self.calls.append(call)
        number = len(self.calls)
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if isinstance(self.answer, Exception):
            raise self.answer
        if callable(self.answer):
            return Reply(200, self.answer(call))
        if call.keyed is not None:
            return Reply(200, {key: key * 10 for key in call.keyed.keys})
        return Reply(200, f"answer {number}")

    @property
    def keys(self) -> list[tuple[Any, ...]]:
        """The keys of each call."""
        return [call.keyed.keys for call in self.calls if call.keyed is not None]


@pytest.fixture
def below() -> Below:
    """The blocked call below."""
    return Below()


@pytest.fixture
def flight(heard: Heard) -> SingleFlight:
    """The policy."""
    return SingleFlight("users", heard)


def keyed(caller: Caller, keys: Sequence[Any], *, family: str = "id", most: int = 5, **changes: Any) -> Call:
    """A read by key."""

    def narrow(caller: Caller, some: Sequence[Any]) -> Call:
        return keyed(caller, some, family=family, most=most, **changes)

    target = f"/users?{family}s={','.join(map(str, keys))}"
    return make_call(caller, target=target, keyed=RequestedKeys(family, tuple(keys), narrow, most), **changes)


def start(flight: SingleFlight, below: Below, *calls: Call) -> list[asyncio.Task[Reply]]:
    """Start all calls at the same time."""
    return [asyncio.create_task(flight(call, below)) for call in calls]


async def values(tasks: list[asyncio.Task[Reply]]) -> list[Any]:
    """The result of each: a value or an error."""
    outcomes = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 30)
    return [each.value if isinstance(each, Reply) else each for each in outcomes]


# by target


async def test_equal_reads_share_one_call(flight: SingleFlight, below: Below, clock: Clock, heard: Heard) -> None:
    """Two requests without identity for one target get one reply. The listener gets an event for the second."""
    tasks = start(flight, below, *(make_call(make_caller(clock)) for _ in range(3)))
    await settle()
    below.gate.set()
    assert await values(tasks) == ["answer 1"] * 3
    assert len(below.calls) == 1
    assert [event for event in heard if isinstance(event, CallShared)] == [CallShared("users", "/users/{id}")] * 2


async def test_a_finished_call_is_not_shared(flight: SingleFlight, below: Below, caller: Caller) -> None:
    """A read after it makes a new call: nothing is cached here."""
    below.gate.set()
    assert (await flight(make_call(caller), below)).value == "answer 1"
    assert (await flight(make_call(caller), below)).value == "answer 2"
    assert repr(flight) == "<SingleFlight users: 0 targets, 0 keys>"


@pytest.mark.parametrize(
    ("one", "other", "calls"),
    [
        ({"identity": True}, {"identity": True}, 2),
        ({"identity": False}, {"identity": False}, 1),
        ({"identity": True}, {"identity": False}, 2),
    ],
)
async def test_nothing_is_shared_between_viewers(
    flight: SingleFlight, below: Below, clock: Clock, one: dict[str, Any], other: dict[str, Any], calls: int
) -> None:
    """A call with an identity is shared by that viewer only. One without is shared by all, signed in or not."""
    first, second = make_caller(clock, sub="1"), make_caller(clock, sub="2")
    tasks = start(flight, below, make_call(first, **one), make_call(second, **other))
    await settle()
    assert len(below.calls) == calls
    below.gate.set()
    assert len(set(await values(tasks))) == calls


async def test_requests_of_one_viewer_share_a_call(flight: SingleFlight, below: Below, clock: Clock) -> None:
    """The same identity in two requests: one call."""
    tasks = start(flight, below, *(make_call(make_caller(clock, sub="1"), identity=True) for _ in range(2)))
    await settle()
    below.gate.set()
    assert await values(tasks) == ["answer 1"] * 2


async def test_other_targets_are_other_calls(flight: SingleFlight, below: Below, caller: Caller) -> None:
    """Only equal reads share."""
    tasks = start(flight, below, make_call(caller), make_call(caller, target="/users/2"))
    await settle()
    below.gate.set()
    assert await values(tasks) == ["answer 1", "answer 2"]
    assert [call.target for call in below.calls] == ["/users/1", "/users/2"]


async def test_an_error_reaches_all_followers(flight: SingleFlight, below: Below, clock: Clock) -> None:
    """Each of them gets the error of the shared call."""
    below.answer = Busy("users", 503, 7.0)
    tasks = start(flight, below, *(make_call(make_caller(clock)) for _ in range(3)))
    await settle()
    below.gate.set()
    assert [type(each) for each in await values(tasks)] == [Busy] * 3
    assert len(below.calls) == 1


@pytest.mark.parametrize("by_key", [False, True])
async def test_if_the_leader_leaves_a_follower_calls_again(
    flight: SingleFlight, below: Below, clock: Clock, by_key: bool
) -> None:
    """The leader's client disconnects and its call is cancelled. One follower makes a new call, whose reply all get."""
    callers = [make_caller(clock) for _ in range(3)]
    calls = [keyed(each, [1]) if by_key else make_call(each) for each in callers]
    tasks = start(flight, below, *calls)
    await settle()
    tasks[0].cancel()
    await settle()
    assert (below.cancelled, len(below.calls)) == (1, 2)
    assert below.calls[1].caller is callers[1]
    below.gate.set()
    outcomes = await values(tasks)
    assert isinstance(outcomes[0], asyncio.CancelledError)
    assert outcomes[1:] == [{1: 10}] * 2 if by_key else outcomes[1:] == ["answer 2"] * 2


async def test_a_leader_that_leaves_before_the_start_fails_no_other(
    flight: SingleFlight, below: Below, clock: Clock
) -> None:
    """It leaves in the same turn in which others add their keys."""
    tasks = start(flight, below, keyed(make_caller(clock), [1]), keyed(make_caller(clock), [2]))
    await asyncio.sleep(0)
    tasks[0].cancel()
    await settle()
    below.gate.set()
    outcomes = await values(tasks)
    assert isinstance(outcomes[0], asyncio.CancelledError)
    assert outcomes[1] == {2: 20}
    assert below.keys == [(2,)]


@pytest.mark.parametrize("by_key", [False, True])
async def test_a_follower_may_leave(flight: SingleFlight, below: Below, clock: Clock, by_key: bool) -> None:
    """That neither cancels the call nor affects the others."""
    tasks = start(
        flight, below, *(keyed(make_caller(clock), [1]) if by_key else make_call(make_caller(clock)) for _ in range(3))
    )
    await settle()
    tasks[1].cancel()
    await settle()
    below.gate.set()
    outcomes = await values(tasks)
    assert isinstance(outcomes[1], asyncio.CancelledError)
    assert outcomes[0] == outcomes[2] == ({1: 10} if by_key else "answer 1")
    assert (len(below.calls), below.cancelled) == (1, 0)


async def test_the_leaders_deadline_does_not_end_its_followers(flight: SingleFlight, below: Below, clock: Clock) -> None:
    """The leader has little time and times out. The follower has more, and calls again."""
    hasty, patient = make_caller(clock, left_s=1), make_caller(clock, left_s=10)
    below.answer = TimedOut("users", counts=False)
    first, second = start(flight, below, make_call(hasty), make_call(patient))
    await clock.advance(1)
    below.gate.set()
    assert [type(each) for each in await values([first, second])] == [TimedOut] * 2  # below, all is slow
    assert [call.caller for call in below.calls] == [hasty, patient]


async def test_a_timeout_of_the_service_reaches_all_followers(flight: SingleFlight, below: Below, clock: Clock) -> None:
    """The service had its time, and the leader's deadline has not passed: all of them get the error."""
    below.answer = TimedOut("users", counts=True)
    tasks = start(flight, below, make_call(make_caller(clock)), make_call(make_caller(clock)))
    await settle()
    below.gate.set()
    assert [type(each) for each in await values(tasks)] == [TimedOut] * 2
    assert len(below.calls) == 1


async def test_a_follower_waits_until_its_own_deadline(
    flight: SingleFlight, below: Below, clock: Clock, loop_clock: Clock
) -> None:
    """A follower with less time than the leader gets a timeout that doesn't count against the service."""
    tasks = start(flight, below, make_call(make_caller(clock, left_s=10)), make_call(make_caller(clock, left_s=1)))
    await clock.advance(1)
    with pytest.raises(TimedOut) as caught:
        await ended(tasks[1])
    assert (caught.value.counts, caught.value.asked) == (False, False)
    below.gate.set()
    assert (await ended(tasks[0])).value == "answer 1"


async def test_an_internal_error_reaches_the_leader_only(flight: SingleFlight, below: Below, clock: Clock) -> None:
    """An error that is no `SourceError` fails the leader's request. A follower calls again, and may fail as well."""
    below.answer = ZeroDivisionError()
    tasks = start(flight, below, make_call(make_caller(clock)), make_call(make_caller(clock)))
    await settle()
    below.gate.set()
    assert [type(each) for each in await values(tasks)] == [ZeroDivisionError] * 2
    assert len(below.calls) == 2


# writes


async def test_writes_are_never_shared(flight: SingleFlight, below: Below, clock: Clock) -> None:
    """Two equal writes are two calls."""
    below.gate.set()
    calls = [make_call(make_caller(clock), method="POST", idempotency_key="k") for _ in range(2)]
    await values(start(flight, below, *calls))
    assert len(below.calls) == 2


@pytest.mark.parametrize("by_key", [False, True])
async def test_a_read_after_a_write_does_not_join_a_read_from_before(
    flight: SingleFlight, below: Below, clock: Clock, by_key: bool
) -> None:
    """Nor does a read that begins while the write runs."""

    def read() -> Call:
        return keyed(make_caller(clock), [1]) if by_key else make_call(make_caller(clock))

    (before,) = start(flight, below, read())
    await settle()
    (write,) = start(flight, below, make_call(make_caller(clock), method="PATCH"))
    await settle()
    (during,) = start(flight, below, read())
    await settle()
    below.gate.set()
    await ended(write)
    below.gate.clear()
    (after,) = start(flight, below, read())
    await settle()
    below.gate.set()
    await values([before, during, after])
    assert len(below.calls) == 4


# by key


async def test_keys_of_one_turn_share_one_call(flight: SingleFlight, below: Below, clock: Clock) -> None:
    """Different requests in the same turn of the loop: one call for all, and each gets its own part."""
    callers = [make_caller(clock) for _ in range(3)]
    tasks = start(flight, below, *(keyed(each, keys) for each, keys in zip(callers, ([1, 2], [2, 3], [1]), strict=True)))
    await settle()
    assert below.keys == [(1, 2, 3)]
    assert below.calls[0].caller is callers[0]
    below.gate.set()
    assert await values(tasks) == [{1: 10, 2: 20}, {2: 20, 3: 30}, {1: 10}]


async def test_a_key_under_way_is_not_requested_twice(flight: SingleFlight, below: Below, clock: Clock) -> None:
    """A later request calls for its other keys only, and waits for the call that is under way."""
    (first,) = start(flight, below, keyed(make_caller(clock), [1, 2]))
    await settle()
    (second,) = start(flight, below, keyed(make_caller(clock), [2, 3]))
    await settle()
    assert below.keys == [(1, 2), (3,)]
    below.gate.set()
    assert await values([first, second]) == [{1: 10, 2: 20}, {2: 20, 3: 30}]


async def test_a_call_has_at_most_most_keys(flight: SingleFlight, below: Below, clock: Clock) -> None:
    """Keys beyond the limit (here five) go out at the same time, in a call of their own."""
    tasks = start(flight, below, *(keyed(make_caller(clock), keys) for keys in ([1, 2, 3], [4, 5, 6], [7, 8], [9, 10])))
    await settle()
    assert sorted(key for keys in below.keys for key in keys) == list(range(1, 11))
    assert max(map(len, below.keys)) <= 5
    below.gate.set()
    assert [list(each) for each in await values(tasks)] == [[1, 2, 3], [4, 5, 6], [7, 8], [9, 10]]


async def test_families_do_not_share(flight: SingleFlight, below: Below, clock: Clock) -> None:
    """The same number is another object in another family."""
    tasks = start(flight, below, *(keyed(make_caller(clock), [1], family=family) for family in ("id", "user")))
    await settle()
    assert [call.target for call in below.calls] == ["/users?ids=1", "/users?users=1"]
    below.gate.set()
    await values(tasks)


async def test_with_an_identity_keys_are_not_merged(flight: SingleFlight, below: Below, clock: Clock) -> None:
    """Keys of two viewers never share a call, nor do those of two requests of one viewer."""
    calls = [keyed(make_caller(clock, sub=sub), keys, identity=True) for sub, keys in (("1", [1]), ("2", [2]), ("1", [3]))]
    tasks = start(flight, below, *calls)
    await settle()
    assert below.keys == [(1,), (2,), (3,)]
    below.gate.set()
    assert await values(tasks) == [{1: 10}, {2: 20}, {3: 30}]


async def test_a_missing_key_is_missing_for_all(flight: SingleFlight, below: Below, clock: Clock) -> None:
    """A key that the reply leaves out is left out of each part."""
    below.answer = lambda _: {1: 10}
    below.gate.set()
    tasks = start(flight, below, keyed(make_caller(clock), [1, 2]), keyed(make_caller(clock), [2]))
    assert await values(tasks) == [{1: 10}, {}]


async def test_of_several_calls_a_failed_one_costs_its_own_keys(flight: SingleFlight, below: Below, clock: Clock) -> None:
    """A request that waits for two calls gets the values of one and the error of the other."""

    def answer(call: Call) -> dict[Any, Any]:
        assert call.keyed is not None
        if 3 in call.keyed.keys:
            raise BadAnswer("users", counts=True)
        return {key: key * 10 for key in call.keyed.keys}

    below.answer = answer
    (first,) = start(flight, below, keyed(make_caller(clock), [1, 2]))
    await settle()
    (second,) = start(flight, below, keyed(make_caller(clock), [2, 3]))
    await settle()
    below.gate.set()
    found = (await values([first, second]))[1]
    assert found[2] == 20
    assert isinstance(found[3], SourceError)


async def test_ended_calls_are_forgotten(flight: SingleFlight, below: Below, clock: Clock) -> None:
    """However calls end, none of them stays in the policy's dictionaries."""
    below.answer = BadAnswer("users", counts=True)
    tasks = start(flight, below, *(keyed(make_caller(clock), [key, key + 1]) for key in range(20)))
    await settle()
    tasks[0].cancel()
    below.gate.set()
    await values(tasks)
    assert repr(flight) == "<SingleFlight users: 0 targets, 0 keys>"
    assert flight._not_started == {}


# when a shared call fails


def failing(bad: set[Any], error: SourceError) -> Any:
    """What is below, where calls with one of these keys fail."""

    def answer(call: Call) -> dict[Any, Any]:
        assert call.keyed is not None
        if bad & set(call.keyed.keys):
            raise again(error)
        return {key: key * 10 for key in call.keyed.keys}

    return answer


async def test_each_request_repeats_a_failed_shared_call_alone(
    flight: SingleFlight, below: Below, clock: Clock, heard: Heard
) -> None:
    """The leader too, each for its own keys in one call. A request that had all of the call's keys doesn't repeat it."""
    below.answer = failing({3}, BadAnswer("users", counts=True))
    below.gate.set()
    tasks = start(flight, below, *(keyed(make_caller(clock), keys) for keys in ([1, 2], [3], [4])))
    found = await values(tasks)
    assert (found[0], type(found[1]), found[2]) == ({1: 10, 2: 20}, BadAnswer, {4: 40})
    assert below.keys == [(1, 2, 3, 4), (1, 2), (3,), (4,)]
    assert [event.outcome for event in heard if isinstance(event, CallRetried)] == ["alone"] * 3
    below.calls.clear()
    tasks = start(flight, below, *(keyed(make_caller(clock), keys) for keys in ([1, 2], [3], [4])))
    await values(tasks)
    assert below.keys == [(3,), (1, 2, 4)]


async def test_equal_requests_share_the_repeated_call(flight: SingleFlight, below: Below, clock: Clock) -> None:
    """Ten requests for the same key and one for a bad key: three calls."""
    below.answer = failing({3}, BadAnswer("users", counts=True))
    below.gate.set()

    async def a_turn_later(call: Call) -> Reply:
        await asyncio.sleep(0)
        return await below(call)

    calls = [keyed(make_caller(clock), [key]) for key in [1] * 10 + [3]]
    tasks = [asyncio.create_task(flight(call, a_turn_later)) for call in calls]
    found = await values(tasks)
    assert (found[:10], type(found[10])) == ([{1: 10}] * 10, BadAnswer)
    assert sorted(below.keys) == [(1,), (1, 3), (3,)]


async def test_a_follower_repeats_a_failed_call_alone(flight: SingleFlight, below: Below, clock: Clock) -> None:
    """A key that another request called for, together with its own bad one."""
    below.answer = failing({3}, TimedOut("users", counts=True))
    tasks = start(flight, below, keyed(make_caller(clock), [1, 3]))
    await settle()
    tasks += start(flight, below, keyed(make_caller(clock), [1]), keyed(make_caller(clock), [1, 2]))
    await settle()
    below.gate.set()
    found = await values(tasks)
    assert (type(found[0]), found[1], found[2]) == (TimedOut, {1: 10}, {1: 10, 2: 20})


async def test_without_time_left_a_failed_call_is_not_repeated(flight: SingleFlight, below: Below, clock: Clock) -> None:
    """The requests get the shared call's error."""
    below.answer = failing({3}, BadAnswer("users", counts=True))
    tasks = start(flight, below, *(keyed(make_caller(clock, left_s=left_s), [key]) for left_s, key in ((9, 3), (1, 1))))
    await settle()
    clock.now += 1
    below.gate.set()
    assert [type(each) for each in await values(tasks)] == [BadAnswer] * 2
    assert below.keys == [(3, 1), (3,)]


async def test_if_the_repeated_call_is_refused_the_shared_error_is_raised(
    flight: SingleFlight, below: Below, clock: Clock
) -> None:
    """The shared call's error says what the service did; the breaker's refusal doesn't."""

    def answer(call: Call) -> Any:
        assert call.keyed is not None
        raise BadAnswer("users", counts=True) if len(call.keyed.keys) > 1 else BreakerOpen("users", 3)

    below.answer = answer
    below.gate.set()
    tasks = start(flight, below, *(keyed(make_caller(clock), [key]) for key in (1, 2)))
    assert [type(each) for each in await values(tasks)] == [BadAnswer] * 2


async def test_a_shared_call_with_an_internal_error_is_split_too(flight: SingleFlight, below: Below, clock: Clock) -> None:
    """An error that is no `SourceError` fails the leader. The others repeat alone, and only that key's request fails."""
    below.answer = failing({3}, ZeroDivisionError())  # type: ignore[arg-type]
    below.gate.set()
    tasks = start(flight, below, *(keyed(make_caller(clock), [key]) for key in (1, 2, 3)))
    found = await values(tasks)
    assert [type(each) for each in found] == [ZeroDivisionError, dict, ZeroDivisionError]
    assert below.keys == [(1, 2, 3), (2,), (3,)]


async def test_each_follower_raises_a_copy_of_the_error(flight: SingleFlight, below: Below, clock: Clock) -> None:
    """Equal in all but its identity and its traceback."""
    below.answer = Busy("users", 503, 7.0)
    tasks = start(flight, below, *(make_call(make_caller(clock)) for _ in range(5)))
    await settle()
    below.gate.set()
    found = await values(tasks)
    assert len({id(each) for each in found}) == 5
    assert {(each.code, each.retry_after, each.counts, each.message) for each in found} == {
        ("UPSTREAM_UNAVAILABLE", 7.0, True, "The users service is busy.")
    }
    assert [each.__context__ for each in found[1:]] == [None] * 4


async def test_any_number_of_leaders_may_leave(flight: SingleFlight, below: Below, clock: Clock) -> None:
    """Fifteen hundred requests for the same key, of which each leads in turn and leaves."""
    tasks = start(flight, below, *(keyed(make_caller(clock, left_s=600), [1]) for _ in range(1500)))
    for task in tasks[:-1]:
        await asyncio.sleep(0)
        task.cancel()
    await settle()
    below.gate.set()
    assert (await values(tasks))[-1] == {1: 10}


async def test_the_followers_of_a_call_are_limited(flight: SingleFlight, below: Below, clock: Clock) -> None:
    """By key and by target: further requests share another call, so that a leader that leaves wakes a limited number."""
    by_key = [keyed(make_caller(clock), [1]) for _ in range(600)]
    tasks = start(flight, below, *by_key)
    await settle()
    below.gate.set()
    assert await values(tasks) == [{1: 10}] * 600
    assert len(below.calls) == 3


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 1, 0)])
async def test_a_call_of_one_key_at_most_takes_no_other_key(
    flight: SingleFlight, below: Below, caller: Caller, order: tuple[int, ...]
) -> None:
    """Whichever comes first: others share a call without it. The same key is shared."""
    given = [keyed(caller, [7], most=1), keyed(caller, [1]), keyed(caller, [2])]
    calls = [given[number] for number in order]
    tasks = start(flight, below, *calls, keyed(caller, [7], most=1))
    await settle()
    assert sorted(map(sorted, below.keys)) == [[1, 2], [7]]
    below.gate.set()
    assert await values(tasks) == [*({key: key * 10 for key in call.keyed.keys} for call in calls if call.keyed), {7: 70}]
