"""Routes in the settings: which stop the start, and what changes while the gateway runs."""

from typing import Any

import httpx
import pytest

from bff.gateway import create
from bff.graph.context import Viewer
from bff.settings import Settings, SettingsError, load
from bff.testing import Reply, Request, Scripted, running
from schema.app import app as shop_app

PLACES = {f"{name.upper()}_SERVICE_URL": f"http://{name}:1" for name in ("users", "orders", "products")}
BASE = PLACES | {"JWT_SECRET": "a secret that is long enough for HS256"}
ROUTE: dict[str, Any] = {"path": "/api", "source": "users"}
OWN: dict[str, Any] = {"path": "/api", "name": "auth", "url": "http://auth:1"}

OAUTH2 = {"token_url": "https://x/t", "client_id": "a", "client_secret": "b"}


def settings(*routes: dict[str, Any]) -> Settings:
    """Settings with these routes."""
    return load(shop_app, BASE, command_line={"routes": list(routes)}, default_file=None)


@pytest.mark.parametrize(
    ("routes", "message"),
    [
        ([{"path": "/api"}], "expected either source or url"),
        ([ROUTE | {"url": "http://x"}], "expected either source or url"),
        ([ROUTE | {"source": "nobody"}], "source: expected one of orders, products, users, got nobody"),
        ([ROUTE | {"name": "x"}], "name and policy belong to a service with a url"),
        ([ROUTE | {"policy": {}}], "name and policy belong to a service with a url"),
        ([{"path": "/api", "url": "http://x"}], "name: missing"),
        ([OWN | {"name": "users"}], "another service has the name users"),
        ([OWN, OWN | {"path": "/b"}], "another service has the name auth"),
        ([ROUTE, ROUTE], "another route has the same path and the method GET"),
        ([ROUTE | {"consumers": ["nobody"]}], "consumers: there is no consumer of the name nobody"),
        ([ROUTE | {"path": "/health"}], "the gateway itself answers below /health"),
        ([ROUTE | {"path": "/web/graphql"}], "the gateway itself answers below /web"),
        ([ROUTE | {"path": "/graphiql/x"}], "the gateway itself answers below /graphiql"),
        (
            [OWN | {"policy": {"headers": {"authorization": "x"}, "oauth2": OAUTH2}}],
            "expected oauth2 or headers.authorization, got both",
        ),
    ],
)
def test_a_route_that_contradicts_something_stops_the_start(routes: list[dict[str, Any]], message: str) -> None:
    """With a line that names it."""
    with pytest.raises(SettingsError) as refused:
        create(shop_app, settings(*routes))
    assert message in str(refused.value)
    assert "http://x" not in str(refused.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"path": "api"}, "expected a path such as"),
        ({"path": "/api/"}, "expected a path such as"),
        ({"rewrite": "/a//b"}, "expected a path such as"),
        ({"methods": ["CONNECT"]}, "expected methods of GET"),
        ({"methods": []}, "at least 1"),
        ({"timeout_s": 0}, "greater than 0"),
        ({"max_request_bytes": -1}, "greater than or equal to 0"),
        ({"access": "nobody"}, "'anyone', 'signed_in'"),
        ({"timeout": 1}, "did you mean routes.0.timeout_s?"),
    ],
)
def test_a_value_that_a_route_cannot_have_is_named(change: dict[str, Any], message: str) -> None:
    """With the number of the route."""
    with pytest.raises(SettingsError) as refused:
        settings(ROUTE | change)
    assert message in str(refused.value)
    assert "routes.0" in str(refused.value)


def test_without_routes_nothing_is_looked_up() -> None:
    """A request that no variant serves pays nothing for them."""
    assert create(shop_app, settings()).served.routes is None


async def status_of(gateway: Any, path: str) -> int:
    """The status of a GET."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(gateway), base_url="http://gateway") as client:
        return (await client.get(path)).status_code


async def test_routes_change_while_the_gateway_runs() -> None:
    """Those with a service of the application; a service of their own needs a restart."""
    now = settings(ROUTE)
    gateway = create(shop_app, now, load_again=lambda: now)
    async with gateway.router.lifespan_context(gateway):
        assert (await status_of(gateway, "/api/x"), await status_of(gateway, "/new")) == (503, 404)
        now = settings(ROUTE | {"path": "/new", "access": "signed_in"})
        assert "routes" in (await gateway.reload()).changed
        assert (await status_of(gateway, "/api/x"), await status_of(gateway, "/new")) == (404, 401)
        now = settings(OWN)
        assert (await gateway.reload()).needs_restart == ("routes",)
        assert await status_of(gateway, "/new") == 401


def echoed(request: Request) -> Reply:
    """What the service got."""
    return Reply.of({"body": request.body.decode()})


async def test_applications_can_test_their_routes_in_memory() -> None:
    """`bff.testing` streams too, in one piece."""
    users = Scripted()
    users.on("POST", "/users/login", echoed)
    route = {"path": "/login", "source": "users", "rewrite": "/users/login", "methods": ["POST"]}
    async with running(shop_app, {"users": users}, settings={"routes": [route]}) as gateway:
        answer = await gateway.request("POST", "/login", body=b"hello")
    assert (answer.status, answer.json) == (200, {"body": "hello"})


async def test_a_write_by_a_route_drops_what_is_cached() -> None:
    """The graph shows what was written."""
    names = iter(("before", "after"))

    def user(_: Request) -> Reply:
        content = {"id": 1, "name": next(names), "email": "a@b.c", "tier": "plus", "createdAt": "2026-01-01T00:01:00Z"}
        return Reply.of(content, headers={"cache-control": "max-age=60"})

    users = Scripted()
    users.on("GET", "/users/1", user)
    users.on("PUT", "/users/1", Reply.of({}))
    route = {"path": "/rest", "source": "users", "rewrite": "/", "methods": ["PUT"]}

    me = Viewer("1")
    async with running(shop_app, {"users": users}, settings={"routes": [route]}) as gateway:
        query = "{ user(id: 1) { name } }"
        assert [(await gateway.ask("web", query, viewer=me)).data["user"]["name"] for _ in range(2)] == ["before"] * 2
        assert (await gateway.request("PUT", "/rest/users/1", body=b"{}")).status == 200
        assert (await gateway.ask("web", query, viewer=me)).data["user"]["name"] == "after"


async def test_the_rate_of_a_source_holds_for_its_routes() -> None:
    """It is the same count as that of the graph."""
    users = Scripted({"/users/1": {}})
    given = {"routes": [ROUTE | {"rewrite": "/users"}], "sources": {"users": {"rate": {"per_minute": 1, "burst": 1}}}}
    async with running(shop_app, {"users": users}, settings=given) as gateway:
        assert (await gateway.request("GET", "/api/1")).status == 200
        refused = await gateway.request("GET", "/api/1")
    assert (refused.status, refused.json["code"]) == (429, "RATE_LIMITED")
