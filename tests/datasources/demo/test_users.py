"""The users service: changes to a user."""

from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_user_is_changed(users: httpx.AsyncClient) -> None:
    """The response is the changed user. Every read shows the change, with a new entity tag."""
    before = await users.get("/users/11")
    response = await users.patch("/users/11", json={"name": "Ann Ünal", "email": "ann@example.org"})
    expected = {**before.json(), "name": "Ann Ünal", "email": "ann@example.org"}
    assert (response.status_code, response.json()) == (200, expected)
    after = await users.get("/users/11", headers={"If-None-Match": before.headers["ETag"]})
    assert (after.status_code, after.json()) == (200, expected)
    assert (await users.get("/users?ids=11")).json()["items"] == [expected]
    assert (await users.get("/users?limit=11")).json()["items"][-1] == expected


async def test_only_the_given_members_are_changed(users: httpx.AsyncClient) -> None:
    """Unknown members and those that can't be changed are ignored."""
    response = await users.patch("/users/12", json={"email": "b@example.org", "tier": "pro", "id": 5, "x": None})
    assert response.json() == {
        "id": 12,
        "name": "User 12",
        "email": "b@example.org",
        "tier": "free",
        "createdAt": "2026-01-01T00:12:00Z",
    }


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"name": ""}, ["name"]),
        ({"name": "  "}, ["name"]),
        ({"name": "x" * 201}, ["name"]),
        ({"name": None}, ["name"]),
        ({"name": 5}, ["name"]),
        ({"email": "nobody"}, ["email"]),
        ({"email": "a@b"}, ["email"]),
        ({"email": "a@b..org"}, ["email"]),
        ({"email": "a b@example.org"}, ["email"]),
        ({"email": "a@b@example.org"}, ["email"]),
        ({"email": "a@example.org\n"}, ["email"]),
        ({"email": "x" * 250 + "@example.org"}, ["email"]),
        ({"email": None}, ["email"]),
        ({"name": "", "email": ""}, ["name", "email"]),
        ({"name": "Good", "email": "bad"}, ["email"]),
    ],
)
async def test_invalid_changes_are_422(users: httpx.AsyncClient, body: dict[str, Any], fields: list[str]) -> None:
    """Every invalid member is named, and nothing is changed."""
    response = await users.patch("/users/13", json=body)
    assert response.status_code == 422
    assert response.headers["Content-Type"] == "application/problem+json"
    assert [error["field"] for error in response.json()["errors"]] == fields
    assert all(error["message"] for error in response.json()["errors"])
    assert (await users.get("/users/13")).json()["name"] == "User 13"


async def test_a_name_has_up_to_200_characters(users: httpx.AsyncClient) -> None:
    """Counted in characters and not in bytes."""
    assert (await users.patch("/users/14", json={"name": "é" * 200})).json()["name"] == "é" * 200
