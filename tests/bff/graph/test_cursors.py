"""Cursors: encoded positions can be decoded, and any other text is refused."""

import base64
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.graph.cursors import Position
from bff.graph.errors import BadUserInput
from bff.upstream.conventions.paging import MOST_ITEMS

_PAGES = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


def _encoded(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def _read_or_refused(cursor: str) -> None:
    """Decode a cursor, which may raise only `BadUserInput`."""
    with suppress(BadUserInput):
        position = Position.decode(cursor)
        assert position.page is None or isinstance(position.page, str)
        assert type(position.skip) is int
        assert 0 <= position.skip <= MOST_ITEMS


@given(_PAGES, st.integers(0, MOST_ITEMS))
def test_a_decoded_cursor_is_the_encoded_position(page: str | None, skip: int) -> None:
    """With any text as the service's own cursor."""
    assert Position.decode(Position(page, skip).encode()) == Position(page, skip)


@given(_PAGES, st.integers(0, MOST_ITEMS))
def test_a_cursor_needs_no_escaping(page: str | None, skip: int) -> None:
    """It can be part of a URL unchanged."""
    cursor = Position(page, skip).encode()
    assert cursor.replace("-", "").replace("_", "").isalnum()
    assert cursor.isascii()


def test_without_a_cursor_the_position_is_the_beginning() -> None:
    """If `after` is omitted or null."""
    assert Position.decode(None) == Position(None, 0)


@given(st.text())
def test_any_text_is_a_cursor_or_bad_user_input(text: str) -> None:
    """No other error is raised."""
    _read_or_refused(text)


@given(st.binary())
def test_any_bytes_in_base64_are_a_cursor_or_bad_user_input(data: bytes) -> None:
    """Nor for valid base64."""
    _read_or_refused(base64.urlsafe_b64encode(data).decode())
    _read_or_refused(base64.b64encode(data).decode().rstrip("="))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    )
)
def test_any_json_in_base64_is_a_cursor_or_bad_user_input(value: Any) -> None:
    """Nor for JSON in base64."""
    _read_or_refused(_encoded(value))


@pytest.mark.parametrize("skip", [0, 1, MOST_ITEMS - 1, MOST_ITEMS])
def test_a_skip_within_a_page_is_accepted(skip: int) -> None:
    """A position is at most one page after the service's cursor."""
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
def test_other_json_is_refused(value: Any) -> None:
    """Anything but a page cursor and a number within a page."""
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
def test_malformed_text_is_refused(cursor: str) -> None:
    """Too long, not ASCII, only padding, half a character, a huge number, deeply nested brackets."""
    with pytest.raises(BadUserInput):
        Position.decode(cursor)
