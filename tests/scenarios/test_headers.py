"""Headers through the whole gateway: what services get of a client's, and what a client gets of theirs."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson
import pytest

from bff.graph.context import Viewer
from bff.settings import SettingsError, load
from bff.testing import Clock, Reply, Request, Scripted, running
from schema.app import app as shop_app
from tests.support.background import Background
from tests.support.gateways import running_gateway
from tests.support.services import Tapped

NAME = '{ product(id: "1") { name } }'
RENAME = 'mutation { updateProfile(input: {name: "x"}) { user { id } userErrors { message } } }'
USER: dict[str, Any] = {"id": 1, "name": "U", "email": "e@example.com", "tier": "plus", "createdAt": "2026-01-01T00:00:00Z"}
PRODUCT: dict[str, Any] = {
    "id": 1,
    "sku": "s",
    "description": "d",
    "price": 1,
    "currency": "USD",
    "stock": 1,
    "category": "toys",
    "imageUrl": "https://x/y",
    "updatedAt": "2026-01-01T00:00:00Z",
}


def translated(request: Request) -> Reply:
    """Product 1 in the language that is asked for. Anyone may keep it."""
    language = request.headers.get("accept-language", "none")
    headers = {"cache-control": "public, max-age=60", "content-language": language}
    return Reply.of({**PRODUCT, "name": language}, headers=headers)


async def test_clients_with_other_headers_never_share_an_answer() -> None:
    """Neither the cache of replies nor that of whole responses. The response says that it depends on the header."""
    products = Scripted({"/products/1": translated})
    settings = {
        "sources": {"products": {"forward_headers": ["accept-language"]}},
        "variants": {"web": {"answers": {"enabled": True}}},
    }
    async with running(shop_app, {"products": products}, settings, clock=Clock()) as gateway:
        for _ in range(2):
            for language in ("de", "fr", None):
                headers = {} if language is None else {"accept-language": language}
                answer = await gateway.ask("web", NAME, headers=headers)
                assert answer.data == {"product": {"name": language or "none"}}
                assert answer.headers["vary"] == "Accept, Accept-Encoding, Authorization, X-API-Key, accept-language"
                expected = "public, max-age=60" if language is None else "private, max-age=60"
                assert answer.headers["cache-control"] == expected
        assert len(products.requests) == 3
        refused = await gateway.ask("web", NAME, headers={"accept-language": "x" * 2000})
        assert (refused.status, list(refused.codes.values())) == (400, ["BAD_REQUEST"])


async def test_nothing_is_forwarded_that_is_not_listed() -> None:
    """Of what a client sends, services get the id of the request and the trace."""
    products = Scripted({"/products/1": translated})
    async with running(shop_app, {"products": products}) as gateway:
        headers = {"accept-language": "de", "cookie": "a=1", "x-tenant": "t", "x-user-id": "7", "x-forwarded-for": "1.2.3.4"}
        await gateway.ask("web", NAME, headers=headers)
        (request,) = products.requests
        assert not {*headers} & {*request.headers}


async def test_headers_of_replies_reach_the_client_only_if_they_are_listed() -> None:
    """A language of a read; the cookies of a write, with which the response is never stored."""
    users = Scripted({"PATCH /users/1": Reply.of(USER, headers={"set-cookie": "a=1; Secure", "x-internal": "host-7"})})
    services = {"products": Scripted({"/products/1": translated}), "users": users}
    for listed in (False, True):
        names = {"products": {"return_headers": ["content-language"]}, "users": {"return_headers": ["set-cookie"]}}
        async with running(shop_app, services, {"sources": names} if listed else {}, viewer=Viewer("1")) as gateway:
            read = await gateway.ask("web", NAME, viewer=None)
            assert read.headers.get("content-language") == ("none" if listed else None)
            written = await gateway.ask("web", RENAME)
            assert written.headers.get("set-cookie") == ("a=1; Secure" if listed else None)
            assert written.headers["cache-control"] == "no-store"
            assert "x-internal" not in written.headers


async def test_header_rules_change_without_a_restart() -> None:
    """See tests/bff/gateway/test_reload.py for the rest: here the settings of a source."""
    products = Scripted({"/products/1": translated})
    async with running(
        shop_app, {"products": products}, {"sources": {"products": {"headers": {"x-api-key": "k"}}}}
    ) as gateway:
        await gateway.ask("web", NAME)
        assert products.requests[0].headers["x-api-key"] == "k"


class Server(ThreadingHTTPServer):
    """A token endpoint and a service of users on a real port.

    `tokens` are given out in order, the last one again and again. The service accepts `good` alone.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.tokens = ["stale", "good"]
        self.authorizations: list[str | None] = []
        self.user_ids: list[str | None] = []
        self.forms: list[bytes] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        self.server.forms.append(self.rfile.read(int(self.headers["content-length"])))
        tokens = self.server.tokens
        token = tokens.pop(0) if len(tokens) > 1 else tokens[0]
        self._answer(200, {"access_token": token, "token_type": "Bearer", "expires_in": 3600})

    def do_GET(self) -> None:
        authorization = self.headers["authorization"]
        self.server.authorizations.append(authorization)
        self.server.user_ids.append(self.headers["x-user-id"])
        if authorization == "Bearer good":
            self._answer(200, USER)
        else:
            self._answer(401, {})

    def _answer(self, status: int, value: Any) -> None:
        body = orjson.dumps(value)
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def running_server() -> Iterator[Server]:
    """The server in a thread."""
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_source_with_an_identity_of_its_own(own_background: Background, services: Tapped) -> None:
    """The service gets the gateway's token in place of the user's. One that it refuses is renewed, and the read repeated."""
    with running_server() as server:
        environment = {
            "BFF_SOURCES__USERS__OAUTH2__TOKEN_URL": f"{server.url}/token",
            "BFF_SOURCES__USERS__OAUTH2__CLIENT_ID": "gateway",
            "BFF_SOURCES__USERS__OAUTH2__CLIENT_SECRET": "secret",
            "BFF_SOURCES__USERS__OAUTH2__SCOPE": "users",
        }
        gateway = own_background.enter(running_gateway({**services.urls, "users": server.url}, environment))
        until = time.monotonic() + 20
        while not server.forms:
            assert time.monotonic() < until
            time.sleep(0.01)
        assert gateway.ask("web", "{ me { name } }", sub="1") == {"data": {"me": {"name": "U"}}}
        assert server.authorizations == ["Bearer stale", "Bearer good"]
        assert server.user_ids == ["1", "1"]
        assert b"grant_type=client_credentials" in server.forms[0]


def test_without_a_token_calls_fail_at_once(own_background: Background, services: Tapped) -> None:
    """Only those of that source; the gateway is ready all the same."""
    environment = {
        "BFF_SOURCES__USERS__OAUTH2__TOKEN_URL": "http://127.0.0.1:9/token",
        "BFF_SOURCES__USERS__OAUTH2__CLIENT_ID": "gateway",
        "BFF_SOURCES__USERS__OAUTH2__CLIENT_SECRET": "secret",
    }
    gateway = own_background.enter(running_gateway(services.urls, environment))
    answer = gateway.ask("web", '{ me { name } product(id: "1") { name } }', sub="1")
    assert answer["data"] == {"me": None, "product": {"name": "Product 1"}}
    assert [each["extensions"]["code"] for each in answer["errors"]] == ["UPSTREAM_UNAVAILABLE"]
    assert services.count()["users"] == 0
    assert gateway.http.get(f"{gateway.url}/ready").status_code == 200


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"BFF_SOURCES__ORDERS__HEADERS__HOST": "x"}, "sets this header itself"),
        ({"BFF_SOURCES__ORDERS__HEADERS__X_KEY": "a\r\nb"}, "expected visible ASCII"),
        ({"BFF_SOURCES__ORDERS__FORWARD_HEADERS": "cookie"}, "never forwarded"),
        ({"BFF_SOURCES__ORDERS__RETURN_HEADERS": "vary"}, "sets this header itself"),
    ],
)
def test_rules_that_can_not_be_are_refused_at_the_start(environment: dict[str, str], message: str) -> None:
    """With the setting's name, and without the value."""
    with pytest.raises(SettingsError, match=message) as refused:
        load(shop_app, environment, default_file=None)
    assert "sources.orders." in str(refused.value)
    assert "a\r\nb" not in str(refused.value)
