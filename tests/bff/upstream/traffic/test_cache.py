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
from bff.upstream.conventions import Problem
from bff.upstream.errors import (
    BadAnswer,
    BreakerOpen,
    Busy,
    Forbidden,
    NotReached,
    NotSendable,
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


async def test_a_fresh_reply_needs_no_call(
    cache: Cache, service: Service, caller: Caller, clock: Clock, heard: Heard
) -> None:
    """For exactly as long as the service says."""
    assert await ask(cache, service, by_id(caller, 1)) == {1: [1, 1]}
    service.version = 2
    clock.now += 29.9
    assert await ask(cache, service, by_id(caller, 1)) == {1: [1, 1]}
    clock.now += 0.1
    assert await ask(cache, service, by_id(caller, 1)) == {1: [1, 2]}
    assert service.asked == [[1], [1]]
    assert results(heard) == [CacheResult.MISS, CacheResult.HIT, CacheResult.MISS]


async def test_a_batch_requests_missing_keys_only(cache: Cache, service: Service, caller: Caller, heard: Heard) -> None:
    """Entries are kept for each object, whichever call fetched it."""
    await ask(cache, service, by_id(caller, 1, 2))
    await ask(cache, service, by_id(caller, 3))
    assert await ask(cache, service, by_id(caller, 1, 2, 3, 4)) == {n: [n, 1] for n in (1, 2, 3, 4)}
    assert await ask(cache, service, by_id(caller, 4, 2)) == {4: [4, 1], 2: [2, 1]}
    assert service.asked == [[1, 2], [3], [4]]
    assert results(heard)[-3:] == [CacheResult.PARTIAL, CacheResult.MISS, CacheResult.HIT]


async def test_a_page_fills_its_objects(cache: Cache, service: Service, caller: Caller) -> None:
    """A page's objects are cached by id, and the page itself by its target."""
    await ask(cache, service, page(caller, objects=[1, 2]))
    assert await ask(cache, service, by_id(caller, 1, 2)) == {1: [1, 1], 2: [2, 1]}
    assert (await ask(cache, service, page(caller)))["version"] == 1
    await ask(cache, service, page(caller, "/users?limit=3"))
    assert service.asked == ["/users?limit=2", "/users?limit=3"]


async def test_that_an_object_does_not_exist_is_cached(cache: Cache, service: Service, caller: Caller) -> None:
    """A key that a batch leaves out, or a cacheable 404, isn't requested again while that is fresh."""
    service.gone = {2, 3}
    assert await ask(cache, service, by_id(caller, 1, 2)) == {1: [1, 1]}
    assert await ask(cache, service, by_id(caller, 2)) == {}
    assert await ask(cache, service, by_id(caller, 3)) == {}
    assert await ask(cache, service, by_id(caller, 3, 1)) == {1: [1, 1]}
    assert service.asked == [[1, 2], [3]]


@pytest.mark.parametrize("said", ["no-store", "private, max-age=30", "", "max-age=0"])
async def test_a_reply_that_must_not_be_cached_is_not(cache: Cache, service: Service, caller: Caller, said: str) -> None:
    """Nor is a private reply to a call without identity."""
    service.headers = {"cache-control": said}
    for _ in range(2):
        await ask(cache, service, by_id(caller, 1))
        await ask(cache, service, page(caller))
    assert len(service.calls) == 4
    assert len(cache._state.store) == 0


async def test_an_unreadable_object_is_not_cached(cache: Cache, service: Service, caller: Caller) -> None:
    """An error in place of an object: the object is requested again."""
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
async def test_a_reply_with_identity_is_cached_for_its_viewer_alone(
    cache: Cache, service: Service, clock: Clock, said: str
) -> None:
    """Whatever its headers say: another viewer, and a call without identity, make their own calls."""
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
    """Another token of the same user may permit other things."""
    caller = make_caller(clock, sub="1")
    other = replace(caller, identity=Identity("1", "Bearer another"))
    for each in (caller, other, caller, other):
        await ask(cache, service, by_id(each, 1, identity=True))
    assert len(service.calls) == 2


async def test_no_token_is_kept(cache: Cache, service: Service, clock: Clock) -> None:
    """The store's keys have digests."""
    await ask(cache, service, by_id(make_caller(clock, sub="1"), 1, identity=True))
    assert "secret" not in repr([(key, entry) for key, entry in cache._state.store._entries.items()])


async def test_a_reply_without_identity_is_cached_for_all(cache: Cache, service: Service, clock: Clock) -> None:
    """If a source gets no identity, all users share its replies, signed in or not."""
    for sub in ("1", "2", None):
        await ask(cache, service, by_id(make_caller(clock, sub=sub), 1))
    assert len(service.calls) == 1


# validators


@pytest.mark.parametrize("said", ["private, no-cache", "no-cache", "max-age=0"])
async def test_a_stale_entry_is_revalidated_with_its_tag(
    cache: Cache, service: Service, clock: Clock, heard: Heard, said: str
) -> None:
    """One key, several keys, a page: a 304 makes the cached value the reply (RFC 9110, section 13.1.2)."""
    service.headers = {"cache-control": said, "etag": '"v1"'}
    caller = make_caller(clock, sub="1")
    for call in (by_id(caller, 1, identity=True), by_id(caller, 2, 3, identity=True), page(caller, identity=True)):
        first = await ask(cache, service, call)
        assert await ask(cache, service, call) == first
    assert service.validators == [None, '"v1"'] * 3
    assert results(heard) == [CacheResult.MISS, CacheResult.REVALIDATED] * 3


async def test_a_changed_reply_replaces_the_entry(cache: Cache, service: Service, caller: Caller) -> None:
    """Another tag, another value. The next call sends the new tag."""
    service.headers = {"cache-control": "no-cache", "etag": '"v1"'}
    await ask(cache, service, by_id(caller, 1))
    service.version, service.headers["etag"] = 2, '"v2"'
    assert await ask(cache, service, by_id(caller, 1)) == {1: [1, 2]}
    assert await ask(cache, service, by_id(caller, 1)) == {1: [1, 2]}
    assert service.validators == [None, '"v1"', '"v2"']


async def test_a_304_makes_it_fresh_again(cache: Cache, service: Service, caller: Caller, clock: Clock) -> None:
    """With the lifetime in the 304's headers."""
    service.headers = {"cache-control": "max-age=10", "etag": '"v1"'}
    await ask(cache, service, by_id(caller, 1))
    clock.now += 11
    service.headers["cache-control"] = "max-age=20"
    await ask(cache, service, by_id(caller, 1))
    clock.now += 19
    await ask(cache, service, by_id(caller, 1))
    assert service.validators == [None, '"v1"']


async def test_a_304_with_no_store_drops_the_entry(cache: Cache, service: Service, caller: Caller) -> None:
    """The entry is used for this reply only."""
    service.headers = {"cache-control": "no-cache", "etag": '"v1"'}
    await ask(cache, service, by_id(caller, 1))
    service.headers["cache-control"] = "no-store"
    assert await ask(cache, service, by_id(caller, 1)) == {1: [1, 1]}
    await ask(cache, service, by_id(caller, 1))
    assert service.validators == [None, '"v1"', None]


async def test_a_batchs_tag_is_not_its_objects(cache: Cache, service: Service, caller: Caller, clock: Clock) -> None:
    """An object from a batch is requested without a validator: the tag was that of the whole batch."""
    service.headers["etag"] = '"v1"'
    await ask(cache, service, by_id(caller, 1, 2))
    await ask(cache, service, page(caller, objects=[3]))
    clock.now += 31
    await ask(cache, service, by_id(caller, 1))
    await ask(cache, service, by_id(caller, 3))
    assert service.validators == [None, None, None, None]


async def test_vary(cache: Cache, service: Service, clock: Clock) -> None:
    """An entry that depends on a header is used for calls with the same value only (RFC 9111, section 4.1)."""
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
    """The reply is cached, and requested without a validator when it is stale."""
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
async def test_a_validator_that_the_service_rejects_is_dropped(
    cache: Cache, service: Service, caller: Caller, failure: SourceError | Reply
) -> None:
    """Whatever the error: the call is made again without it, and the new reply replaces the entry."""
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
async def test_other_errors_do_not_drop_the_validator(
    cache: Cache, service: Service, caller: Caller, failure: SourceError
) -> None:
    """A failing service isn't called twice, and the entry stays."""
    service.headers = {"cache-control": "no-cache", "etag": '"v1"'}
    await ask(cache, service, by_id(caller, 1))
    service.fault = failure
    with pytest.raises(type(failure)):
        await ask(cache, service, by_id(caller, 1))
    service.fault = None
    await ask(cache, service, by_id(caller, 1))
    assert service.validators == [None, '"v1"', '"v1"']


async def test_long_headers_count_as_memory(clock: Clock, heard: Heard, service: Service, caller: Caller) -> None:
    """The headers in an entry count, and a header that is too long for the rules isn't kept."""
    cache = make_cache(clock, heard, max_bytes=200_000)
    service.headers = {"cache-control": f"max-age=60, {'x' * 900}", "etag": f'"{"e" * 900}"', "vary": f"accept, {'v' * 900}"}
    for key in range(500):
        await ask(cache, service, by_id(caller, key))
    kept = [entry for entry, _ in cache._state.store._entries.values()]
    assert 0 < sum(len(value) for entry in kept for value in entry.headers.values()) <= 200_000
    service.headers["vary"] = "accept, " + "v" * 2000
    cache.clear()
    await ask(cache, service, by_id(caller, 1))
    assert len(cache._state.store) == 0


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
async def test_an_older_entry_stands_in_for_an_error(
    cache: Cache, service: Service, caller: Caller, clock: Clock, fault: SourceError
) -> None:
    """For as long as the service allows, with its age (RFC 5861, section 4)."""
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
async def test_no_entry_stands_in_for_a_refusal(
    cache: Cache, service: Service, caller: Caller, clock: Clock, refusal: SourceError
) -> None:
    """A service that refuses the request works."""
    await ask(cache, service, by_id(caller, 1))
    clock.now += 100
    service.fault = refusal
    with pytest.raises(type(refusal)):
        await ask(cache, service, by_id(caller, 1))


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: type(refusal).__name__)
async def test_a_refused_entry_is_dropped(
    cache: Cache, service: Service, caller: Caller, clock: Clock, refusal: SourceError
) -> None:
    """What a viewer may no longer see isn't shown when the service fails, either: by key, in a batch, on a page."""
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


async def test_a_rejected_shared_call_drops_no_entries(cache: Cache, service: Service, caller: Caller, clock: Clock) -> None:
    """One invalid key may be the reason why the service rejects all keys. A key that is rejected alone is dropped."""
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


async def test_no_store_drops_an_older_entry(cache: Cache, service: Service, caller: Caller, clock: Clock) -> None:
    """A service that begins to send no-store means its older replies as well."""
    await ask(cache, service, by_id(caller, 1, 2))
    clock.now += 100
    service.headers = {"cache-control": "no-store"}
    await ask(cache, service, by_id(caller, 1, 2))
    service.fault = FAULTS[0]
    with pytest.raises(Busy):
        await ask(cache, service, by_id(caller, 1, 2))


@pytest.mark.parametrize("said", ["max-age=30", f"{PUBLIC}, must-revalidate", f"{PUBLIC}, no-cache"])
async def test_no_entry_stands_in_unless_the_service_allows_it(
    cache: Cache, service: Service, caller: Caller, clock: Clock, said: str
) -> None:
    """Without stale-if-error, or with a directive that forbids it, a stale entry isn't shown."""
    service.headers = {"cache-control": said, "etag": '"v1"'}
    await ask(cache, service, by_id(caller, 1))
    clock.now += 31
    service.fault = FAULTS[0]
    with pytest.raises(Busy):
        await ask(cache, service, by_id(caller, 1))


async def test_each_key_gets_its_best_value(cache: Cache, service: Service, caller: Caller, clock: Clock) -> None:
    """In one batch: fresh, stale, known to be absent, and the error for a key without an entry."""
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


async def test_an_older_entry_stands_in_for_one_objects_error(
    cache: Cache, service: Service, caller: Caller, clock: Clock
) -> None:
    """A reply may have an error in place of one object."""
    await ask(cache, service, by_id(caller, 1, 2))
    clock.now += 40

    async def half(call: Call) -> Reply:
        return Reply(200, {1: [1, 2], 2: BadAnswer("users", counts=False)}, {})

    found = (await cache.lookup(by_id(caller, 1, 2), partial(cache.fill, next=half))).value
    assert found == {1: [1, 2], 2: Stale([2, 1], 40.0, "users")}


async def test_a_call_with_a_fallback_is_marked(cache: Cache, service: Service, caller: Caller, clock: Clock) -> None:
    """If all requested keys have an older entry, the call isn't retried. If only some have, it may be."""
    await ask(cache, service, by_id(caller, 1, 2))
    await ask(cache, service, page(caller))
    clock.now += 100
    for call in (by_id(caller, 1, 3), by_id(caller, 1), by_id(caller, 2), page(caller)):
        await ask(cache, service, call)
    assert [call.has_fallback for call in service.calls] == [False, False, False, True, True]


async def test_with_a_fallback_a_read_waits_for_one_attempt_only(
    cache: Cache, service: Service, clock: Clock, loop_clock: Clock
) -> None:
    """However long the service or the queue takes. For a viewer too, but without a refresh in the background."""
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


async def test_with_a_slow_source_the_older_entry_is_used_at_once(
    cache: Cache, service: Service, caller: Caller, clock: Clock, heard: Heard
) -> None:
    """After a slow error: the entry, marked as stale, and a refresh in the background, until the service replies."""

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


async def test_a_quick_error_does_not_mark_the_source_as_slow(
    cache: Cache, service: Service, caller: Caller, clock: Clock
) -> None:
    """The next read calls the service, and gets a new reply as soon as there is one."""
    await ask(cache, service, by_id(caller, 1))
    clock.now += 100
    service.fault = NotReached("users", sent=False)
    assert type((await ask(cache, service, by_id(caller, 1)))[1]) is Stale
    service.fault, service.version = None, 2
    assert await ask(cache, service, by_id(caller, 1)) == {1: [1, 2]}


async def test_ages_add_up(cache: Cache, service: Service, caller: Caller, clock: Clock) -> None:
    """The reply's age at arrival counts (RFC 9111, section 4.2.3)."""
    service.headers["age"] = "20"
    await ask(cache, service, by_id(caller, 1))
    clock.now += 11
    service.fault = FAULTS[0]
    assert (await ask(cache, service, by_id(caller, 1)))[1].age_s == 31.0


async def test_stale_while_revalidate(cache: Cache, service: Service, caller: Caller, clock: Clock) -> None:
    """RFC 5861, section 3: the stale entry at once, not as degraded; one call in the background; then the new value."""
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


async def test_stale_while_revalidate_for_a_page(cache: Cache, service: Service, caller: Caller, clock: Clock) -> None:
    """The same for an entry under its target."""
    service.headers = {"cache-control": "max-age=30, stale-while-revalidate=60"}
    await ask(cache, service, page(caller))
    clock.now += 40
    service.version = 2
    assert (await ask(cache, service, page(caller)))["version"] == 1
    await settle()
    assert (await ask(cache, service, page(caller)))["version"] == 2


async def test_there_is_no_background_refresh_for_a_viewer(cache: Cache, service: Service, clock: Clock) -> None:
    """A call with an identity ends with the viewer's request."""
    service.headers = {"cache-control": "max-age=30, stale-while-revalidate=60"}
    caller = make_caller(clock, sub="1")
    await ask(cache, service, by_id(caller, 1, identity=True))
    clock.now += 40
    service.version = 2
    assert await ask(cache, service, by_id(caller, 1, identity=True)) == {1: [1, 2]}


async def test_a_failed_refresh_raises_nowhere(cache: Cache, service: Service, caller: Caller, clock: Clock) -> None:
    """The stale entry is used while it may be. The next read starts another refresh."""
    service.headers = {"cache-control": "max-age=30, stale-while-revalidate=60"}
    await ask(cache, service, by_id(caller, 1))
    clock.now += 40
    service.fault = FAULTS[0]
    for _ in range(2):
        assert await ask(cache, service, by_id(caller, 1)) == {1: [1, 1]}
        await settle()
    assert len(service.calls) == 3


async def test_closing_cancels_refreshes(cache: Cache, service: Service, caller: Caller, clock: Clock) -> None:
    """No task is left running."""
    service.headers = {"cache-control": "max-age=30, stale-while-revalidate=60"}
    await ask(cache, service, by_id(caller, 1))
    clock.now += 40
    service.gate = asyncio.Event()
    await ask(cache, service, by_id(caller, 1))
    await settle()
    await cache.aclose()
    assert len(asyncio.all_tasks()) == 1


# writes


async def test_a_write_drops_what_it_changes(cache: Cache, service: Service, clock: Clock) -> None:
    """The object for every viewer, and all lists. Other objects stay."""
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


async def test_a_failed_write_drops_the_entries_too(cache: Cache, service: Service, caller: Caller) -> None:
    """The service may have executed it."""
    await ask(cache, service, by_id(caller, 1))
    service.fault = TimedOut("users", counts=True)
    with pytest.raises(TimedOut):
        await ask(cache, service, write(caller, touches=1))
    with pytest.raises(TimedOut):
        await ask(cache, service, by_id(caller, 1))


@pytest.mark.parametrize("when", ["before", "during"])
@pytest.mark.parametrize("etag", [False, True])
async def test_a_reply_from_before_a_write_is_not_cached(
    cache: Cache, service: Service, caller: Caller, when: str, etag: bool
) -> None:
    """A read that runs at the same time as a write may get the state from before it."""
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
    """A write that fails with this error."""
    service.fault = fault
    with pytest.raises(type(fault)):
        await ask(cache, service, call)
    service.fault = None


@pytest.mark.parametrize("fault", UNKNOWN, ids=lambda fault: type(fault).__name__)
async def test_nothing_is_fresh_while_a_write_is_unsettled(
    cache: Cache, service: Service, caller: Caller, clock: Clock, fault: BaseException
) -> None:
    """A write that timed out may take effect later: until it no longer can, each read of the object and of lists calls."""
    await write_that_fails(cache, service, write(caller, touches=1), fault)
    for at in (0.0, 29.0):
        clock.now += at
        for call in (by_id(caller, 1), by_id(caller, 1, 2), page(caller, objects=[1, 3]), by_id(caller, 9, family="user")):
            await ask(cache, service, call)
    assert service.asked[1:] == [[1], [1, 2], "/users?limit=2", [9]] * 2
    assert len(cache._state.store) == 0
    assert await ask(cache, service, by_id(caller, 4)) == {4: [4, 1]}  # what it doesn't touch is kept as ever
    await ask(cache, service, by_id(caller, 4))
    service.version = 2
    clock.now += 1
    for _ in range(2):
        assert await ask(cache, service, by_id(caller, 1)) == {1: [1, 2]}
    assert service.asked[9:] == [[4], [1]]


async def test_a_validator_is_used_while_a_write_is_unsettled(cache: Cache, service: Service, caller: Caller) -> None:
    """The service gets a call each time, so no change is missed. Clients must revalidate each time too."""
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
async def test_a_write_with_a_known_outcome_is_settled(
    cache: Cache, service: Service, caller: Caller, fault: SourceError
) -> None:
    """The service refused it or never got it. After two attempts, the second error says nothing about the first attempt."""
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


async def test_the_number_of_unsettled_objects_is_limited(
    cache: Cache, service: Service, caller: Caller, clock: Clock
) -> None:
    """Beyond it, all objects count as unsettled."""
    for key in range(1001):
        await write_that_fails(cache, service, write(caller, touches=key), UNKNOWN[0])
    assert len(cache.fill._unsettled._objects) == 1000
    service.calls.clear()
    for _ in range(2):
        await ask(cache, service, by_id(caller, 5000))
    assert len(service.calls) == 2
    clock.now += 31
    await write_that_fails(cache, service, write(caller, touches=1), UNKNOWN[0])
    assert len(cache.fill._unsettled._objects) == 1


# bounds


async def test_the_number_of_entries_is_limited(clock: Clock, heard: Heard, service: Service, caller: Caller) -> None:
    """The least recently used is evicted."""
    cache = make_cache(clock, heard, max_entries=3)
    for key in (1, 2, 3, 1, 4):
        await ask(cache, service, by_id(caller, key))
    await ask(cache, service, by_id(caller, 1, 2, 3, 4))
    assert service.asked == [[1], [2], [3], [4], [2]]


async def test_the_cache_can_be_cleared(cache: Cache, service: Service, caller: Caller) -> None:
    """By an administrator."""
    await ask(cache, service, by_id(caller, 1))
    cache.clear()
    await ask(cache, service, by_id(caller, 1))
    assert len(service.calls) == 2
