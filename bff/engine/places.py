"""What the functions of a plan work with: places in the answer, and the run as they see it.

A place is where a value stands in the answer: (the container's place, the key there, the container, its `ResponseSlot`).
The container of a root field has no place. Places make paths for errors, and the way that a null is propagated.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import GeneratorType
from typing import Any, Protocol

from graphql import FieldNode

from bff.engine.plan import FieldPlan, Method
from bff.upstream.reads import Read

Place = tuple[Any, str | int, Any, "ResponseSlot"]


class _Pending:
    """What is still to come."""

    def __repr__(self) -> str:
        return "PENDING"


PENDING = _Pending()


class Execution(Protocol):
    """One run of an operation, as the closures see it: `run.Run`."""

    context: Any

    def info(self, place: Place) -> Any:
        """graphql-core's `GraphQLResolveInfo` for the field at `link`."""
        ...

    def strawberry_info(self, place: Place, definition: Any) -> Any:
        """Strawberry's `Info` for it."""
        ...

    def arguments(self, field: FieldPlan) -> Any:
        """The field's arguments with this run's variables. Raises `GraphQLError`."""
        ...

    def renamed(self, field: FieldPlan, method: Method) -> dict[str, Any]:
        """The same as a method takes them that needs no more than their names in Python."""
        ...

    def failed(self, error: Exception, place: Place) -> None:
        """A field's error: noted, where null may stand at `link`. Raises it, located, where it may not."""
        ...

    def later(self, awaitable: Any, then: "Callable[[Any], Any]", place: Place) -> None:
        """When the awaitable has come, `then` makes of it what stands at `link`."""
        ...

    def abandon(self, awaitables: Iterable[Any]) -> None:
        """Nobody waits for these any more; they come to their end by themselves."""
        ...

    pending: "dict[Read, PendingLoads]"
    is_asking: bool

    def pending_for(self, loader: Read) -> "PendingLoads":
        """What is known and wanted of a loader that was not looked at so far."""
        ...

    def hint(self, loader: Read, key: Any) -> None:
        """Ask for a key that will be wanted."""
        ...


Complete = Callable[[Any, Place, Any], Any]
FieldWriter = Callable[[Any, Any, dict[str, Any], Any], None]


class PendingLoads:
    """What one run knows and wants of one loader: links that wait, by key; a spot's `arrive` is called with what has come.

    Attributes:
        settled: the loader's own store.
        flying: what is being loaded. A hint's key has no links.
        asked: what goes out with the next batch.
    """

    __slots__ = ("asked", "in_flight", "loaded")

    def __init__(self, loaded: Mapping[Any, Any]) -> None:
        self.loaded = loaded
        self.in_flight: dict[Any, list[Place]] = {}
        self.asked: dict[Any, list[Place]] = {}


class AwaitableTypes:
    """Tells awaitables from plain values: by asking once for each type.

    Attributes:
        plain: the types of which no value is awaitable, as far as any was met.
    """

    MOST = 1000

    def __init__(self, is_awaitable: Callable[[Any], bool]) -> None:
        self._is_awaitable = is_awaitable
        self.plain: set[type] = {str, int, float, bool, list, tuple, dict}

    def is_awaitable(self, value: Any) -> bool:
        """Whether the value has to be waited for."""
        kind = type(value)
        if kind in self.plain:
            return False
        if self._is_awaitable(value):
            return True
        if len(self.plain) < self.MOST and kind is not GeneratorType:  # of which only some are coroutines
            self.plain.add(kind)
        return False


class ResponseSlot:
    """What is known of a place in the answer: a field, or the items of a list of it.

    Attributes:
        nullable: whether null may stand there.
        typename: of the object whose field it is; None for a list's item.
        field: the field that it belongs to.
        nodes: where the field stands in the document.
        arrive: takes in what a loader has for it.
        shares: whether what stands there may stand, the very same, in other places that wait for the same key.
    """

    __slots__ = ("arrive", "field", "nodes", "nullable", "shares", "typename")

    def __init__(self, field: FieldPlan, *, nullable: bool, typename: str | None) -> None:
        self.field = field
        self.nodes: list[FieldNode] = list(field.nodes)
        self.nullable = nullable
        self.typename = typename
        self.arrive: Callable[[Any, Place, Any], None] | None = None
        self.shares = False


class Root:
    """The root object: its fields' keys, each null at first, and the step for each."""

    __slots__ = ("steps", "template")

    def __init__(self, template: dict[str, Any], steps: Sequence[FieldWriter]) -> None:
        self.template = template
        self.steps = steps
