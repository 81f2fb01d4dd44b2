"""The base of all sources: endpoints, batches, pages and writes as rest.md has them, and what each failure costs."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from bff.upstream.caller import Caller
from bff.upstream.errors import (
    BadAnswer,
    Busy,
    Forbidden,
    Mismatched,
    Misshapen,
    NotReached,
    Rejected,
    SourceError,
    Unauthenticated,
)
from bff.upstream.reads import BadCursor, Page
from datasources.orders import Order, Orders
from datasources.products import Product, Products
from datasources.users import User, Users
from tests.support.fakes import (
    AUTHORIZATION,
    SUB,
    TRACEPARENT,
    Clock,
    Heard,
    Service,
    a_product,
    a_user,
    an_order,
    ended,
    get,
    hang,
    make_caller,
    problem,
    settle,
    without,
)
from tests.support.source_fixtures import MakeSource

KINDS = [(Users, User, a_user), (Orders, Order, an_order), (Products, Product, a_product)]
every_source = pytest.mark.parametrize(("kind", "record", "example"), KINDS, ids=["users", "orders", "products"])


def items(*members: Any, **more: Any) -> dict[str, Any]:
    """An answer with those items."""
    return {"items": list(members), **more}


def page_of(*members: Any, cursor: str | None = None, total: int = 7) -> dict[str, Any]:
    """An answer that is a page."""
    return items(*members, nextCursor=cursor, total=total)


def faults(found: Any) -> dict[int, Any]:
    """What was found, with errors as (class, whether it counts) and records as their ids."""
    shown: dict[type, type] = {Misshapen: BadAnswer}  # alone, or as one row of several: it is lost all the same
    return {
        key: (shown.get(type(it), type(it)), it.counts) if isinstance(it, SourceError) else it.id
        for key, it in found.items()
    }


LOST = (BadAnswer, False)
"""One object that can't be read: its own loss, and not held against the service."""


# one


@every_source
async def test_one_by_its_id(
    make_source: MakeSource, service: Service, caller: Caller, kind: Any, record: Any, example: Any
) -> None:
    """`GET /{resource}/{id}`; members that aren't known are ignored."""
    source = make_source(kind)
    service.answers = {f"{kind.path}/7": example(7, whatever={"is": [1, 2]}, more=None)}
    found = await get(source, caller, 7)
    assert isinstance(found, record)
    assert found.id == 7
    assert service.asked == [f"GET /{kind.name}/7"]


async def test_one_that_is_not_there(users: Users, service: Service, caller: Caller, heard: Heard) -> None:
    """404 is an answer: None, and a good outcome under the route's template."""
    assert await get(users, caller, 7) is None
    assert [(event.route, event.outcome) for event in heard.ended] == [("/users/{id}", "ok")]


@pytest.mark.parametrize("other", [8, -7, 70])
async def test_one_that_was_not_asked_for(users: Users, service: Service, caller: Caller, other: int) -> None:
    """An entity with another id than asked is no answer: nobody is shown somebody else."""
    service.answers = {"/users/7": a_user(other)}
    with pytest.raises(BadAnswer) as caught:
        await get(users, caller, 7)
    assert caught.value.counts is False


@pytest.mark.parametrize(
    ("body", "counts"),
    [
        (without(a_user(7), "email"), False),
        (a_user(7, id="7"), False),
        (a_user(7, id=7.0), False),
        (a_user(7, id=True), False),
        (a_user(7, email=None), False),
        (a_user(7, tier="gold"), False),
        (a_user(7, createdAt="yesterday"), False),
        ([], False),
        (b"null", False),
        (b'{"id":7', True),
        (b"", True),
    ],
    ids=repr,
)
async def test_one_that_cannot_be_read(users: Users, service: Service, caller: Caller, body: Any, counts: bool) -> None:
    """A required member missing or of the wrong type: that object is lost. What is no JSON counts against the service."""
    service.answers = {"/users/7": body}
    with pytest.raises(BadAnswer) as caught:
        await get(users, caller, 7)
    assert caught.value.counts is counts


# many


async def test_nobody_is_asked_for_nothing(users: Users, service: Service, caller: Caller) -> None:
    """Without ids there is no call."""
    assert await users.by_id.load(caller, []) == {}
    assert service.asked == []


@every_source
async def test_many_by_their_ids(
    make_source: MakeSource, service: Service, caller: Caller, kind: Any, record: Any, example: Any
) -> None:
    """`GET /{resource}?ids=3,1,2`: each id once though asked twice; in any order; what does not exist is left out."""
    service.answers = {f"{kind.path}?ids=3,1,2,4": items(example(2), example(4), example(3))}
    found = await make_source(kind).by_id.load(caller, [3, 1, 3, 2, 1, 4])
    assert faults(found) == {2: 2, 3: 3, 4: 4}
    assert all(isinstance(it, record) for it in found.values())
    assert service.asked == [f"GET /{kind.name}?ids=3,1,2,4"]


@pytest.mark.parametrize("ids", [[7], [7, 7, 7]])
async def test_a_single_one_is_asked_for_by_its_own_path(
    users: Users, service: Service, caller: Caller, ids: Sequence[int]
) -> None:
    """One id, however often, is `GET /{resource}/{id}`: found, left out, or its error."""
    service.answers = {"/users/7": a_user(7)}
    assert faults(await users.by_id.load(caller, ids)) == {7: 7}
    service.answers = {}
    assert await users.by_id.load(caller, ids) == {}
    service.answers = {"/users/7": a_user(8)}
    assert faults(await users.by_id.load(caller, ids)) == {7: (Mismatched, False)}
    service.answers = {"/users/7": problem(503)}
    assert faults(await users.by_id.load(caller, ids)) == {7: (Busy, True)}
    assert service.asked == ["GET /users/7"] * 4


def all_there(request: httpx.Request) -> Any:
    """A service where every user exists, by path or by ids."""
    wanted = request.url.params.get("ids")
    if wanted is None:
        return a_user(int(request.url.path.rpartition("/")[2]))
    return items(*(a_user(int(one)) for one in reversed(wanted.split(","))))


@pytest.mark.parametrize(("number", "chunks"), [(2, [2]), (200, [200]), (201, [200, 1]), (401, [200, 200, 1])])
async def test_at_most_200_ids_a_call(
    users: Users, service: Service, caller: Caller, number: int, chunks: list[int]
) -> None:
    """More go out as several calls, together as complete as one."""
    service.every = all_there
    found = await users.by_id.load(caller, range(1, number + 1))
    assert faults(found) == {one: one for one in range(1, number + 1)}
    # what is left as a single one is asked for by its path
    assert [len(request.url.params.get("ids", "1").split(",")) for request in service.requests] == chunks
    assert caller.calls == {"users": len(chunks)}


async def test_chunks_go_out_at_once(users: Users, service: Service, caller: Caller) -> None:
    """No chunk waits for another: all are out before any is answered."""
    all_out = asyncio.Event()

    async def answer_when_all_are_out(request: httpx.Request) -> Any:
        if len(service.requests) == 3:
            all_out.set()
        await all_out.wait()
        return all_there(request)

    service.every = answer_when_all_are_out
    found = await asyncio.wait_for(users.by_id.load(caller, range(1, 500)), 30)
    assert len(found) == 499


@pytest.mark.parametrize(
    ("broken", "fault"),
    [
        (problem(500), (BadAnswer, True)),
        (problem(503), (Busy, True)),
        (problem(401), (Unauthenticated, False)),
        (problem(403), (Forbidden, False)),
        (problem(400), (Rejected, False)),
        (problem(404), (Rejected, False)),
        (b"<html>", (BadAnswer, True)),
        (b'{"items":[{"id":1,', (BadAnswer, True)),
        ({"entries": []}, LOST),
        ({"items": None}, LOST),
        ({"items": {"1": {}}}, LOST),
        ([], LOST),
    ],
    ids=lambda value: repr(value)[:40],
)
async def test_a_chunk_that_fails_costs_its_own_keys(
    users: Users, service: Service, caller: Caller, broken: Any, fault: Any
) -> None:
    """What was asked for in other calls is there; what was asked for in this one has its error."""
    service.every = lambda request: broken if ",400" in request.url.params["ids"] else all_there(request)
    found = faults(await users.by_id.load(caller, range(1, 501)))
    assert found == {one: fault if 200 < one <= 400 else one for one in range(1, 501)}


async def test_a_broken_connection_costs_its_own_keys(users: Users, service: Service, caller: Caller) -> None:
    """Neither is a chunk whose connection breaks anyone else's affair."""

    def broken(request: httpx.Request) -> Any:
        if "201" in request.url.params["ids"]:
            raise httpx.ReadError("reset")
        return all_there(request)

    service.every = broken
    found = faults(await users.by_id.load(caller, range(1, 203)))
    assert found == {one: (NotReached, True) if one > 200 else one for one in range(1, 203)}


BROKEN = [
    without(a_user(2), "email"),
    a_user(2, email=7),
    a_user(2, tier="gold"),
    a_user(2, createdAt="2026-13-01T00:00:00Z"),
    {"id": 2},
    {"id": 2, "userId": "x"},
]
NAMELESS: list[Any] = [
    without(a_user(2), "id"),
    a_user(2, id="2"),
    a_user(2, id=True),
    a_user(2, id=2.5),
    a_user(2, id=None),
    None,
    7,
    "x",
    [],
    {},
]


@pytest.mark.parametrize("broken", BROKEN, ids=repr)
@pytest.mark.parametrize("place", [0, 1, 2])
async def test_one_broken_object_costs_itself_alone(
    users: Users, service: Service, caller: Caller, broken: Any, place: int
) -> None:
    """A required member missing or of the wrong type: that object's id has the error, wherever it stood."""
    members = [a_user(1), a_user(3)]
    members.insert(place, broken)
    service.answers = {"/users?ids=1,2,3,4": items(*members)}
    assert faults(await users.by_id.load(caller, [1, 2, 3, 4])) == {1: 1, 2: LOST, 3: 3}


@pytest.mark.parametrize("broken", NAMELESS, ids=repr)
@pytest.mark.parametrize("place", [0, 1, 2])
async def test_one_without_an_id_may_be_any_that_is_missing(
    users: Users, service: Service, caller: Caller, broken: Any, place: int
) -> None:
    """Whoever can't be told may be any of those otherwise missing: they are errors and not absent; the others are there."""
    members = [a_user(1), a_user(3)]
    members.insert(place, broken)
    service.answers = {"/users?ids=1,2,3,4": items(*members)}
    assert faults(await users.by_id.load(caller, [1, 2, 3, 4])) == {1: 1, 2: LOST, 3: 3, 4: LOST}


@pytest.mark.parametrize("other", [a_user(9), {"id": 8}, {"id": -1}], ids=repr)
async def test_what_was_not_asked_for_spoils_the_answer(
    users: Users, service: Service, caller: Caller, other: dict[str, Any]
) -> None:
    """Whole or broken: an answer with an object of another id may belong to another viewer."""
    service.answers = {"/users?ids=1,2": items(other, a_user(1))}
    assert faults(await users.by_id.load(caller, [1, 2])) == dict.fromkeys([1, 2], (Mismatched, False))


@pytest.mark.parametrize("other", [a_product(9), {"id": 8}], ids=["whole", "broken"])
async def test_of_what_anybody_may_see_the_rest_is_shown(
    make_source: MakeSource, service: Service, caller: Caller, other: dict[str, Any]
) -> None:
    """Without an identity, rows that were asked for are good; what is missing beside rows that were not may exist."""
    products = make_source(Products, forward_identity=False)
    service.every = lambda _: items(other, a_product(1))
    assert faults(await products.by_id.load(caller, [1, 2])) == {1: 1, 2: (Mismatched, False)}
    service.every = lambda _: items(other, other)
    assert faults(await products.by_id.load(caller, [1, 2])) == dict.fromkeys([1, 2], (Mismatched, False))
    assert len(service.asked) == 2


@pytest.mark.parametrize(
    "members", [[a_user(1), {"id": 1}], [{"id": 1}, a_user(1)], [None, a_user(1)], [a_user(1), a_user(1)]]
)
async def test_sent_twice_the_whole_one_holds(users: Users, service: Service, caller: Caller, members: list[Any]) -> None:
    """A broken twin does not spoil the object that came whole."""
    service.answers = {"/users?ids=1,2": items(*members, a_user(2))}
    assert faults(await users.by_id.load(caller, [1, 2])) == {1: 1, 2: 2}


async def test_broken_objects_open_no_breaker(users: Users, service: Service, caller: Caller) -> None:
    """A service with one odd object works: however often it is asked for, nothing is held against it."""
    service.answers = {"/users?ids=1,2": items(a_user(1), {"id": 2}), "/users/2": {"id": 2}}
    for _ in range(20):
        assert faults(await users.by_id.load(caller, [1, 2])) == {1: 1, 2: LOST}
        assert faults(await users.by_id.load(caller, [2])) == {2: LOST}
    assert len(service.asked) == 40


async def test_giving_up_gives_up_all_chunks(users: Users, service: Service, caller: Caller, heard: Heard) -> None:
    """Cancellation reaches every call that was made for it."""
    service.every = hang
    task = asyncio.create_task(users.by_id.load(caller, range(1, 500)))
    await settle()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ended(task)
    assert [event.outcome for event in heard.ended] == ["cancelled"] * 3


# pages


@every_source
async def test_a_page(
    make_source: MakeSource, service: Service, caller: Caller, kind: Any, record: Any, example: Any
) -> None:
    """`GET /{resource}?limit=20`, then with `&cursor=C`: items in the service's order, its cursor and its total."""
    source = make_source(kind)
    service.answers = {
        f"{kind.path}?limit=2": page_of(example(9), example(3), cursor="C"),
        f"{kind.path}?limit=2&cursor=C": page_of(example(1), cursor=None),
    }
    first = await source.page.load(caller, limit=2, cursor=None)
    assert ([it.id for it in first.items], first.next_cursor, first.total) == ([9, 3], "C", 7)
    assert all(isinstance(it, record) for it in first.items)
    second = await source.page.load(caller, limit=2, cursor=first.next_cursor)
    assert ([it.id for it in second.items], second.next_cursor, second.total) == ([1], None, 7)


@pytest.mark.parametrize(
    ("cursor", "filters", "query"),
    [
        (None, {}, "limit=20"),
        ("C", {}, "limit=20&cursor=C"),
        (None, {"search": None, "category": None}, "limit=20"),
        ("C", {"search": "toy", "category": "toys"}, "limit=20&cursor=C&search=toy&category=toys"),
        ("C", {"status": "paid"}, "limit=20&cursor=C&status=paid"),
        (None, {"search": ""}, "limit=20&search="),
        (None, {"search": "a&limit=200#x"}, "limit=20&search=a%26limit%3D200%23x"),
        (None, {"search": "50% off?/ü"}, "limit=20&search=50%25+off%3F%2F%C3%BC"),
        (None, {"search": "a\r\nX-Admin: 1"}, "limit=20&search=a%0D%0AX-Admin%3A+1"),
        ("a+b/c==", {}, "limit=20&cursor=a%2Bb%2Fc%3D%3D"),
    ],
)
async def test_a_pages_query_string(
    make_source: MakeSource,
    service: Service,
    caller: Caller,
    cursor: str | None,
    filters: dict[str, str | None],
    query: str,
) -> None:
    """What isn't given is left out; what is given can't become anything else."""
    service.every = lambda _: page_of()
    kind: Any = Orders if "status" in filters else Products
    source = make_source(kind)
    assert await source.page.load(caller, limit=20, cursor=cursor, **filters) == Page([], None, 7)
    assert service.asked == [f"GET {source.path}?{query}"]


async def test_a_filter_that_is_not_declared_is_a_mistake_of_the_program(products: Products, caller: Caller) -> None:
    """Named, and nothing is asked."""
    with pytest.raises(TypeError, match=r"products\.page has no filter status"):
        await products.page.load(caller, limit=20, cursor=None, status="paid")


@pytest.mark.parametrize("broken", [*BROKEN, *NAMELESS], ids=repr)
@pytest.mark.parametrize("place", [0, 1, 2])
async def test_a_broken_item_stands_in_its_place(
    users: Users, service: Service, caller: Caller, broken: Any, place: int
) -> None:
    """On a page the error stands where the object would have stood, and the others keep their places."""
    members = [a_user(5), a_user(6)]
    members.insert(place, broken)
    service.answers = {"/users?limit=20": page_of(*members, cursor="C")}
    page = await users.page.load(caller, limit=20, cursor=None)
    found = faults(dict(enumerate(page.items)))
    expected: list[Any] = [5, 6]
    expected.insert(place, LOST)
    assert found == dict(enumerate(expected))
    assert (page.next_cursor, page.total) == ("C", 7)


@pytest.mark.parametrize("broken", [[], [None]])
async def test_a_page_is_never_longer_than_asked(users: Users, service: Service, caller: Caller, broken: list[Any]) -> None:
    """A service that sends more is cut short."""
    service.answers = {"/users?limit=2": page_of(a_user(1), *broken, a_user(2), a_user(3))}
    assert len((await users.page.load(caller, limit=2, cursor=None)).items) == 2


@pytest.mark.parametrize(
    ("body", "counts"),
    [
        (items(a_user(1), total=1), False),
        (items(a_user(1), nextCursor=None), False),
        (items(a_user(1), nextCursor=7, total=1), False),
        (items(a_user(1), nextCursor=None, total="1"), False),
        ({"nextCursor": None, "total": 0}, False),
        ([a_user(1)], False),
        (b"<html>", True),
    ],
    ids=repr,
)
async def test_a_page_that_is_none(users: Users, service: Service, caller: Caller, body: Any, counts: bool) -> None:
    """Without its items, its cursor or its total, it is no page; not even where an item is broken besides."""
    service.answers = {"/users?limit=20": body}
    with pytest.raises(BadAnswer) as caught:
        await users.page.load(caller, limit=20, cursor=None)
    assert caught.value.counts is counts
    if isinstance(body, dict) and "items" in body:
        service.answers = {"/users?limit=20": {**body, "items": [None]}}
        with pytest.raises(BadAnswer):
            await users.page.load(caller, limit=20, cursor=None)


async def test_a_batch_needs_no_cursor(users: Users, service: Service, caller: Caller) -> None:
    """`ids` is answered with items and nothing else."""
    service.answers = {"/users?ids=1,2": b'{"items":[]}'}
    assert await users.by_id.load(caller, [1, 2]) == {}


async def test_a_cursor_that_the_service_does_not_know(users: Users, service: Service, caller: Caller) -> None:
    """400 to a page with a cursor is the cursor's fault, and no `SourceError`."""
    service.every = lambda _: problem(400)
    with pytest.raises(BadCursor) as caught:
        await users.page.load(caller, limit=20, cursor="made-up")
    assert isinstance(caught.value.__cause__, Rejected)
    assert not isinstance(caught.value, SourceError)


@pytest.mark.parametrize(
    ("status", "cursor", "kind"),
    [
        (400, None, Rejected),
        (404, "C", Rejected),
        (422, "C", Rejected),
        (401, "C", Unauthenticated),
        (429, "C", Busy),
        (500, "C", BadAnswer),
    ],
)
async def test_any_other_failure_of_a_page_is_itself(
    users: Users, service: Service, caller: Caller, status: int, cursor: str | None, kind: type[SourceError]
) -> None:
    """Only a 400, and only to a page with a cursor, tells of the cursor."""
    service.every = lambda _: problem(status)
    with pytest.raises(kind):
        await users.page.load(caller, limit=20, cursor=cursor)


# headers, identity


def headers_of(request: httpx.Request) -> dict[str, str]:
    """The headers as they went over the wire, each once."""
    names = [name.lower() for name, _ in request.headers.raw]
    assert len(names) == len(set(names))
    return dict(request.headers)


EVERY_CALL = {
    "host": "10.11.12.13:8001",
    "accept": "application/json",
    "accept-encoding": "identity",
    "user-agent": "bff",
    "x-request-timeout-ms": "2000",
    "x-request-id": "request-1",
    "traceparent": TRACEPARENT,
}
WHO = {"x-user-id": SUB, "authorization": AUTHORIZATION}


@pytest.mark.parametrize("forward_identity", [True, False])
@pytest.mark.parametrize("sub", [SUB, None])
@every_source
async def test_reads_carry_the_identity_where_it_is_forwarded(
    make_source: MakeSource,
    service: Service,
    clock: Clock,
    kind: Any,
    record: Any,
    example: Any,
    sub: str | None,
    forward_identity: bool,
) -> None:
    """One, many, pages: `X-User-ID` and `Authorization` if the source forwards them and somebody is signed in, else not."""
    source = make_source(kind, forward_identity=forward_identity)
    caller = make_caller(clock, sub=sub)
    await get(source, caller, 1)
    await source.by_id.load(caller, [1, 2])
    with pytest.raises(Rejected):
        await source.page.load(caller, limit=20, cursor=None)
    if isinstance(source, Orders):
        await source.of_user.load(caller, [1], limit=3)
    for request in service.requests:
        assert headers_of(request) == EVERY_CALL | (WHO if forward_identity and sub else {})


@pytest.mark.parametrize("forward_identity", [True, False])
@pytest.mark.parametrize("sub", [SUB, None])
@pytest.mark.parametrize("kind", [Users, Products])
async def test_writes_always_carry_the_identity(
    make_source: MakeSource, service: Service, clock: Clock, kind: Any, sub: str | None, forward_identity: bool
) -> None:
    """Whatever is set for reads, a write is somebody's; with its key, and the type of its body."""
    source = make_source(kind, forward_identity=forward_identity)
    with pytest.raises(Rejected):
        await source.update(make_caller(clock, sub=sub), 1, {"name": "x"}, key="key-1")
    assert headers_of(service.last) == EVERY_CALL | (WHO if sub else {}) | {
        "content-type": "application/json",
        "content-length": "12",
        "idempotency-key": "key-1",
    }


async def test_a_sub_stays_within_its_header(users: Users, service: Service, clock: Clock) -> None:
    """Over the real client: a `sub` of any characters arrives as one header's value, percent-encoded."""
    await get(users, make_caller(clock, sub="ü\r\nX-Admin: 1%"), 1)
    assert headers_of(service.last) == EVERY_CALL | WHO | {"x-user-id": "%C3%BC%0D%0AX-Admin:%201%25"}


# writes


@pytest.mark.parametrize("status", [404, 409, 422])
async def test_a_rejected_write_tells_why(users: Users, service: Service, caller: Caller, status: int) -> None:
    """404, 409 and 422 to a write are `Rejected`, with the problem's field errors."""
    errors = [{"field": "email", "message": "has no @"}, {"field": "items[0].productId", "message": "unknown"}]
    service.every = lambda _: problem(status, "secret-detail", errors=errors)
    with pytest.raises(Rejected) as caught:
        await users.update(caller, 1, {"email": "x"}, key="key-1")
    assert caught.value.status == status
    assert [(error.field, error.message) for error in caught.value.problem.errors] == [
        ("email", "has no @"),
        ("items[0].productId", "unknown"),
    ]
    assert caught.value.problem.detail == "secret-detail"
    assert "secret" not in caught.value.message


async def test_a_written_object_is_read_as_any_other(users: Users, service: Service, caller: Caller) -> None:
    """The answer to a write is the object; one that can't be read is an error, though the work is done."""
    service.every = lambda _: a_user(1, email=None)
    with pytest.raises(BadAnswer) as caught:
        await users.update(caller, 1, {"email": "x@y"}, key="key-1")
    assert caught.value.counts is False


async def test_a_body_is_utf_8_json(users: Users, service: Service, caller: Caller) -> None:
    """Names from all over the world, quotes and all, arrive as they are."""
    service.every = lambda _: a_user(1)
    await users.update(caller, 1, {"name": 'Jürgen "用户" 😀\n'}, key="key-1")
    assert json.loads(service.last.content.decode("utf-8")) == {"name": 'Jürgen "用户" 😀\n'}


# what is shown


@every_source
def test_a_source_shows_its_state(make_source: MakeSource, kind: Any, record: Any, example: Any) -> None:
    """Its name and its breaker; never its address."""
    source = make_source(kind)
    assert source.status().name == kind.name
    assert kind.name in repr(source)
    assert "10.11" not in repr(source)
