"""The names that follow from the one that is given to `bff new`."""

import keyword
import re
from dataclasses import dataclass

_APP = re.compile(r"[a-z][a-z0-9_-]{0,62}\Z", re.ASCII)
_SOURCE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*\Z", re.ASCII)
_LONGEST = 63
_CLASS = re.compile(r"[A-Z][A-Za-z0-9]{0,62}\Z", re.ASCII)
_CAPITAL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_TAKEN_MODULES = frozenset(
    {"app", "demo", "options", "query", "rest", "rules", "service", "services", "strawberry", "variants"}
)
"""Names of modules and functions that the generated code uses for something else."""

_TAKEN_FIELDS = frozenset(
    {"bool", "connection", "dict", "float", "id", "int", "list", "lookup", "set", "str", "tuple", "type"}
)
"""Names that the annotations and calls of `Query` use for something else."""

TAKEN_RECORDS = frozenset(
    {"Access", "Boolean", "ById", "Connection", "CursorPages", "DateTime", "Edge", "Float", "Mutation", "PageInfo"}
    | {"Query", "Record", "Source", "String", "Subscription", "UUID", "UserError"}
)
"""Names of classes that the generated code imports, and of types that every graph may have."""


class ScaffoldError(Exception):
    """Nothing was written. The message says what was expected and what came."""


@dataclass(frozen=True, slots=True)
class SourceNames:
    """The names of a source: `order_items` is read by `OrderItems`, and has records `OrderItem`."""

    source: str
    source_class: str
    record: str
    field: str


def check_app_name(name: str) -> None:
    """Raises `ScaffoldError` if an application can't be called that."""
    if not _APP.match(name):
        raise ScaffoldError(f"NAME: expected lower-case letters, digits, - and _, with a letter first, got {name!r}")


def check_variant_name(name: str) -> None:
    """Raises `ScaffoldError` if a variant can't be called that."""
    _check_identifier(name)
    if name.upper() == "EVERYONE":
        raise ScaffoldError("NAME: EVERYONE is the name of all variants; choose another one")


def source_names(name: str, record: str | None) -> SourceNames:
    """The names of a source; `record` is the class of its records, where the singular of the name is another word.

    Raises:
        ScaffoldError: a name is not valid, or the singular is not known.
    """
    _check_identifier(name)
    if name in _TAKEN_MODULES | _TAKEN_FIELDS:
        raise ScaffoldError(f"NAME: {name} is the name of something else in an application; choose another one")
    if record is None:
        singular = singular_of(name)
        if singular is None:
            raise ScaffoldError(f"--record: expected a name for one of {name}, as --record Item: its singular is not known")
        record = _class_of(singular)
    if not _CLASS.match(record):
        raise ScaffoldError(f"--record: expected a class's name, as Item, got {record!r}")
    names = SourceNames(name, _class_of(name), record, record_field(record))
    if names.source_class == names.record or names.field == name:
        raise ScaffoldError(f"--record: expected another name than that of the source, got {record}")
    _check_identifier(names.field, "--record")
    if names.record in TAKEN_RECORDS or names.field in _TAKEN_FIELDS:
        raise ScaffoldError(f"--record: {record} is the name of something else in an application; choose another one")
    return names


def record_field(record: str) -> str:
    """The name of one object in Python: `OrderItem` is `order_item`."""
    return _CAPITAL.sub("_", record).lower()


def singular_of(name: str) -> str | None:
    """The singular of a plural in English, where its ending says it: `categories` is `category`; else None."""
    if name.endswith("ies") and len(name) > 4:
        return f"{name[:-3]}y"
    if name.endswith(("sses", "shes", "ches", "xes")):
        return name[:-2]
    if name.endswith("s") and not name.endswith("ss") and len(name) > 1:
        return name[:-1]
    return None


def _check_identifier(name: str, option: str = "NAME") -> None:
    if not _SOURCE.match(name) or len(name) > _LONGEST:
        raise ScaffoldError(f"{option}: expected lower-case letters, digits and single _ between them, got {name!r}")
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        raise ScaffoldError(f"{option}: {name} is a word of Python's own; choose another one")


def _class_of(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))
