"""What is kept, for whom and how long, and what stands in when a service fails.

The two policies of the cache stand one above the other, as in the stack, over a service that is played here.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import pytest

from bff.upstream.caller import Caller, Identity
from bff.upstream.errors import (
    BadAnswer,
    BreakerOpen,
    Busy,
    Forbidden,
    NotReached,
    NotSendable,
    Problem,
    QueueFull,
    Rejected,
    SourceError,
    TimedOut,
    Unauthenticated,
)
from bff.upstream.events import CacheResult, CallCached
from bff.upstream.traffic.cache import Cache, CacheOptions
from bff.upstream.traffic.call import ID, Call, Reply, RequestedKeys, Stale
from tests.support.fakes import Clock, Heard, ended, make_call, make_caller, settle

WALL = 1_800_000_000.0
PUBLIC = "public, max-age=30, stale-if-error=300"


@dataclass
class Service:
    """Answers objects by key, each as `[key, version]`; what is in `gone` is left out. Speaks of caching by `headers`."""

    version: int = 1
    headers: dict[str, str] = field(default_factory=lambda: {"cache-control": PUBLIC})
    gone: set[Any] = field(default_factory=set)
    fault: BaseException | None = None
    calls: list[Call] = field(default_factory=list)
    gate: asyncio.Event | None = None

    async def __call__(self, call: Call) -> Reply:
        self.calls.append(call)
        version, headers = self.version, dict(self.headers)
        if self.gate is not None:
            await self.gate.wait()
        if self.fault is not None:
            raise self.fault
        if call.validator is not None and call.validator == headers.get("etag"):
            return Reply(304, None, headers)
        if call.keyed is None:
            return Reply(200, {"page": call.target, "version": version}, headers, 100)
        found = {key: [key, version] for key in call.keyed.keys if key not in self.gone}
        return Reply(200 if found or len(call.keyed.keys) > 1 else 404, found, headers, 100)

    @property
    def asked(self) -> list[Any]:
        """What each call asked for: its keys, or its target."""
        return [list(call.keyed.keys) if call.keyed else call.target for call in self.calls]

    @property
    def validators(self) -> list[str | None]:
        """The validator of each call."""
        return [call.validator for call in self.calls]


@pytest.fixture
def service() -> Service:
    """The service."""
    return Service()


@pytest.fixture
def cache(clock: Clock, heard: Heard) -> Cache:
    """The cache, with a wall clock that goes with the other one."""
    return make_cache(clock, heard)


def make_cache(clock: Clock, heard: Heard, **options: Any) -> Cache:
    """A cache."""
    return Cache("users", CacheOptions(**options), heard, clock, lambda: WALL + clock())


async def ask(cache: Cache, service: Service, call: Call) -> Any:
    """The call's value, through both policies."""
    return (await cache.lookup(call, partial(cache.fill, next=service))).value


def by_id(caller: Caller, *keys: Any, family: Any = ID, **changes: Any) -> Call:
    """A read of objects."""

    def narrow(caller: Caller, some: Sequence[Any]) -> Call:
        return by_id(caller, *some, family=family, **changes)

    target = f"/users/{keys[0]}" if len(keys) == 1 else f"/users?ids={','.join(map(str, keys))}"
    return make_call(caller, target=target, keyed=RequestedKeys(family, keys, narrow, 200), **changes)


def page(caller: Caller, target: str = "/users?limit=2", objects: Sequence[Any] = (), **changes: Any) -> Call:
    """A read of a page, which has these objects."""
    return make_call(
        caller, target=target, objects=lambda value: {key: [key, value["version"]] for key in objects}, **changes
    )


def write(caller: Caller, touches: Any = None) -> Call:
    """A write."""
    return make_call(caller, method="PATCH", target="/users/1", touches=touches, identity=True)


def results(heard: Heard) -> list[CacheResult]:
    """What listeners were told."""
    return [event.result for event in heard if isinstance(event, CallCached)]


# fresh


async def test_a_fresh_answer_is_not_asked_for_again(
    cache: Cache, service: Service, caller: Caller, clock: Clock, heard: Heard
) -> None:
    """For as long as the service says, and not a moment longer."""
    assert await ask(cache, service, by_id(caller, 1)) == {1: [1, 1]}
    service.version = 2
    clock.now += 29.9
    assert await ask(cache, service, by_id(caller, 1)) == {1: [1, 1]}
    clock.now += 0.1
    assert await ask(cache, service, by_id(caller, 1)) == {1: [1, 2]}
    assert service.asked == [[1], [1]]
    assert results(heard) == [CacheResult.MISS, CacheResult.HIT, CacheResult.MISS]


async def test_a_batch_asks_for_what_is_missing(cache: Cache, service: Service, caller: Caller, heard: Heard) -> None:
    """Answers are kept by object: whatever brought one, it isn't asked for again."""
    await ask(cache, service, by_id(caller, 1, 2))
    await ask(cache, service, by_id(caller, 3))
    assert await ask(cache, service, by_id(caller, 1, 2, 3, 4)) == {n: [n, 1] for n in (1, 2, 3, 4)}
    assert await ask(cache, service, by_id(caller, 4, 2)) == {4: [4, 1], 2: [2, 1]}
    assert service.asked == [[1, 2], [3], [4]]
    assert results(heard)[-3:] == [CacheResult.PARTIAL, CacheResult.MISS, CacheResult.HIT]


async def test_a_page_fills_its_objects(cache: Cache, service: Service, caller: Caller) -> None:
    """What came with a page is known by id; the page itself by its target."""
    await ask(cache, service, page(caller, objects=[1, 2]))
    assert await ask(cache, service, by_id(caller, 1, 2)) == {1: [1, 1], 2: [2, 1]}
    assert (await ask(cache, service, page(caller)))["version"] == 1
    await ask(cache, service, page(caller, "/users?limit=3"))
    assert service.asked == ["/users?limit=2", "/users?limit=3"]


async def test_that_there_is_none_is_an_answer(cache: Cache, service: Service, caller: Caller) -> None:
    """What a batch leaves out, or a 404 that may be kept, isn't asked for again while that is fresh."""
    service.gone = {2, 3}
    assert await ask(cache, service, by_id(caller, 1, 2)) == {1: [1, 1]}
    assert await ask(cache, service, by_id(caller, 2)) == {}
    assert await ask(cache, service, by_id(caller, 3)) == {}
    assert await ask(cache, service, by_id(caller, 3, 1)) == {1: [1, 1]}
    assert service.asked == [[1, 2], [3]]


@pytest.mark.parametrize("said", ["no-store", "private, max-age=30", "", "max-age=0"])
async def test_what_may_not_be_kept_is_not(cache: Cache, service: Service, caller: Caller, said: str) -> None:
    """Nor what is private to nobody in particular."""
    service.headers = {"cache-control": said}
    for _ in range(2):
        await ask(cache, service, by_id(caller, 1))
        await ask(cache, service, page(caller))
    assert len(service.calls) == 4
    assert len(cache._store) == 0


async def test_an_object_that_could_not_be_read_is_not_kept(cache: Cache, service: Service, caller: Caller) -> None:
    """An error in the place of an object is asked for again."""
    errors = iter([BadAnswer("users", counts=False), [1, 1]])

    async def once(call: Call) -> Reply:
        service.calls.append(call)
        return Reply(
            200,
            {1: next(errors), 2: [2, 1]} if call.keyed and len(call.keyed.keys) == 2 else {1: next(errors)},
            service.headers,
        )

    found = (await cache.lookup(by_id(caller, 1, 2), partial(cache.fill, next=once))).value
    assert isinstance(found[1], BadAnswer)
    found = (await cache.lookup(by_id(caller, 1, 2), partial(cache.fill, next=once))).value
    assert found == {1: [1, 1], 2: [2, 1]}
    assert service.asked == [[1, 2], [1]]


# whose


@pytest.mark.parametrize("said", ["public, max-age=30", "max-age=30", "private, max-age=30"])
async def test_what_came_with_an_identity_is_its_viewers_own(
    cache: Cache, service: Service, clock: Clock, said: str
) -> None:
    """Whatever the answer says of itself: another viewer, and nobody, ask for themselves."""
    service.headers = {"cache-control": said}
    first, second, nobody = (make_caller(clock, sub=sub) for sub in ("1", "2", None))
    for call in (by_id, page):
        service.calls.clear()
        for caller in (first, second, nobody, first, second):
            await ask(cache, service, by_id(caller, 1, identity=True) if call is by_id else page(caller, identity=True))
        callers = [each.caller for each in service.calls]
        assert callers[:3] == [first, second, nobody]
        assert len(callers) == 3


async def test_another_token_is_another_viewer(cache: Cache, service: Service, clock: Clock) -> None:
    """The same person with other rights may see other things."""
    caller = make_caller(clock, sub="1")
    other = replace(caller, identity=Identity("1", "Bearer another"))
    for each in (caller, other, caller, other):
        await ask(cache, service, by_id(each, 1, identity=True))
    assert len(service.calls) == 2


async def test_no_token_is_kept(cache: Cache, service: Service, clock: Clock) -> None:
    """Keys are digests."""
    await ask(cache, service, by_id(make_caller(clock, sub="1"), 1, identity=True))
    assert "secret" not in repr([(key, entry) for key, entry in cache._store._entries.items()])


async def test_without_an_identity_it_is_everybodys(cache: Cache, service: Service, clock: Clock) -> None:
    """A source that is asked for nobody in particular answers all alike, signed in or not."""
    for sub in ("1", "2", None):
        await ask(cache, service, by_id(make_caller(clock, sub=sub), 1))
    assert len(service.calls) == 1


# validators


@pytest.mark.parametrize("said", ["private, no-cache", "no-cache", "max-age=0"])
async def test_what_must_be_asked_for_is_asked_for_with_its_validator(
    cache: Cache, service: Service, clock: Clock, heard: Heard, said: str
) -> None:
    """One by key, several, a page: a 304 brings back what was kept (RFC 9110, section 13.1.2)."""
    service.headers = {"cache-control": said, "etag": '"v1"'}
    caller = make_caller(clock, sub="1")
    for call in (by_id(caller, 1, identity=True), by_id(caller, 2, 3, identity=True), page(caller, identity=True)):
        first = await ask(cache, service, call)
        assert await ask(cache, service, call) == first
    assert service.validators == [None, '"v1"'] * 3
    assert results(heard) == [CacheResult.MISS, CacheResult.REVALIDATED] * 3


async def test_a_changed_answer_takes_the_place_of_the_old(cache: Cache, service: Service, caller: Caller) -> None:
    """Another tag, another value; and the next time its own validator."""
    service.headers = {"cache-control": "no-cache", "etag": '"v1"'}
    await ask(cache, service, by_id(caller, 1))
    service.version, service.headers["etag"] = 2, '"v2"'
    assert await ask(cache, service, by_id(caller, 1)) == {1: [1, 2]}
    assert await ask(cache, service, by_id(caller, 1)) == {1: [1, 2]}
    assert service.validators == [None, '"v1"', '"v2"']


async def test_a_304_makes_it_fresh_again(cache: Cache, service: Service, caller: Caller, clock: Clock) -> None:
    """With the lifetime that the 304 gives."""
    service.headers = {"cache-control": "max-age=10", "etag": '"v1"'}
    await ask(cache, service, by_id(caller, 1))
    clock.now += 11
    service.headers["cache-control"] = "max-age=20"
    await ask(cache, service, by_id(caller, 1))
    clock.now += 19
    await ask(cache, service, by_id(caller, 1))
    assert service.validators == [None, '"v1"']


async def test_a_304_may_end_the_keeping(cache: Cache, service: Service, caller: Caller) -> None:
    """Where it says no-store, it answers this once."""
    service.headers = {"cache-control": "no-cache", "etag": '"v1"'}
    await ask(cache, service, by_id(caller, 1))
    service.headers["cache-control"] = "no-store"
    assert await ask(cache, service, by_id(caller, 1)) == {1: [1, 1]}
    await ask(cache, service, by_id(caller, 1))
    assert service.validators == [None, '"v1"', None]


async def test_a_batchs_tag_is_not_its_objects(cache: Cache, service: Service, caller: Caller, clock: Clock) -> None:
    """An object that came with others is asked for without a validator: the tag was that of the whole."""
    service.headers["etag"] = '"v1"'
    await ask(cache, service, by_id(caller, 1, 2))
    await ask(cache, service, page(caller, objects=[3]))
    clock.now += 31
    await ask(cache, service, by_id(caller, 1))
    await ask(cache, service, by_id(caller, 3))
    assert service.validators == [None, None, None, None]


async def test_vary(cache: Cache, service: Service, clock: Clock) -> None:
    """An answer that depends on a header is for those who send the same (RFC 9111, section 4.1)."""
    service.headers["vary"] = "Accept, Accept-Encoding"
    for _ in range(2):
        await ask(cache, service, by_id(make_caller(clock), 1))
    assert len(service.calls) == 1
    service.headers["vary"] = "X-Request-ID"
    for _ in range(2):
        await ask(cache, service, by_id(make_caller(clock), 2))
    assert len(service.calls) == 3


UNSENDABLE = ['"\xfc"', '"\u0416"', '"a\tb"', '"a\x00b"', '"' + "a" * 1023 + '"', "a b", '"a", "b"', "*", '"a', ""]


@pytest.mark.parametrize("etag", UNSENDABLE, ids=lambda etag: repr(etag)[:12])
async def test_a_validator_that_cannot_be_sent_is_not_kept(
    cache: Cache, service: Service, caller: Caller, clock: Clock, etag: str
) -> None:
    """The answer itself is kept as ever, and asked for plainly when its time is over."""
    service.headers = {"cache-control": "max-age=10", "etag": etag}
    for _ in range(2):
        assert await ask(cache, service, by_id(caller, 1)) == {1: [1, 1]}
        clock.now += 11
    assert service.validators == [None, None]


@pytest.mark.parametrize(
    "failure",
    [
        NotSendable("users"),
        Rejected("users", 400, Problem()),
        BadAnswer("users", counts=False, status=412),
        BadAnswer("users", counts=False, status=431),
        Reply(304, None, {"etag": '"another"'}),
    ],
    ids=str,
)
async def test_a_validator_that_is_of_no_use_is_forgotten(
    cache: Cache, service: Service, caller: Caller, failure: SourceError | Reply
) -> None:
    """Whatever comes of asking with it: it is asked once more without, and the new answer takes the place of the old."""
    service.headers = {"cache-control": "no-cache", "etag": '"v1"'}
    await ask(cache, service, by_id(caller, 1))
    service.version = 2

    async def picky(call: Call) -> Reply:
        if call.validator is None or call.validator == '"v2"':
            return await service(call)
        service.calls.append(call)
        if isinstance(failure, Reply):
            return failure
        raise failure

    service.headers["etag"] = '"v2"'
    found = (await cache.lookup(by_id(caller, 1), partial(cache.fill, next=picky))).value
    assert found == {1: [1, 2]}
    await cache.lookup(by_id(caller, 1), partial(cache.fill, next=picky))
    assert service.validators == [None, '"v1"', None, '"v2"']


@pytest.mark.parametrize("failure", [BadAnswer("users", counts=True, status=502), TimedOut("users", counts=True)], ids=str)
async def test_a_validator_is_not_to_blame_for_every_fault(
    cache: Cache, service: Service, caller: Caller, failure: SourceError
) -> None:
    """A failing service is not asked twice, and the cached answer stays."""
    service.headers = {"cache-control": "no-cache", "etag": '"v1"'}
    await ask(cache, service, by_id(caller, 1))
    service.fault = failure
    with pytest.raises(type(failure)):
        await ask(cache, service, by_id(caller, 1))
    service.fault = None
    await ask(cache, service, by_id(caller, 1))
    assert service.validators == [None, '"v1"', '"v1"']


async def test_long_headers_weigh(clock: Clock, heard: Heard, service: Service, caller: Caller) -> None:
    """What an entry keeps of its answer's headers counts, and what is too long for the rules isn't kept."""
    cache = make_cache(clock, heard, max_bytes=200_000)
    service.headers = {"cache-control": f"max-age=60, {'x' * 900}", "etag": f'"{"e" * 900}"', "vary": f"accept, {'v' * 900}"}
    for key in range(500):
        await ask(cache, service, by_id(caller, key))
    kept = cache._store._entries.values()
    assert 0 < sum(len(value) for entry in kept for value in entry.headers.values()) <= 200_000
    service.headers["vary"] = "accept, " + "v" * 2000
    cache.clear()
    await ask(cache, service, by_id(caller, 1))
    assert len(cache._store) == 0


# stale


FAULTS = [
    Busy("users", 503, 7.0),
    NotReached("users", sent=True),
    TimedOut("users", counts=True),
    BadAnswer("users", counts=True),
    BreakerOpen("users", 3.0),
    QueueFull("users"),
]
REFUSALS = [
    Unauthenticated("users"),
    Forbidden("users"),
    Rejected("users", 400, Problem()),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
async def test_an_old_answer_stands_in_for_a_fault(
    cache: Cache, service: Service, caller: Caller, clock: Clock, fault: SourceError
) -> None:
    """For as long as the service allows, and marked with its age (RFC 5861, section 4)."""
    await ask(cache, service, by_id(caller, 1))
    await ask(cache, service, page(caller))
    clock.now += 100
    service.fault = fault
    assert await ask(cache, service, by_id(caller, 1)) == {1: Stale([1, 1], 100.0, "users")}
    assert (await ask(cache, service, page(caller))).age_s == 100.0
    clock.now += 230
    for call in (by_id(caller, 1), page(caller)):
        with pytest.raises(type(fault)):
            await ask(cache, service, call)


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: type(refusal).__name__)
async def test_none_stands_in_for_a_refusal(
    cache: Cache, service: Service, caller: Caller, clock: Clock, refusal: SourceError
) -> None:
    """A service that says no works well."""
    await ask(cache, service, by_id(caller, 1))
    clock.now += 100
    service.fault = refusal
    with pytest.raises(type(refusal)):
        await ask(cache, service, by_id(caller, 1))


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: type(refusal).__name__)
async def test_what_was_refused_does_not_come_back(
    cache: Cache, service: Service, caller: Caller, clock: Clock, refusal: SourceError
) -> None:
    """A viewer who may see it no longer doesn't see it when the service is away, either: by key, in a batch, on a page."""
    for call in (by_id(caller, 1), by_id(caller, 2, 3), page(caller)):
        if call.keyed is not None and len(call.keyed.keys) > 1 and isinstance(refusal, Rejected):
            continue  # see the next test
        service.fault = None
        await ask(cache, service, call)
        clock.now += 100
        service.fault = refusal
        with pytest.raises(type(refusal)):
            await ask(cache, service, call)
        service.fault = FAULTS[0]
        with pytest.raises(Busy):
            await ask(cache, service, call)


async def test_a_rejected_call_for_strangers_keys_drops_none_of_them(
    cache: Cache, service: Service, caller: Caller, clock: Clock
) -> None:
    """One odd key among them is reason enough for a service to reject all. By itself it is dropped."""
    await ask(cache, service, by_id(caller, 1, 2))
    clock.now += 100
    service.fault = Rejected("users", 400, Problem())
    for keys in ((1, 2, 3), (1,)):
        with pytest.raises(Rejected):
            await ask(cache, service, by_id(caller, *keys))
    service.fault = FAULTS[0]
    answers = await ask(cache, service, by_id(caller, 1, 2))
    assert isinstance(answers[1], Busy)
    assert isinstance(answers[2], Stale)


async def test_what_may_be_kept_no_longer_is_dropped(cache: Cache, service: Service, caller: Caller, clock: Clock) -> None:
    """A service that begins to say no-store means what was kept as well."""
    await ask(cache, service, by_id(caller, 1, 2))
    clock.now += 100
    service.headers = {"cache-control": "no-store"}
    await ask(cache, service, by_id(caller, 1, 2))
    service.fault = FAULTS[0]
    with pytest.raises(Busy):
        await ask(cache, service, by_id(caller, 1, 2))


@pytest.mark.parametrize("said", ["max-age=30", f"{PUBLIC}, must-revalidate", f"{PUBLIC}, no-cache"])
async def test_none_stands_in_without_leave(cache: Cache, service: Service, caller: Caller, clock: Clock, said: str) -> None:
    """What the service didn't allow, or forbade, is not shown when it is old."""
    service.headers = {"cache-control": said, "etag": '"v1"'}
    await ask(cache, service, by_id(caller, 1))
    clock.now += 31
    service.fault = FAULTS[0]
    with pytest.raises(Busy):
        await ask(cache, service, by_id(caller, 1))


async def test_each_key_has_the_best_there_is(cache: Cache, service: Service, caller: Caller, clock: Clock) -> None:
    """Of one batch: fresh, old, known to be absent, and the error for what was never seen."""
    service.gone = {3}
    await ask(cache, service, by_id(caller, 1, 3))
    clock.now += 40
    await ask(cache, service, by_id(caller, 2))
    service.fault = FAULTS[0]
    found = await ask(cache, service, by_id(caller, 1, 2, 3, 4))
    lost = found.pop(4)
    assert found == {1: Stale([1, 1], 40.0, "users"), 2: [2, 1]}
    assert isinstance(lost, type(service.fault))
    assert (lost is service.fault, lost.__traceback__) == (False, None)  # a value: nothing of this request stays with it


async def test_an_old_object_stands_in_for_its_own_error(
    cache: Cache, service: Service, caller: Caller, clock: Clock
) -> None:
    """Where the answer has an error in one object's place, that object may be old."""
    await ask(cache, service, by_id(caller, 1, 2))
    clock.now += 40

    async def half(call: Call) -> Reply:
        return Reply(200, {1: [1, 2], 2: BadAnswer("users", counts=False)}, {})

    found = (await cache.lookup(by_id(caller, 1, 2), partial(cache.fill, next=half))).value
    assert found == {1: [1, 2], 2: Stale([2, 1], 40.0, "users")}


async def test_what_has_a_fallback_says_so(cache: Cache, service: Service, caller: Caller, clock: Clock) -> None:
    """Where all that is asked for could be shown as it was, it need not be tried twice; where a part could not, it may."""
    await ask(cache, service, by_id(caller, 1, 2))
    await ask(cache, service, page(caller))
    clock.now += 100
    for call in (by_id(caller, 1, 3), by_id(caller, 1), by_id(caller, 2), page(caller)):
        await ask(cache, service, call)
    assert [call.has_fallback for call in service.calls] == [False, False, False, True, True]


async def test_an_old_answer_waits_for_one_attempt_and_no_longer(
    cache: Cache, service: Service, clock: Clock, loop_clock: Clock
) -> None:
    """However long the service, or the queue before it, takes: a viewer's too, though nothing runs on for it."""
    service.headers = {"cache-control": "max-age=30, stale-if-error=300"}
    caller = make_caller(clock, sub="1")
    await ask(cache, service, by_id(caller, 1, identity=True))
    clock.now += 100
    service.gate = asyncio.Event()
    for _ in range(2):
        task = asyncio.create_task(ask(cache, service, by_id(caller, 1, identity=True)))
        await clock.advance(2.0)
        assert not task.done()
        await clock.advance(0.25)
        assert type((await ended(task))[1]) is Stale
    assert "0 refreshing" in repr(cache)


async def test_an_old_answer_waits_for_nothing_where_the_source_is_known_to_be_slow(
    cache: Cache, service: Service, caller: Caller, clock: Clock, heard: Heard
) -> None:
    """After a fault that took its time: the old one at once, marked, and a call beside it; until the service answers."""

    async def slow(call: Call) -> Reply:
        clock.now += 2.0
        return await service(call)

    await ask(cache, service, by_id(caller, 1, 2))
    await ask(cache, service, page(caller))
    clock.now += 100
    service.fault = TimedOut("users", counts=True)
    fill = partial(cache.fill, next=slow)
    assert type((await cache.lookup(by_id(caller, 1), fill)).value[1]) is Stale
    service.fault, service.gate = None, asyncio.Event()
    for call in (by_id(caller, 1), by_id(caller, 1, 2), page(caller), by_id(caller, 2)):
        found = (await asyncio.wait_for(cache.lookup(call, fill), 5)).value
        assert all(type(value) is Stale for value in (found.values() if type(found) is dict else [found]))
    assert caller.freshness.may_keep is False
    await settle()
    assert service.asked == [[1, 2], "/users?limit=2", [1], [1], [2], "/users?limit=2"]
    service.version = 2
    service.gate.set()
    await settle()
    clock.now += 40
    assert await ask(cache, service, by_id(caller, 1)) == {1: [1, 2]}


async def test_a_quick_fault_makes_no_source_slow(cache: Cache, service: Service, caller: Caller, clock: Clock) -> None:
    """Who is refused at once can wait for it: the next reader asks, and gets the new answer as soon as there is one."""
    await ask(cache, service, by_id(caller, 1))
    clock.now += 100
    service.fault = NotReached("users", sent=False)
    assert type((await ask(cache, service, by_id(caller, 1)))[1]) is Stale
    service.fault, service.version = None, 2
    assert await ask(cache, service, by_id(caller, 1)) == {1: [1, 2]}


async def test_ages_add_up(cache: Cache, service: Service, caller: Caller, clock: Clock) -> None:
    """What was old when it came is that much older (RFC 9111, section 4.2.3)."""
    service.headers["age"] = "20"
    await ask(cache, service, by_id(caller, 1))
    clock.now += 11
    service.fault = FAULTS[0]
    assert (await ask(cache, service, by_id(caller, 1)))[1].age_s == 31.0


async def test_old_answers_may_serve_while_new_ones_are_fetched(
    cache: Cache, service: Service, caller: Caller, clock: Clock
) -> None:
    """RFC 5861, section 3: the old one at once, not as degraded; one call behind the scenes; then the new one."""
    service.headers = {"cache-control": "max-age=30, stale-while-revalidate=60"}
    await ask(cache, service, by_id(caller, 1, 2))
    clock.now += 40
    service.version, service.gate = 2, asyncio.Event()
    for _ in range(3):
        assert await ask(cache, service, by_id(caller, 1)) == {1: [1, 1]}
        await settle()
    assert service.asked == [[1, 2], [1]]
    assert (caller.freshness.left_s, caller.freshness.may_keep) == (0.0, True)
    assert service.calls[1].caller.deadline.left() == 10.0
    service.gate.set()
    await settle()
    assert await ask(cache, service, by_id(caller, 1)) == {1: [1, 2]}
    assert "0 refreshing" in repr(cache)


async def test_a_page_too_may_serve_while_a_new_one_is_fetched(
    cache: Cache, service: Service, caller: Caller, clock: Clock
) -> None:
    """The same for what is known by its target."""
    service.headers = {"cache-control": "max-age=30, stale-while-revalidate=60"}
    await ask(cache, service, page(caller))
    clock.now += 40
    service.version = 2
    assert (await ask(cache, service, page(caller)))["version"] == 1
    await settle()
    assert (await ask(cache, service, page(caller)))["version"] == 2


async def test_nothing_runs_on_for_a_viewer(cache: Cache, service: Service, clock: Clock) -> None:
    """What carries an identity is fetched in the viewer's own time."""
    service.headers = {"cache-control": "max-age=30, stale-while-revalidate=60"}
    caller = make_caller(clock, sub="1")
    await ask(cache, service, by_id(caller, 1, identity=True))
    clock.now += 40
    service.version = 2
    assert await ask(cache, service, by_id(caller, 1, identity=True)) == {1: [1, 2]}


async def test_a_refresh_that_fails_is_nobodys_error(cache: Cache, service: Service, caller: Caller, clock: Clock) -> None:
    """The old answer serves on while it may; the next reader makes another attempt."""
    service.headers = {"cache-control": "max-age=30, stale-while-revalidate=60"}
    await ask(cache, service, by_id(caller, 1))
    clock.now += 40
    service.fault = FAULTS[0]
    for _ in range(2):
        assert await ask(cache, service, by_id(caller, 1)) == {1: [1, 1]}
        await settle()
    assert len(service.calls) == 3


async def test_closing_stops_what_runs_behind_the_scenes(
    cache: Cache, service: Service, caller: Caller, clock: Clock
) -> None:
    """No task is left over."""
    service.headers = {"cache-control": "max-age=30, stale-while-revalidate=60"}
    await ask(cache, service, by_id(caller, 1))
    clock.now += 40
    service.gate = asyncio.Event()
    await ask(cache, service, by_id(caller, 1))
    await settle()
    await cache.aclose()
    assert len(asyncio.all_tasks()) == 1


# writes


async def test_a_write_drops_what_it_touches(cache: Cache, service: Service, clock: Clock) -> None:
    """The object for every viewer, and all that is a list; other objects stay."""
    first, second = make_caller(clock, sub="1"), make_caller(clock, sub="2")
    for caller in (first, second):
        await ask(cache, service, by_id(caller, 1, 2, identity=True))
        await ask(cache, service, page(caller, identity=True))
        await ask(cache, service, by_id(caller, 7, family="user", identity=True))
    await ask(cache, service, write(first, touches=1))
    service.calls.clear()
    for caller in (first, second):
        await ask(cache, service, by_id(caller, 1, 2, identity=True))
        await ask(cache, service, page(caller, identity=True))
        await ask(cache, service, by_id(caller, 7, family="user", identity=True))
    assert service.asked == [[1], "/users?limit=2", [7]] * 2


async def test_a_write_that_failed_drops_all_the_same(cache: Cache, service: Service, caller: Caller) -> None:
    """Whether the service has acted, nobody knows."""
    await ask(cache, service, by_id(caller, 1))
    service.fault = TimedOut("users", counts=True)
    with pytest.raises(TimedOut):
        await ask(cache, service, write(caller, touches=1))
    with pytest.raises(TimedOut):
        await ask(cache, service, by_id(caller, 1))


@pytest.mark.parametrize("when", ["before", "during"])
@pytest.mark.parametrize("etag", [False, True])
async def test_what_a_write_has_overtaken_is_not_kept(
    cache: Cache, service: Service, caller: Caller, when: str, etag: bool
) -> None:
    """A read that was under way with a write may bring what was before it."""
    if etag:
        service.headers["etag"] = '"v1"'
        service.headers["cache-control"] = "no-cache"
        await ask(cache, service, by_id(caller, 1))
        service.headers["cache-control"] = PUBLIC
    service.gate = asyncio.Event()
    read, change = by_id(caller, 1), write(caller, touches=2)
    calls = (read, change) if when == "before" else (change, read)
    tasks = []
    for call in calls:
        tasks.append(asyncio.create_task(ask(cache, service, call)))
        await settle()
    service.gate.set()
    await asyncio.gather(*tasks)
    service.calls.clear()
    await ask(cache, service, by_id(caller, 1))
    assert len(service.calls) == 1


UNKNOWN = [
    TimedOut("users", counts=True),
    NotReached("users", sent=True),
    BadAnswer("users", counts=True, status=502),
    asyncio.CancelledError(),
]
KNOWN = [
    Rejected("users", 409, Problem()),
    Busy("users", 503, 1.0),
    NotReached("users", sent=False),
    BreakerOpen("users", 3.0),
    NotSendable("users"),
    TimedOut("users", counts=False, asked=False),
]


async def write_that_fails(cache: Cache, service: Service, call: Call, fault: BaseException) -> None:
    """A write that ends so."""
    service.fault = fault
    with pytest.raises(type(fault)):
        await ask(cache, service, call)
    service.fault = None


@pytest.mark.parametrize("fault", UNKNOWN, ids=lambda fault: type(fault).__name__)
async def test_nothing_is_fresh_while_a_write_may_yet_take_effect(
    cache: Cache, service: Service, caller: Caller, clock: Clock, fault: BaseException
) -> None:
    """A write that was cut off may act later: until it surely has, each reader asks, of the object and of lists."""
    await write_that_fails(cache, service, write(caller, touches=1), fault)
    for at in (0.0, 29.0):
        clock.now += at
        for call in (by_id(caller, 1), by_id(caller, 1, 2), page(caller, objects=[1, 3]), by_id(caller, 9, family="user")):
            await ask(cache, service, call)
    assert service.asked[1:] == [[1], [1, 2], "/users?limit=2", [9]] * 2
    assert len(cache._store) == 0
    assert await ask(cache, service, by_id(caller, 4)) == {4: [4, 1]}  # what it doesn't touch is kept as ever
    await ask(cache, service, by_id(caller, 4))
    service.version = 2
    clock.now += 1
    for _ in range(2):
        assert await ask(cache, service, by_id(caller, 1)) == {1: [1, 2]}
    assert service.asked[9:] == [[4], [1]]


async def test_a_validator_is_kept_while_a_write_may_yet_take_effect(cache: Cache, service: Service, caller: Caller) -> None:
    """The service is asked each time, so no change is missed; clients must ask each time too."""
    service.headers["etag"] = '"v1"'
    await write_that_fails(cache, service, write(caller, touches=1), UNKNOWN[0])
    for _ in range(2):
        reply = await cache.lookup(by_id(caller, 1), partial(cache.fill, next=service))
        assert reply.lifetimes is not None
        assert reply.lifetimes.fresh_s <= 0
    service.version, service.headers["etag"] = 2, '"v2"'
    assert await ask(cache, service, by_id(caller, 1)) == {1: [1, 2]}
    assert service.validators[1:] == [None, '"v1"', '"v1"']


@pytest.mark.parametrize("fault", KNOWN, ids=lambda fault: type(fault).__name__)
async def test_a_write_that_surely_ended_unsettles_nothing(
    cache: Cache, service: Service, caller: Caller, fault: SourceError
) -> None:
    """The service said no, or was never reached; but of two attempts the second one's end says nothing of the first."""
    await write_that_fails(cache, service, write(caller, touches=1), fault)
    for _ in range(2):
        await ask(cache, service, by_id(caller, 1))
    assert len(service.calls) == 2
    call = write(caller, touches=1)
    call.tried.extend([1, 2])
    await write_that_fails(cache, service, call, fault)
    for _ in range(2):
        await ask(cache, service, by_id(caller, 1))
    assert len(service.calls) == 5


async def test_what_is_unsettled_is_bounded(cache: Cache, service: Service, caller: Caller, clock: Clock) -> None:
    """Of too many objects it isn't known which: then all of them are."""
    for key in range(1001):
        await write_that_fails(cache, service, write(caller, touches=key), UNKNOWN[0])
    assert len(cache._unsettled._objects) == 1000
    service.calls.clear()
    for _ in range(2):
        await ask(cache, service, by_id(caller, 5000))
    assert len(service.calls) == 2
    clock.now += 31
    await write_that_fails(cache, service, write(caller, touches=1), UNKNOWN[0])
    assert len(cache._unsettled._objects) == 1


# bounds


async def test_so_many_entries_and_no_more(clock: Clock, heard: Heard, service: Service, caller: Caller) -> None:
    """What was not used for longest goes first."""
    cache = make_cache(clock, heard, max_entries=3)
    for key in (1, 2, 3, 1, 4):
        await ask(cache, service, by_id(caller, key))
    await ask(cache, service, by_id(caller, 1, 2, 3, 4))
    assert service.asked == [[1], [2], [3], [4], [2]]


async def test_everything_can_be_forgotten(cache: Cache, service: Service, caller: Caller) -> None:
    """By an administrator."""
    await ask(cache, service, by_id(caller, 1))
    cache.clear()
    await ask(cache, service, by_id(caller, 1))
    assert len(service.calls) == 2
