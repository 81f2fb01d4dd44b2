"""The stack: the order of the policies, tested in neighbouring pairs, and that nothing is left behind."""

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
    """Cancel calls, and check that the stack takes as many as before: one runs, one waits, and both succeed."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    rig.wire.instructions = [answer()]
    replies = await asyncio.gather(rig.start(), rig.start())
    return [reply.status for reply in replies] == [200, 200]


async def test_a_call_goes_through(clock: Clock) -> None:
    """Without failures: one request, one event, the value."""
    rig = Rig(ScriptedWire(answer(200, b'{"id":1}')), clock)
    assert (await ended(rig.start())).value == {"id": 1}
    assert [request.url for request in rig.wire.sent] == [f"{HOST}1/users/1"]
    assert rig.told == [(CallEnded, "ok")]


@pytest.mark.parametrize("instruction", [answer(500), answer(404), NotConnected()], ids=repr)
async def test_a_call_makes_one_event(clock: Clock, instruction: WireReply | NotConnected) -> None:
    """A call that was sent has ended, and wasn't refused: no call has two events."""
    rig = Rig(ScriptedWire(instruction), clock)
    with pytest.raises(SourceError) as caught:
        await ended(rig.start())
    assert rig.told == [(CallEnded, caught.value.outcome)]


# the deadline, then the bulkhead


async def test_a_late_call_does_not_queue(clock: Clock) -> None:
    """Deadline before bulkhead: with a full queue, a late call gets a timeout, not `QueueFull`."""
    rig = Rig(ScriptedWire(hang), clock)
    tasks = [rig.start(), rig.start()]
    await settle()
    error = await rig.fail(TimedOut, left_s=0)
    assert (error.asked, error.counts) == (False, False)
    assert rig.told == [(CallRefused, "timeout")]
    assert await gone(rig, tasks)


async def test_time_in_the_queue_counts(loop_clock: Clock) -> None:
    """One deadline for waiting and the attempt: a call that waited has less time for its attempt."""
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


async def test_a_deadline_in_the_queue_refuses_the_call(loop_clock: Clock) -> None:
    """With an event, and without a call of the breaker or the wire."""
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
    """Bulkhead before breaker: refusals by the gateway are no failures of the service, and take no probe."""
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
    """The call ends at once, and the next one gets its place."""
    rig = Rig(ScriptedWire(), clock)
    await rig.open()
    for _ in range(20):
        await rig.fail(BreakerOpen)
    results = await asyncio.gather(*(rig.start() for _ in range(2)), return_exceptions=True)
    assert [type(result) for result in results] == [BreakerOpen] * 2
    assert rig.told == [(CallRefused, "breaker_open")] * 22


async def test_the_breaker_decides_after_the_queue(clock: Clock) -> None:
    """A call that queued while it was closed isn't sent once it is open."""
    rig = Rig(ScriptedWire(NotConnected()), clock, replace(NARROW, bulkhead=BulkheadOptions(1, 10)))
    results = await asyncio.gather(*(rig.start() for _ in range(5)), return_exceptions=True)
    assert [type(error).__name__ for error in results] == ["NotReached"] * 2 + ["BreakerOpen"] * 3
    assert len(rig.wire.sent) == 2


# the breaker, then the balance


async def test_an_open_breaker_sends_no_call(clock: Clock) -> None:
    """Nothing on the wire or in the caller's counts. Listeners get a refused call with its template and request id."""
    rig = Rig(ScriptedWire(), clock)
    await rig.open()
    caller = make_caller(clock)
    with pytest.raises(BreakerOpen) as caught:
        await rig.stack(make_call(caller))
    assert caught.value.retry_after == 30
    assert rig.heard == [CallRefused("users", "/users/{id}", "breaker_open", "request-1")]
    assert (rig.wire.sent, caller.calls) == ([], {})


async def test_one_breaker_for_all_instances(clock: Clock) -> None:
    """Breaker outside balancer: if no instance is healthy, their failures add up; once open, none gets a call."""
    rig = Rig(ScriptedWire(answer(500)), clock, replace(NARROW, balance=BalanceOptions(max_ejected_ratio=0)), instances=2)
    while rig.breaker is CLOSED:
        await rig.fail(BadAnswer)
    assert {event.instance for event in rig.heard.ended} == {1, 2}
    sent = len(rig.wire.sent)
    await rig.fail(BreakerOpen)
    await rig.fail(BreakerOpen)
    assert len(rig.wire.sent) == sent


async def test_one_instances_faults_open_no_breaker(clock: Clock) -> None:
    """While another instance is healthy: the failing one is ejected, and the breaker stays closed."""

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


async def test_a_timeout_marks_the_instance(loop_clock: Clock) -> None:
    """Attempt inside balancer: the instance that hangs is unhealthy, the other one isn't."""

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
async def test_a_cancelled_call_frees_its_place_and_permit(clock: Clock, half_open: bool) -> None:
    """Cancelled on the wire and in the queue, with a closed and a half open breaker."""
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
async def test_nothing_is_left_behind(loop_clock: Clock, seed: int) -> None:
    """Replies, failures, hangs, cancellations and deadlines in any order: in the end all places and permits are free."""
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
    # every call that was not cancelled while it waited made one event
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


async def test_status_and_repr_show_no_address(clock: Clock) -> None:
    """Name, breaker, and numbered instances, without host or port."""
    rig = Rig(ScriptedWire(), clock, TrafficOptions(), instances=2)
    instances = tuple(InstanceStatus(number, healthy=True, weight=1, state=InstanceState.IN) for number in (1, 2))
    assert rig.stack.status() == SourceStatus("users", CLOSED, forced=False, instances=instances)
    for shown in (repr(rig.stack), repr(rig.stack.status())):
        assert "users" in shown
        assert "10.11" not in shown


async def test_a_forced_breaker_is_shown_as_such(clock: Clock) -> None:
    """Forced open, no call is sent. Released, calls go on."""
    rig = Rig(ScriptedWire(), clock)
    rig.stack.force_breaker(OPEN)
    assert (rig.stack.status().breaker, rig.stack.status().forced) == (OPEN, True)
    await rig.fail(BreakerOpen)
    rig.stack.force_breaker(None)
    assert (await ended(rig.start())).status == 200
    assert rig.stack.status().forced is False


async def test_changed_instances_get_a_probe_at_once(clock: Clock) -> None:
    """The breaker was open for removed instances: a probe goes to a new one, and closes it."""
    rig = Rig(ScriptedWire(), clock)
    await rig.open()
    rig.stack.set_instances([InstanceOptions(f"{HOST}7")])
    assert (await ended(rig.start())).status == 200
    assert rig.breaker is CLOSED


async def test_instances_change_while_calls_run(clock: Clock) -> None:
    """Running calls stay at their instance; later ones go to a new one."""
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
    """The documented defaults."""
    options = TrafficOptions()
    assert (options.timeout_s, options.max_response_bytes) == (2.0, 10 * 1024 * 1024)
    assert options.breaker == BreakerOptions(10, 5, 0.5, 30, 1)
    assert options.bulkhead == BulkheadOptions(100, 200)
    assert (options.retry.attempts, options.retry.budget_ratio) == (2, 0.2)
    assert (options.cache.enabled, options.cache.max_entries) == (True, 10_000)
    assert (options.hedge.enabled, options.health.interval_s) == (False, 0)


# the deadline, then the cache

PUBLIC = answer(200, b"{}", cache_control="public, max-age=30, stale-if-error=300")


async def test_a_late_call_gets_no_cached_reply(clock: Clock) -> None:
    """Deadline before cache: after the deadline the result doesn't depend on what happens to be cached."""
    rig = Rig(ScriptedWire(PUBLIC), clock, KEPT)
    await ended(rig.start(target="/users/1"))
    await rig.fail(TimedOut, left_s=0, target="/users/1")


# the cache, then the single flight


async def test_a_cached_key_waits_for_no_call(clock: Clock) -> None:
    """Cache before single flight: fresh entries are used at once, and only missing keys are shared."""
    rig = Rig(ScriptedWire(PUBLIC, hang), clock, KEPT)
    await ended(rig.start(target="/users/1"))
    tasks = [rig.start(target="/users/2") for _ in range(2)]
    assert (await ended(rig.start(target="/users/1"))).status == 200
    assert len(rig.wire.sent) == 2
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_all_followers_get_the_older_entry(clock: Clock) -> None:
    """The shared call fails for all of them, and each falls back on the entry."""

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


async def test_a_shared_reply_is_cached_once(clock: Clock) -> None:
    """Single flight before fill: the keys of several requests in one call are all cached afterwards."""
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


async def test_a_retrys_reply_is_cached(clock: Clock) -> None:
    """Fill before retry: whichever attempt it is from. The validator is sent with each attempt."""
    no_cache = answer(200, b"{}", cache_control="no-cache", etag='"v1"')
    wire = ScriptedWire(NotConnected(), no_cache, NotConnected(), answer(304, b"", etag='"v1"', cache_control="no-cache"))
    rig = Rig(wire, clock, replace(TWICE, cache=CacheOptions()))
    for _ in range(2):
        assert (await ended(rig.start(target="/users/1"))).value == {}
    sent = [dict(request.headers).get("If-None-Match") for request in wire.sent]
    assert sent == [None, None, '"v1"', '"v1"']


# retry, then the bulkhead


async def test_a_delay_between_attempts_holds_no_place(loop_clock: Clock) -> None:
    """Retry before bulkhead: another call gets the only place meanwhile."""
    options = replace(TWICE, bulkhead=BulkheadOptions(max_concurrent=1, max_waiting=0))
    rig = Rig(ScriptedWire(answer(503, retry_after="1"), answer()), loop_clock, options)
    waits = rig.start()
    await settle()
    assert (await ended(rig.start())).status == 200
    await loop_clock.advance(2.1)
    assert (await ended(waits)).status == 200


async def test_a_full_queue_is_not_retried(clock: Clock) -> None:
    """A retry would only make it fuller."""
    options = replace(TWICE, bulkhead=BulkheadOptions(max_concurrent=1, max_waiting=0))
    rig = Rig(ScriptedWire(hang), clock, options)
    first = rig.start()
    await settle()
    await rig.fail(QueueFull)
    assert not [event for event in rig.heard if isinstance(event, CallRetried)]
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)


# retry, then the breaker


async def test_each_attempt_counts_in_the_breaker(clock: Clock) -> None:
    """Breaker inside retry: a call that failed twice counts twice. If that opens it, there is no further attempt."""
    rig = Rig(ScriptedWire(NotConnected()), clock, replace(TWICE, breaker=BreakerOptions(minimum_calls=2)))
    error = await rig.fail(NotReached)
    assert (len(rig.wire.sent), rig.breaker) == (2, OPEN)
    assert isinstance(error, NotReached)
    await rig.fail(BreakerOpen)
    assert len(rig.wire.sent) == 2


async def test_a_retry_refused_by_the_breaker_raises_the_error_before(clock: Clock) -> None:
    """The client gets the service's error, not the refusal."""
    rig = Rig(ScriptedWire(NotConnected()), clock, replace(TWICE, breaker=BreakerOptions(minimum_calls=1)))
    await rig.fail(NotReached)
    assert len(rig.wire.sent) == 1


# retry, then the balance


async def test_a_retry_goes_to_another_instance(clock: Clock) -> None:
    """Balancer inside retry: the instance that failed isn't chosen again."""
    rig = Rig(ScriptedWire(NotConnected(), answer()), clock, TWICE, instances=2)
    await ended(rig.start())
    assert sorted(event.instance for event in rig.heard.ended) == [1, 2]


# retry, then the hedge


async def test_an_attempt_with_its_hedge_is_one_attempt(loop_clock: Clock) -> None:
    """Hedge inside retry: if both fail, the call is retried. All extra calls are from one budget."""
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
    """Hedge before bulkhead: it counts as one more call, and both places are free afterwards."""
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


async def test_while_the_breaker_is_open_older_entries_are_used(clock: Clock) -> None:
    """Cache outside breaker: marked as stale, as long as the service allows, without a call. The refusal makes an event."""
    rig = Rig(ScriptedWire(PUBLIC), clock, replace(KEPT, breaker=BreakerOptions(minimum_calls=1, open_s=1000)))
    await ended(rig.start(target="/users/1"))
    await rig.open()
    clock.now += 60
    assert (await ended(rig.start(target="/users/1"))).value == Stale({}, 60.0, "users")
    assert rig.wire.sent == []
    assert rig.told == [(CallRefused, "breaker_open")]
    clock.now += 300
    await rig.fail(BreakerOpen, target="/users/1")


async def test_a_read_after_a_write_sees_it(clock: Clock) -> None:
    """Through all policies: cached entries are dropped, and running calls aren't joined."""
    rig = Rig(ScriptedWire(PUBLIC), clock, KEPT)
    await ended(rig.start(target="/users?limit=1"))
    await ended(rig.start(target="/users/1", method="PATCH", idempotency_key="k", touches=1))
    await ended(rig.start(target="/users?limit=1"))
    assert [request.method for request in rig.wire.sent] == ["GET", "PATCH", "GET"]
