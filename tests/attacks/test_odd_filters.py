"""Filters of reads: their names take no other parameter's place, and exact ones compare what the service sends."""

import enum
from typing import Any

import pytest

from bff.graph.loaded import Loaded
from bff.graph.loaders import Loaders
from bff.graph.relations import connection, many
from bff.graph.sources import Sources
from bff.graph.variants import Variant
from bff.upstream.caller import Caller
from bff.upstream.loads import as_text
from bff.upstream.reads import CursorPages, ListBy, Read
from bff.upstream.records import Record
from bff.upstream.source import Source
from tests.support.fakes import Service
from tests.support.source_fixtures import MakeSource

WEB = Variant("web")


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Size(enum.IntEnum):
    SMALL = 1


class Car(Record, frozen=True, kw_only=True):
    id: int
    owner: int = 1
    color: Color = Color.RED
    size: Size = Size.SMALL
    is_new: bool = True
    doors: int | None = None


class Cars(Source[Car]):
    path = "/cars"
    of_owner = ListBy("owner", exact=("color", "size", "is_new", "doors"), filters=("caller", "keys"))
    page = CursorPages(exact=("owner", "color"), filters=("caller", "source"))


def declared(read: Read) -> type[Source[Any]]:
    """A source with that read."""
    return type("Vans", (Source,), {"__module__": __name__, "record": Car, "path": "/vans", "read": read})


@pytest.mark.parametrize(
    ("value", "sent"), [(Color.RED, "red"), (Size.SMALL, "1"), (True, "true"), (0, "0"), ("x", "x")], ids=str
)
def test_a_filter_is_sent_as_json_has_it(value: Any, sent: str) -> None:
    """An enum's member by its value."""
    assert as_text(value) == sent


@pytest.mark.parametrize("members", [{"color": "red"}, {"size": 1}, {"isNew": False}, {"doors": 4}], ids=str)
async def test_items_that_match_an_exact_filter_are_shown(
    make_source: MakeSource, service: Service, caller: Caller, members: dict[str, Any]
) -> None:
    """Whatever the member's type; an item that does not match spoils the answer."""
    cars: Any = make_source(Cars)
    service.every = lambda _: {"items": [{"id": 1, "owner": 1, **members}]}
    filters = {{"isNew": "is_new"}.get(name, name): as_text(value) for name, value in members.items()}
    found = await cars.of_owner.load(caller, [1], limit=5, **filters)
    assert [each.id for each in found[1]] == [1]


async def test_a_filter_may_be_named_as_a_parameter_of_ours(
    make_source: MakeSource, service: Service, caller: Caller
) -> None:
    """It is the service that names it."""
    cars: Any = make_source(Cars)
    service.every = lambda _: {"items": [], "nextCursor": None, "total": 0}
    loaders: Any = Loaders(Sources([cars]), caller)
    await loaders[Cars.page].load(Cars.page.key(5, None, owner="1", caller="me", source="x"))
    await loaders[Cars.of_owner].load(Cars.of_owner.key(1, 5, caller="me", keys="x"))
    assert service.asked == [
        "GET /cars?limit=5&caller=me&source=x&owner=1",
        "GET /cars?owners=1&limit=5&caller=me&keys=x",
    ]
    assert many(WEB, read=Cars.of_owner)
    assert connection(WEB, read=Cars.page)
    info: Any = None
    assert Loaded(Cars.page).resolve(lambda *_, **arguments: arguments.clear(), None, info, source="x", info="y") is None


@pytest.mark.parametrize(
    "read",
    [
        ListBy("owner", filters=("limit",)),
        ListBy("owner", filters=("owners",)),
        ListBy("owner", many="limit"),
        ListBy("owner", limit="userIds", many="userIds"),
        ListBy("owner", exact=("color",), filters=("color",)),
        ListBy("owner", filters=("is_new", "isNew")),
        CursorPages(filters=("limit",)),
        CursorPages(filters=("cursor",)),
        CursorPages(filters=("search", "search")),
    ],
    ids=repr,
)
def test_parameters_of_one_name_stop_the_start(read: Read) -> None:
    """One would take the other's place: the owners', or the number of items."""
    with pytest.raises(TypeError, match="parameters of different names"):
        declared(read)


@pytest.mark.parametrize("name", ["self", "root", "info", "first", "after"])
def test_a_filter_that_the_graph_cannot_show_stops_the_start(name: str) -> None:
    """Its argument would be lost, or would take another's place."""
    pages: Any = declared(CursorPages(filters=(name,)))
    with pytest.raises(TypeError, match=f"filter {name!r}"):
        connection(WEB, read=pages.read)
    lists: Any = declared(ListBy("owner", filters=(name,)))
    with pytest.raises(TypeError, match=f"filter {name!r}"):
        many(WEB, read=lists.read)


@pytest.mark.parametrize("most", [0, -1])
def test_a_call_is_for_one_key_at_least(most: int) -> None:
    """Or nothing would be asked for."""
    with pytest.raises(TypeError, match="most"):
        declared(ListBy("owner", most=most))
