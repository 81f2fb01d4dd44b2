"""Reads of records whose ids are UUIDs or strings: batches, chunks, ids with commas, caching."""

import asyncio
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import UUID

import httpx
import pytest

from bff.upstream.caller import Caller
from bff.upstream.errors import Mismatched, SourceError
from bff.upstream.reads import ById, CursorPages, ListBy
from bff.upstream.records import Record
from bff.upstream.source import Source
from bff.upstream.traffic.stack import TrafficOptions
from tests.support.fakes import Clock, Heard, Service, make_stack, problem
from tests.support.source_fixtures import MakeSource


class Hive(Record, frozen=True, kw_only=True):
    id: UUID
    owner: str = "ann"


class Hives(Source[Hive], forward_identity=False):
    path = "/hives"
    by_id = ById()
    of_owner = ListBy("owner", many="owners")


class Note(Record, frozen=True, kw_only=True):
    id: str
    hive_id: UUID = UUID(int=1)


class Notes(Source[Note], forward_identity=False):
    path = "/notes"
    by_id = ById()
    of_hive = ListBy("hive_id")
    page = CursorPages(exact=("hive_id",))


@pytest.fixture
def hives(make_source: MakeSource, service: Service) -> Any:
    """A source of UUIDs, whose service has every hive."""
    service.every = echo
    return make_source(Hives)


@pytest.fixture
def notes(make_source: MakeSource, service: Service) -> Any:
    """A source of strings, whose service has every note."""
    service.every = echo
    return make_source(Notes)


def echo(request: httpx.Request) -> Any:
    """The reply of a service that has every object: those in the list, or the one in the path."""
    parts = urlsplit(request.url.raw_path.decode())
    query = parse_qs(parts.query)
    if "ids" in query:
        return {"items": [{"id": each} for each in query["ids"][0].split(",")]}
    if "hiveIds" in query:
        return {"items": [{"id": f"n-{each}", "hiveId": each} for each in query["hiveIds"][0].split(",")]}
    if "owners" in query:
        return {"items": [{"id": str(UUID(int=5)), "owner": owner} for owner in query["owners"][0].split(",")]}
    return {"id": unquote(parts.path.split("/")[2])}


def uuids(number: int) -> list[UUID]:
    """This many UUIDs."""
    return [UUID(int=each) for each in range(1, number + 1)]


async def test_a_call_has_at_most_200_uuids(hives: Hives, service: Service, caller: Caller) -> None:
    """450 UUIDs are three calls."""
    ids = uuids(450)
    found: Any = await hives.by_id.load(caller, ids)
    assert [found[each].id for each in ids] == ids
    assert [len(parse_qs(urlsplit(target).query)["ids"][0].split(",")) for target in service.asked] == [200, 200, 50]
    assert max(len(target) for target in service.asked) < 8 * 1024


async def test_a_call_has_at_most_30_strings(notes: Notes, service: Service, caller: Caller) -> None:
    """70 strings are three calls."""
    ids = [f"n-{number}" for number in range(70)]
    found: Any = await notes.by_id.load(caller, ids)
    assert list(found) == ids
    assert [target.count(",") + 1 for target in service.asked] == [30, 30, 10]


@pytest.mark.parametrize("id", ["a/b", "50%", "%2e%2e", "a.b", "ä ö", "a&ids=b", "a+b", "a#b", "a?b"])
async def test_a_string_of_any_characters_is_one_id(notes: Notes, service: Service, caller: Caller, id: str) -> None:
    """In a path and in a list."""
    assert list(await notes.by_id.load(caller, [id])) == [id]
    found: Any = await notes.by_id.load(caller, [id, "n-1"])
    assert [found[each].id for each in (id, "n-1")] == [id, "n-1"]
    assert len(service.asked) == 2


@pytest.mark.parametrize("ids", [["a,b", "n-1", "n-2"], ["n-1", "a,b", "n-2"], ["n-1", "n-2", "a,b"]], ids=str)
async def test_a_string_with_a_comma_has_its_own_call(
    notes: Notes, service: Service, caller: Caller, ids: list[str]
) -> None:
    """In a list it would be two ids. Policies don't merge its call with others."""
    found: Any = await notes.by_id.load(caller, ids)
    assert {key: record.id for key, record in found.items()} == dict(zip(ids, ids, strict=True))
    assert sorted(service.asked) == ["GET /notes/a%2Cb", "GET /notes?ids=n-1,n-2"]


async def test_strings_with_commas_are_not_merged_with_one_another(notes: Notes, service: Service, caller: Caller) -> None:
    """Neither within one read nor across concurrent requests. Calls for the same id are shared."""
    reads = [["a,b"], ["n-1"], ["e,f"], ["a,b"], ["n-2"]]
    found: Any = await asyncio.gather(*(notes.by_id.load(caller, ids) for ids in reads))
    assert [list(each) for each in found] == reads
    assert sorted(service.asked) == ["GET /notes/a%2Cb", "GET /notes/e%2Cf", "GET /notes?ids=n-1,n-2"]
    both = await notes.by_id.load(caller, ["a,b", "c,d"])
    assert set(both) == {"a,b", "c,d"}
    assert sorted(service.asked[3:]) == ["GET /notes/a%2Cb", "GET /notes/c%2Cd"]


async def test_an_owner_with_a_comma_gets_no_other_owners_items(hives: Hives, service: Service, caller: Caller) -> None:
    """A service may read it as two owners. Then the reply is a mismatch."""
    found: Any = await hives.of_owner.load(caller, ["ann", "bea,cy"], limit=5)
    assert [hive.owner for hive in found["ann"]] == ["ann"]
    assert isinstance(found["bea,cy"], Mismatched)
    assert sorted(service.asked) == ["GET /hives?owners=ann&limit=5", "GET /hives?owners=bea,cy&limit=5"]


async def test_lists_are_read_by_owners_that_are_uuids(notes: Notes, service: Service, caller: Caller) -> None:
    """With at most 200 owners in a call."""
    owners = uuids(201)
    found: Any = await notes.of_hive.load(caller, owners, limit=1)
    assert all([note.hive_id for note in found[owner]] == [owner] for owner in owners)
    assert len(service.asked) == 2


async def test_a_uuid_in_upper_case_in_a_reply_is_the_same_id(hives: Hives, service: Service, caller: Caller) -> None:
    """UUIDs are not compared as text."""
    ids = [UUID("6fa75bb9-cf7e-5d64-9c2f-706b344877d5"), UUID(int=1)]
    service.every = lambda _: {"items": [{"id": str(each).upper()} for each in ids]}
    assert list(await hives.by_id.load(caller, ids)) == ids


async def test_a_string_in_another_case_is_another_object(notes: Notes, service: Service, caller: Caller) -> None:
    """A reply with `N-1` for `n-1` is a mismatch."""
    service.every = lambda _: {"id": "N-1"}
    found: Any = (await notes.by_id.load(caller, ["n-1"]))["n-1"]
    assert isinstance(found, SourceError)


async def test_a_missing_object_is_left_out(hives: Hives, service: Service, caller: Caller) -> None:
    """After a 404 to a single id, or if a list does not have it."""
    first, second = uuids(2)
    service.every = lambda request: {"items": [{"id": str(first)}]} if request.url.query else problem(404)
    assert await hives.by_id.load(caller, [second]) == {}
    assert list(await hives.by_id.load(caller, [first, second])) == [first]


async def test_an_unreadable_item_with_a_uuid_affects_only_that_id(hives: Hives, service: Service, caller: Caller) -> None:
    """The other ids have their objects."""
    first, second = uuids(2)
    service.every = lambda _: {"items": [{"id": str(first), "owner": 7}, {"id": str(second)}]}
    found: Any = await hives.by_id.load(caller, [first, second])
    assert isinstance(found[first], SourceError)
    assert found[second].id == second


async def test_an_exact_filter_may_be_a_uuid(notes: Notes, service: Service, caller: Caller) -> None:
    """A page with an item of another value is not used."""
    hive = UUID(int=9)
    page = {"items": [{"id": "n-1", "hiveId": str(hive).upper()}], "nextCursor": None, "total": 1}
    service.every = lambda _: page
    found: Any = await notes.page.load(caller, limit=5, cursor=None, hive_id=str(hive))
    assert [note.id for note in found.items] == ["n-1"]
    assert service.asked == [f"GET /notes?limit=5&hiveId={hive}"]
    with pytest.raises(Mismatched):
        await notes.page.load(caller, limit=5, cursor=None, hive_id=str(UUID(int=8)))


@pytest.mark.parametrize("cursor", ["a b", "a&limit=9", "50%", "ä/?#"])
async def test_a_cursor_of_any_characters_is_encoded(notes: Notes, service: Service, caller: Caller, cursor: str) -> None:
    """It is one value of the query."""
    service.every = lambda _: {"items": [], "nextCursor": None, "total": 0}
    await notes.page.load(caller, limit=5, cursor=cursor)
    assert service.last.url.params["cursor"] == cursor
    assert service.last.url.params["limit"] == "5"


async def test_objects_are_cached_by_uuids_and_strings(
    played_wire: Any, service: Service, caller: Caller, clock: Clock, heard: Heard
) -> None:
    """An object of a list is found by its id, with a UUID in either case. A string with a comma has its own call."""
    options = TrafficOptions()
    hives = Hives(make_stack(played_wire, clock, heard, source="hives", options=options), forward_identity=False)
    notes = Notes(make_stack(played_wire, clock, heard, source="notes", options=options), forward_identity=False)
    service.every = lambda request: httpx.Response(200, json=echo(request), headers={"cache-control": "max-age=60"})
    ids = uuids(3)
    await hives.by_id.load(caller, ids)
    await notes.by_id.load(caller, ["a,b", "n-1"])
    assert len(service.asked) == 3
    again = Hives.read_id(str(ids[1]).upper())
    assert list(await hives.by_id.load(caller, [again])) == [ids[1]]
    assert set(await notes.by_id.load(caller, ["a,b", "n-1"])) == {"a,b", "n-1"}
    assert len(service.asked) == 3
    assert set(await notes.by_id.load(caller, ["a,b", "n-1", "c,d", "n-2"])) == {"a,b", "n-1", "c,d", "n-2"}
    assert sorted(service.asked[3:]) == ["GET /notes/c%2Cd", "GET /notes/n-2"]
