"""Names and texts of a document, as they may stand in code and in messages."""

import keyword
import re

LONGEST_NAME = 39
"""The largest length of a Python name that is made from a document's name."""

_LONGEST_SHOWN = 80

_PYTHON = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*\Z", re.ASCII)
_WORD_ENDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_OTHER = re.compile(r"[^A-Za-z0-9]+")
_USED = frozenset(
    {"bool", "cls", "datetime", "enum", "field", "float", "int", "list", "many", "msgspec", "one", "self", "str", "tuple"}
    | {"strawberry", "is_type_of", "resolve_type", "resolve_reference"}
)
"""Names that the generated classes, or Strawberry, use for something else."""


def shown(value: object) -> str:
    """Something of the document as it may stand in a message: one line, printable, not too long."""
    text = "".join(each if each.isprintable() else "?" for each in str(value)[: _LONGEST_SHOWN + 1])
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def snake_of(name: str) -> str:
    """A document's name in snake case: `makerId`, `maker-id` and `MakerID` are `maker_id`. Maybe no Python name."""
    return _OTHER.sub("_", _WORD_ENDS.sub("_", name[:200])).strip("_").lower()


def python_name(name: str) -> str | None:
    """The Python name for a document's name; None if it has none that can be read."""
    made = snake_of(name)
    if made[:1].isdigit():
        made = f"n{made}"
    if made in _USED or keyword.iskeyword(made) or keyword.issoftkeyword(made):
        made = f"{made}_value"
    return made if len(made) <= LONGEST_NAME and _PYTHON.match(made) else None


def class_name(*names: str) -> str:
    """A class's name of a record's and of a member's: `Part` and `unit_price` are `PartUnitPrice`."""
    first, *others = names
    return (first + "".join(part.capitalize() for name in others for part in name.split("_")))[:LONGEST_NAME]


def plain(name: str) -> str:
    """A name without separators, in lower case: for comparisons."""
    return _OTHER.sub("", name[:200]).lower()
