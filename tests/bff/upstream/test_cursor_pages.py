"""Reads of pages: requests, replies, cursors, and unreadable items."""

from typing import Any

import pytest

from bff.upstream.caller import Caller
from bff.upstream.errors import BadAnswer, Busy, Rejected, SourceError, Unauthenticated
from bff.upstream.loads import BadCursor, Page
from datasources.orders import Orders
from datasources.products import Products
from datasources.users import Users
from tests.bff.upstream.examples import BROKEN, LOST, NAMELESS, every_source, faults, items, page_of
from tests.support.fakes import Service, a_user, problem
from tests.support.source_fixtures import MakeSource


@every_source
async def test_a_page(
    make_source: MakeSource, service: Service, caller: Caller, kind: Any, record: Any, example: Any
) -> None:
    """`GET /{resource}?limit=2`, then with `&cursor=C`: items in the service's order, its cursor and its total."""
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
async def test_the_query_of_a_page(
    make_source: MakeSource, service: Service, caller: Caller, cursor: str | None, filters: dict[str, str | None], query: str
) -> None:
    """Omitted parameters are left out, and values are encoded."""
    service.every = lambda _: page_of()
    kind: Any = Orders if "status" in filters else Products
    source = make_source(kind)
    assert await source.page.load(caller, limit=20, cursor=cursor, **filters) == Page([], None, 7)
    assert service.asked == [f"GET {source.path}?{query}"]


async def test_a_filter_that_is_not_declared_is_a_type_error(products: Products, caller: Caller) -> None:
    """It is named, and no call is made."""
    with pytest.raises(TypeError, match=r"products\.page: expected search, category, got status"):
        await products.page.load(caller, limit=20, cursor=None, status="paid")


@pytest.mark.parametrize("broken", [*BROKEN, *NAMELESS], ids=repr)
@pytest.mark.parametrize("place", [0, 1, 2])
async def test_the_error_of_an_unreadable_item_is_in_its_place(
    users: Users, service: Service, caller: Caller, broken: Any, place: int
) -> None:
    """The other items of the page keep their positions."""
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
async def test_a_page_is_never_longer_than_its_limit(
    users: Users, service: Service, caller: Caller, broken: list[Any]
) -> None:
    """If the service sends more, the rest is dropped."""
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
async def test_an_invalid_page_is_a_bad_reply(
    users: Users, service: Service, caller: Caller, body: Any, counts: bool
) -> None:
    """Without items, cursor or total; also if an item is unreadable."""
    service.answers = {"/users?limit=20": body}
    with pytest.raises(BadAnswer) as caught:
        await users.page.load(caller, limit=20, cursor=None)
    assert caught.value.counts is counts
    if isinstance(body, dict) and "items" in body:
        service.answers = {"/users?limit=20": {**body, "items": [None]}}
        with pytest.raises(BadAnswer):
            await users.page.load(caller, limit=20, cursor=None)


async def test_a_reply_to_ids_needs_no_cursor(users: Users, service: Service, caller: Caller) -> None:
    """It has only `items`."""
    service.answers = {"/users?ids=1,2": b'{"items":[]}'}
    assert await users.by_id.load(caller, [1, 2]) == {}


async def test_a_cursor_that_the_service_refuses_is_a_bad_cursor(users: Users, service: Service, caller: Caller) -> None:
    """A 400 to a page with a cursor is not a `SourceError`."""
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
async def test_any_other_failure_of_a_page_is_a_source_error(
    users: Users, service: Service, caller: Caller, status: int, cursor: str | None, kind: type[SourceError]
) -> None:
    """Any other status, and a 400 without a cursor."""
    service.every = lambda _: problem(status)
    with pytest.raises(kind):
        await users.page.load(caller, limit=20, cursor=cursor)
