"""Plain rows: what an object shows of its record, without arguments, loads or questions.

For this, and for nothing else, source is generated: one function a row, one dictionary display. It knows just the
usual case. On any surprise (a null, an error, another type than expected) it returns None, and the closures do the row
again, with graphql-core's rules; so a method of a row, which takes the object alone, may be asked twice after it failed.
"""

import enum
from collections.abc import Callable, Collection, Sequence
from typing import Any

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


class _NotPlain(Exception):
    """There is no row for this."""


class Memo:
    """Rows that were made, by the record that they show: what many requests share is shown once.

    Only of `kinds`: records that never change and are no viewer's own. A row is found by the very object, so whoever has not
    got the record has not got its row. Limited by the number of rows and their memory: when it is full it is cleared.
    A plain dictionary and not an LRU cache: the generated code looks up each row in it.
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
        """Remember what the row of that mark shows of a record, and give it back."""
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
"""Of the record without its texts, and of the entry. An estimate."""


def _bytes_of(shown: dict[str, Any]) -> int:
    """The memory of a row, an estimate. Texts count twice, since the record may have more of them than the row shows."""
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
    """Makes the rows of one plan: each object's once."""

    def __init__(self, memo: Memo) -> None:
        self._memo = memo
        self._made: dict[int, tuple[Row | None, Sequence[FieldPlan]]] = {}

    def begun_by(self, plan: ObjectPlan) -> tuple[Row | None, Sequence[FieldPlan]]:
        """The function that makes an object with its plain fields, and null for the rest; and the rest.

        None where nothing is plain.
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
    """Makes none."""

    def begun_by(self, plan: ObjectPlan) -> tuple[Row | None, Sequence[FieldPlan]]:
        """All of it is left to the closures."""
        return None, plan.fields


class _Writer:
    """Writes a function's body: a line for each value that is read and checked, and in the end one display."""

    def __init__(self, rows: Rows, memo: Memo) -> None:
        self._rows = rows
        self._memo = memo
        self._lines: list[str] = []
        self._names: dict[str, Any] = {}

    def function(self, display: str, *, is_whole: bool) -> Row:
        """`is_whole`: nothing is put into the row later, so that it may stand in several answers as it is."""
        # An error may have members of the names that are read, and a method may not mind null.
        lines = ["if o is None or isinstance(o, Exception): return None", *self._lines]
        body = "\n".join(f"        {line}" for line in lines)
        made = f"    try:\n{body}\n    except Exception:\n        return None\n"
        if is_whole and self._memo.kinds:
            # The row's mark, and not the row itself: what is remembered must not keep a dropped plan alive.
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
        exec(compile(text, "<row>", "exec"), self._names)  # noqa: S102 - written here, of names that GraphQL allows
        row: Row = self._names.pop("row")  # the names are its own globals: it would lead back to itself
        return row

    def field(self, field: FieldPlan, value: str) -> str | None:
        """What is shown of a field; None where it isn't plain. Then nothing of it is left in the function."""
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
        if (refused := _REFUSED.get(type_)) is not None:
            self._lines.append(f"if {unless_null}({refused.format(value)}): return None")
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
        lost = f"{coerced} is {undefined}" if not is_nullable else f"{value} is not None and {coerced} is {undefined}"
        none = f"{coerced} is None" if not is_nullable else f"{value} is not None and {coerced} is None"
        self._lines.append(f"if {none} or {lost}: return None")
        return coerced

    def _local(self) -> str:
        return f"v{len(self._lines)}"

    def _given(self, value: Any) -> str:
        name = f"g{len(self._names)}"
        self._names[name] = value
        return name


_REFUSED = {
    GraphQLString: "type({0}) is not str",
    GraphQLBoolean: "type({0}) is not bool",
    GraphQLInt: "type({0}) is not int or not -2147483648 <= {0} <= 2147483647",
    GraphQLFloat: "type({0}) is not float or not -1.8e308 < {0} < 1.8e308",
}
"""When a value isn't shown just as it is."""


def _id(value: Any) -> str:
    if type(value) is not str:
        raise TypeError("neither an int nor a str")
    return value


def _names(type_: CustomGraphQLEnumType) -> dict[Any, str]:
    """The names of an enum's members; members that the variant doesn't have are left out."""
    names: dict[Any, str] = {}
    member: Any
    for member in type_.wrapped_cls:
        try:
            names[member] = type_.coerce_output_value(member)
        except ValueError:
            continue
    return names
