"""Ids that are texts, from clients or records: odd ones reach no other path and disturb no other request."""

import asyncio
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from bff.upstream.caller import Caller
from bff.upstream.ids import most_ids
from bff.upstream.loads import MOST_CALLS
from bff.upstream.reads import ById, ListBy
from bff.upstream.records import Record
from bff.upstream.source import Source
from bff.upstream.traffic.bulkhead import BulkheadOptions
from tests.support.fakes import Service, settle
from tests.support.source_fixtures import MakeSource


class Part(Record, frozen=True):
    id: str
    maker: str | None = None


class Parts(Source[Part]):
    path = "/parts"
    by_id = ById()
    of_maker = ListBy("maker")

    async def scrap(self, caller: Caller, id: str) -> Part:
        """A write to one."""
        return await self.write(caller, "DELETE", "/parts/{id}", None, key="k", id=id)


EXISTING = ("a,b", "c", "d", "e,f")


def answer(request: httpx.Request) -> object:
    """As a service answers that splits a list at its commas."""
    parts = urlsplit(request.url.raw_path.decode())
    if parts.query:
        (listed,) = parse_qs(parts.query)["ids"]
        return {"items": [{"id": each} for each in listed.split(",") if each in EXISTING]}
    name = httpx.URL(f"http://x{parts.path}").path.removeprefix("/parts/")
    return {"id": name} if name in EXISTING else None


@pytest.mark.parametrize("asked", [(["a,b", "e,f"],), (["a,b"], ["c"]), (["c"], ["a,b"]), (["a,b"], ["e,f"], ["c", "d"])])
@pytest.mark.parametrize("turns", [0, 1, 2])
async def test_an_id_with_a_comma_joins_no_list(
    make_source: MakeSource, service: Service, caller: Caller, asked: Sequence[list[str]], turns: int
) -> None:
    """Neither of its own request nor of another, whichever of them is first in a turn of the event loop."""
    parts: Any = make_source(Parts)
    service.every = answer

    async def load(number: int, ids: list[str]) -> list[str]:
        for _ in range(number * turns):
            await asyncio.sleep(0)
        return list(await parts.by_id.load(caller, ids))

    found = await asyncio.gather(*(load(number, ids) for number, ids in enumerate(asked)))
    assert found == list(asked)
    assert "GET /parts/a%2Cb" in service.asked


@pytest.mark.parametrize("id", ["", ".", "..", "x/../y", "..\\y", "x/.", "x" * 257, "\N{SNOWMAN}" * 30])
async def test_an_id_from_a_record_names_no_other_path(
    make_source: MakeSource, service: Service, caller: Caller, id: str
) -> None:
    """Another service's record may have any text as a key. What no client could ask for is the id of nothing."""
    parts: Any = make_source(Parts)
    service.every = answer
    assert await parts.by_id.load(caller, [id]) == {}
    assert list(await parts.by_id.load(caller, [id, "c"])) == ["c"]
    assert service.asked == ["GET /parts/c"]
    assert await parts.of_maker.load(caller, [id], limit=1) == {id: []}
    assert service.asked == ["GET /parts/c"]


@pytest.mark.parametrize("id", ["", ".", "..", "x/../../users/1", None])
async def test_a_write_goes_to_no_other_path(make_source: MakeSource, service: Service, caller: Caller, id: Any) -> None:
    """A program that passes on an id unread makes no call."""
    parts: Any = make_source(Parts)
    with pytest.raises(ValueError, match="id"):
        await parts.scrap(caller, id)
    assert service.asked == []


def test_an_optional_text_is_a_text() -> None:
    """Its length is the clients' choice all the same, so a list of them is short."""
    assert most_ids(str | None) == most_ids(str)
    assert most_ids(int | None) == most_ids(int)
    assert Parts.of_maker.keys_a_call == Parts.by_id.keys_a_call


@pytest.mark.parametrize("ids", [[f"a,{number}" for number in range(60)], [f"a{number}" for number in range(1200)]])
async def test_one_load_does_not_take_up_a_services_calls(
    make_source: MakeSource, service: Service, caller: Caller, ids: list[str]
) -> None:
    """Texts are asked for in short lists or one by one: there may be more such calls than a source may make at once."""
    parts: Any = make_source(Parts)
    under_way: list[httpx.Request] = []
    most = 0

    async def slow(request: httpx.Request) -> object:
        nonlocal most
        under_way.append(request)
        most = max(most, len(under_way))
        await settle()
        under_way.remove(request)
        return answer(request)

    service.every = slow
    assert await parts.by_id.load(caller, ids) == {}
    assert 1 < most <= MOST_CALLS <= BulkheadOptions().max_concurrent / 4
    assert len(service.asked) >= 40
