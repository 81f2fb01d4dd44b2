"""Connections (Relay cursor connections specification), with `nodes` and `totalCount` added."""

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import strawberry

from bff.graph.pages import Entry, PageSlice
from bff.graph.tags import EVERY, computed, field

T = TypeVar("T")

TOTAL_COUNT = "totalCount"
"""The field with the length of the whole list."""


@strawberry.type(description="The position of a slice in the whole list.")
class PageInfo:
    """Resolved from `bff.graph.pages.PageSlice`."""

    entries: strawberry.Private[Sequence[Entry[Any]]]
    has_next: strawberry.Private[bool]
    has_previous: strawberry.Private[bool]

    @computed(EVERY)
    def has_next_page(self) -> bool:
        """Whether items follow the slice."""
        return self.has_next

    @computed(EVERY)
    def has_previous_page(self) -> bool:
        """Whether items precede the slice."""
        return self.has_previous

    @computed(EVERY)
    def start_cursor(self) -> str | None:
        """The first edge's cursor."""
        return self.entries[0].cursor if self.entries else None

    @computed(EVERY)
    def end_cursor(self) -> str | None:
        """The last edge's cursor: as `after`, it gives the next slice."""
        return self.entries[-1].cursor if self.entries else None


@strawberry.type(description="An item of a connection and its cursor.")
class Edge(Generic[T]):
    """Resolved from `bff.graph.pages.Entry`."""

    cursor: str = field(EVERY, description="The cursor of this item: pass it as `after` to get the items that follow.")
    node: T | None = field(EVERY)


@strawberry.type(name="Connection", description="A slice of a longer list.")
class UncountedConnection(Generic[T]):
    """A connection whose service does not tell the length of the list. Resolved from `bff.graph.pages.PageSlice`."""

    entries: strawberry.Private[Sequence[Entry[Any]]]

    @computed(EVERY, type=list[Edge[T]])
    def edges(self) -> Any:
        """The items with their cursors."""
        return self.entries

    @computed(EVERY, type=list[T | None], description="The nodes of the edges.")
    def nodes(self) -> Any:
        """The items without cursors."""
        return [entry.node for entry in self.entries]

    @computed(EVERY, type=PageInfo)
    def page_info(self) -> Any:
        """The slice's position in the whole list."""
        return self


@strawberry.type(description="A slice of a longer list.")
class Connection(UncountedConnection[T]):
    """A connection with the length of the list. Resolved from `bff.graph.pages.PageSlice`."""

    total: strawberry.Private[int]

    @computed(EVERY, description="The number of items in the whole list.")
    def total_count(self) -> int:
        """The length of the whole list."""
        return self.total


def nodes_of(found: PageSlice[Any], _: Any) -> list[Any]:
    """A connection's nodes as a list."""
    return [entry.node for entry in found.entries]
