"""CORS: which origins may call, with which headers, and that nothing is shared between them."""

from typing import Any

import httpx
import pytest

from bff.gateway import create, with_cors
from bff.settings import Settings, SettingsError, load
from schema.app import app as shop_app

PLACES = {f"{name.upper()}_SERVICE_URL": f"http://{name}:1" for name in ("users", "orders", "products")}
SECRET = "a secret of these tests, long enough for HS256"
SHOP = "https://shop.example.com"
USUAL = "authorization,content-type,apollographql-client-name,sentry-trace,baggage,traceparent,x-request-timeout-ms"


def settings(**changes: str) -> Settings:
    """Settings with the URLs of all services."""
    return load(shop_app, {**PLACES, "JWT_SECRET": SECRET, **changes}, default_file=None)


async def sent(method: str, headers: dict[str, str], *, mode: Any = "serve", **changes: str) -> httpx.Response:
    """The response to a request to the variant `web`."""
    gateway = create(shop_app, settings(**changes), mode)
    transport = httpx.ASGITransport(with_cors(gateway))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        body = {"query": "{ __typename }"} if method == "POST" else None
        return await client.request(method, "/web/graphql", headers=headers, json=body)


async def preflight(origin: str, headers: str = USUAL, *, mode: Any = "serve", **changes: str) -> httpx.Response:
    """The response to a browser's preflight for a POST."""
    asked = {"origin": origin, "access-control-request-method": "POST", "access-control-request-headers": headers}
    return await sent("OPTIONS", asked, mode=mode, **changes)


@pytest.mark.parametrize(
    ("origins", "origin", "is_allowed"),
    [
        (SHOP, SHOP, True),
        (SHOP, "https://shop.example.com.evil.com", False),
        (SHOP, "http://shop.example.com", False),
        ("https://*.example.com", "https://a.example.com", True),
        ("https://*.example.com", "https://a.b-c.example.com", True),
        ("https://*.example.com", "https://example.com", False),
        ("https://*.example.com", "https://evil.com/.example.com", False),
        ("https://*.example.com", "https://aexample.com", False),
        ("https://*.example.com", "https://a.example.com:8443", False),
        ("https://*.example.com", "https://a.exampleXcom", False),
        ("https://*.example.com:8443", "https://a.example.com:8443", True),
        ("*", "https://anything.example", True),
        ("", SHOP, False),
        (SHOP, "null", False),
    ],
)
async def test_origins(origins: str, origin: str, is_allowed: bool) -> None:
    """Exactly, by a pattern for sub-domains, or any. Both the preflight and the request itself."""
    changes = {"BFF_CORS__ORIGINS": origins}
    for response in (await preflight(origin, **changes), await sent("POST", {"origin": origin}, **changes)):
        allowed = "*" if origins == "*" else origin
        assert response.headers.get("access-control-allow-origin") == (allowed if is_allowed else None)


async def test_usual_headers_are_allowed_and_others_by_name() -> None:
    """Those of clients and of tools for tracing; further ones by settings; what services get of the client."""
    assert (await preflight(SHOP, BFF_CORS__ORIGINS=SHOP)).status_code == 200
    assert (await preflight(SHOP, "x-own", BFF_CORS__ORIGINS=SHOP)).status_code == 400
    assert (await preflight(SHOP, "x-own", BFF_CORS__ORIGINS=SHOP, BFF_CORS__HEADERS="X-Own, x-two")).status_code == 200
    forwarded = {"BFF_SOURCES__PRODUCTS__FORWARD_HEADERS": "x-tenant"}
    assert (await preflight(SHOP, "x-tenant", BFF_CORS__ORIGINS=SHOP, **forwarded)).status_code == 200


async def test_refusals_can_be_read_by_the_page() -> None:
    """A 401 has the headers too: otherwise the page sees a network error."""
    response = await sent("POST", {"origin": SHOP, "authorization": "Bearer x"}, BFF_CORS__ORIGINS=SHOP)
    assert response.status_code == 401
    assert response.headers["access-control-allow-origin"] == SHOP
    assert "x-request-id" in response.headers["access-control-expose-headers"]


async def test_responses_vary_by_origin() -> None:
    """Also those without an origin, which a cache could otherwise give to a page."""
    for headers in ({}, {"origin": SHOP}, {"origin": "https://evil.example"}):
        response = await sent("POST", headers, BFF_CORS__ORIGINS=SHOP)
        assert "origin" in response.headers["vary"].lower()
    assert "origin" not in (await sent("POST", {})).headers["vary"].lower()


async def test_credentials() -> None:
    """Off unless they are on, and never for any origin."""
    assert "access-control-allow-credentials" not in (await preflight(SHOP, BFF_CORS__ORIGINS=SHOP)).headers
    response = await preflight(SHOP, BFF_CORS__ORIGINS=SHOP, BFF_CORS__CREDENTIALS="true")
    assert response.headers["access-control-allow-credentials"] == "true"
    with pytest.raises(SettingsError, match=r"expected origins other than \*"):
        settings(BFF_CORS__ORIGINS="*", BFF_CORS__CREDENTIALS="true")


@pytest.mark.parametrize(
    "origin", ["http://localhost:3000", "http://127.0.0.1:5173", "https://localhost", "http://[::1]:8080"]
)
async def test_bff_dev_lets_this_machine_in(origin: str) -> None:
    """`bff serve` doesn't."""
    assert (await preflight(origin, mode="dev")).headers["access-control-allow-origin"] == origin
    assert "access-control-allow-origin" not in (await preflight(origin)).headers
    assert "access-control-allow-origin" not in (await preflight("http://localhost.evil.com", mode="dev")).headers


@pytest.mark.parametrize(
    "origin",
    [
        "https://*",
        "https://*.com",
        "https://*.",
        "*.example.com",
        "https://a*.example.com",
        "https://*.*.example.com",
        "https://*.example.com/",
        "https://shop.example.com/",
        "https://Shop.example.com",
        "https://shop.example.com:443",
        "http://shop.example.com:80",
        "https://u@shop.example.com",
        "shop.example.com",
        "null",
        "ftp://shop.example.com",
    ],
)
def test_an_origin_that_could_match_nothing_or_too_much_stops_the_start(origin: str) -> None:
    """With the setting's name."""
    with pytest.raises(SettingsError, match=r"cors\.origins"):
        settings(BFF_CORS__ORIGINS=origin)


async def test_rules_follow_a_reload() -> None:
    """An origin that is taken away may call no longer."""
    now = {"BFF_CORS__ORIGINS": SHOP}
    gateway = create(shop_app, settings(**now), load_again=lambda: settings(**now))
    transport = httpx.ASGITransport(with_cors(gateway))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:

        async def allowed() -> str | None:
            response = await client.post("/web/graphql", json={"query": "{ __typename }"}, headers={"origin": SHOP})
            found: str | None = response.headers.get("access-control-allow-origin")
            return found

        assert await allowed() == SHOP
        now.clear()
        await gateway.reload()
        assert await allowed() is None
        now["BFF_VARIANTS__WEB__CORS__ORIGINS"] = SHOP
        await gateway.reload()
        assert await allowed() == SHOP
