"""Scalars, and arguments that are checked alike everywhere."""

from datetime import UTC, datetime

import strawberry
from graphql import GraphQLError

from bff.graph.errors import BadUserInput

DEFAULT_FIRST = 20
MOST_FIRST = 100
LONGEST_FILTER = 500


def _serialize(moment: datetime) -> str:
    try:
        utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    except OverflowError:  # within a day of the first or the last year's end: UTC is beyond it
        return moment.isoformat()
    return utc.isoformat()[: -len("+00:00")] + "Z"


def _parse(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise GraphQLError("A DateTime is a string as RFC 3339 has it: 2026-01-31T12:00:00Z.") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


DATE_TIME = strawberry.scalar(
    name="DateTime",
    description="A moment in UTC, as RFC 3339 writes it.",
    specified_by_url="https://www.rfc-editor.org/rfc/rfc3339",
    serialize=_serialize,
    parse_value=_parse,
)


def filter_of(name: str, text: str | None) -> str | None:
    """A filter's text, short enough to stand in a URL. Raises `BadUserInput`."""
    if text is not None and len(text) > LONGEST_FILTER:
        raise BadUserInput(f"{name}: expected at most {LONGEST_FILTER} characters, got {len(text)}.")
    return text


def first_of(first: int | None) -> int:
    """How many items are wanted: 1 to 100, 20 when left out or null. Raises `BadUserInput`."""
    if first is None:
        return DEFAULT_FIRST
    if not 1 <= first <= MOST_FIRST:
        raise BadUserInput(f"first: expected 1 to {MOST_FIRST}, got {first}.")
    return first
