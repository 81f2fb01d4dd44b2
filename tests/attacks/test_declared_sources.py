"""Declarations of sources that contradict themselves: they stop the start, not the first request."""

from typing import Any

import pytest

from bff.upstream.reads import ById, CursorPages, ListBy
from bff.upstream.records import Record
from bff.upstream.source import Source


class Thing(Record, frozen=True, kw_only=True):
    id: int
    status: str = ""
    tags: tuple[str, ...] = ()


def declared(**members: Any) -> type[Source[Any]]:
    """A source of things with those members."""
    return type("Things", (Source,), {"record": Thing, "path": "/things"} | members)


@pytest.mark.parametrize("name", ["status", "name", "path", "record", "reads", "write", "read_id", "drop_cache"])
def test_a_read_is_not_named_as_a_member_of_all_sources(name: str) -> None:
    """`/ready` asks each source for its `status()`, for example."""
    with pytest.raises(TypeError, match=f"Things.{name}"):
        declared(**{name: ListBy("status", many="statuses")})


def test_any_other_name_is_free() -> None:
    """Also in a source that is derived from another."""
    base = declared(page=CursorPages(), by_status=ListBy("status"))
    derived: Any = type("Others", (base,), {"by_id": ById()})
    assert [read.name for read in derived.declared] == ["others.page", "others.by_status", "others.by_id"]


@pytest.mark.parametrize(
    "path", ["things", "/", "/things/", "//things", "/things?x=1", "/things#x", "/th ings", "/../things", "/a/./b", "/{id}"]
)
def test_a_path_is_one_that_an_id_can_follow(path: str) -> None:
    """An id would follow in a query, or name another path."""
    with pytest.raises(TypeError, match=r"Things\.path"):
        declared(path=path)


@pytest.mark.parametrize("path", ["/things", "/v1/things", "/v1.2/th-ings_x", "/api/th%20ings"])
def test_a_usual_path(path: str) -> None:
    """One or more segments (RFC 3986, section 3.3)."""
    assert declared(path=path).path == path


def test_the_owner_of_a_list_is_an_id() -> None:
    """A list of texts can't be a key."""
    with pytest.raises(TypeError, match=r"Thing\.tags"):
        declared(of_tags=ListBy("tags"))
