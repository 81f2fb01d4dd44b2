"""The graph's own scalars."""

from datetime import UTC, datetime

import strawberry
from graphql import GraphQLError


def _serialize(moment: datetime) -> str:
    try:
        utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    except OverflowError:  # the time in UTC is before year 1 or after year 9999
        return moment.isoformat()
    return utc.isoformat()[: -len("+00:00")] + "Z"


def _parse(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise GraphQLError("DateTime: expected a string as in RFC 3339, such as 2026-01-31T12:00:00Z.") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


DATE_TIME = strawberry.scalar(
    name="DateTime",
    description="A date and time in UTC (RFC 3339), for example 2026-01-31T12:00:00Z.",
    specified_by_url="https://www.rfc-editor.org/rfc/rfc3339",
    serialize=_serialize,
    parse_value=_parse,
)
