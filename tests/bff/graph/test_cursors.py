"""Cursors: what we hand out we take back, and nothing that a client makes up does any harm."""

import base64
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.graph.cursors import Position
from bff.graph.errors import BadUserInput
from bff.upstream.reads import MOST_ITEMS

_PAGES = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


def _encoded(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def _read_or_refused(cursor: str) -> None:
    """The cursor is read, or refused as a mistake of the client's: there is no third."""
    with suppress(BadUserInput):
        position = Position.decode(cursor)
        assert position.page is None or isinstance(position.page, str)
        assert type(position.skip) is int
        assert 0 <= position.skip <= MOST_ITEMS


@given(_PAGES, st.integers(0, MOST_ITEMS))
def test_a_cursor_comes_back_as_the_place_it_was_made_of(page: str | None, skip: int) -> None:
    """Whatever the service's own cursor looks like, the place survives the way to the client and back."""
    assert Position.decode(Position(page, skip).encode()) == Position(page, skip)


@given(_PAGES, st.integers(0, MOST_ITEMS))
def test_a_cursor_needs_no_escaping(page: str | None, skip: int) -> None:
    """It may stand in a URL as it is."""
    cursor = Position(page, skip).encode()
    assert cursor.replace("-", "").replace("_", "").isalnum()
    assert cursor.isascii()


def test_no_cursor_is_the_beginning() -> None:
    """`after` left out or null begins at the first item."""
    assert Position.decode(None) == Position(None, 0)


@given(st.text())
def test_any_text_is_a_cursor_or_bad_user_input(text: str) -> None:
    """Junk is the client's mistake: no other error comes of it."""
    _read_or_refused(text)


@given(st.binary())
def test_any_bytes_in_base64_are_a_cursor_or_bad_user_input(data: bytes) -> None:
    """So is junk that is at least base64."""
    _read_or_refused(base64.urlsafe_b64encode(data).decode())
    _read_or_refused(base64.b64encode(data).decode().rstrip("="))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    )
)
def test_any_json_in_base64_is_a_cursor_or_bad_user_input(value: Any) -> None:
    """So is junk that is even JSON."""
    _read_or_refused(_encoded(value))


@pytest.mark.parametrize("skip", [0, 1, MOST_ITEMS - 1, MOST_ITEMS])
def test_a_skip_within_a_page_is_taken(skip: int) -> None:
    """A place lies at most one page behind the service's cursor."""
    assert Position.decode(_encoded(["p", skip])) == Position("p", skip)


@pytest.mark.parametrize(
    "value",
    [
        ["p", -1],
        ["p", MOST_ITEMS + 1],
        ["p", 10**30],
        ["p", 1.5],
        ["p", True],
        ["p", None],
        ["p", "1"],
        ["p"],
        ["p", 1, 2],
        [1, 1],
        [["p"], 1],
        {"page": "p", "skip": 1},
        "p",
        None,
        [],
    ],
)
def test_what_no_edge_ever_had_is_refused(value: Any) -> None:
    """JSON that is not a page cursor and a number within a page was not made by us."""
    with pytest.raises(BadUserInput, match="after"):
        Position.decode(_encoded(value))


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        " ",
        "=",
        "====",
        "é",
        "\x00",
        "\ud800",
        "WyJwIiwx\n",
        "W251bGwsMV0 ",
        "W251bGwsMV0!",
        "A" * 8193,
        _encoded(["p" * 7000, 1]),
        base64.urlsafe_b64encode(b'["\\ud800",1]').decode(),
        base64.urlsafe_b64encode(b'["p",' + b"9" * 1000 + b"]").decode(),
        base64.urlsafe_b64encode(b"[" * 1500).decode(),
        base64.urlsafe_b64encode(b'["\xff",1]').decode(),
    ],
)
def test_hard_junk_is_refused(cursor: str) -> None:
    """Too long, not ASCII, padding alone, half a character, a number beyond all measure, brackets without end."""
    with pytest.raises(BadUserInput):
        Position.decode(cursor)
