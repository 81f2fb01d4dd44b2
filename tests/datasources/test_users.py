"""The users source: its record and its write."""

from datetime import UTC, datetime
from typing import Any

import pytest

from bff.upstream.caller import Caller
from bff.upstream.errors import BadAnswer
from datasources.users import Tier, User, Users
from tests.support.fakes import Service, a_user, get, without


async def test_a_user(users: Users, service: Service, caller: Caller) -> None:
    """All members have their types."""
    service.answers = {"/users/1": a_user(1)}
    assert await get(users, caller, 1) == User(
        id=1, name="User 1", email="user1@example.com", tier=Tier.PLUS, created_at=datetime(2026, 1, 1, 0, 1, tzinfo=UTC)
    )


@pytest.mark.parametrize("body", [without(a_user(1), "name"), a_user(1, name=None)])
async def test_a_user_may_have_no_name(users: Users, service: Service, caller: Caller, body: dict[str, Any]) -> None:
    """A missing name is like null."""
    service.answers = {"/users/1": body}
    found = await get(users, caller, 1)
    assert found is not None
    assert found.name is None


@pytest.mark.parametrize("tier", Tier)
async def test_tiers(users: Users, service: Service, caller: Caller, tier: Tier) -> None:
    """`free`, `plus` and `pro`, in lower case."""
    service.answers = {"/users/1": a_user(1, tier=tier.name.lower())}
    found = await get(users, caller, 1)
    assert found is not None
    assert found.tier is tier


async def test_a_timestamp_without_an_offset_is_not_accepted(users: Users, service: Service, caller: Caller) -> None:
    """It is ambiguous, so the object is unreadable."""
    service.answers = {"/users/1": a_user(1, createdAt="2026-01-01T00:01:00")}
    with pytest.raises(BadAnswer):
        await get(users, caller, 1)


@pytest.mark.parametrize("changes", [{"name": "A"}, {"email": "a@b"}, {"name": None, "email": "a@b"}, {}])
async def test_an_update(users: Users, service: Service, caller: Caller, changes: dict[str, str | None]) -> None:
    """`PATCH /users/{id}` with only the changes and the key. The reply is the user."""
    service.every = lambda _: a_user(7, name="A")
    user = await users.update(caller, 7, changes, key="key-1")
    assert (user.id, user.name) == (7, "A")
    assert service.asked == ["PATCH /users/7"]
    assert service.last_json == changes
    assert service.last.headers["idempotency-key"] == "key-1"
