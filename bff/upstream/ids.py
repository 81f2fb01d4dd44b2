"""Ids of records. An id is an integer, a string or a UUID, as declared in the record.

A client's `ID` is text. It is read strictly: text that can't be an id is treated as the id of a missing object, without a
call.
"""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote
from uuid import UUID

import msgspec

LONGEST_ID = 256
"""The largest length of a string id in a URL, percent-encoded."""

MOST_IDS = 200
"""The largest number of ids in one call, unless the read sets it."""

MOST_STRING_IDS = 30
"""The same for string ids. Clients choose their length, and servers limit the length of a URL, often to 8 KiB."""

_CANONICAL_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z", re.ASCII | re.IGNORECASE)

_DOT_SEGMENT = re.compile(r"(\A|[/\\])\.{1,2}([/\\]|\Z)")

_KEYS = (
    msgspec.inspect.IntType,
    msgspec.inspect.StrType,
    msgspec.inspect.UUIDType,
    msgspec.inspect.EnumType,
    msgspec.inspect.NoneType,
)

ReadId = Callable[[str], Any]
"""Converts a client's text to the id; None for text that can't be an id."""


def read_integer(text: str) -> int | None:
    """A positive integer of at most 18 digits, written without sign or leading zeros."""
    if text.isascii() and text.isdigit() and len(text) <= 18 and (number := int(text)) > 0 and str(number) == text:
        return number
    return None


def read_string(text: str) -> str | None:
    """Any printable text of 1 to 256 characters, percent-encoded.

    Not `.` or `..`, also between slashes: they would name another path, since some proxies decode slashes before they remove
    dot segments (RFC 3986, section 5.2.4).
    """
    if not 1 <= len(text) <= LONGEST_ID:
        return None
    if text.isascii() and text.isalnum():
        return text
    is_usable = text.isprintable() and not _DOT_SEGMENT.search(text) and len(quote(text, safe="")) <= LONGEST_ID
    return text if is_usable else None


def read_uuid(text: str) -> UUID | None:
    """A UUID in its usual form, 8-4-4-4-12 hexadecimal digits (RFC 9562, section 4), in either case."""
    return UUID(text) if _CANONICAL_UUID.match(text) else None


def reader_of(type_: Any, name: str) -> ReadId:
    """The reader of ids of that type. Raises `TypeError` for a type other than the three.

    `name` is the record's member, for the message.
    """
    kind = _kind_of(type_)
    if isinstance(kind, msgspec.inspect.IntType):
        return read_integer
    if isinstance(kind, msgspec.inspect.StrType):
        return read_string
    if isinstance(kind, msgspec.inspect.UUIDType):
        return read_uuid
    raise TypeError(f"{name}: expected an id of the type int, str or UUID, got {type_!r}")


def _kind_of(type_: Any) -> msgspec.inspect.Type:
    """The type without titles and descriptions (`msgspec.Meta`)."""
    kind = msgspec.inspect.type_info(type_)
    return kind.type if isinstance(kind, msgspec.inspect.Metadata) else kind


def _kinds_of(type_: Any) -> tuple[msgspec.inspect.Type, ...]:
    """The same of a type that may be optional: each of its alternatives."""
    kind = _kind_of(type_)
    return kind.types if isinstance(kind, msgspec.inspect.UnionType) else (kind,)


def most_ids(type_: Any) -> int:
    """The largest number of ids of that type in one call. The type may be optional."""
    return MOST_STRING_IDS if any(isinstance(each, msgspec.inspect.StrType) for each in _kinds_of(type_)) else MOST_IDS


def check_key(type_: Any, name: str) -> None:
    """Check that values of a type can be keys in a list that is joined by commas. Raises `TypeError`.

    `name` is the record's member, for the message.
    """
    if not all(isinstance(each, _KEYS) for each in _kinds_of(type_)):
        raise TypeError(f"{name}: expected an int, str, UUID or enum, which may be optional, got {type_!r}")


def in_path(id: Any) -> str:
    """An id as a segment of a path, percent-encoded (RFC 3986, section 3.3). Raises `ValueError` for text that is no id."""
    if type(id) is not str:
        return str(id)
    if read_string(id) is None:
        raise ValueError("expected a text that can be an id")
    return quote(id, safe="")


def fits_list(id: Any) -> bool:
    """Whether an id can be part of a list that is joined by commas."""
    return type(id) is not str or "," not in id
