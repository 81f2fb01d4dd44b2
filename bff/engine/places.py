"""What the functions of a plan share: places in the response, loads that are pending, and which values are awaitable.

A place is where a value stands in the response: (place of the container, key in it, the container, its `ResponseSlot`).
The containers are the response's own dicts and lists. A root field's container has no place (None). A place gives the path
of an error, and the way by which a null is propagated. A tuple, because one is made for each field of each object.
"""

from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from types import GeneratorType
from typing import TYPE_CHECKING, Any

from graphql import FieldNode
from graphql.pyutils import Path

from bff.engine.plan import FieldPlan

if TYPE_CHECKING:
    from bff.engine.run import Run
    from bff.graph.loaders import Loader

Place = tuple["Place | None", str | int, Any, "ResponseSlot"]


class _Pending:
    """The type of `PENDING`."""

    def __repr__(self) -> str:
        return "PENDING"


PENDING = _Pending()
"""In place of a completed value: it will be written to its place later."""

Complete = Callable[[Any, Place, "Run"], Any]
"""Completes a value at its place: returns what stands in the response, or `PENDING`. Raises the field's error."""

FieldWriter = Callable[[Any, "Place | None", dict[str, Any], "Run"], None]
"""Resolves a field of (source, place of the object, the object in the response) and writes its value into the object.

Raises a `GraphQLError` if the value must not be null and is.
"""

WriteLater = Callable[[Any], Any]
"""Makes the completed value, or `PENDING`, of an awaitable's result. Raises the field's error."""

Deferred = tuple[Awaitable[Any], WriteLater, Place]


class ResponseSlot:
    """What a plan knows of a place: one slot for a field, one for the items of its lists.

    Attributes:
        field: the field.
        nodes: its nodes in the document.
        is_nullable: whether null may stand there.
        typename: the type of the object that has the field; None for items of a list.
        receive: writes a loaded value to a place of this slot; None if the field isn't loaded by key.
        is_shared: whether one completed value may stand in all places that wait for the same key.
    """

    __slots__ = ("field", "is_nullable", "is_shared", "nodes", "receive", "typename")

    def __init__(self, field: FieldPlan, *, is_nullable: bool, typename: str | None) -> None:
        self.field = field
        self.nodes: list[FieldNode] = list(field.nodes)
        self.is_nullable = is_nullable
        self.typename = typename
        self.receive: Callable[[Any, Place, Run], None] | None = None
        self.is_shared = False


class Root:
    """The root object: `template` has its response keys with nulls, `writers` write its fields in order."""

    __slots__ = ("template", "writers")

    def __init__(self, template: dict[str, Any], writers: Sequence[FieldWriter]) -> None:
        self.template = template
        self.writers = writers


class PendingLoads:
    """The keys of one loader in one run. Each key has the places that wait for it; a prefetched key may have none.

    Attributes:
        loader: the loader.
        loaded: its results so far, by key. Its own store.
        in_flight: keys that are being loaded.
        asked: keys of the next batch.
    """

    __slots__ = ("asked", "in_flight", "loaded", "loader")

    def __init__(self, loader: "Loader[Any, Any]") -> None:
        self.loader = loader
        self.loaded: Mapping[Hashable, Any] = loader.loaded
        self.in_flight: dict[Hashable, list[Place]] = {}
        self.asked: dict[Hashable, list[Place]] = {}


class AwaitableTypes:
    """Tells awaitables from plain values, and remembers the answer by type.

    Attributes:
        plain: types whose values are never awaitable. Grows up to `MOST` types.
    """

    MOST = 1000

    def __init__(self, is_awaitable: Callable[[Any], bool]) -> None:
        self._is_awaitable = is_awaitable
        self.plain: set[type] = {str, int, float, bool, list, tuple, dict}

    def is_awaitable(self, value: Any) -> bool:
        """Whether the value must be awaited."""
        kind = type(value)
        if kind in self.plain:
            return False
        if self._is_awaitable(value):
            return True
        if len(self.plain) < self.MOST and kind is not GeneratorType:  # only some generators are coroutines
            self.plain.add(kind)
        return False


def path_of(place: Place | None) -> list[str | int]:
    """The place's path in the response, from the root."""
    path: list[str | int] = []
    while place is not None:
        path.append(place[1])
        place = place[0]
    path.reverse()
    return path


def core_path_of(place: Place) -> Path:
    """The same as graphql-core's linked `Path`."""
    above = place[0]
    return Path(None if above is None else core_path_of(above), place[1], place[3].typename)
