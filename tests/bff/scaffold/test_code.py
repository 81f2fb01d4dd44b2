"""Code is laid out as `ruff format` has it."""

import subprocess
import sys

import pytest

from bff.conventions import (
    Conventions,
    Cursor,
    ErrorObject,
    InHeader,
    LastId,
    LinkHeader,
    Offset,
    OneByOne,
    PageNumber,
    camel,
    snake,
)
from bff.scaffold.code import call, code_of, imports, line, names_in, text

LONG = tuple(f"a_rather_long_name_of_a_filter_{number}" for number in range(5))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Offset(), "Offset()"),
        (Offset("skip", "take"), 'Offset("skip", limit="take")'),
        (PageNumber(size=None, first=0), "PageNumber(size=None, first=0)"),
        (LinkHeader("page_info"), 'LinkHeader("page_info")'),
        (Cursor("after", at="meta.after", is_url=True), 'Cursor("after", at="meta.after", is_url=True)'),
        (LastId(), "LastId()"),
        (InHeader("X-Total"), 'InHeader("X-Total")'),
        (OneByOne(path="/makers/{key}/parts"), 'OneByOne(path="/makers/{key}/parts")'),
        (Conventions(), "Conventions()"),
        (Conventions(one="data", naming=snake), 'Conventions(one="data", naming=snake)'),
        (Conventions(items="", naming=camel, errors=ErrorObject("")), 'Conventions(items="", errors=ErrorObject(""))'),
        (("a",), '("a",)'),
        (None, "None"),
    ],
)
def test_values_without_their_defaults(value: object, expected: str) -> None:
    """Which evaluates to the same value."""
    assert line("", code_of(value), 0) == expected
    names = {
        each.__name__: each for each in (Conventions, Cursor, ErrorObject, InHeader, LastId, LinkHeader, Offset, OneByOne)
    }
    assert eval(expected, {**names, "PageNumber": PageNumber, "snake": snake}) == value  # noqa: S307


@pytest.mark.parametrize("value", ['"', "\\", "\n", "é", "x" * 61, "{}'"])
def test_texts_that_could_do_harm_are_never_code(value: str) -> None:
    """Quotes are, in single ones; all others raise, wherever they stand."""
    if value == "{}'":
        assert code_of(value) == '"{}\'"'
    else:
        with pytest.raises(ValueError, match="harmless"):
            code_of(Offset(value))


def test_long_statements_are_broken_as_ruff_breaks_them() -> None:
    """Arguments on one line of their own, else one a line; tuples one a line."""
    lines = [
        line("page = ", call("Pages", code_of(Offset()), exact=code_of(LONG[:2]), total=code_of("total_number_of_all"))),
        line(
            "page = ",
            call("Pages", code_of(Offset()), exact=code_of(LONG), total=code_of(InHeader("X-Total-Count-Of-All-Items"))),
        ),
        line("page = ", call("Pages", code_of(Offset("x" * 60, "y" * 60)), exact=code_of(LONG[:1]))),
        line(f"{'x' * 60}: int | None = ", call("msgspec.field", name=code_of("y" * 50), default="None")),
    ]
    source = "class A:\n" + "\n".join(lines) + "\n"
    assert any(each.endswith("(") for each in source.splitlines())
    assert formatted(source) == source


def test_imports_and_texts() -> None:
    """Long ones have one name, or some words, a line."""
    names = {"b": [f"Name{number}" for number in range(30)], "a": ["snake", "Offset", "EVERYONE"], "c": []}
    source = "\n".join(imports(names)) + "\n\n" + text([f"word{number}" for number in range(60)], start="MEMBERS = ") + "\n"
    assert source.startswith("from a import EVERYONE, Offset, snake\nfrom b import (\n")
    assert formatted(source) == source
    assert text(["a", "b"], start="X = ") == 'X = "a b"'


def test_names_that_code_uses() -> None:
    """For its imports."""
    assert names_in(code_of(Conventions(errors=ErrorObject("e"), naming=snake))) == {"Conventions", "ErrorObject", "snake"}


def formatted(source: str) -> str:
    """The code as `ruff format` has it."""
    command = [sys.executable, "-m", "ruff", "format", "--isolated", "--line-length", "120", "-"]
    return subprocess.run(command, input=source, capture_output=True, text=True, check=True).stdout
