"""Makes the functions that run a plan: one a field, which writes it, and one a shape, which completes values. Once a plan.

They do what graphql-core's executor does (GraphQL specification, section 6.4), without what is known beforehand.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from graphql import GraphQLLeafType, GraphQLSchema, Undefined
from graphql.execution.collect_fields import FieldDetails
from graphql.execution.executor import Executor, invalid_return_type_error
from graphql.pyutils.is_awaitable import is_async_iterable, is_awaitable

from bff.engine.field_writers import FieldWriters
from bff.engine.lists import Items
from bff.engine.places import PENDING, AwaitableTypes, Complete, FieldWriter, Place, Root
from bff.engine.plan import Abstract, FieldPlan, Leaf, ListOf, NonNull, ObjectPlan, Plan, Shape
from bff.engine.rows import Memo, NoRows, Row, Rows
from bff.engine.run import Run
from bff.runtime.error_copies import again


def assemble(
    plan: Plan,
    *,
    rows: bool,
    memo: Memo | None = None,
    is_awaitable: Callable[[Any], bool] = is_awaitable,
    is_async_iterable: Callable[[Any], bool] = is_async_iterable,
) -> Root:
    """Make the functions for a plan.

    Args:
        plan: the plan.
        rows: whether to generate source for plain rows, which is worth it if the plan runs again.
        memo: remembers rows between runs.
        is_awaitable: whether a value must be awaited.
        is_async_iterable: whether a value is a list whose items must be awaited.
    """
    assembly = _Assembly(_Parts(plan, rows, memo, is_awaitable, is_async_iterable))
    return Root({each.key: None for each in plan.root.fields}, [assembly.writer(each) for each in plan.root.fields])


class _Parts(NamedTuple):
    """The arguments of `assemble`."""

    plan: Plan
    rows: bool
    memo: Memo | None
    is_awaitable: Callable[[Any], bool]
    is_async_iterable: Callable[[Any], bool]


class _Assembly:
    """Makes functions that hold no reference to it, so that reference counting frees a dropped plan at once."""

    def __init__(self, parts: _Parts) -> None:
        self._parts = parts
        self._plan = parts.plan
        self._rows = Rows(parts.memo or Memo()) if parts.rows else NoRows()
        self._begun_objects: dict[int, tuple[Row | None, Sequence[FieldWriter]]] = {}
        self._objects: dict[int, Complete] = {}
        self._leaves: dict[int, Complete] = {}
        self._awaitable_types = AwaitableTypes(parts.is_awaitable)

    def writer(self, field: FieldPlan) -> FieldWriter:
        """The function that writes a field."""
        return FieldWriters(self._awaitable_types, self.completer, self._is_row).writer(field)

    def completer(self, field: FieldPlan, shape: Shape) -> Complete:
        """The function that completes values of a shape for a field."""
        match shape:
            case NonNull(of):
                return _non_null(field, self.completer(field, of))
            case ListOf(of):
                return self._list(field, of)
            case Leaf(type_):
                return self._leaves.setdefault(id(type_), _leaf(type_))
            case ObjectPlan():
                return self._object(shape, field)
            case Abstract():
                return self._abstract(field, shape)

    def object_by_fields(self, plan: ObjectPlan, field: FieldPlan) -> Complete:
        """The function that makes an object field by field, without a row."""
        return self._by_writers(plan, field, [self.writer(each) for each in plan.fields])

    def _is_row(self, shape: Shape) -> bool:
        """Whether an object of the shape is equal wherever it is shown: no part of it is pending or has a place."""
        inner = _inner(shape)
        if not isinstance(inner, ObjectPlan):
            return False
        row, rest = self._rows.begun_by(inner)
        return row is not None and not rest

    def _object(self, plan: ObjectPlan, field: FieldPlan) -> Complete:
        """Made once for an object plan that is used in several places, unless its errors name the field."""
        if plan.type.is_type_of is not None:
            return self._make_object(plan, field)
        made = self._objects.get(id(plan))
        if made is None:
            made = self._objects[id(plan)] = self._make_object(plan, field)
        return made

    def _make_object(self, plan: ObjectPlan, field: FieldPlan) -> Complete:
        row, writers = self._begun(plan)
        if row is None:
            return self.object_by_fields(plan, field)
        parts = self._parts
        by_fields: list[Complete] = []

        def complete_by_fields(value: Any, place: Place, run: Run) -> Any:
            if not by_fields:  # made when it is first needed, which is rare
                by_fields.append(_Assembly(parts).object_by_fields(plan, field))
            return by_fields[0](value, place, run)

        def complete(value: Any, place: Place, run: Run) -> Any:
            out = row(value)
            if out is None:
                return complete_by_fields(value, place, run)
            for write in writers:
                write(value, place, out, run)
            return out

        return complete

    def _begun(self, plan: ObjectPlan) -> tuple[Row | None, Sequence[FieldWriter]]:
        """An object's row and the writers of the fields that the row leaves out. Each is made once."""
        begun = self._begun_objects.get(id(plan))
        if begun is None:
            row, rest = self._rows.begun_by(plan)
            begun = self._begun_objects[id(plan)] = (row, [self.writer(each) for each in rest] if row is not None else ())
        return begun

    def _by_writers(self, plan: ObjectPlan, field: FieldPlan, writers: Sequence[FieldWriter]) -> Complete:
        template: dict[str, Any] = {each.key: None for each in plan.fields}
        is_type_of, is_awaitable = plan.type.is_type_of, self._awaitable_types.is_awaitable

        def fill(value: Any, place: Place, run: Run) -> Any:
            out = template.copy()
            for write in writers:
                write(value, place, out, run)
            return out

        def complete(value: Any, place: Place, run: Run) -> Any:
            if value is None or value is Undefined:
                return None
            if isinstance(value, Exception):
                raise again(value)
            if is_type_of is None:
                return fill(value, place, run)

            def then(is_of_type: Any) -> Any:
                if not is_of_type:
                    raise invalid_return_type_error(plan.type, value, _details(field))
                return fill(value, place, run)

            found = is_type_of(value, run.inputs.info(place))
            if is_awaitable(found):
                run.wait_for(found, then, place)  # type: ignore[arg-type] # which `is_awaitable` can't say
                return PENDING
            return then(found)

        return complete

    def _abstract(self, field: FieldPlan, shape: Abstract) -> Complete:
        type_ = shape.type
        resolve_type = type_.resolve_type or self._plan.type_resolver
        objects = {name: self._object(plan, field) for name, plan in shape.objects.items()}
        details = _details(field)
        context, is_awaitable = _TypeCheckContext(self._plan.schema, field), self._awaitable_types.is_awaitable

        def complete(value: Any, place: Place, run: Run) -> Any:
            if value is None or value is Undefined:
                return None
            if isinstance(value, Exception):
                raise again(value)
            name = resolve_type(value, run.inputs.info(place), type_)

            def then(name: Any) -> Any:
                if (known := objects.get(name) if type(name) is str else None) is None:
                    # The name is not valid, so this raises the error that says why.
                    Executor.ensure_valid_runtime_type(context, name, type_, details, context, value)  # type: ignore[arg-type]
                    raise AssertionError("each possible type has a plan")
                return known(value, place, run)

            if is_awaitable(name):
                run.wait_for(name, then, place)  # type: ignore[arg-type] # which `is_awaitable` can't say
                return PENDING
            return then(name)

        return complete

    def _list(self, field: FieldPlan, of: Shape) -> Complete:
        items = Items(field, of, self.completer(field, of), self._awaitable_types, self._parts.is_async_iterable)
        inner = _inner(of)
        row, writers = self._begun(inner) if isinstance(inner, ObjectPlan) else (None, ())
        if row is None:
            return items.complete
        return items.complete_objects(row, writers) if writers else items.complete_rows(row)


def _inner(shape: Shape) -> Shape:
    return shape.of if isinstance(shape, NonNull) else shape


def _details(field: FieldPlan) -> list[FieldDetails]:
    return [FieldDetails(node, None) for node in field.nodes]


class _TypeCheckContext:
    """The attributes of an executor and of an info that graphql-core's check of a runtime type reads."""

    def __init__(self, schema: GraphQLSchema, field: FieldPlan) -> None:
        self.schema = schema
        self.parent_type = field.parent
        self.field_name = field.name


def _leaf(type_: GraphQLLeafType) -> Complete:
    complete_leaf = Executor.complete_leaf_value

    def complete(value: Any, _: Place, __: Run) -> Any:
        if value is None or value is Undefined:
            return None
        if isinstance(value, Exception):
            raise again(value)
        return complete_leaf(type_, value)

    return complete


def _non_null(field: FieldPlan, complete_nullable: Complete) -> Complete:
    def complete(value: Any, place: Place, run: Run) -> Any:
        completed = complete_nullable(value, place, run)
        if completed is None:
            raise TypeError(f"Cannot return null for non-nullable field {field.parent}.{field.name}.")
        return completed

    return complete
