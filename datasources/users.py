"""The users service: its records and endpoints."""

from enum import StrEnum

from bff import ById, Caller, CursorPages, Record, Source, Timestamp


class Tier(StrEnum):
    """A user's subscription."""

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
    """`/users`: reads by id and in pages, and updates of a profile."""

    path = "/users"
    by_id = ById()
    page = CursorPages()

    async def update(self, caller: Caller, id: int, changes: dict[str, str | None], *, key: str) -> User:
        """Change any of `name`, `email`. Raises `Rejected` (404, 422), `SourceError`."""
        return await self.write(caller, "PATCH", "/users/{id}", changes, key=key, id=id)
