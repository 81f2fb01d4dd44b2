"""Records: the members of a service's objects that an application uses, and how they are read from JSON.

An item of a list that does not fit its record does not affect the others: it becomes an `Unreadable`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar

import msgspec

from bff.upstream.errors import BadAnswer, SourceError


class Record(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """The base of all records: an object with an id. A subclass declares the members it uses, and the type of `id`.

    The id is an `int`, a `str` or a `UUID`. Members are read in camel case: `user_id` is `userId` in JSON.

    Records contain no reference cycles, so the garbage collector does not track them (`gc=False`).
    """

    id: Any


Timestamp = Annotated[datetime, msgspec.Meta(tz=True)]
"""A date and time with its offset (RFC 3339). A timestamp without an offset is not accepted: it is ambiguous."""

Int32 = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
"""The range of GraphQL's `Int` (GraphQL specification, section 3.5.1). Checked here, so that a number out of range is
reported as a bad reply of the service and not as an error of the gateway."""


def inner_types(record: type[Record]) -> set[type]:
    """The classes of the objects inside of a record: of its members, of theirs, and so on."""
    found: set[type] = set()
    left: list[Any] = [field.type for field in msgspec.inspect.type_info(record).fields]  # type: ignore[attr-defined]
    while left:
        kind = left.pop()
        class_ = getattr(kind, "cls", None)
        if class_ in found:
            continue
        if class_ is not None:
            found.add(class_)
        left += [getattr(kind, name) for name in ("item_type", "key_type", "value_type", "type") if hasattr(kind, name)]
        left += [*getattr(kind, "types", ()), *getattr(kind, "item_types", ())]
        left += [field.type for field in getattr(kind, "fields", ())]
    return found


R = TypeVar("R", bound=Record)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An item of a reply that does not fit its record. `members` has those of its keys that can be read."""

    error: SourceError
    members: dict[str, Any]


class ItemsEnvelope(msgspec.Struct, Generic[T], rename="camel"):
    """A reply with a list of items: `{"items": […]}`."""

    items: list[T]


class PageEnvelope(msgspec.Struct, Generic[T], rename="camel"):
    """A reply with a page of a list: `{"items": […], "nextCursor": "…", "total": 1}`."""

    items: list[T]
    next_cursor: str | None
    total: Int32


class RecordReader(Generic[R]):
    """Reads one kind of record. `keys` are the members that are read even if the object does not fit."""

    def __init__(self, source: str, record: type[R], keys: tuple[str, ...]) -> None:
        fields = {each.name: each for each in msgspec.structs.fields(record)}
        self._source = source
        self._keys = [(name, fields[name].encode_name, fields[name].type) for name in keys]
        self._record = record
        self.read: Callable[[bytes], R] = msgspec.json.Decoder(record).decode
        """Reads one object. Raises `msgspec.DecodeError`."""

    def reader_of(self, envelope: Any) -> Callable[[bytes], Any]:
        """A reader of `envelope[record]`: all at once if all items fit, else item by item. Raises `msgspec.DecodeError`."""
        strict = msgspec.json.Decoder(envelope[self._record])
        loose = msgspec.json.Decoder(envelope[msgspec.Raw])

        def read(body: bytes) -> Any:
            try:
                return strict.decode(body)
            except msgspec.ValidationError:
                found = loose.decode(body)
                found.items = [self._read_item(raw) for raw in found.items]
                return found

        return read

    def _read_item(self, raw: msgspec.Raw) -> "R | Unreadable":
        try:
            return self.read(bytes(raw))
        except msgspec.ValidationError:
            return Unreadable(BadAnswer(self._source, counts=False), self._read_keys(raw))

    def _read_keys(self, raw: msgspec.Raw) -> dict[str, Any]:
        """The readable keys of an object that does not fit."""
        try:
            members = msgspec.json.decode(raw)
        except ValueError:
            return {}
        if not isinstance(members, dict):
            return {}
        found = {}
        for name, encoded, type_ in self._keys:
            try:
                found[name] = msgspec.convert(members[encoded], type_)
            except (KeyError, msgspec.ValidationError):
                continue
        return found
