"""Plain rows: objects of the response that need no arguments, loads or resolvers, only attributes and pure methods.

Python source is generated for rows, and for nothing else: one function a row, with one dictionary display. The function
handles the usual values only. On any other (a null where none may be, an error, an unexpected type) it returns None, and
the plan's other functions make the object anew by graphql-core's rules. So a pure method may be called a second time.
"""

import enum
from collections.abc import Callable, Collection, Sequence
from typing import Any
from uuid import UUID

from graphql import (
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLFloat,
    GraphQLID,
    GraphQLInt,
    GraphQLScalarType,
    GraphQLString,
    Undefined,
)
from strawberry.schema.schema_converter import CustomGraphQLEnumType

from bff.engine.plan import Attribute, FieldPlan, Leaf, ListOf, Method, NonNull, ObjectPlan, Shape, Typename

Row = Callable[[Any], dict[str, Any] | None]
"""From a record to its object in the response; None if a value is not one of the usual."""


class _NotPlain(Exception):
    """A field or shape can't be in a row."""


class Memo:
    """Remembers rows by their record, so that records that requests share are shown once.

    Only for records of `kinds`, which are immutable and belong to no viewer. Keyed by object identity: only a holder of the
    record can hit its row. The number of rows and their memory are limited: when the memo is full, it is cleared. A
    plain dictionary and no LRU cache, because the generated code looks up each row in it.
    """

    MOST = 4096
    MOST_BYTES = 8 * 1024 * 1024

    def __init__(self, kinds: Collection[type] = ()) -> None:
        self.kinds = frozenset(kinds)
        self.rows: dict[int, tuple[Any, Any, dict[str, Any]]] = {}
        self.weight = 0

    def __repr__(self) -> str:
        return f"<Memo {len(self.rows)} rows>"

    def keep(self, record: Any, mark: object, key: int, shown: dict[str, Any]) -> dict[str, Any]:
        """Remember `shown`, made of the record by the row function with that mark. Returns `shown`."""
        weight = _RECORD_BYTES + _bytes_of(shown)
        if weight > self.MOST_BYTES:
            return shown
        if len(self.rows) >= self.MOST or self.weight + weight > self.MOST_BYTES:
            self.rows.clear()
            self.weight = 0
        self.rows[key] = (record, mark, shown)
        self.weight += weight
        return shown


_RECORD_BYTES = 1000
"""Bytes of a record without its texts, and of its entry. An estimate."""


def _bytes_of(shown: dict[str, Any]) -> int:
    """The memory of a row, an estimate. Texts count twice, because the record may have texts that the row doesn't show."""
    size = 200 + 100 * len(shown)
    for value in shown.values():
        kind = type(value)
        if kind is str:
            size += 2 * len(value)
        elif kind is dict:
            size += _bytes_of(value)
        elif kind is list:
            size += sum(map(_bytes_of, value))
    return size


class Rows:
    """Makes the row functions of one plan, once for each object plan."""

    def __init__(self, memo: Memo) -> None:
        self._memo = memo
        self._made: dict[int, tuple[Row | None, Sequence[FieldPlan]]] = {}

    def begun_by(self, plan: ObjectPlan) -> tuple[Row | None, Sequence[FieldPlan]]:
        """The function that makes an object with its plain fields and null for the others; and the other fields.

        None in place of the function if no field is plain.
        """
        made = self._made.get(id(plan))
        if made is None:
            made = self._made[id(plan)] = self._make(plan)
        return made

    def _make(self, plan: ObjectPlan) -> tuple[Row | None, Sequence[FieldPlan]]:
        if not plan.fields or plan.type.is_type_of is not None:
            return None, plan.fields
        writer = _Writer(self, self._memo)
        members, rest = [], []
        for each in plan.fields:
            shown = writer.field(each, "o")
            members.append(f"{each.key!r}: {shown}")
            if shown is None:
                rest.append(each)
        if len(rest) == len(plan.fields):
            return None, rest
        return writer.function("{" + ", ".join(members) + "}", is_whole=not rest), rest


class NoRows:
    """Makes no row functions."""

    def begun_by(self, plan: ObjectPlan) -> tuple[Row | None, Sequence[FieldPlan]]:
        """No function, and all fields."""
        return None, plan.fields


class _Writer:
    """Writes the source of a row function: lines that read and check the values, and then one dictionary display."""

    def __init__(self, rows: Rows, memo: Memo) -> None:
        self._rows = rows
        self._memo = memo
        self._lines: list[str] = []
        self._names: dict[str, Any] = {}

    def function(self, display: str, *, is_whole: bool) -> Row:
        """Compile the function. `is_whole`: no field is written later, so one row may stand in several responses."""
        # Checked first: an error may have attributes with the names that are read, and a pure method may accept None.
        lines = ["if o is None or isinstance(o, Exception): return None", *self._lines]
        body = "\n".join(f"        {line}" for line in lines)
        made = f"    try:\n{body}\n    except Exception:\n        return None\n"
        if is_whole and self._memo.kinds:
            # A mark stands for the function, which would keep a dropped plan alive.
            mark = self._given(object())
            kinds, rows, keep = map(self._given, (self._memo.kinds, self._memo.rows, self._memo.keep))
            key = f"id(o) ^ {id(self)}"
            text = (
                f"def row(o):\n    remembered = type(o) in {kinds}\n    if remembered:\n"
                f"        hit = {rows}.get({key})\n"
                f"        if hit is not None and hit[0] is o and hit[1] is {mark}: return hit[2]\n"
                f"{made}    return {keep}(o, {mark}, {key}, {display}) if remembered else {display}\n"
            )
        else:
            text = f"def row(o):\n{made}    return {display}\n"
        exec(compile(text, "<row>", "exec"), self._names)  # noqa: S102 - generated here, from GraphQL names
        row: Row = self._names.pop("row")  # they are its globals: a cycle
        return row

    def field(self, field: FieldPlan, value: str) -> str | None:
        """The expression of the field's value in the display; None if the field isn't plain, which then adds no line."""
        before = len(self._lines)
        try:
            return self._field(field, value)
        except _NotPlain:
            del self._lines[before:]
            return None

    def _field(self, field: FieldPlan, value: str) -> str:
        match field.source:
            case Typename(name):
                return repr(name)
            case Attribute(name):
                source = f"{value}.{name}"
            case Method(is_pure=True, call=call):
                source = f"{self._given(call)}({value})"
            case _:
                raise _NotPlain
        read = self._local()
        self._lines.append(f"{read} = {source}")
        return self._shape(field.shape, read)

    def _shape(self, shape: Shape, value: str) -> str:
        is_nullable = not isinstance(shape, NonNull)
        inner = shape.of if isinstance(shape, NonNull) else shape
        if isinstance(inner, Leaf):
            return self._leaf(inner.type, value, is_nullable=is_nullable)
        if isinstance(inner, ObjectPlan):
            return self._part(inner, value)
        if isinstance(inner, ListOf):
            item = inner.of.of if isinstance(inner.of, NonNull) else inner.of
            if isinstance(item, ObjectPlan):
                row = self._whole(item)
                rows = self._local()
                self._lines.append(f"if type({value}) is not list and type({value}) is not tuple: return None")
                self._lines.append(f"{rows} = [{self._given(row)}(each) for each in {value}]")
                self._lines.append(f"if None in {rows}: return None")
                return rows
        raise _NotPlain

    def _whole(self, plan: ObjectPlan) -> Row:
        row, rest = self._rows.begun_by(plan)
        if row is None or rest:
            raise _NotPlain
        return row

    def _part(self, plan: ObjectPlan, value: str) -> str:
        row = self._whole(plan)
        part = self._local()
        self._lines.append(f"{part} = {self._given(row)}({value})")
        self._lines.append(f"if {part} is None: return None")
        return part

    def _leaf(self, type_: Any, value: str, *, is_nullable: bool) -> str:
        unless_null = f"{value} is not None and " if is_nullable else ""
        if type_ is GraphQLID:
            self._lines.append(f"if {unless_null}type({value}) is not int: {value} = {self._given(_id)}({value})")
            return f"None if {value} is None else str({value})" if is_nullable else f"str({value})"
        if (unusual := _UNUSUAL.get(type_)) is not None:
            self._lines.append(f"if {unless_null}({unusual.format(value)}): return None")
            return value
        if isinstance(type_, CustomGraphQLEnumType) and isinstance(type_.wrapped_cls, enum.EnumMeta):
            names = self._given(_names(type_))
            self._lines.append(f"if {unless_null}type({value}) is not {self._given(type_.wrapped_cls)}: return None")
            shown = f"{names}[{value}]"
        elif isinstance(type_, GraphQLScalarType | GraphQLEnumType):
            shown = f"{self._given(type_.coerce_output_value)}({value})"
        else:
            raise _NotPlain
        coerced, undefined = self._local(), self._given(Undefined)
        self._lines.append(f"{coerced} = None if {value} is None else {shown}" if is_nullable else f"{coerced} = {shown}")
        self._lines.append(f"if {unless_null}({coerced} is None or {coerced} is {undefined}): return None")
        return coerced

    def _local(self) -> str:
        return f"v{len(self._lines)}"

    def _given(self, value: Any) -> str:
        name = f"g{len(self._names)}"
        self._names[name] = value
        return name


_UNUSUAL = {
    GraphQLString: "type({0}) is not str",
    GraphQLBoolean: "type({0}) is not bool",
    GraphQLInt: "type({0}) is not int or not -2147483648 <= {0} <= 2147483647",
    GraphQLFloat: "type({0}) is not float or not -1.8e308 < {0} < 1.8e308",
}
"""By scalar: when a value can't be shown unchanged. Source, with the value's name for {0}."""


def _id(value: Any) -> Any:
    """An id that `str` shows as graphql-core would. Raises `TypeError` for any other value than a string or a UUID."""
    if type(value) is not str and type(value) is not UUID:
        raise TypeError("neither an int, nor a str, nor a UUID")
    return value


def _names(type_: CustomGraphQLEnumType) -> dict[Any, str]:
    """The GraphQL names of an enum's members. Members that the variant doesn't have are left out."""
    names: dict[Any, str] = {}
    member: Any
    for member in type_.wrapped_cls:
        try:
            names[member] = type_.coerce_output_value(member)
        except ValueError:
            continue
    return names
