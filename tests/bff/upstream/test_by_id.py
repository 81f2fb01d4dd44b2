"""Reads by id: requests, replies, and which ids a failure affects."""

import asyncio
from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from bff.upstream.caller import Caller
from bff.upstream.errors import BadAnswer, Busy, Forbidden, Mismatched, NotReached, Rejected, Unauthenticated
from datasources.products import Products
from datasources.users import Users
from tests.bff.upstream.examples import BROKEN, LOST, NAMELESS, every_source, faults, items
from tests.support.fakes import Heard, Service, a_product, a_user, ended, get, hang, problem, settle, without
from tests.support.source_fixtures import MakeSource

# One object


@every_source
async def test_one_object(
    make_source: MakeSource, service: Service, caller: Caller, kind: Any, record: Any, example: Any
) -> None:
    """`GET /{resource}/{id}`. Unknown members are ignored."""
    source = make_source(kind)
    service.answers = {f"{kind.path}/7": example(7, whatever={"is": [1, 2]}, more=None)}
    found = await get(source, caller, 7)
    assert isinstance(found, record)
    assert found.id == 7
    assert service.asked == [f"GET /{kind.name}/7"]


async def test_a_missing_object_is_none(users: Users, service: Service, caller: Caller, heard: Heard) -> None:
    """A 404 is a good outcome. The event has the route's template."""
    assert await get(users, caller, 7) is None
    assert [(event.route, event.outcome) for event in heard.ended] == [("/users/{id}", "ok")]


@pytest.mark.parametrize("other", [8, -7, 70])
async def test_another_object_is_a_bad_reply(users: Users, service: Service, caller: Caller, other: int) -> None:
    """An object with another id than requested may belong to another viewer."""
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
async def test_an_unreadable_object_is_a_bad_reply(
    users: Users, service: Service, caller: Caller, body: Any, counts: bool
) -> None:
    """If a required member is missing or has the wrong type. Only invalid JSON counts against the service."""
    service.answers = {"/users/7": body}
    with pytest.raises(BadAnswer) as caught:
        await get(users, caller, 7)
    assert caught.value.counts is counts


# Several objects


async def test_without_ids_there_is_no_call(users: Users, service: Service, caller: Caller) -> None:
    """The result is empty."""
    assert await users.by_id.load(caller, []) == {}
    assert service.asked == []


@every_source
async def test_several_objects(
    make_source: MakeSource, service: Service, caller: Caller, kind: Any, record: Any, example: Any
) -> None:
    """`GET /{resource}?ids=3,1,2` with each id once. The reply may be in any order. Missing objects are left out."""
    service.answers = {f"{kind.path}?ids=3,1,2,4": items(example(2), example(4), example(3))}
    found = await make_source(kind).by_id.load(caller, [3, 1, 3, 2, 1, 4])
    assert faults(found) == {2: 2, 3: 3, 4: 4}
    assert all(isinstance(it, record) for it in found.values())
    assert service.asked == [f"GET /{kind.name}?ids=3,1,2,4"]


@pytest.mark.parametrize("ids", [[7], [7, 7, 7]])
async def test_a_single_id_is_requested_by_its_path(
    users: Users, service: Service, caller: Caller, ids: Sequence[int]
) -> None:
    """One id, also if it is given several times, is `GET /{resource}/{id}`: the object, left out, or its error."""
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
    """A service in which every user exists."""
    wanted = request.url.params.get("ids")
    if wanted is None:
        return a_user(int(request.url.path.rpartition("/")[2]))
    return items(*(a_user(int(one)) for one in reversed(wanted.split(","))))


@pytest.mark.parametrize(("number", "chunks"), [(2, [2]), (200, [200]), (201, [200, 1]), (401, [200, 200, 1])])
async def test_a_call_has_at_most_200_ids(
    users: Users, service: Service, caller: Caller, number: int, chunks: list[int]
) -> None:
    """More ids are several calls."""
    service.every = all_there
    found = await users.by_id.load(caller, range(1, number + 1))
    assert faults(found) == {one: one for one in range(1, number + 1)}
    # a chunk with a single id is requested by its path
    assert [len(request.url.params.get("ids", "1").split(",")) for request in service.requests] == chunks
    assert caller.calls == {"users": len(chunks)}


async def test_chunks_are_requested_concurrently(users: Users, service: Service, caller: Caller) -> None:
    """All are sent before the first reply."""
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
async def test_a_failed_chunk_affects_only_its_own_keys(
    users: Users, service: Service, caller: Caller, broken: Any, fault: Any
) -> None:
    """Each of them has the error. The keys of other chunks have their objects."""

    def answer(request: httpx.Request) -> Any:
        _, _, text = request.url.raw_path.decode().partition("=")
        ids = [int(each) for each in text.split(",")] if text else [int(request.url.path.rpartition("/")[2])]
        return broken if any(200 < each <= 400 for each in ids) else all_there(request)

    service.every = answer
    found = faults(await users.by_id.load(caller, range(1, 501)))
    assert found == {one: fault if 200 < one <= 400 else one for one in range(1, 501)}


async def test_a_broken_connection_affects_only_its_own_keys(users: Users, service: Service, caller: Caller) -> None:
    """The same for a chunk whose connection breaks."""

    def broken(request: httpx.Request) -> Any:
        if "201" in request.url.params["ids"]:
            raise httpx.ReadError("reset")
        return all_there(request)

    service.every = broken
    found = faults(await users.by_id.load(caller, range(1, 203)))
    assert found == {one: (NotReached, True) if one > 200 else one for one in range(1, 203)}


@pytest.mark.parametrize("broken", BROKEN, ids=repr)
@pytest.mark.parametrize("place", [0, 1, 2])
async def test_an_unreadable_object_does_not_affect_the_others(
    users: Users, service: Service, caller: Caller, broken: Any, place: int
) -> None:
    """Only its id has an error, at any position in the list."""
    members = [a_user(1), a_user(3)]
    members.insert(place, broken)
    service.answers = {"/users?ids=1,2,3,4": items(*members)}
    assert faults(await users.by_id.load(caller, [1, 2, 3, 4])) == {1: 1, 2: LOST, 3: 3}


@pytest.mark.parametrize("broken", NAMELESS, ids=repr)
@pytest.mark.parametrize("place", [0, 1, 2])
async def test_an_object_without_an_id_makes_missing_ids_errors(
    users: Users, service: Service, caller: Caller, broken: Any, place: int
) -> None:
    """It may be any of the missing objects, so these have errors. The others have their objects."""
    members = [a_user(1), a_user(3)]
    members.insert(place, broken)
    service.answers = {"/users?ids=1,2,3,4": items(*members)}
    assert faults(await users.by_id.load(caller, [1, 2, 3, 4])) == {1: 1, 2: LOST, 3: 3, 4: LOST}


@pytest.mark.parametrize("other", [a_user(9), {"id": 8}, {"id": -1}], ids=repr)
async def test_a_reply_with_another_object_is_not_used(
    users: Users, service: Service, caller: Caller, other: dict[str, Any]
) -> None:
    """Readable or not: a reply with an object of another id may belong to another viewer."""
    service.answers = {"/users?ids=1,2": items(other, a_user(1))}
    assert faults(await users.by_id.load(caller, [1, 2])) == dict.fromkeys([1, 2], (Mismatched, False))


@pytest.mark.parametrize("other", [a_product(9), {"id": 8}], ids=["whole", "broken"])
async def test_of_a_public_reply_with_another_object_the_rest_is_used(
    make_source: MakeSource, service: Service, caller: Caller, other: dict[str, Any]
) -> None:
    """Without an identity, the requested objects are used. The missing ones have errors, since they may exist."""
    products = make_source(Products, forward_identity=False)
    service.every = lambda _: items(other, a_product(1))
    assert faults(await products.by_id.load(caller, [1, 2])) == {1: 1, 2: (Mismatched, False)}
    service.every = lambda _: items(other, other)
    assert faults(await products.by_id.load(caller, [1, 2])) == dict.fromkeys([1, 2], (Mismatched, False))
    assert len(service.asked) == 2


@pytest.mark.parametrize(
    "members", [[a_user(1), {"id": 1}], [{"id": 1}, a_user(1)], [None, a_user(1)], [a_user(1), a_user(1)]]
)
async def test_of_an_object_sent_twice_the_readable_one_is_used(
    users: Users, service: Service, caller: Caller, members: list[Any]
) -> None:
    """In any order."""
    service.answers = {"/users?ids=1,2": items(*members, a_user(2))}
    assert faults(await users.by_id.load(caller, [1, 2])) == {1: 1, 2: 2}


async def test_unreadable_objects_do_not_open_the_breaker(users: Users, service: Service, caller: Caller) -> None:
    """However often they are requested."""
    service.answers = {"/users?ids=1,2": items(a_user(1), {"id": 2}), "/users/2": {"id": 2}}
    for _ in range(20):
        assert faults(await users.by_id.load(caller, [1, 2])) == {1: 1, 2: LOST}
        assert faults(await users.by_id.load(caller, [2])) == {2: LOST}
    assert len(service.asked) == 40


async def test_cancellation_cancels_all_chunks(users: Users, service: Service, caller: Caller, heard: Heard) -> None:
    """Each call has the outcome `cancelled`."""
    service.every = hang
    task = asyncio.create_task(users.by_id.load(caller, range(1, 500)))
    await settle()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ended(task)
    assert [event.outcome for event in heard.ended] == ["cancelled"] * 3
