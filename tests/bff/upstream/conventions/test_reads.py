"""Services of other conventions than the demo's: what is requested, and what is read from the replies."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from types import new_class
from typing import Any, ClassVar, cast
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

import httpx
import pytest

from bff.upstream.caller import Caller, Identity
from bff.upstream.conventions import (
    Comma,
    Conventions,
    Cursor,
    ErrorObject,
    InHeader,
    LastId,
    LinkHeader,
    Offset,
    OneByOne,
    PageNumber,
    Paging,
    Posted,
    Repeated,
    snake,
)
from bff.upstream.errors import BadAnswer, Busy, Mismatched, Rejected, SourceError
from bff.upstream.loads import BadCursor
from bff.upstream.reads import ById, ListBy, Pages
from bff.upstream.records import Record
from bff.upstream.source import Source
from bff.upstream.traffic.stack import TrafficOptions
from bff.upstream.wire.httpx_wire import HttpxWire
from tests.support.fakes import Clock, Heard, Service, make_stack
from tests.support.source_fixtures import MakeSource


class Part(Record, frozen=True, kw_only=True, rename=None):
    id: int
    maker_id: int | None = None
    name: str = ""


class Tag(Record, frozen=True, kw_only=True):
    id: str


def source_of(read: Any, record: type[Record] = Part, conventions: Conventions | None = None, **more: Any) -> Any:
    """A class of a source with the read `read`."""
    members = {"path": "/parts", "read": read, "conventions": conventions or Conventions(), **more}
    return new_class("Parts", (Source[record],), exec_body=lambda body: body.update(members))  # type: ignore[valid-type]


def parts(*ids: int, **more: Any) -> list[dict[str, Any]]:
    """Parts as JSON."""
    return [{"id": each, **more} for each in ids]


# How several keys are requested


@pytest.mark.parametrize(
    ("many", "asked", "body"),
    [
        ("ids", "GET /parts?ids=1,2", None),
        (Comma("id"), "GET /parts?id=1,2", None),
        (Repeated("id"), "GET /parts?id=1&id=2", None),
        (Repeated("id[]"), "GET /parts?id%5B%5D=1&id%5B%5D=2", None),
        (Posted("/parts/search"), "POST /parts/search", [1, 2]),
        (Posted("/parts/search", "ids"), "POST /parts/search", {"ids": [1, 2]}),
    ],
)
async def test_several_objects_are_requested_as_declared(
    make_source: MakeSource, service: Service, caller: Caller, many: Any, asked: str, body: Any
) -> None:
    """In one call, and what doesn't exist is left out. A POST that reads has no idempotency key."""
    service.every = lambda _: {"items": parts(2)}
    parts_ = make_source(source_of(ById(many)))
    found = await parts_.read.load(caller, [1, 2])
    assert {key: each.id for key, each in found.items()} == {2: 2}
    assert service.asked == [asked]
    assert (service.last_json if service.last.content else None) == body
    assert "idempotency-key" not in service.last.headers


async def test_without_a_batch_each_object_has_its_call(make_source: MakeSource, service: Service, caller: Caller) -> None:
    """One that fails costs only itself."""
    service.answers = {f"/parts/{each}": {"id": each} for each in (1, 3)} | {"/parts/2": httpx.Response(500)}
    found = await make_source(source_of(ById(OneByOne()))).read.load(caller, [1, 2, 3, 4])
    assert {key: type(each) for key, each in found.items()} == {1: Part, 2: BadAnswer, 3: Part}
    assert sorted(set(service.asked)) == [f"GET /parts/{each}" for each in (1, 2, 3, 4)]


async def test_a_single_object_may_have_no_path_of_its_own(
    make_source: MakeSource, service: Service, caller: Caller
) -> None:
    """Then it is requested as a list of one."""
    service.every = lambda _: {"items": parts(7)}
    assert list(await make_source(source_of(ById(Repeated("id"), one=False))).read.load(caller, [7])) == [7]
    assert service.asked == ["GET /parts?id=7"]


@pytest.mark.parametrize("many", [Repeated("id"), Posted("/parts/search")])
async def test_texts_with_commas_need_no_call_of_their_own(
    make_source: MakeSource, service: Service, caller: Caller, many: Any
) -> None:
    """Only where keys are joined by commas."""
    ids = ["a,b", "c&id=d", "ä ö"]

    def echo(request: httpx.Request) -> Any:
        query = parse_qsl(urlsplit(request.url.raw_path.decode()).query)
        return {
            "items": [
                {"id": each}
                for each in (json.loads(request.content) if request.content else dict.fromkeys(v for _, v in query))
            ]
        }

    service.every = echo
    found = await make_source(source_of(ById(many), Tag)).read.load(caller, ids)
    assert list(found) == ids
    assert len(service.asked) == 1


async def test_posted_reads_are_cached_by_object(
    played_wire: HttpxWire, clock: Clock, heard: Heard, service: Service, caller: Caller
) -> None:
    """As any other read: a reply that may be cached fills an entry for each of its objects."""

    def echo(request: httpx.Request) -> httpx.Response:
        return httpx.Response(
            200, json={"items": parts(*json.loads(request.content))}, headers={"cache-control": "max-age=60"}
        )

    service.every = echo
    stack = make_stack(played_wire, clock, heard, options=TrafficOptions())
    read = source_of(ById(Posted("/parts/search")))(stack, forward_identity=False).read
    await read.load(caller, [1, 2])
    assert list(await read.load(caller, [2, 1])) == [2, 1]
    assert [json.loads(each.content) for each in service.requests] == [[1, 2]]


async def test_posted_reads_of_different_keys_are_never_confused(
    make_source: MakeSource, service: Service, caller: Caller
) -> None:
    """With an identity they are shared by target, which is the same for all: the body counts too."""
    service.every = lambda request: {"items": parts(*json.loads(request.content))}
    read = make_source(source_of(ById(Posted("/parts/search"))), forward_identity=True).read
    signed_in = replace(caller, identity=Identity("1", "Bearer x"))
    first, second = await asyncio.gather(read.load(signed_in, [1, 2]), read.load(signed_in, [3, 4]))
    assert (list(first), list(second)) == ([1, 2], [3, 4])


async def test_a_posted_read_is_a_read_for_listeners(
    make_source: MakeSource, service: Service, heard: Heard, caller: Caller
) -> None:
    """It evicts nothing from caches, as a write would."""
    service.every = lambda _: {"items": []}
    await make_source(source_of(ById(Posted("/parts/search")))).read.load(caller, [1, 2])
    assert [(event.method, event.is_read) for event in heard.ended] == [("POST", True)]


# Lists


@pytest.mark.parametrize(
    ("many", "asked"),
    [
        (None, ["GET /parts?maker_ids=1,2&limit=5"]),
        (Repeated("maker"), ["GET /parts?maker=1&maker=2&limit=5"]),
        (OneByOne("maker"), ["GET /parts?maker=1&limit=5", "GET /parts?maker=2&limit=5"]),
        (OneByOne(path="/makers/{key}/parts"), ["GET /makers/1/parts?limit=5", "GET /makers/2/parts?limit=5"]),
    ],
)
async def test_lists_are_requested_as_declared(
    make_source: MakeSource, service: Service, caller: Caller, many: Any, asked: list[str]
) -> None:
    """For several owners in one call, or for each by itself."""

    def echo(request: httpx.Request) -> Any:
        target = request.url.raw_path.decode()
        return {"items": [each for owner in (1, 2) if str(owner) in target for each in parts(owner * 10, maker_id=owner)]}

    service.every = echo
    found = await make_source(source_of(ListBy("maker_id", many=many))).read.load(caller, [1, 2], limit=5)
    assert {owner: [each.id for each in items] for owner, items in found.items()} == {1: [10], 2: [20]}
    assert sorted(service.asked) == asked


async def test_items_of_one_owner_may_leave_the_owner_out(make_source: MakeSource, service: Service, caller: Caller) -> None:
    """They get the owner's id. An item of another owner is still no part of the reply."""
    service.answers = {
        "/makers/1/parts?limit=5": {"items": parts(10)},
        "/makers/2/parts?limit=5": {"items": parts(20, maker_id=1)},
    }
    read = make_source(source_of(ListBy("maker_id", many=OneByOne(path="/makers/{key}/parts")))).read
    found = await read.load(caller, [1, 2], limit=5)
    assert [(each.id, each.maker_id) for each in found[1]] == [(10, 1)]
    assert isinstance(found[2], Mismatched)


async def test_items_of_several_owners_must_name_theirs(make_source: MakeSource, service: Service, caller: Caller) -> None:
    """Nothing can be guessed."""
    service.every = lambda _: {"items": parts(10)}
    found = await make_source(source_of(ListBy("maker_id"))).read.load(caller, [1, 2], limit=5)
    assert {type(each) for each in found.values()} == {Mismatched}


async def test_a_service_without_a_limit_is_cut(make_source: MakeSource, service: Service, caller: Caller) -> None:
    """The gateway takes as many items as were asked for."""
    service.every = lambda _: {"items": parts(1, 2, 3, maker_id=1)}
    found = await make_source(source_of(ListBy("maker_id", limit=None))).read.load(caller, [1], limit=2)
    assert [each.id for each in found[1]] == [1, 2]
    assert service.asked == ["GET /parts?maker_ids=1"]


# Envelopes


@pytest.mark.parametrize(
    ("conventions", "one", "items"),
    [
        (Conventions(), {"id": 1}, {"items": parts(1, 2)}),
        (Conventions(one="data", items="data"), {"data": {"id": 1}}, {"data": parts(1, 2)}),
        (Conventions(one="data.part", items="data.parts"), {"data": {"part": {"id": 1}}}, {"data": {"parts": parts(1, 2)}}),
        (Conventions(items=""), {"id": 1}, parts(1, 2)),
    ],
    ids=["standard", "data", "nested", "bare"],
)
async def test_envelopes(
    make_source: MakeSource, service: Service, caller: Caller, conventions: Conventions, one: Any, items: Any
) -> None:
    """The object and the items are read at their places. A reply without them is no empty reply."""
    service.answers = {"/parts/1": one, "/parts?ids=1,2": items, "/parts/2": {"x": {}}, "/parts?ids=3,4": {"x": []}}
    read = make_source(source_of(ById(), conventions=conventions)).read
    assert list(await read.load(caller, [1])) == [1]
    assert list(await read.load(caller, [1, 2])) == [1, 2]
    for ids in ([2], [3, 4]):
        assert all(isinstance(each, BadAnswer) for each in (await read.load(caller, ids)).values())


async def test_an_item_that_does_not_fit_costs_itself_in_any_envelope(
    make_source: MakeSource, service: Service, caller: Caller
) -> None:
    """The others are used."""
    service.every = lambda _: {"data": {"parts": [{"id": 1}, {"id": 2, "name": 7}]}}
    found = await make_source(source_of(ById(), conventions=Conventions(items="data.parts"))).read.load(caller, [1, 2])
    assert {key: type(each) for key, each in found.items()} == {1: Part, 2: BadAnswer}


# Pages


class Shelf:
    """A service with 45 parts, which pages them in one of several ways. `asked` has the parameters of its requests."""

    def __init__(self, style: str, largest: int = 100) -> None:
        self.style = style
        self.largest = largest
        self.asked: list[dict[str, str]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        query = dict(parse_qsl(urlsplit(request.url.raw_path.decode()).query))
        self.asked.append(query)
        size = min(int(query.get("limit") or query.get("per_page") or self.largest), self.largest)
        start = self.start(query, size)
        items = parts(*range(start + 1, min(start + size, 45) + 1))
        end = start + size
        more = end < 45
        headers = {"x-total-count": "45"}
        body: Any = {"items": items, "total": 45}
        if self.style == "cursor":
            body["meta"] = {"after": f"c{end}" if more else None}
        elif self.style == "url":
            body["next"] = f"https://else.where/x?evil=1&cursor=c{end}" if more else None
        elif self.style == "link" and more:
            headers["link"] = f'<https://else.where/parts?page_info=c{end}&evil=1>; rel="next", <https://e/p>; rel="prev"'
        elif self.style == "last_id":
            body["has_more"] = more
        return httpx.Response(200, json=body, headers=headers)

    @staticmethod
    def start(query: Mapping[str, str], size: int) -> int:
        """The number of items before the page."""
        for name in ("cursor", "page_info"):
            if name in query:
                return int(query[name][1:])
        if "page" in query:
            return (int(query["page"]) - 1) * size
        return int(query.get("offset") or query.get("starting_after") or 0)


STYLES: dict[str, Paging] = {
    "cursor": Cursor(at="meta.after"),
    "url": Cursor(at="next", is_url=True),
    "link": LinkHeader("page_info"),
    "last_id": LastId(),
    "offset": Offset(),
    "page": PageNumber(),
}


@pytest.mark.parametrize("total", ["total", InHeader("X-Total-Count"), None], ids=["body", "header", "untold"])
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("limits", [[20], [7, 20, 3], [45], [45, 1], [44, 5], [200]], ids=str)
async def test_all_pages_are_read_once(
    make_source: MakeSource, service: Service, caller: Caller, style: str, total: Any, limits: list[int]
) -> None:
    """In order, without gaps, whatever the size of each page; the total is told, or None."""
    service.every = Shelf(style)
    read = make_source(source_of(Pages(STYLES[style], total=total))).read
    seen: list[int] = []
    cursor: str | None = None
    for turn in range(100):
        limit = limits[turn % len(limits)]
        page = await read.load(caller, limit=limit, cursor=cursor)
        assert page.total == (None if total is None else 45)
        assert len(page.items) <= limit
        seen += [each.id for each in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == list(range(1, 46))


async def test_a_link_gives_one_parameter_and_nothing_else(
    make_source: MakeSource, service: Service, caller: Caller
) -> None:
    """Neither its host nor other parameters are used."""
    shelf = service.every = Shelf("link")
    read = make_source(source_of(Pages(LinkHeader("page_info")))).read
    page = await read.load(caller, limit=20, cursor=None)
    await read.load(caller, limit=20, cursor=page.next_cursor)
    assert shelf.asked == [{"limit": "20"}, {"limit": "20", "page_info": "c20"}]
    assert {request.url.host for request in service.requests} == {"10.11.12.13"}


async def test_smaller_pages_of_the_service_are_joined(make_source: MakeSource, service: Service, caller: Caller) -> None:
    """Twenty at most in one call: 45 are three calls."""
    shelf = service.every = Shelf("offset", largest=20)
    page = await make_source(source_of(Pages(Offset(), largest=20))).read.load(caller, limit=50, cursor=None)
    assert [each.id for each in page.items] == list(range(1, 46))
    assert [each["limit"] for each in shelf.asked] == ["20", "20", "10"]


@pytest.mark.parametrize("style", ["offset", "page"])
@pytest.mark.parametrize("cursor", ["-1", "0", "x", "1e3", "", "9" * 11, "1&admin=1", "\u0661"])
async def test_a_text_that_is_no_offset_is_no_cursor(
    make_source: MakeSource, service: Service, caller: Caller, style: str, cursor: str
) -> None:
    """No call is made for it."""
    read = make_source(source_of(Pages(STYLES[style]))).read
    with pytest.raises(BadCursor):
        await read.load(caller, limit=20, cursor=cursor)
    assert service.asked == []


async def test_beyond_the_last_page(make_source: MakeSource, service: Service, caller: Caller) -> None:
    """A service that numbers its pages often answers 404: it is a bad cursor, not an error of the service."""
    service.every = lambda _: httpx.Response(404)
    read = make_source(source_of(Pages(PageNumber()))).read
    with pytest.raises(BadCursor):
        await read.load(caller, limit=20, cursor="1000")
    with pytest.raises(Rejected):
        await read.load(caller, limit=20, cursor=None)


@pytest.mark.parametrize("total", ["-1", "", "1e3", "x", "1" * 12])
async def test_a_total_that_is_no_number(make_source: MakeSource, service: Service, caller: Caller, total: str) -> None:
    """The reply can't be used."""
    service.every = lambda _: httpx.Response(200, json={"items": []}, headers={"x-total-count": total})
    with pytest.raises(BadAnswer):
        await make_source(source_of(Pages(Offset(), total=InHeader("x-total-count")))).read.load(
            caller, limit=5, cursor=None
        )


# Statuses and errors


ERROR = {"error": {"code": "bad_name", "message": "of Ann", "details": [{"field": "name", "message": "too long"}]}}


class Makers(Source[Part], forward_identity=False):
    """With errors as an object, and statuses of its own."""

    path = "/makers"
    by_id = ById()
    of_maker = ListBy("maker_id")
    conventions: ClassVar[Conventions] = Conventions(
        errors=ErrorObject(), statuses={410: 404, 423: 503, 400: 422}, none_is_404=True, idempotency_header="X-Once"
    )

    async def rename(self, caller: Caller, id: int, *, reads_back: bool = False) -> Part:
        """A write."""
        return await self.write(caller, "PATCH", "/makers/{id}", {"name": "x"}, key="k", id=id, reads_back=reads_back)

    async def add(self, caller: Caller) -> Part:
        """A write that makes an object."""
        return await self.write(caller, "POST", "/makers", {"name": "x"}, key="k", reads_back=True)


async def test_own_statuses_have_standard_meanings(make_source: MakeSource, service: Service, caller: Caller) -> None:
    """Gone is not there; locked is: try again."""
    service.answers = {"/makers/1": httpx.Response(410), "/makers/2": httpx.Response(423, headers={"retry-after": "1"})}
    makers = make_source(Makers)
    assert await makers.by_id.load(caller, [1]) == {}
    (error,) = (await makers.by_id.load(caller, [2])).values()
    assert isinstance(error, Busy)
    assert error.retry_after == 1


async def test_none_of_several_may_be_404(make_source: MakeSource, service: Service, caller: Caller) -> None:
    """Nothing exists, and nothing is wrong."""
    makers = make_source(Makers)
    assert await makers.by_id.load(caller, [1, 2]) == {}
    assert await makers.of_maker.load(caller, [1, 2], limit=5) == {1: [], 2: []}
    assert service.asked == ["GET /makers?ids=1,2", "GET /makers?maker_ids=1,2&limit=5"]


async def test_errors_are_read_as_declared(make_source: MakeSource, service: Service, caller: Caller, heard: Heard) -> None:
    """The mistakes by member are for the user, the code is for the log."""
    service.answers = {"/makers/1": httpx.Response(400, json=ERROR)}
    with pytest.raises(Rejected) as rejected:
        await make_source(Makers).rename(caller, 1)
    assert rejected.value.status == 422
    assert [(each.field, each.message) for each in rejected.value.problem.errors] == [("name", "too long")]
    assert heard.ended[-1].problem == "bad_name"
    assert service.last.headers["x-once"] == "k"
    assert "idempotency-key" not in service.last.headers


async def test_an_own_function_tells_what_a_200_means(make_source: MakeSource, service: Service, caller: Caller) -> None:
    """Services that answer every error with 200."""

    def meaning(status: int, body: bytes) -> int:
        found = json.loads(body)
        return {"not_found": 404}.get(found.get("error"), status) if not found.get("ok", True) else status

    service.answers = {"/parts/1": {"ok": False, "error": "not_found"}, "/parts/2": {"ok": True, "id": 2}, "/parts/3": b"{"}
    read = make_source(source_of(ById(), conventions=Conventions(statuses=meaning))).read
    assert await read.load(caller, [1]) == {}
    assert list(await read.load(caller, [2])) == [2]
    assert isinstance((await read.load(caller, [3]))[3], BadAnswer)  # the function raised


@pytest.mark.parametrize("returned", [None, 99, "404", 302])
async def test_an_own_function_s_nonsense_changes_nothing(
    make_source: MakeSource, service: Service, caller: Caller, returned: Any
) -> None:
    """The status counts as it is."""
    service.answers = {"/parts/1": {"id": 1}}
    read = make_source(source_of(ById(), conventions=Conventions(statuses=lambda *_: returned))).read
    assert list(await read.load(caller, [1])) == [1]


async def test_other_media_types_of_json(make_source: MakeSource, service: Service, caller: Caller) -> None:
    """Only those that are declared."""
    service.every = lambda _: httpx.Response(200, content=b'{"id": 1}', headers={"content-type": "Text/JSON; charset=utf-8"})
    usual = make_source(source_of(ById())).read
    assert isinstance((await usual.load(caller, [1]))[1], BadAnswer)
    declared = make_source(source_of(ById(), conventions=Conventions(media_types=("text/json",)))).read
    assert list(await declared.load(caller, [1])) == [1]


# Writes without the object in the reply


@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_a_write_without_the_object_is_read_back(
    make_source: MakeSource, service: Service, caller: Caller, status: int
) -> None:
    """The object is read after the write."""

    def reply(request: httpx.Request) -> Any:
        return httpx.Response(status) if request.method == "PATCH" else {"id": 1, "name": "after"}

    service.every = reply
    assert (await make_source(Makers).rename(caller, 1, reads_back=True)).name == "after"
    assert service.asked == ["PATCH /makers/1", "GET /makers/1"]


async def test_a_new_object_is_read_back_by_its_location(make_source: MakeSource, service: Service, caller: Caller) -> None:
    """Only the id at its end is used, never the host."""

    def reply(request: httpx.Request) -> Any:
        return (
            httpx.Response(201, headers={"location": "https://else.where/v9/makers/7"})
            if request.method == "POST"
            else {"id": 7}
        )

    service.every = reply
    assert (await make_source(Makers).add(caller)).id == 7
    assert service.asked == ["POST /makers", "GET /makers/7"]
    assert {request.url.host for request in service.requests} == {"10.11.12.13"}


@pytest.mark.parametrize("location", ["", "https://[", "/makers/", "/makers/x", "/makers/-1", "x" * 5000])
async def test_a_location_without_an_id(make_source: MakeSource, service: Service, caller: Caller, location: str) -> None:
    """What was made can't be shown, and the client is not told that it failed for a reason of the service."""
    service.every = lambda _: httpx.Response(201, headers={"location": location})
    with pytest.raises(Mismatched):
        await make_source(Makers).add(caller)


async def test_a_write_that_fails_is_not_read_back(make_source: MakeSource, service: Service, caller: Caller) -> None:
    """Its error is that of the write."""
    service.every = lambda _: httpx.Response(409)
    with pytest.raises(Rejected):
        await make_source(Makers).rename(caller, 1, reads_back=True)
    assert service.asked == ["PATCH /makers/1"]


async def test_without_an_idempotency_header_a_write_is_sent_once(
    make_source: MakeSource, service: Service, caller: Caller
) -> None:
    """It can't be repeated safely."""

    class Plain(Makers):
        conventions = Conventions(idempotency_header=None)

    service.every = lambda _: httpx.Response(503)
    with pytest.raises(SourceError):
        await make_source(Plain).rename(caller, 1)
    assert len(service.asked) == 1
    assert "idempotency-key" not in service.last.headers


# Names and declarations


async def test_parameters_are_named_as_the_service_does(make_source: MakeSource, service: Service, caller: Caller) -> None:
    """By the record for its members, else by the convention."""
    service.every = lambda _: {"items": [], "total": 0}
    read = Pages(Offset(), exact=("maker_id",), filters=("full_text",))
    parts_ = make_source(source_of(read, conventions=Conventions(naming=snake)))
    await parts_.read.load(caller, limit=5, cursor=None, maker_id="1", full_text="x y")
    assert service.asked == ["GET /parts?limit=5&offset=0&full_text=x+y&maker_id=1"]


class Base(Source[Any]):
    """What several sources of one service have in common."""

    conventions = Conventions(items="data")


async def test_a_base_class_declares_for_all_its_sources(make_source: MakeSource, service: Service, caller: Caller) -> None:
    """Each of them has them, unless it has its own."""

    class Screws(Base):
        record = Part
        path = "/screws"
        by_id = ById()

    service.every = lambda _: {"data": parts(1, 2)}
    assert list(await make_source(Screws).by_id.load(caller, [1, 2])) == [1, 2]


@pytest.mark.parametrize(
    ("read", "conventions", "message"),
    [
        (
            ById(cast("Any", 7)),
            None,
            "parts.read: many: expected a parameter's name, Comma, Repeated, Posted or OneByOne, got 7",
        ),
        (ById(OneByOne("id")), None, "parts.read: expected OneByOne(): an object is at the source's path"),
        (ById(OneByOne(), one=False), None, "parts.read: expected one=True"),
        (ById(Posted("search")), None, "parts.read: Posted: expected a path such as /parts/search, got 'search'"),
        (
            ListBy("maker_id", many=OneByOne()),
            None,
            "parts.read: expected OneByOne with a parameter or a path for the owner",
        ),
        (ListBy("maker_id", many=OneByOne(path="/makers/parts")), None, "expected a parameter, or a path with one {key}"),
        (Pages(Offset(), largest=5), None, "parts.read: largest: expected 10 to 200, got 5"),
        (Pages(Offset(offset="limit")), None, "parts.read: expected parameters of different names, got twice: limit"),
        (Pages(Offset(), filters=("offset",)), None, "got twice: offset"),
        (Pages(Offset(), total="items"), None, "expected a path of members that nothing else is read from"),
        (Pages(Cursor(), items=""), None, "expected the items at a member, since items, next, total are read"),
        (ById(), Conventions(items="data..x"), "Parts.conventions: data..x: expected a path of members"),
        (ById(), Conventions(statuses={404: 418}), "Parts.conventions: statuses: expected statuses from 200 to 599"),
        (ById(), Conventions(statuses={100: 404}), "Parts.conventions: statuses: expected statuses from 200 to 599"),
        (ById(), Conventions(errors=cast("Any", 7)), "Parts.conventions: errors: expected a function, got 7"),
    ],
)
def test_a_wrong_declaration_is_refused(read: Any, conventions: Conventions | None, message: str) -> None:
    """When the class is made, with what was expected."""
    with pytest.raises(TypeError) as refused:
        source_of(read, conventions=conventions)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("read", "request_", "keys"),
    [
        (ById(), "GET /parts?ids=", 200),
        (ById(Repeated("id")), "GET /parts?id=&id=", 200),
        (ById(Posted("/parts/search")), "POST /parts/search", 200),
        (ById(OneByOne()), "GET /parts/{id}", 1),
        (ListBy("maker_id", many=OneByOne(path="/makers/{key}/parts")), "GET /makers/{key}/parts?limit=", 1),
        (ListBy("maker_id", many=OneByOne("maker"), limit=None), "GET /parts?maker=", 1),
        (Pages(PageNumber()), "GET /parts?per_page=", 1),
    ],
)
def test_explain_shows_the_requests(read: Any, request_: str, keys: int) -> None:
    """The real ones, and how many keys are in one call."""
    declared = source_of(read).read
    assert (declared.request, declared.keys_a_call) == (request_, keys)


async def test_uuids_are_texts_in_a_body(make_source: MakeSource, service: Service, caller: Caller) -> None:
    """As JSON has them."""

    class Crate(Record, frozen=True):
        id: UUID

    service.every = lambda request: {"items": [{"id": each} for each in json.loads(request.content)]}
    ids = [UUID(int=1), UUID(int=2)]
    assert list(await make_source(source_of(ById(Posted("/crates/search")), Crate)).read.load(caller, ids)) == ids


async def test_a_service_whose_pages_never_end_is_not_asked_for_ever(
    make_source: MakeSource, service: Service, caller: Caller
) -> None:
    """Empty pages with a next cursor: as many calls as full pages would have needed."""
    service.every = lambda _: {"items": [], "total": 0, "meta": {"after": "again"}}
    page = await make_source(source_of(Pages(Cursor(at="meta.after"), largest=20))).read.load(caller, limit=100, cursor=None)
    assert page.items == []
    assert len(service.asked) == 5
