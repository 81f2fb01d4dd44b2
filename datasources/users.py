"""The users service: its records and endpoints."""

from enum import StrEnum

from bff.upstream.caller import Caller
from bff.upstream.reads import ById, CursorPages
from bff.upstream.records import Record, Timestamp
from bff.upstream.source import Source


class Tier(StrEnum):
    """What a user has subscribed to."""

    FREE = "free"
    PLUS = "plus"
    PRO = "pro"


class User(Record, frozen=True, kw_only=True):
    """A user."""

    id: int
    email: str
    tier: Tier
    created_at: Timestamp
    name: str | None = None


class Users(Source[User]):
    """`/users`: one, many, pages, and a change of one's profile."""

    path = "/users"
    by_id = ById()
    page = CursorPages()

    async def update(self, caller: Caller, id: int, changes: dict[str, str | None], *, key: str) -> User:
        """Change any of `name`, `email`. Raises `Rejected` (404, 422), `SourceError`."""
        return await self.write(caller, "PATCH", "/users/{id}", changes, key=key, id=id)
