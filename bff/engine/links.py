"""What the functions of a plan work with: places in the answer, and the run as they see it.

A link is where a value stands: (the link of its container, its key there, the container, its `Spot`). The container of a
root field has no link. Links make paths for errors, and the way that a null goes up.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import GeneratorType
from typing import Any, Protocol

from graphql import FieldNode

from bff.engine.plan import FieldPlan, Method

Link = tuple[Any, str | int, Any, "Spot"]


class _Pending:
    """What is still to come."""

    def __repr__(self) -> str:
        return "PENDING"


PENDING = _Pending()


class Execution(Protocol):
    """One run of an operation, as the closures see it: `run.Run`."""

    context: Any

    def info(self, link: Link) -> Any:
        """graphql-core's `GraphQLResolveInfo` for the field at `link`."""
        ...

    def strawberry_info(self, link: Link, definition: Any) -> Any:
        """Strawberry's `Info` for it."""
        ...

    def arguments(self, field: FieldPlan) -> Any:
        """The field's arguments with this run's variables. Raises `GraphQLError`."""
        ...

    def renamed(self, field: FieldPlan, method: Method) -> dict[str, Any]:
        """The same as a method takes them that needs no more than their names in Python."""
        ...

    def failed(self, error: Exception, link: Link) -> None:
        """A field's error: noted, where null may stand at `link`. Raises it, located, where it may not."""
        ...

    def later(self, awaitable: Any, then: "Callable[[Any], Any]", link: Link) -> None:
        """When the awaitable has come, `then` makes of it what stands at `link`."""
        ...

    def abandon(self, awaitables: Iterable[Any]) -> None:
        """Nobody waits for these any more; they come to their end by themselves."""
        ...

    wants: "dict[str, Wants]"
    is_asking: bool

    def wants_of(self, loader: str) -> "Wants":
        """What is known and wanted of a loader that was not looked at so far."""
        ...

    def hint(self, loader: str, key: Any) -> None:
        """Ask for a key that will be wanted."""
        ...


Complete = Callable[[Any, Link, Any], Any]
Step = Callable[[Any, Any, dict[str, Any], Any], None]


class Wants:
    """What one run knows and wants of one loader: links that wait, by key; a spot's `arrive` is called with what has come.

    Attributes:
        settled: the loader's own store.
        flying: what is being loaded. A hint's key has no links.
        asked: what goes out with the next batch.
    """

    __slots__ = ("asked", "flying", "settled")

    def __init__(self, settled: Mapping[Any, Any]) -> None:
        self.settled = settled
        self.flying: dict[Any, list[Link]] = {}
        self.asked: dict[Any, list[Link]] = {}


class Kinds:
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


class Spot:
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
        self.arrive: Callable[[Any, Link, Any], None] | None = None
        self.shares = False


class Root:
    """The root object: its fields' keys, each null at first, and the step for each."""

    __slots__ = ("steps", "template")

    def __init__(self, template: dict[str, Any], steps: Sequence[Step]) -> None:
        self.template = template
        self.steps = steps
