"""Python code as `ruff format` writes it: calls, tuples and imports that are broken into lines where they are too long."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from bff.conventions import Conventions
from bff.scaffold.edits import LONGEST_LINE, import_order

_INDENT = "    "
_LONGEST_TEXT = 60
_HARMLESS = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]+\Z")
"""Printable ASCII without quotes and backslashes: it can stand in a literal as it is."""


def is_harmless(text: object) -> bool:
    """Whether a text of the document can be quoted in code."""
    return isinstance(text, str) and len(text) <= _LONGEST_TEXT and _HARMLESS.match(text) is not None


def quoted(text: str) -> str:
    """A harmless or empty text as a Python literal. Raises `ValueError` for another one."""
    if text and not is_harmless(text):
        raise ValueError("expected a harmless text")
    return f'"{text}"'


@dataclass(frozen=True, slots=True)
class Call:
    """A call, or a tuple if it has no name. Its arguments are texts or calls, each with its keyword, which may be empty."""

    name: str
    arguments: tuple[tuple[str, "Code"], ...]


Code = str | Call


def call(name: str, /, *arguments: Code, **keywords: Code) -> Call:
    """A call."""
    return Call(name, (*(("", each) for each in arguments), *keywords.items()))


def code_of(value: Any) -> Code:
    """A value of the gateway's vocabulary as code: a text, a number, a tuple, a function, a dataclass without its defaults.

    Raises:
        ValueError: a text is not harmless.
    """
    if isinstance(value, str):
        return quoted(value)
    if value is None or isinstance(value, bool | int):
        return repr(value)
    if isinstance(value, tuple):
        return Call("", tuple(("", code_of(each)) for each in value))
    if is_dataclass(value) and not isinstance(value, type):
        return Call(type(value).__name__, tuple(_arguments(value)))
    return str(value.__name__)


def _arguments(value: Any) -> Iterable[tuple[str, Code]]:
    """What differs from the defaults; the first member of a small value stands alone."""
    for number, each in enumerate(fields(value)):
        found = getattr(value, each.name)
        if found != each.default and not (each.name == "statuses" and not found):
            is_alone = number == 0 and not isinstance(value, Conventions)
            yield ("" if is_alone else each.name), code_of(found)


def names_in(code: Code) -> set[str]:
    """The names that code uses: of its calls, and of values that are a name."""
    if isinstance(code, str):
        return {code} if code.isidentifier() else set()
    inner = set().union(*(names_in(each) for _, each in code.arguments)) if code.arguments else set()
    return inner | ({code.name} if code.name else set())


def line(start: str, code: Code, depth: int = 1) -> str:
    """A statement, as `by_id = ` and a call, indented by `depth`. Without a line feed at its end."""
    indent = _INDENT * depth
    return indent + start + _laid_out(code, len(indent + start), depth)


def _laid_out(code: Code, used: int, depth: int, behind: int = 0) -> str:
    flat = _flat(code)
    if isinstance(code, str) or used + len(flat) + behind <= LONGEST_LINE or not code.arguments:
        return flat
    indent = _INDENT * (depth + 1)
    inner = ", ".join(_keyword(name) + _flat(each) for name, each in code.arguments)
    if code.name and len(indent + inner) <= LONGEST_LINE:
        return f"{code.name}(\n{indent}{inner}\n{_INDENT * depth})"
    lines = [
        f"{indent}{_keyword(name)}{_laid_out(each, len(indent + _keyword(name)), depth + 1, 1)},\n"
        for name, each in code.arguments
    ]
    return f"{code.name}(\n{''.join(lines)}{_INDENT * depth})"


def _flat(code: Code) -> str:
    if isinstance(code, str):
        return code
    inner = ", ".join(_keyword(name) + _flat(each) for name, each in code.arguments)
    return f"{code.name}({inner}{',' if not code.name and len(code.arguments) == 1 else ''})"


def _keyword(name: str) -> str:
    return f"{name}=" if name else ""


def imports(names: Mapping[str, Iterable[str]]) -> list[str]:
    """Lines that import names of modules, both in the order of linters: constants, classes, functions."""
    lines = []
    for module in sorted(names):
        found = sorted(set(names[module]), key=import_order)
        if not found:
            continue
        text = f"from {module} import {', '.join(found)}"
        if len(text) > LONGEST_LINE:
            text = f"from {module} import (\n" + "".join(f"{_INDENT}{name},\n" for name in found) + ")"
        lines.append(text)
    return lines


def text(parts: Sequence[str], *, start: str) -> str:
    """A text of words as a literal, on several lines if it is too long."""
    flat = f'{start}"{" ".join(parts)}"'
    if len(flat) <= LONGEST_LINE:
        return flat
    lines, current = [], ""
    for part in parts:
        if current and len(current) + len(part) + 8 > LONGEST_LINE:
            lines.append(current)
            current = ""
        current += f"{part} "
    lines.append(current.rstrip())
    return f"{start}(\n" + "".join(f'{_INDENT}"{each}"\n' for each in lines) + ")"
