"""The users service: its records and endpoints."""

from enum import StrEnum

from bff.upstream.caller import Caller
from bff.upstream.source import Record, RestSource, Timestamp


class Tier(StrEnum):
    """What a user has subscribed to."""

    FREE = "free"
    PLUS = "plus"
    PRO = "pro"


class User(Record, frozen=True, kw_only=True):
    """A user."""

    email: str
    tier: Tier
    created_at: Timestamp
    name: str | None = None


class Users(RestSource[User]):
    """`/users`: one, many, pages, and a change of one's profile."""

    name = "users"
    path = "/users"
    record = User

    async def update(self, caller: Caller, id: int, changes: dict[str, str | None], *, key: str) -> User:
        """Change any of `name`, `email`. Raises `Rejected` (404, 422), `SourceError`."""
        return await self._write(caller, "PATCH", "/users/{id}", changes, key=key, id=id)
