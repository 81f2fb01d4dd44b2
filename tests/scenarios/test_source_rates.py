"""Rates for each source: a client that has used one too often gets the rest of the answer."""

from typing import Any

from bff.graph.context import Viewer
from bff.testing import Clock, Reply, Scripted, running
from schema.app import app as shop_app

USER: dict[str, Any] = {"id": 1, "name": "U", "email": "e@example.com", "tier": "plus", "createdAt": "2026-01-01T00:00:00Z"}
ME = "{ me { name } __typename }"
BOTH = '{ me { name orders { id } } a: user(id: "1") { id } product(id: "1") { id } }'


def services() -> dict[str, Scripted]:
    """One user without orders."""
    return {
        "users": Scripted({"/users/1": USER, "/users/2": {**USER, "id": 2}, "PATCH /users/1": Reply.of(USER)}),
        "orders": Scripted({"/orders": {"items": []}}),
        "products": Scripted({"/products/1": Reply.of({}, 404)}),
    }


async def test_a_source_is_used_as_often_as_its_rate_allows() -> None:
    """Counted for each client, whatever the variant; in any minute no more than that. Afterwards it is there again."""
    clock = Clock()
    settings = {"sources": {"users": {"rate": {"any_minute": 3}}}}
    async with running(shop_app, services(), settings, clock=clock) as gateway:
        for variant in ("web", "mobile", "web"):
            assert (await gateway.ask(variant, ME, viewer=Viewer("1"))).data["me"] == {"name": "U"}
        refused = await gateway.ask("web", ME, viewer=Viewer("1"))
        assert refused.status == 200
        assert refused.data == {"me": None, "__typename": "Query"}
        (error,) = refused.errors
        assert error["extensions"]["code"] == "RATE_LIMITED"
        assert error["extensions"]["source"] == "users"
        assert 55 <= error["extensions"]["retryAfter"] <= 61
        assert len(gateway.services["users"].requests) == 3  # type: ignore[attr-defined]
        other = await gateway.ask("web", ME, viewer=Viewer("2"))
        assert "RATE_LIMITED" not in other.codes.values()
        clock.advance(61)
        assert (await gateway.ask("web", ME, viewer=Viewer("1"))).data["me"] == {"name": "U"}


async def test_an_operation_is_charged_once_for_each_source() -> None:
    """However many of its fields use it; sources without a rate are free."""
    settings = {"sources": {"users": {"rate": {"any_minute": 2}}, "orders": {"rate": {"any_minute": 1}}}}
    async with running(shop_app, services(), settings, clock=Clock()) as gateway:
        first = await gateway.ask("web", BOTH, viewer=Viewer("1"))
        assert first.errors == []
        second = await gateway.ask("web", BOTH, viewer=Viewer("1"))
        assert second.data == {"me": {"name": "U", "orders": None}, "a": {"id": "1"}, "product": None}
        assert set(second.codes.values()) == {"RATE_LIMITED"}
        third = await gateway.ask("web", BOTH, viewer=Viewer("1"))
        assert third.data == {"me": None, "a": None, "product": None}


async def test_a_write_is_charged_too() -> None:
    """Beyond the limit nothing is sent."""
    rename = 'mutation { updateProfile(input: {name: "x"}) { user { id } } }'
    settings = {"sources": {"users": {"rate": {"any_minute": 1}}}}
    async with running(shop_app, services(), settings, viewer=Viewer("1"), clock=Clock()) as gateway:
        assert (await gateway.ask("web", rename)).errors == []
        refused = await gateway.ask("web", rename)
        (error,) = refused.errors
        assert error["extensions"]["code"] == "RATE_LIMITED"
        assert "outcome" not in error["extensions"]
        assert len(gateway.services["users"].requests) == 1  # type: ignore[attr-defined]


async def test_where_rates_are_off_sources_have_none() -> None:
    """The switch for all rates is for these too."""
    settings = {"sources": {"users": {"rate": {"any_minute": 1}}}, "rate": {"enabled": False}}
    async with running(shop_app, services(), settings, viewer=Viewer("1"), clock=Clock()) as gateway:
        assert [(await gateway.ask("web", ME)).errors for _ in range(3)] == [[], [], []]
