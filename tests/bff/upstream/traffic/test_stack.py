"""The stack: the order of the policies, seen in what neighbours do to each other, and that nothing stays behind."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from bff.upstream.caller import Caller
from bff.upstream.errors import BadAnswer, BreakerOpen, NotReached, QueueFull, SourceError, TimedOut
from bff.upstream.events import BreakerState, CallEnded, CallRefused, CallRetried, InstanceState
from bff.upstream.traffic.balance import BalanceOptions, InstanceOptions
from bff.upstream.traffic.breaker import BreakerOptions
from bff.upstream.traffic.bulkhead import BulkheadOptions
from bff.upstream.traffic.cache import CacheOptions
from bff.upstream.traffic.call import ID, Call, Reply, RequestedKeys, Stale
from bff.upstream.traffic.hedge import HedgeOptions
from bff.upstream.traffic.retry import RetryOptions
from bff.upstream.traffic.stack import InstanceStatus, SourceStatus, TrafficOptions
from bff.upstream.wire import ConnectionBroken, NotConnected, WireReply, WireRequest
from tests.support.fakes import (
    HOST,
    ONCE,
    Clock,
    Heard,
    ScriptedWire,
    answer,
    ended,
    hang,
    make_call,
    make_caller,
    make_stack,
    settle,
)

CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN
NARROW = replace(
    ONCE,
    breaker=BreakerOptions(minimum_calls=2, open_s=30),
    bulkhead=BulkheadOptions(max_concurrent=1, max_waiting=1),
)
"""Each call goes out, once, and one at a time."""
TWICE = replace(ONCE, retry=RetryOptions(attempts=2, base_delay_s=1.0))
KEPT = replace(ONCE, cache=CacheOptions())


class Rig:
    """A stack over a scripted network, with its time and its listener."""

    def __init__(self, wire: ScriptedWire, clock: Clock, options: TrafficOptions = NARROW, instances: int = 1) -> None:
        self.wire, self.clock, self.heard, self.number = wire, clock, Heard(), 0
        urls = [InstanceOptions(f"{HOST}{number}") for number in range(1, instances + 1)]
        self.stack = make_stack(wire, clock, self.heard, options=options, instances=urls)

    def start(self, left_s: float = 10.0, **changes: Any) -> "asyncio.Task[Reply]":
        """Make a call in a task of its own: for something that nobody else asks for, if not said otherwise."""
        self.number += 1
        target = {"target": f"/users/{self.number}"}
        return asyncio.create_task(self.stack(make_call(make_caller(self.clock, left_s=left_s), **(target | changes))))

    async def fail(self, kind: type[SourceError], left_s: float = 10.0, **changes: Any) -> SourceError:
        """Make a call that must fail so, and see the error."""
        with pytest.raises(kind) as caught:
            await ended(self.start(left_s, **changes))
        assert type(caught.value) is kind
        return caught.value

    @property
    def breaker(self) -> BreakerState:
        """The breaker's state."""
        return self.stack.status().breaker

    @property
    def told(self) -> list[tuple[type, str]]:
        """The events of calls: went over the wire or not, and how it ended."""
        return [(type(event), event.outcome) for event in self.heard if isinstance(event, CallEnded | CallRefused)]

    async def open(self) -> None:
        """Open the breaker, by failures of the network."""
        good, self.wire.instructions = self.wire.instructions, [NotConnected()]
        while self.breaker is not OPEN:
            await asyncio.gather(self.start(), return_exceptions=True)
        self.wire.instructions = good
        self.wire.sent.clear()
        self.heard.clear()


async def gone(rig: Rig, tasks: "list[asyncio.Task[Reply]]") -> bool:
    """Cancel calls, and see that the stack takes as many as ever: one runs, one waits, and both end well."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    rig.wire.instructions = [answer()]
    replies = await asyncio.gather(rig.start(), rig.start())
    return [reply.status for reply in replies] == [200, 200]


async def test_a_call_goes_through(clock: Clock) -> None:
    """All is well: one request, one event, the value."""
    rig = Rig(ScriptedWire(answer(200, b'{"id":1}')), clock)
    assert (await ended(rig.start())).value == {"id": 1}
    assert [request.url for request in rig.wire.sent] == [f"{HOST}1/users/1"]
    assert rig.told == [(CallEnded, "ok")]


@pytest.mark.parametrize("instruction", [answer(500), answer(404), NotConnected()], ids=repr)
async def test_a_call_is_told_of_once(clock: Clock, instruction: WireReply | NotConnected) -> None:
    """What went over the wire has ended and was not refused: no call is told of twice."""
    rig = Rig(ScriptedWire(instruction), clock)
    with pytest.raises(SourceError) as caught:
        await ended(rig.start())
    assert rig.told == [(CallEnded, caught.value.outcome)]


# the deadline, then the bulkhead


async def test_what_comes_too_late_does_not_even_queue(clock: Clock) -> None:
    """Deadline before bulkhead: with the queue full, a call without time is told that it is late, not that it is full."""
    rig = Rig(ScriptedWire(hang), clock)
    tasks = [rig.start(), rig.start()]
    await settle()
    error = await rig.fail(TimedOut, left_s=0)
    assert (error.asked, error.counts) == (False, False)
    assert rig.told == [(CallRefused, "timeout")]
    assert await gone(rig, tasks)


async def test_time_in_the_queue_is_time_spent(loop_clock: Clock) -> None:
    """One budget for the wait and the work: what waited long has only what is left for its attempt."""
    rig = Rig(ScriptedWire(hang), loop_clock)
    first, second = rig.start(), rig.start(left_s=2.5)
    await loop_clock.advance(2.1)  # the first has had its two seconds, and the second begins
    assert len(rig.wire.sent) == 2
    with pytest.raises(TimedOut):
        await ended(first)
    await loop_clock.advance(0.5)
    with pytest.raises(TimedOut) as caught:
        await ended(second)
    assert (caught.value.asked, caught.value.counts) == (True, False)
    assert rig.breaker is CLOSED


async def test_late_in_the_queue_is_no_call(loop_clock: Clock) -> None:
    """A deadline that passes in the queue: refused, told as such, and neither the breaker nor the wire knows of it."""
    rig = Rig(ScriptedWire(hang), loop_clock)
    first = rig.start()
    late = rig.start(left_s=1.0)
    await loop_clock.advance(1.1)
    with pytest.raises(TimedOut):
        await ended(late)
    assert rig.told == [(CallRefused, "timeout")]
    assert len(rig.wire.sent) == 1
    assert await gone(rig, [first])


# the bulkhead, then the breaker


async def test_a_full_queue_does_not_reach_the_breaker(clock: Clock) -> None:
    """Bulkhead before breaker: refusals of our own, however many, are no failures of the service and take no probe."""
    rig = Rig(ScriptedWire(hang), clock)
    tasks = [rig.start(), rig.start()]
    await settle()
    for _ in range(20):
        await rig.fail(QueueFull)
    assert rig.breaker is CLOSED
    assert rig.told == [(CallRefused, "queue_full")] * 20
    assert await gone(rig, tasks)
    await rig.open()
    clock.now += 30
    rig.wire.instructions = [hang]
    probe, waits = rig.start(), rig.start()
    await rig.fail(QueueFull)
    assert rig.breaker is HALF_OPEN
    assert await gone(rig, [probe, waits])
    assert rig.breaker is CLOSED


async def test_a_refusal_by_the_breaker_holds_no_place(clock: Clock) -> None:
    """Whoever the breaker refuses leaves at once, and the next comes in."""
    rig = Rig(ScriptedWire(), clock)
    await rig.open()
    for _ in range(20):
        await rig.fail(BreakerOpen)
    results = await asyncio.gather(*(rig.start() for _ in range(2)), return_exceptions=True)
    assert [type(result) for result in results] == [BreakerOpen] * 2
    assert rig.told == [(CallRefused, "breaker_open")] * 22


async def test_who_waited_meets_the_breaker_of_now(clock: Clock) -> None:
    """The breaker is asked after the wait: a call that queued while it was closed isn't sent once it is open."""
    rig = Rig(ScriptedWire(NotConnected()), clock, replace(NARROW, bulkhead=BulkheadOptions(1, 10)))
    results = await asyncio.gather(*(rig.start() for _ in range(5)), return_exceptions=True)
    assert [type(error).__name__ for error in results] == ["NotReached"] * 2 + ["BreakerOpen"] * 3
    assert len(rig.wire.sent) == 2


# the breaker, then the balance


async def test_an_open_breaker_asks_nobody(clock: Clock) -> None:
    """Not over the wire, not in the caller's tally; listeners hear of a refused call with its template and request."""
    rig = Rig(ScriptedWire(), clock)
    await rig.open()
    caller = make_caller(clock)
    with pytest.raises(BreakerOpen) as caught:
        await rig.stack(make_call(caller))
    assert caught.value.retry_after == 30
    assert rig.heard == [CallRefused("users", "/users/{id}", "breaker_open", "request-1")]
    assert (rig.wire.sent, caller.calls) == ([], {})


async def test_one_breaker_for_all_instances(clock: Clock) -> None:
    """Breaker before balance: where no instance is well their failures add up, and once open none of them is asked."""
    rig = Rig(ScriptedWire(answer(500)), clock, replace(NARROW, balance=BalanceOptions(max_ejected_ratio=0)), instances=2)
    while rig.breaker is CLOSED:
        await rig.fail(BadAnswer)
    assert {event.instance for event in rig.heard.ended} == {1, 2}
    sent = len(rig.wire.sent)
    await rig.fail(BreakerOpen)
    await rig.fail(BreakerOpen)
    assert len(rig.wire.sent) == sent


async def test_one_instance_s_faults_open_nothing(clock: Clock) -> None:
    """While another is well, they are the instance's affair: it is left out, and the breaker stays closed."""

    async def half_dead(request: WireRequest) -> WireReply:
        if request.url.startswith(f"{HOST}1"):
            raise NotConnected
        return answer()

    one_is_enough = replace(NARROW, breaker=BreakerOptions(minimum_calls=1, failure_ratio=0.01))
    rig = Rig(ScriptedWire(half_dead), clock, one_is_enough, instances=2)
    outcomes = [type((await asyncio.gather(rig.start(), return_exceptions=True))[0]) for _ in range(200)]
    assert rig.breaker is CLOSED
    assert outcomes.count(NotReached) == 5
    assert [(each.healthy, each.state) for each in rig.stack.status().instances] == [
        (False, InstanceState.EJECTED),
        (True, InstanceState.IN),
    ]


# the balance, then the attempt


async def test_a_timeout_is_the_instances(loop_clock: Clock) -> None:
    """What the attempt finds out the balance remembers: the instance that hangs is unhealthy, the other isn't."""

    async def half_asleep(request: WireRequest) -> WireReply:
        return await hang(request) if request.url.startswith(f"{HOST}1") else answer()

    rig = Rig(ScriptedWire(half_asleep), loop_clock, ONCE, instances=2)
    tasks = [rig.start() for _ in range(8)]
    await loop_clock.advance(2.1)
    await asyncio.gather(*tasks, return_exceptions=True)
    assert [each.healthy for each in rig.stack.status().instances] == [False, True]
    assert {(event.instance, event.outcome) for event in rig.heard.ended} == {(2, "ok"), (1, "timeout")}


# cancellation


@pytest.mark.parametrize("half_open", [False, True])
async def test_whoever_gives_up_leaves_nothing_behind(clock: Clock, half_open: bool) -> None:
    """Cancelled on the wire and in the queue, closed and half open: place and permit are free again."""
    rig = Rig(ScriptedWire(hang), clock)
    if half_open:
        await rig.open()
        clock.now += 30
    tasks = [rig.start(), rig.start()]
    await settle()
    assert (len(rig.wire.sent), rig.breaker) == (1, HALF_OPEN if half_open else CLOSED)
    assert await gone(rig, tasks)
    assert all(task.cancelled() for task in tasks)
    assert rig.breaker is CLOSED
    assert rig.told == [(CallEnded, "cancelled"), (CallEnded, "ok"), (CallEnded, "ok")]


@pytest.mark.parametrize("seed", range(6))
async def test_no_storm_leaves_anything_behind(loop_clock: Clock, seed: int) -> None:
    """Answers, failures, hangs, cancellations and deadlines in any order: in the end all places and permits are there."""
    chance = random.Random(seed)
    running = 0

    async def any_fate(request: WireRequest) -> WireReply:
        nonlocal running
        running += 1
        assert running <= 3
        try:
            for _ in range(chance.randint(0, 5)):
                await asyncio.sleep(0)
            match chance.choice(["well", "well", "ill", "gone", "hang"]):
                case "well":
                    return answer()
                case "ill":
                    return answer(500)
                case "gone":
                    raise NotConnected
            return await hang(request)
        finally:
            running -= 1

    options = TrafficOptions(
        timeout_s=1.0,
        retry=RetryOptions(attempts=1),
        breaker=BreakerOptions(window_s=5, minimum_calls=4, open_s=2, half_open_calls=2),
        bulkhead=BulkheadOptions(max_concurrent=3, max_waiting=2),
    )
    rig = Rig(ScriptedWire(any_fate), loop_clock, options, instances=2)
    tasks: list[asyncio.Task[Reply]] = []
    for _ in range(300):
        tasks.append(rig.start(left_s=chance.choice([0.3, 1.5, 5.0])))
        if chance.random() < 0.2:
            chance.choice(tasks).cancel()
        if chance.random() < 0.3:
            loop_clock.now += 0.25
        await asyncio.sleep(0)
    for _ in range(10):
        await loop_clock.advance(1.0)
    results = [await asyncio.gather(ended(task), return_exceptions=True) for task in tasks]
    kinds = {type(result) for (result,) in results}
    assert {Reply, BadAnswer, BreakerOpen, QueueFull, TimedOut, asyncio.CancelledError} <= kinds
    assert all(issubclass(kind, Reply | SourceError | asyncio.CancelledError) for kind in kinds)
    assert (CLOSED, OPEN) in rig.heard.turns
    # every call that was not cancelled while it waited was told of, once
    assert len(rig.heard.ended) == len(rig.wire.sent)
    rig.wire.instructions = [answer()]
    loop_clock.now += 10
    for _ in range(2):  # half open, it takes two probes; then all of them pass at once
        await ended(rig.start())
    assert rig.breaker is CLOSED
    rig.wire.instructions = [hang]
    rig.wire.sent.clear()
    tasks = [rig.start() for _ in range(8)]
    await settle()
    assert len(rig.wire.sent) == 3
    assert [task.done() for task in tasks] == [False] * 5 + [True] * 3
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


# what is shown


async def test_status_and_repr_tell_no_address(clock: Clock) -> None:
    """Name, breaker, and numbered instances; no host or port, wherever a stack is printed."""
    rig = Rig(ScriptedWire(), clock, TrafficOptions(), instances=2)
    instances = tuple(InstanceStatus(number, healthy=True, weight=1, state=InstanceState.IN) for number in (1, 2))
    assert rig.stack.status() == SourceStatus("users", CLOSED, forced=False, instances=instances)
    for shown in (repr(rig.stack), repr(rig.stack.status())):
        assert "users" in shown
        assert "10.11" not in shown


async def test_a_forced_breaker_is_shown_as_such(clock: Clock) -> None:
    """Held open, nothing is asked; let go, all goes on."""
    rig = Rig(ScriptedWire(), clock)
    rig.stack.force_breaker(OPEN)
    assert (rig.stack.status().breaker, rig.stack.status().forced) == (OPEN, True)
    await rig.fail(BreakerOpen)
    rig.stack.force_breaker(None)
    assert (await ended(rig.start())).status == 200
    assert rig.stack.status().forced is False


async def test_a_source_that_has_moved_is_asked_at_once(clock: Clock) -> None:
    """The breaker was open for what is there no longer: a probe goes to the new place, and closes it."""
    rig = Rig(ScriptedWire(), clock)
    await rig.open()
    rig.stack.set_instances([InstanceOptions(f"{HOST}7")])
    assert (await ended(rig.start())).status == 200
    assert rig.breaker is CLOSED


async def test_instances_change_while_calls_run(clock: Clock) -> None:
    """Who is under way stays there; who comes later goes to the new place."""
    rig = Rig(ScriptedWire(hang), clock, ONCE)
    first = rig.start()
    await settle()
    rig.stack.set_instances([InstanceOptions(f"{HOST}7")])
    second = rig.start()
    await settle()
    assert [request.url for request in rig.wire.sent] == [f"{HOST}1/users/1", f"{HOST}7/users/2"]
    for task in (first, second):
        task.cancel()
    await asyncio.gather(first, second, return_exceptions=True)


def test_the_defaults_are_those_of_the_settings_page() -> None:
    """run.md's table of defaults."""
    options = TrafficOptions()
    assert (options.timeout_s, options.max_response_bytes) == (2.0, 10 * 1024 * 1024)
    assert options.breaker == BreakerOptions(10, 5, 0.5, 30, 1)
    assert options.bulkhead == BulkheadOptions(100, 200)
    assert (options.retry.attempts, options.retry.budget_ratio) == (2, 0.2)
    assert (options.cache.enabled, options.cache.max_entries) == (True, 10_000)
    assert (options.hedge.enabled, options.health.interval_s) == (False, 0)


# the deadline, then the cache

PUBLIC = answer(200, b"{}", cache_control="public, max-age=30, stale-if-error=300")


async def test_what_comes_too_late_is_not_answered_from_the_cache_either(clock: Clock) -> None:
    """Deadline before cache: an operation whose time is over ends alike, whatever chance has kept."""
    rig = Rig(ScriptedWire(PUBLIC), clock, KEPT)
    await ended(rig.start(target="/users/1"))
    await rig.fail(TimedOut, left_s=0, target="/users/1")


# the cache, then the single flight


async def test_what_is_at_hand_waits_for_nobody(clock: Clock) -> None:
    """Cache before single flight: a fresh answer is there at once, and only what is missing is shared."""
    rig = Rig(ScriptedWire(PUBLIC, hang), clock, KEPT)
    await ended(rig.start(target="/users/1"))
    tasks = [rig.start(target="/users/2") for _ in range(2)]
    assert (await ended(rig.start(target="/users/1"))).status == 200
    assert len(rig.wire.sent) == 2
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_all_who_wait_get_what_is_old(clock: Clock) -> None:
    """The one call fails for all of them; each has the old answer to fall back on."""

    async def fail_late(_: WireRequest) -> WireReply:
        await settle()
        return answer(500)

    rig = Rig(ScriptedWire(PUBLIC, fail_late), clock, KEPT)
    await ended(rig.start(target="/users/1"))
    clock.now += 60
    replies = await asyncio.gather(*(rig.start(target="/users/1") for _ in range(3)))
    assert [reply.value for reply in replies] == [Stale({}, 60.0, "users")] * 3
    assert len(rig.wire.sent) == 2


# the single flight, then what fills the cache


async def test_an_answer_is_kept_once_for_all_who_waited(clock: Clock) -> None:
    """Single flight before filling: the keys of several requests, asked for in one call, are all known afterwards."""
    rig = Rig(ScriptedWire(PUBLIC), clock, KEPT)

    def by_id(caller: Caller, keys: Sequence[Any]) -> Call:
        target = f"/users?ids={','.join(map(str, keys))}"
        decode = lambda _: {key: {"id": key} for key in keys}  # noqa: E731 - a call's decoder, in one word
        return make_call(caller, target=target, decode=decode, keyed=RequestedKeys(ID, tuple(keys), by_id, 200))

    wanted = [[1, 2], [2, 3], [4]]
    await asyncio.gather(*(rig.stack(by_id(make_caller(clock), keys)) for keys in wanted))
    assert [request.url for request in rig.wire.sent] == [f"{HOST}1/users?ids=1,2,3,4"]
    found = await rig.stack(by_id(make_caller(clock), [4, 3, 2, 1]))
    assert found.value == {key: {"id": key} for key in (1, 2, 3, 4)}
    assert len(rig.wire.sent) == 1


# what fills the cache, then retry


async def test_what_a_second_try_brought_is_kept(clock: Clock) -> None:
    """Filling before retry: the answer is the call's, whichever try it took; the validator goes along with each."""
    no_cache = answer(200, b"{}", cache_control="no-cache", etag='"v1"')
    wire = ScriptedWire(NotConnected(), no_cache, NotConnected(), answer(304, b"", etag='"v1"', cache_control="no-cache"))
    rig = Rig(wire, clock, replace(TWICE, cache=CacheOptions()))
    for _ in range(2):
        assert (await ended(rig.start(target="/users/1"))).value == {}
    sent = [dict(request.headers).get("If-None-Match") for request in wire.sent]
    assert sent == [None, None, '"v1"', '"v1"']


# retry, then the bulkhead


async def test_between_two_tries_no_place_is_held(loop_clock: Clock) -> None:
    """Retry before bulkhead: while one call waits for its second try, another one has the only place."""
    options = replace(TWICE, bulkhead=BulkheadOptions(max_concurrent=1, max_waiting=0))
    rig = Rig(ScriptedWire(answer(503, retry_after="1"), answer()), loop_clock, options)
    waits = rig.start()
    await settle()
    assert (await ended(rig.start())).status == 200
    await loop_clock.advance(2.1)
    assert (await ended(waits)).status == 200


async def test_a_full_queue_is_no_reason_to_try_again(clock: Clock) -> None:
    """Who was refused here would only make it fuller."""
    options = replace(TWICE, bulkhead=BulkheadOptions(max_concurrent=1, max_waiting=0))
    rig = Rig(ScriptedWire(hang), clock, options)
    first = rig.start()
    await settle()
    await rig.fail(QueueFull)
    assert not [event for event in rig.heard if isinstance(event, CallRetried)]
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)


# retry, then the breaker


async def test_each_try_is_a_call_to_the_breaker(clock: Clock) -> None:
    """Breaker inside retry: a call that failed twice has failed twice; what then is open isn't asked again."""
    rig = Rig(ScriptedWire(NotConnected()), clock, replace(TWICE, breaker=BreakerOptions(minimum_calls=2)))
    error = await rig.fail(NotReached)
    assert (len(rig.wire.sent), rig.breaker) == (2, OPEN)
    assert isinstance(error, NotReached)
    await rig.fail(BreakerOpen)
    assert len(rig.wire.sent) == 2


async def test_a_try_that_the_breaker_refuses_tells_of_the_one_before(clock: Clock) -> None:
    """The client is told what the service did, and not that we stopped asking."""
    rig = Rig(ScriptedWire(NotConnected()), clock, replace(TWICE, breaker=BreakerOptions(minimum_calls=1)))
    await rig.fail(NotReached)
    assert len(rig.wire.sent) == 1


# retry, then the balance


async def test_a_second_try_goes_to_another_instance(clock: Clock) -> None:
    """Balance inside retry: whoever it was that failed, the other one is asked."""
    rig = Rig(ScriptedWire(NotConnected(), answer()), clock, TWICE, instances=2)
    await ended(rig.start())
    assert sorted(event.instance for event in rig.heard.ended) == [1, 2]


# retry, then the hedge


async def test_a_try_with_its_hedge_is_one_try(loop_clock: Clock) -> None:
    """Hedge inside retry: where both of a try fail, the call is tried again; all extra calls are of one budget."""
    options = replace(
        ONCE,
        retry=RetryOptions(attempts=2, budget_ratio=1, base_delay_s=1e-9),
        hedge=HedgeOptions(enabled=True, minimum_calls=1),
    )
    gate = asyncio.Event()

    async def fail_late(_: WireRequest) -> WireReply:
        await gate.wait()
        raise ConnectionBroken

    rig = Rig(ScriptedWire(answer(), fail_late, fail_late, answer()), loop_clock, options)
    await ended(rig.start())
    call = rig.start()
    await loop_clock.advance(0.01)
    assert len(rig.wire.sent) == 3
    gate.set()
    await loop_clock.advance(0.01)
    assert (await ended(call)).status == 200
    assert len(rig.wire.sent) == 4
    extra = [event.outcome for event in rig.heard if isinstance(event, CallRetried)]
    assert extra == ["hedge", "not_reached"]


# the hedge, then the bulkhead


async def test_a_hedge_takes_a_place_like_any_other_call(loop_clock: Clock) -> None:
    """Hedge before bulkhead: the second try counts as one more, and both places are free again after it."""
    options = replace(
        ONCE,
        retry=RetryOptions(attempts=1, budget_ratio=1),
        hedge=HedgeOptions(enabled=True, minimum_calls=1),
        bulkhead=BulkheadOptions(max_concurrent=2, max_waiting=0),
    )
    rig = Rig(ScriptedWire(answer(), hang, answer()), loop_clock, options, instances=2)
    await ended(rig.start())
    rig.heard.clear()
    slow = rig.start()
    await loop_clock.advance(0.01)
    assert (await ended(slow)).status == 200
    assert sorted(event.instance for event in rig.heard.ended) == [1, 2]
    rig.wire.instructions = [answer()]
    assert [reply.status for reply in await asyncio.gather(rig.start(), rig.start())] == [200, 200]


# the cache, and all that is below


async def test_while_the_breaker_is_open_what_is_old_serves_on(clock: Clock) -> None:
    """Cache outside breaker: marked, for as long as the service allowed; and nobody is asked. The refusal is told."""
    rig = Rig(ScriptedWire(PUBLIC), clock, replace(KEPT, breaker=BreakerOptions(minimum_calls=1, open_s=1000)))
    await ended(rig.start(target="/users/1"))
    await rig.open()
    clock.now += 60
    assert (await ended(rig.start(target="/users/1"))).value == Stale({}, 60.0, "users")
    assert rig.wire.sent == []
    assert rig.told == [(CallRefused, "breaker_open")]
    clock.now += 300
    await rig.fail(BreakerOpen, target="/users/1")


async def test_a_write_is_seen_by_who_reads_after_it(clock: Clock) -> None:
    """Through all policies: what was kept is dropped, and what is under way isn't joined."""
    rig = Rig(ScriptedWire(PUBLIC), clock, KEPT)
    await ended(rig.start(target="/users?limit=1"))
    await ended(rig.start(target="/users/1", method="PATCH", idempotency_key="k", touches=1))
    await ended(rig.start(target="/users?limit=1"))
    assert [request.method for request in rig.wire.sent] == ["GET", "PATCH", "GET"]
