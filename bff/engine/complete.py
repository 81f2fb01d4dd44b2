"""From a plan to the functions that run it: one closure a field, one a shape, made once an operation.

They do what graphql-core's executor does (GraphQL specification, section 6.4), with all that is known beforehand left
out. A completed value is what stands in the answer, or `PENDING`: then it comes later, to the place that its link names.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from graphql import Undefined
from graphql.execution.collect_fields import FieldDetails
from graphql.execution.executor import Executor, invalid_return_type_error
from graphql.pyutils.is_awaitable import is_async_iterable, is_awaitable

from bff.engine.field_writers import FieldWriters
from bff.engine.lists import Items
from bff.engine.places import PENDING, AwaitableTypes, Complete, Execution, FieldWriter, Place, Root
from bff.engine.plan import Abstract, FieldPlan, Leaf, ListOf, NonNull, ObjectPlan, Plan, Shape
from bff.engine.rows import Memo, NoRows, Row, Rows
from bff.runtime.error_copies import again


def assemble(
    plan: Plan,
    *,
    rows: bool,
    memo: Memo | None = None,
    is_awaitable: Callable[[Any], bool] = is_awaitable,
    is_async_iterable: Callable[[Any], bool] = is_async_iterable,
) -> Root:
    """The functions for a plan.

    Args:
        plan: what to run.
        rows: whether to generate source for plain rows, which is worth it for what runs again.
        memo: where rows are remembered.
        is_awaitable: what has to be waited for.
        is_async_iterable: which lists have.
    """
    assembly = _Assembly(_Parts(plan, rows, memo, is_awaitable, is_async_iterable))
    return Root({each.key: None for each in plan.root.fields}, [assembly.step(each) for each in plan.root.fields])


class _Parts(NamedTuple):
    """What an assembly works with."""

    plan: Plan
    rows: bool
    memo: Memo | None
    awaits: Callable[[Any], bool]
    iterates: Callable[[Any], bool]


class _Assembly:
    """Makes functions that don't lead back to it: so a plan that is dropped is freed at once, and not by the collector."""

    def __init__(self, parts: _Parts) -> None:
        self._parts = parts
        self._plan = parts.plan
        self._rows = Rows(parts.memo or Memo()) if parts.rows else NoRows()
        self._made: dict[int, tuple[Row | None, Sequence[FieldWriter]]] = {}
        self._objects: dict[int, Complete] = {}
        self._leaves: dict[int, Complete] = {}
        self._iterates = parts.iterates
        self._kinds = AwaitableTypes(parts.awaits)

    def step(self, field: FieldPlan) -> FieldWriter:
        """What puts a field's value into the object that is being made."""
        return FieldWriters(self._kinds, self.shape, self._is_row).step(field)

    def slow_object(self, plan: ObjectPlan, field: FieldPlan) -> Complete:
        """What makes an object field by field."""
        return self._by_steps(plan, field, [self.step(each) for each in plan.fields])

    def _is_row(self, shape: Shape) -> bool:
        """Whether an object of the shape is the same wherever it is shown: no part of it comes later or has a place."""
        inner = _inner(shape)
        if not isinstance(inner, ObjectPlan):
            return False
        row, rest = self._rows.begun_by(inner)
        return row is not None and not rest

    def shape(self, field: FieldPlan, shape: Shape) -> Complete:
        """What completes a value of that shape."""
        match shape:
            case NonNull(of):
                return _non_null(field, self.shape(field, of))
            case ListOf(of):
                return self._list(field, of)
            case Leaf(type_):
                return self._leaves.setdefault(id(type_), _leaf(type_))
            case ObjectPlan():
                return self._object(shape, field)
            case Abstract():
                return self._abstract(field, shape)

    def _object(self, plan: ObjectPlan, field: FieldPlan) -> Complete:
        """Made once for an object plan that is used in several places, unless its errors name the field."""
        if plan.type.is_type_of is not None:
            return self._make_object(plan, field)
        made = self._objects.get(id(plan))
        if made is None:
            made = self._objects[id(plan)] = self._make_object(plan, field)
        return made

    def _make_object(self, plan: ObjectPlan, field: FieldPlan) -> Complete:
        row, others = self._begun(plan)
        if row is None:
            return self.slow_object(plan, field)
        parts = self._parts
        slow: list[Complete] = []

        def slowly(value: Any, place: Place, run: Any) -> Any:
            if not slow:  # made when it is needed, which most never are
                slow.append(_Assembly(parts).slow_object(plan, field))
            return slow[0](value, place, run)

        def quickly(value: Any, place: Place, run: Any) -> Any:
            out = row(value)
            if out is None:
                return slowly(value, place, run)
            for step in others:
                step(value, place, out, run)
            return out

        return quickly

    def _begun(self, plan: ObjectPlan) -> tuple[Row | None, Sequence[FieldWriter]]:
        """An object's row, and the steps for what is not in it; each is made once."""
        begun = self._made.get(id(plan))
        if begun is None:
            row, rest = self._rows.begun_by(plan)
            begun = self._made[id(plan)] = (row, [self.step(each) for each in rest] if row is not None else ())
        return begun

    def _by_steps(self, plan: ObjectPlan, field: FieldPlan, steps: Sequence[FieldWriter]) -> Complete:
        template: dict[str, Any] = {each.key: None for each in plan.fields}
        is_type_of, awaits = plan.type.is_type_of, self._kinds.is_awaitable

        def fill(value: Any, place: Place, run: Any) -> Any:
            out = template.copy()
            for step in steps:
                step(value, place, out, run)
            return out

        def complete(value: Any, place: Place, run: Any) -> Any:
            if value is None or value is Undefined:
                return None
            if isinstance(value, Exception):
                raise again(value)
            if is_type_of is None:
                return fill(value, place, run)

            def then(is_one: Any) -> Any:
                if not is_one:
                    raise invalid_return_type_error(plan.type, value, _details(field))
                return fill(value, place, run)

            found = is_type_of(value, run.info(place))
            if awaits(found):
                run.later(found, then, place)
                return PENDING
            return then(found)

        return complete

    def _abstract(self, field: FieldPlan, shape: Abstract) -> Complete:
        type_ = shape.type
        resolve_type = type_.resolve_type or self._plan.type_resolver
        objects = {name: self._object(plan, field) for name, plan in shape.objects.items()}
        details = _details(field)
        checking, awaits = _Checking(self._plan.schema, field), self._kinds.is_awaitable

        def complete(value: Any, place: Place, run: Execution) -> Any:
            if value is None or value is Undefined:
                return None
            if isinstance(value, Exception):
                raise again(value)
            name = resolve_type(value, run.info(place), type_)

            def then(name: Any) -> Any:
                if (known := objects.get(name) if type(name) is str else None) is None:
                    # Never a valid one, so this raises what is wrong with it.
                    Executor.ensure_valid_runtime_type(checking, name, type_, details, checking, value)  # type: ignore[arg-type]
                    raise AssertionError("a type that is possible has a plan")
                return known(value, place, run)

            if awaits(name):
                run.later(name, then, place)
                return PENDING
            return then(name)

        return complete

    def _list(self, field: FieldPlan, of: Shape) -> Complete:
        items = Items(field, of, self.shape(field, of), self._kinds, self._iterates)
        inner = _inner(of)
        row, others = self._begun(inner) if isinstance(inner, ObjectPlan) else (None, ())
        if row is None:
            return items.complete
        return items.begun(row, others) if others else items.rows(row)


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


def _leaf(type_: Any) -> Complete:
    complete_leaf = Executor.complete_leaf_value

    def complete(value: Any, _: Place, __: Any) -> Any:
        if value is None or value is Undefined:
            return None
        if isinstance(value, Exception):
            raise again(value)
        return complete_leaf(type_, value)

    return complete


def _non_null(field: FieldPlan, inner: Complete) -> Complete:
    def complete(value: Any, place: Place, run: Any) -> Any:
        completed = inner(value, place, run)
        if completed is None:
            raise TypeError(f"Cannot return null for non-nullable field {field.parent}.{field.name}.")
        return completed

    return complete
