"""Checks of common arguments: `first` and the text of filters."""

from bff.graph.errors import BadUserInput

DEFAULT_FIRST = 20
MOST_FIRST = 100
LONGEST_FILTER = 500


def filter_of(name: str, text: str | None) -> str | None:
    """A filter's text. Raises `BadUserInput` if it is too long for a URL."""
    if text is not None and len(text) > LONGEST_FILTER:
        raise BadUserInput(f"{name}: expected at most {LONGEST_FILTER} characters, got {len(text)}.")
    return text


def first_of(first: int | None) -> int:
    """The number of items requested: 1 to 100, 20 if omitted or null. Raises `BadUserInput`."""
    if first is None:
        return DEFAULT_FIRST
    if not 1 <= first <= MOST_FIRST:
        raise BadUserInput(f"first: expected 1 to {MOST_FIRST}, got {first}.")
    return first
