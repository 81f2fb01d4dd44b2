"""From a plan to the functions that run it: one closure a field, one a shape, made once an operation.

They do what graphql-core's executor does (GraphQL specification, section 6.4), with all that is known beforehand left
out. A completed value is what stands in the answer, or `PENDING`: then it comes later, to the place that its link names.

A link is where a value stands: (the link of its container, its key there, the container, its `Spot`). The container of a
root field has no link. Links make paths for errors, and the way that a null goes up.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

from graphql import FieldNode, GraphQLError, Undefined
from graphql.execution.collect_fields import FieldDetails
from graphql.execution.executor import Executor, invalid_return_type_error
from graphql.pyutils import is_iterable
from graphql.pyutils.is_awaitable import is_async_iterable, is_awaitable

from bff.engine.plan import (
    Abstract,
    Attribute,
    FieldPlan,
    Keyed,
    Leaf,
    ListOf,
    Method,
    NonNull,
    ObjectPlan,
    Plan,
    Resolver,
    Shape,
    Typename,
    objects_in,
)
from bff.engine.rows import Memo, begun_by
from schema.loaded import Loaded, is_fresh

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


def assemble(
    plan: Plan,
    *,
    rows: bool,
    memo: Memo | None = None,
    is_awaitable: Callable[[Any], bool] = is_awaitable,
    is_async_iterable: Callable[[Any], bool] = is_async_iterable,
) -> Root:
    """The functions for a plan. `rows`: with source generated for plain rows, which is worth it for what runs again; they are remembered in `memo`."""
    assembly = _Assembly(plan, rows, memo, is_awaitable, is_async_iterable)
    return Root({each.key: None for each in plan.root.fields}, [assembly.step(each) for each in plan.root.fields])


class _Assembly:
    def __init__(
        self,
        plan: Plan,
        rows: bool,
        memo: Memo | None,
        awaits: Callable[[Any], bool],
        iterates: Callable[[Any], bool],
    ) -> None:
        self._plan = plan
        self._rows = rows
        self._memo = memo or Memo()
        self._awaits = awaits
        self._iterates = iterates
        # Kinds of values that are known to be just that: neither awaitable nor an error.
        self._plain: set[type] = {str, int, float, bool, list, tuple, dict}

    def _is_awaitable(self, value: Any) -> bool:
        kind = type(value)
        if kind in self._plain:
            return False
        if self._awaits(value):
            return True
        if len(self._plain) < 1000 and kind.__name__ != "generator":
            self._plain.add(kind)
        return False

    # Fields

    def step(self, field: FieldPlan) -> Step:
        """What puts a field's value, or nothing yet, into the object that is being made."""
        match field.source:
            case Typename(name):
                return _typename(field.key, name)
            case Keyed(key, loaded):
                return self._keyed(field, key, loaded)
            case Attribute(name):
                return self._attribute(field, name)
            case Method():
                return self._valued(field, self._call(field, field.source))
            case Resolver(resolve):
                return self._valued(field, _resolve(field, resolve))

    def _spot(self, field: FieldPlan) -> Spot:
        return Spot(field, nullable=not isinstance(field.shape, NonNull), typename=field.parent.name)

    def _attribute(self, field: FieldPlan, name: str) -> Step:
        def get(source: Any, *_: Any) -> Any:
            return getattr(source, name)

        return self._valued(field, get)

    def _valued(self, field: FieldPlan, value_of: Callable[[Any, Link, Any], Any]) -> Step:
        key, spot, complete = field.key, self._spot(field), self.shape(field, field.shape)
        plain, awaits = self._plain, self._is_awaitable

        def step(source: Any, above: Any, out: dict[str, Any], run: Execution) -> None:
            link = (above, key, out, spot)
            try:
                value = value_of(source, link, run)
                if type(value) not in plain and awaits(value):
                    run.later(value, lambda come: complete(come, link, run), link)
                    return
                completed = complete(value, link, run)
            except Exception as error:  # noqa: BLE001 - whatever a resolver raises is its field's error
                run.failed(error, link)
                return
            if completed is not PENDING:
                out[key] = completed

        return step

    def _call(self, field: FieldPlan, method: Method) -> Callable[[Any, Link, Any], Any]:
        call, takes_self, info, renames = method.call, method.takes_self, method.info, method.renames
        takes_info = info is not None or not renames
        if method.is_pure:
            return lambda source, link, run: call(source)

        def value_of(source: Any, link: Link, run: Execution) -> Any:
            given = run.strawberry_info(link, method.definition) if takes_info else None
            if renames:
                kwargs = run.renamed(field, method)
            else:
                kwargs = method.convert(run.arguments(field), given)
            if info is not None:
                kwargs = {**kwargs, info: given}
            return call(source, **kwargs) if takes_self else call(**kwargs)

        return value_of

    def _keyed(self, field: FieldPlan, method: Method, loaded: Loaded) -> Step:
        key, spot, complete = field.key, self._spot(field), self.shape(field, field.shape)
        key_of, name, finish = self._call(field, method), loaded.loader, loaded.finish
        is_bare = type(loaded).finish is Loaded.finish and loaded.show is None
        awaits, plain = self._is_awaitable, self._plain
        hints = self._hints(field, loaded)
        is_pure = method.is_pure and not hints

        def step(source: Any, above: Any, out: dict[str, Any], run: Any) -> None:
            link = (above, key, out, spot)
            try:
                wanted = key_of(source, link, run)
                if is_pure:
                    # Somebody has asked for it already, more often than not: then there is nothing more to do.
                    known = run.wants.get(name)
                    waiting = known.asked.get(wanted) if known is not None else None
                    if waiting:
                        waiting.append(link)
                        return
                if type(wanted) not in plain and awaits(wanted):
                    run.later(wanted, lambda come: ask(come, link, run), link)
                    return
                completed = ask(wanted, link, run)
            except Exception as error:  # noqa: BLE001 - whatever a resolver raises is its field's error
                run.failed(error, link)
                return
            if completed is not PENDING:
                out[key] = completed

        def ask(wanted: Any, link: Link, run: Any) -> Any:
            if wanted is None:
                return complete(None, link, run)
            wants = run.wants.get(name) or run.wants_of(name)
            if wanted in wants.settled:
                return complete(finish(wants.settled[wanted], run.path_of(link), run.context), link, run)
            waiting = wants.flying.get(wanted) or wants.asked.get(wanted)
            if waiting is not None:
                waiting.append(link)
            elif wanted in wants.flying:  # a hint that nobody waited for so far
                wants.flying[wanted].append(link)
            else:
                wants.asked[wanted] = [link]
                run.is_asking = True
            for hint in hints:
                hint(wanted, run)
            return PENDING

        def arrive(value: Any, link: Link, run: Any) -> None:
            try:
                if not is_bare or not is_fresh(value):
                    value = finish(value, run.path_of(link), run.context)
                completed = complete(value, link, run)
            except Exception as error:  # noqa: BLE001 - the same
                run.failed_late(error, link)
                return
            if completed is not PENDING:
                link[2][key] = completed

        spot.arrive = arrive
        spot.shares = is_bare and self._is_row(field.shape)
        return step

    def _is_row(self, shape: Shape) -> bool:
        """Whether an object of the shape is the same wherever it is shown: no part of it comes later or has a place."""
        inner = _inner(shape)
        return self._rows and isinstance(inner, ObjectPlan) and not begun_by(inner, self._memo)[1]

    def _hints(self, field: FieldPlan, loaded: Any) -> list[Callable[[Any, Any], None]]:
        """What can be asked for as soon as the field's own key is known: it will be wanted whenever the field has a value.

        Only of an object of one known type: of an interface it isn't known beforehand which fields are shown.
        """
        objects = objects_in(field.shape)
        if len(objects) != 1 or not isinstance(_inner(field.shape), ObjectPlan):
            return []
        return [
            self._hint(child, child.source)
            for child in objects[0].fields
            if isinstance(child.source, Keyed)
            and child.source.loaded.ahead is not None
            and child.source.loaded.ahead.loader == loaded.loader
            and child.source.key.info is None
        ]

    def _hint(self, field: FieldPlan, source: Keyed) -> Callable[[Any, Any], None]:
        key_of, name, ahead = self._call(field, source.key), source.loaded.loader, source.loaded.ahead
        if ahead is None:
            raise AssertionError("only what can be known ahead is hinted at")
        nowhere: Any = None

        def hint(parent_key: Any, run: Any) -> None:
            try:
                key = key_of(ahead.stand_in(parent_key), nowhere, run)
            except Exception:  # noqa: BLE001 - it will be raised again, in its place, if that comes to be
                return
            if key is not None:
                run.hint(name, key)

        return hint

    # Shapes

    def shape(self, field: FieldPlan, shape: Shape) -> Complete:
        """What completes a value of that shape."""
        match shape:
            case NonNull(of):
                return _non_null(field, self.shape(field, of))
            case ListOf(of):
                return self._list(field, of)
            case Leaf(type_):
                return _leaf(type_)
            case ObjectPlan():
                return self._object(shape, field)
            case Abstract():
                return self._abstract(field, shape)

    def _object(self, plan: ObjectPlan, field: FieldPlan) -> Complete:
        steps = [self.step(each) for each in plan.fields]
        template: dict[str, Any] = {each.key: None for each in plan.fields}
        is_type_of, awaits = plan.type.is_type_of, self._is_awaitable

        def fill(value: Any, link: Link, run: Any) -> Any:
            out = template.copy()
            for step in steps:
                step(value, link, out, run)
            return out

        def slowly(value: Any, link: Link, run: Any) -> Any:
            if value is None or value is Undefined:
                return None
            if isinstance(value, Exception):
                raise value
            if is_type_of is None:
                return fill(value, link, run)
            found = is_type_of(value, run.info(link))
            if awaits(found):

                def then(is_one: Any) -> Any:
                    if not is_one:
                        raise invalid_return_type_error(plan.type, value, _details(field))
                    return fill(value, link, run)

                run.later(found, then, link)
                return PENDING
            if not found:
                raise invalid_return_type_error(plan.type, value, _details(field))
            return fill(value, link, run)

        if not self._rows:
            return slowly
        row, rest = begun_by(plan, self._memo)
        if row is None:
            return slowly
        left = set(map(id, rest))
        others = [step for each, step in zip(plan.fields, steps, strict=True) if id(each) in left]

        def quickly(value: Any, link: Link, run: Any) -> Any:
            out = row(value)
            if out is None:
                return slowly(value, link, run)
            for step in others:
                step(value, link, out, run)
            return out

        return quickly

    def _abstract(self, field: FieldPlan, shape: Abstract) -> Complete:
        type_ = shape.type
        resolve_type = type_.resolve_type or self._plan.type_resolver
        objects = {name: self._object(plan, field) for name, plan in shape.objects.items()}
        details = _details(field)
        checking, awaits = _Checking(self._plan.schema, field), self._is_awaitable

        def complete(value: Any, link: Link, run: Execution) -> Any:
            if value is None or value is Undefined:
                return None
            if isinstance(value, Exception):
                raise value
            name = resolve_type(value, run.info(link), type_)

            def then(name: Any) -> Any:
                if (known := objects.get(name) if type(name) is str else None) is None:
                    # Never a valid one, so this raises what is wrong with it.
                    Executor.ensure_valid_runtime_type(checking, name, type_, details, checking, value)  # type: ignore[arg-type]
                    raise AssertionError("a type that is possible has a plan")
                return known(value, link, run)

            if awaits(name):
                run.later(name, then, link)
                return PENDING
            return then(name)

        return complete

    def _list(self, field: FieldPlan, of: Shape) -> Complete:
        complete_item = self.shape(field, of)
        spot = Spot(field, nullable=not isinstance(of, NonNull), typename=None)
        plain, awaits, iterates = self._plain, self._is_awaitable, self._iterates

        def complete(value: Any, link: Link, run: Any) -> Any:
            if value is None or value is Undefined:
                return None
            if isinstance(value, Exception):
                raise value
            if type(value) not in {list, tuple}:
                if iterates(value):
                    run.later(each(value, link, run), lambda out: out, link)
                    return PENDING
                if not is_iterable(value):
                    where = f"'{field.parent}.{field.name}'"
                    raise GraphQLError(f"Expected Iterable, but did not find one for field {where}.")
            out: list[Any] = []
            items = iter(value)
            try:
                for item in items:
                    put(item, out, link, run)
            except Exception:
                # What is left of it would never be awaited.
                with suppress(Exception):
                    run.abandon(each for each in items if awaits(each))
                raise
            return out

        def put(item: Any, out: list[Any], link: Link, run: Any) -> None:
            place = (link, len(out), out, spot)
            if type(item) not in plain and awaits(item):
                out.append(None)
                run.later(item, lambda come: complete_item(come, place, run), place)
                return
            try:
                completed = complete_item(item, place, run)
            except Exception as error:  # noqa: BLE001 - whatever a resolver raises is its item's error
                run.failed(error, place)
                completed = None
            out.append(None if completed is PENDING else completed)

        async def each(iterable: Any, link: Link, run: Any) -> list[Any]:
            iterator = iterable.__aiter__()
            out: list[Any] = []
            try:
                async for item in iterator:
                    put(item, out, link, run)
            except Exception:
                close = getattr(iterator, "aclose", None)
                if close is not None:
                    with suppress(Exception):
                        await close()
                raise
            return out

        inner = of.of if isinstance(of, NonNull) else of
        if not self._rows or not isinstance(inner, ObjectPlan):
            return complete
        row, rest = begun_by(inner, self._memo)
        if row is None:
            return complete
        if rest:
            others = [self.step(each) for each in rest]

            def begin(value: Any, link: Link, run: Any) -> Any:
                if type(value) not in {list, tuple}:
                    return complete(value, link, run)
                out: list[Any] = []
                for item in value:
                    shown = row(item)
                    if shown is None:
                        put(item, out, link, run)
                        continue
                    place = (link, len(out), out, spot)
                    try:
                        for step in others:
                            step(item, place, shown, run)
                    except Exception as error:  # noqa: BLE001 - whatever a resolver raises is its item's error
                        run.failed(error, place)
                        shown = None
                    out.append(shown)
                return out

            return begin

        def quickly(value: Any, link: Link, run: Any) -> Any:
            if type(value) in {list, tuple}:
                out = [row(item) for item in value]
                if None not in out:
                    return out
            return complete(value, link, run)

        return quickly


def _inner(shape: Shape) -> Shape:
    return shape.of if isinstance(shape, NonNull) else shape


def _details(field: FieldPlan) -> list[FieldDetails]:
    return [FieldDetails(node, None) for node in field.nodes]


class _Checking:
    """As much of an executor, and of its info, as graphql-core's check of a runtime type looks at."""

    def __init__(self, schema: Any, field: FieldPlan) -> None:
        self.schema = schema
        self.parent_type = field.parent
        self.field_name = field.name


def _typename(key: str, name: str) -> Step:
    def step(source: Any, above: Any, out: dict[str, Any], run: Any) -> None:
        out[key] = name

    return step


def _resolve(field: FieldPlan, resolve: Callable[..., Any]) -> Callable[[Any, Link, Any], Any]:
    def value_of(source: Any, link: Link, run: Execution) -> Any:
        return resolve(source, run.info(link), **run.arguments(field))

    return value_of


def _leaf(type_: Any) -> Complete:
    complete_leaf = Executor.complete_leaf_value

    def complete(value: Any, link: Link, run: Any) -> Any:
        if value is None or value is Undefined:
            return None
        if isinstance(value, Exception):
            raise value
        return complete_leaf(type_, value)

    return complete


def _non_null(field: FieldPlan, inner: Complete) -> Complete:
    message = f"Cannot return null for non-nullable field {field.parent}.{field.name}."

    def complete(value: Any, link: Link, run: Any) -> Any:
        completed = inner(value, link, run)
        if completed is None:
            raise TypeError(message)
        return completed

    return complete
