"""docs/from: the configurations that people come with behave as they did. Each test runs the page's own block."""

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from bff.gate.consumers import digest_of
from tests.support.background import Background
from tests.support.gateways import SECRET, RunningGateway, running_gateway
from tests.support.issuers import jwk, running_issuer
from tests.support.upstreams import Exchange, RawService, raw_service

PAGES = Path(__file__).parents[2] / "docs" / "from"
ON = {"BFF_RATE__ENABLED": "true"}
PRODUCT = {
    "id": 1,
    "sku": "LAMP-1",
    "name": "Lamp",
    "description": "A lamp.",
    "price": 9.5,
    "currency": "EUR",
    "stock": 3,
    "category": "lamps",
    "imageUrl": "https://img.example.com/1",
    "updatedAt": "2026-01-01T00:00:00Z",
}


def configuration(page: str, **changes: str) -> str:
    """The TOML block of a page, with some texts replaced."""
    (block,) = re.findall(r"```toml\n(.*?)```", (PAGES / f"{page}.md").read_text(encoding="utf-8"), re.DOTALL)
    for old, new in changes.items():
        assert old in block
        block = block.replace(old, new)
    return str(block)


@dataclass
class Services:
    """A raw service in place of all, whose answer can be set."""

    raw: RawService
    status: int = 200
    content: bytes | None = None  # in place of the request's body
    headers: bytes = b""
    released: asyncio.Event | None = None  # answers wait for it


@dataclass
class Placed:
    """A gateway in front of the raw service."""

    gateway: RunningGateway
    services: Services

    def get(self, path: str, token: str | None = None, **headers: str) -> httpx.Response:
        """GET a path, with a token."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            sent["authorization"] = f"Bearer {token}"
        return self.gateway.http.get(f"{self.gateway.url}{path}", headers=sent)

    @property
    def lines(self) -> list[str]:
        """The request lines that the service has got."""
        return [each.line for each in self.services.raw.requests]


class Place:
    """Starts a gateway with the settings of a page."""

    def __init__(self, background: Background, folder: Path) -> None:
        self._background = background
        self._folder = folder
        self._services: Services | None = None

    def __call__(self, text: str, environment: Mapping[str, str] | None = None) -> Placed:
        """The gateway, with `http://auth:3000` at the raw service too."""

        async def answer(exchange: Exchange) -> None:
            body = await exchange.body()
            services = self._services
            assert services is not None
            if services.released is not None:
                await services.released.wait()
            content = body if services.content is None else services.content
            head = b"HTTP/1.1 %d X\r\n%bcontent-length: %d\r\n\r\n" % (services.status, services.headers, len(content))
            await exchange.send(head, content)

        manager: AbstractAsyncContextManager[RawService] = raw_service(answer)
        raw = self._background.enter(manager)
        self._services = Services(raw)
        file = self._folder / "bff.toml"
        file.write_text(text.replace("http://auth:3000", raw.url).replace("RAW", raw.url), encoding="utf-8")
        names = ("users", "orders", "products")
        urls = dict.fromkeys((name for name in names if f"{name}_service_url" not in text), raw.url)
        settings = {"BFF_CONFIG": str(file), **ON, **(environment or {})}
        return Placed(self._background.enter(running_gateway(urls, settings)), self._services)


@pytest.fixture
def place(own_background: Background, tmp_path: Path) -> Place:
    """Starts gateways."""
    return Place(own_background, tmp_path)


def token(secret: str, **claims: Any) -> str:
    """A token for an hour."""
    return jwt.encode({"sub": "1", "exp": int(time.time()) + 3600, **claims}, secret, "HS256")


def statuses(answers: list[httpx.Response]) -> dict[int, int]:
    """How many answers have each status."""
    found: dict[int, int] = {}
    for answer in answers:
        found[answer.status_code] = found.get(answer.status_code, 0) + 1
    return found


def requests_until_limited(ask: Callable[[], httpx.Response]) -> int:
    """How many requests get a 200 until one is refused. Some come back meanwhile: more of them on a slow machine."""
    for served in range(1000):
        answer = ask()
        if answer.status_code == 429:
            assert int(answer.headers["retry-after"]) >= 1
            return served
        assert answer.status_code == 200
    raise AssertionError("no request was refused")


class TestKong:
    """Two services with `jwt`, `rate-limiting` and `cors`, and a circuit breaker."""

    OWN = "a secret of the consumer, long enough for HS256"

    def start(self, place: Place) -> Placed:
        """The page's settings."""
        return place(configuration("kong"), {"BFF_AUTH__ISSUERS__WEB-APP__SECRET": self.OWN})

    def test_a_token_is_needed_and_the_path_stays(self, place: Place) -> None:
        """The consumer's credential is found by `iss`. Other methods than the four are refused."""
        kong = self.start(place)
        own = token(self.OWN, iss="web-app-key")
        assert kong.get("/api/v1/users/7").status_code == 401
        assert kong.get("/api/v1/users/7", token(self.OWN, iss="another")).status_code == 401
        assert (
            kong.get("/api/v1/users/7", token("another secret that is long enough for HS256", iss="web-app-key")).status_code
            == 401
        )
        assert kong.get("/api/v1/users/7?a=1", own).status_code == 200
        assert kong.lines == ["GET /api/v1/users/7?a=1 HTTP/1.1"]
        assert kong.services.raw.requests[0].header("x-request-id")
        patched = kong.gateway.http.patch(f"{kong.gateway.url}/api/v1/users/7", headers={"authorization": f"Bearer {own}"})
        assert patched.status_code == 405

    def test_each_service_has_its_own_limit_a_minute(self, place: Place) -> None:
        """A hundred for users, fifty for orders."""
        kong = self.start(place)
        own = token(self.OWN, iss="web-app-key")
        assert statuses([kong.get("/api/v1/orders", own) for _ in range(52)]) == {200: 50, 429: 2}
        assert statuses([kong.get("/api/v1/users", own) for _ in range(50)]) == {200: 50}
        limited = kong.get("/api/v1/orders", own)
        assert 1 <= int(limited.headers["retry-after"]) <= 61

    def test_any_origin_may_call(self, place: Place) -> None:
        """With the two headers and the four methods."""
        kong = self.start(place)
        asked = {
            "origin": "https://anything.example",
            "access-control-request-method": "DELETE",
            "access-control-request-headers": "authorization,content-type",
        }
        answer = kong.gateway.http.options(f"{kong.gateway.url}/api/v1/users/7", headers=asked)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == "*"

    def test_the_breaker_opens_at_half_of_five_calls(self, place: Place) -> None:
        """For a minute."""
        kong = self.start(place)
        kong.services.status = 500
        own = token(self.OWN, iss="web-app-key")
        found = [kong.get("/api/v1/orders", own).status_code for _ in range(8)]
        assert found == [500] * 5 + [503] * 3
        assert len(kong.lines) == 5
        assert 55 <= int(kong.get("/api/v1/orders", own).headers["retry-after"]) <= 60


class TestAwsApiGateway:
    """A resource with Cognito's authorizer, a usage plan, an access log."""

    def test_cognito_s_tokens_are_needed(self, place: Place) -> None:
        """Of the pool, of either kind."""
        key = rsa.generate_private_key(65537, 2048)
        issuer = "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Example"
        with running_issuer(jwk("RS256", key, "k")) as keys:
            aws = place(configuration("aws-api-gateway", **{f"{issuer}/.well-known/jwks.json": keys.url}))
            claims = {"sub": "ann", "iss": issuer, "exp": int(time.time()) + 3600, "token_use": "id", "aud": "client"}

            def get(**changes: str) -> int:
                made = jwt.encode({**claims, **changes}, key, "RS256", headers={"kid": "k"})
                return aws.get("/users", made).status_code

            until = time.monotonic() + 20
            while get() == 503:
                assert time.monotonic() < until
                time.sleep(0.02)
            assert [get(), get(token_use="access"), get(token_use="refresh"), get(iss="https://x")] == [200, 200, 401, 401]
            assert aws.get("/users").status_code == 401
            posted = aws.gateway.http.post(f"{aws.gateway.url}/users")
            assert posted.status_code == 405

    def test_the_usage_plan_is_the_key_s(self, place: Place, caplog: pytest.LogCaptureFixture) -> None:
        """A burst of a hundred, and its figures in the headers; the log has the fields."""
        caplog.set_level("INFO", "bff.access")
        aws = place(
            configuration(
                "aws-api-gateway", **{"2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683": digest_of("k")}
            )
        )
        ask = {"query": "{ __typename }"}
        answer = aws.gateway.post("web", ask, headers={"x-api-key": "k"})
        policy = answer.headers["ratelimit-policy"]
        assert '"consumer-requests";q=100;w=2' in policy
        assert '"consumer-requests-month";q=10000' in policy
        until = time.monotonic() + 20  # the line is written after the answer
        while not (lines := [each.__dict__["fields"] for each in caplog.records if each.name == "bff.access"]):
            assert time.monotonic() < until
            time.sleep(0.01)
        (fields,) = lines
        assert {"ip", "response_length", "trace_id", "method", "path", "status", "request_id"} <= set(fields)


class TestExpressGateway:
    """A login without a token, two services behind one, a limit, a breaker of five failures in a row."""

    def test_only_the_login_needs_no_token(self, place: Place) -> None:
        """Paths are rewritten; the user's id and the request's go along."""
        express = place(configuration("express-gateway"))
        url = f"{express.gateway.url}/api/v1/auth/login"
        answer = express.gateway.http.post(url, content=b'{"password": "x"}', headers={"content-type": "application/json"})
        assert (answer.status_code, answer.content) == (200, b'{"password": "x"}')
        assert express.get("/api/v1/users/7").status_code == 401
        assert express.get("/api/v1/users/7", token(SECRET)).status_code == 200
        assert express.lines == ["POST /login HTTP/1.1", "GET /users/7 HTTP/1.1"]
        assert express.services.raw.requests[1].header("x-user-id") == "1"

    def test_a_hundred_requests_a_minute(self, place: Place) -> None:
        """Then 429."""
        express = place(configuration("express-gateway"))
        own = token(SECRET)
        assert statuses([express.get("/api/v1/users", own) for _ in range(103)]) == {200: 100, 429: 3}

    def test_five_failures_in_a_row_open_the_breaker_for_half_a_minute(self, place: Place) -> None:
        """A success in between begins the count again. While it is open nothing is asked."""
        express = place(configuration("express-gateway"), {"BFF_SOURCES__ORDERS__BREAKER__MINIMUM_CALLS": "1000"})
        own = token(SECRET)

        def get(status: int) -> int:
            express.services.status = status
            return express.get("/api/v1/orders", own).status_code

        assert [get(500) for _ in range(4)] == [500] * 4
        assert get(200) == 200
        assert [get(500) for _ in range(5)] == [500] * 5
        asked = len(express.lines)
        refused = express.get("/api/v1/orders", own)
        assert refused.status_code == 503
        assert 25 <= int(refused.headers["retry-after"]) <= 30
        assert refused.json()["code"] == "UPSTREAM_UNAVAILABLE"
        assert len(express.lines) == asked

    def test_one_origin_may_call(self, place: Place) -> None:
        """No other."""
        express = place(configuration("express-gateway"))
        for origin, allowed in (("https://app.example.com", True), ("https://evil.example.com", False)):
            answer = express.get("/api/v1/users", token(SECRET), origin=origin)
            assert ("access-control-allow-origin" in answer.headers) is allowed


class TestNginx:
    """Paths to three services, one with two instances; a limit with a burst, time and size limits, another try, CORS."""

    def start(self, place: Place, second: str = "RAW") -> Placed:
        """The page's settings, with instances of this machine."""
        return place(configuration("nginx", **{"http://users-1:3000": "RAW", "http://users-2:3000": second}))

    def test_paths_are_rewritten_and_a_token_is_needed(self, place: Place) -> None:
        """For users and orders; products are for anybody."""
        nginx = self.start(place)
        assert nginx.get("/api/v1/users/7").status_code == 401
        assert nginx.get("/api/v1/orders").status_code == 401
        assert nginx.get("/api/v1/users/7", token(SECRET)).status_code == 200
        assert nginx.get("/api/v1/products/3").status_code == 200
        assert nginx.get("/api/v1/orders?page=2", token(SECRET)).status_code == 200
        paths = ["/users/7", "/products/3", "/orders?page=2"]
        assert nginx.lines == [f"GET {path} HTTP/1.1" for path in paths]
        assert nginx.get("/api/v1/products", None, x_request_id="mine").headers["x-request-id"] == "mine"

    def test_a_burst_of_twenty_then_ten_a_second(self, place: Place) -> None:
        """As `burst=20 nodelay`."""
        nginx = self.start(place)
        answer = nginx.get("/api/v1/products")
        assert '"requests";q=20;w=2' in answer.headers["ratelimit-policy"]
        assert requests_until_limited(lambda: nginx.get("/api/v1/products")) >= 19
        assert nginx.get("/api/v1/orders", token(SECRET)).status_code == 200

    def test_one_origin_may_call(self, place: Place) -> None:
        """Its preflight is answered here; no service is asked."""
        nginx = self.start(place)
        asked = {"access-control-request-method": "PATCH", "access-control-request-headers": "authorization"}
        for origin, allowed in (("https://app.example.com", True), ("https://evil.example.com", False)):
            answer = nginx.gateway.http.options(f"{nginx.gateway.url}/api/v1/users/7", headers={**asked, "origin": origin})
            assert ("access-control-allow-origin" in answer.headers) is allowed
        assert nginx.lines == []

    def test_the_next_instance_is_tried_if_one_is_gone(self, place: Place) -> None:
        """No request fails, though half of them would without another try."""
        nginx = self.start(place, "http://127.0.0.1:9")
        assert statuses([nginx.get("/api/v1/users", token(SECRET)) for _ in range(15)]) == {200: 15}
        instances = nginx.gateway.settings.instances("users") or ()
        assert [each.weight for each in instances] == [3, 1]

    def test_an_instance_that_fails_three_times_is_left_out(self, place: Place, own_background: Background) -> None:
        """For half a minute, as after `max_fails=3`: more requests than those three never reach it."""

        async def hang_up(exchange: Exchange) -> None:
            raise ConnectionError

        second = own_background.enter(raw_service(hang_up))
        nginx = self.start(place, second.url)
        for user in range(500):  # instances are chosen at random; each user has a limit of its own
            assert nginx.get("/api/v1/users", token(SECRET, sub=f"{user}")).status_code == 200
            if len(second.requests) == 3:
                break
        afterwards = [nginx.get("/api/v1/users", token(SECRET, sub=f"later-{user}")) for user in range(60)]
        assert statuses(afterwards) == {200: 60}
        assert len(second.requests) == 3

    def test_a_body_that_is_too_large_is_refused(self, place: Place) -> None:
        """Before the service is called."""
        nginx = self.start(place)
        headers = {"authorization": f"Bearer {token(SECRET)}"}
        url = f"{nginx.gateway.url}/api/v1/users"
        assert nginx.gateway.http.post(url, content=b"x" * 1_048_577, headers=headers).status_code == 413
        assert nginx.gateway.http.post(url, content=b"x" * 1_048_576, headers=headers).status_code == 200
        assert len(nginx.lines) == 1


class TestTraefik:
    """A weighted service with middlewares: rate limit, breaker, retry, in-flight limit, a header."""

    def start(self, place: Place) -> Placed:
        """The page's settings, with instances of this machine."""
        hosts = dict.fromkeys(("http://orders-stable:3000", "http://orders-canary:3000"), "RAW")
        return place(configuration("traefik", **hosts))

    def test_the_prefix_is_replaced_and_the_header_added(self, place: Place) -> None:
        """For signed-in users."""
        traefik = self.start(place)
        assert traefik.get("/api/v1/orders/5").status_code == 401
        assert traefik.get("/api/v1/orders/5", token(SECRET)).status_code == 200
        (request,) = traefik.services.raw.requests
        assert (request.line, request.header("x-gateway")) == ("GET /orders/5 HTTP/1.1", "edge")
        assert request.header("x-user-id") == "1"
        instances = traefik.gateway.settings.instances("orders") or ()
        assert [each.weight for each in instances] == [9, 1]

    def test_a_burst_of_fifty(self, place: Place) -> None:
        """A hundred a minute in the long run."""
        traefik = self.start(place)
        assert requests_until_limited(lambda: traefik.get("/api/v1/orders", token(SECRET))) >= 50
        assert '"requests";q=50;w=30' in traefik.get("/api/v1/orders", token(SECRET, sub="2")).headers["ratelimit-policy"]

    def test_a_read_is_tried_three_times_and_the_breaker_opens(self, place: Place) -> None:
        """At three tenths of ten calls; then nothing is asked, for ten seconds."""
        traefik = self.start(place)
        traefik.services.status = 503
        assert traefik.get("/api/v1/orders", token(SECRET)).status_code == 503
        assert len(traefik.lines) == 3
        for _ in range(10):
            traefik.get("/api/v1/orders", token(SECRET))
        asked = len(traefik.lines)
        refused = traefik.get("/api/v1/orders", token(SECRET))
        assert refused.json()["code"] == "UPSTREAM_UNAVAILABLE"
        assert 1 <= int(refused.headers["retry-after"]) <= 10
        assert len(traefik.lines) == asked

    def test_the_eleventh_request_at_once_is_refused(self, place: Place, own_background: Background) -> None:
        """Ten are in flight: those get their answers, and then there is room again."""
        traefik = self.start(place)
        released = traefik.services.released = asyncio.Event()
        with ThreadPoolExecutor(10) as clients:
            waiting = [clients.submit(traefik.get, "/api/v1/orders", token(SECRET)) for _ in range(10)]
            until = time.monotonic() + 20
            while len(traefik.lines) < 10:
                assert time.monotonic() < until
                time.sleep(0.01)
            refused = traefik.get("/api/v1/orders", token(SECRET))
            own_background.loop.call_soon_threadsafe(released.set)
            assert statuses([each.result() for each in waiting]) == {200: 10}
        assert refused.status_code == 503
        assert len(traefik.lines) == 10
        assert traefik.get("/api/v1/orders", token(SECRET)).status_code == 200

    def test_a_write_is_not_repeated(self, place: Place) -> None:
        """The client gets the service's answer to the one attempt."""
        traefik = self.start(place)
        traefik.services.status = 503
        headers = {"authorization": f"Bearer {token(SECRET)}"}
        assert traefik.gateway.http.post(f"{traefik.gateway.url}/api/v1/orders", headers=headers).status_code == 503
        assert traefik.lines == ["POST /orders HTTP/1.1"]


class TestCloudflare:
    """The client's address from the edge, limits by user and address, cacheable answers of trusted documents."""

    def start(self, place: Place, folder: Path) -> Placed:
        """The page's settings. The edge is this machine."""
        manifest = folder / "manifests" / "web.json"
        manifest.parent.mkdir()
        bodies = {"Type": "query Type { __typename }", "Product": "query Product($id: ID!) { product(id: $id) { name } }"}
        operations = [{"id": name, "name": name, "type": "query", "body": body} for name, body in bodies.items()]
        manifest.write_text(
            json.dumps({"format": "apollo-persisted-query-manifest", "version": 1, "operations": operations})
        )
        return place(configuration("cloudflare", **{"2400:cb00::/32": "127.0.0.0/8"}))

    def test_the_client_is_the_last_address_that_the_edge_has_added(self, place: Place, tmp_path: Path) -> None:
        """What the client itself claims counts for nothing: it can't get a new count."""
        edge = self.start(place, tmp_path)

        def ask(claimed: str) -> httpx.Response:
            headers = {"x-forwarded-for": f"{claimed}, 192.0.2.7"}
            return edge.gateway.post("web", {"query": "{ __typename }"}, headers=headers)

        found = statuses([ask(f"198.51.100.{number}") for number in range(103)])
        assert found == {200: 100, 429: 3}
        other = edge.gateway.post("web", {"query": "{ __typename }"}, headers={"x-forwarded-for": "192.0.2.8"})
        assert other.status_code == 200

    def test_trusted_documents_can_be_cached_at_the_edge(self, place: Place, tmp_path: Path) -> None:
        """By a short URL, as long as the service allows, with a validator; an answer for a user is not public."""
        edge = self.start(place, tmp_path)
        edge.services.content = json.dumps(PRODUCT).encode()
        edge.services.headers = b"content-type: application/json\r\ncache-control: public, max-age=60\r\n"
        answer = edge.get("/web/api/Product?id=1")
        assert answer.json() == {"data": {"product": {"name": "Lamp"}}}
        directives = answer.headers["cache-control"].split(", ")
        assert "public" in directives
        (lifetime,) = (int(each.removeprefix("max-age=")) for each in directives if each.startswith("max-age="))
        assert 1 <= lifetime <= 60
        named = {each.lower() for each in answer.headers["vary"].split(", ")}
        assert named == {"accept", "accept-encoding", "authorization", "x-api-key"}
        other = edge.get("/web/api/Product?id=1", None, accept="application/graphql-response+json")
        assert (other.headers["content-type"], other.content) == (answer.headers["content-type"], answer.content)
        refused = edge.get("/web/api/Product?id=1", None, accept="text/html")
        assert (refused.status_code, refused.headers["cache-control"]) == (406, "no-store")
        fresh = edge.get("/web/api/Product?id=1", None, if_none_match=answer.headers["etag"])
        assert (fresh.status_code, fresh.content) == (304, b"")
        assert "public" not in edge.get("/web/api/Product?id=1", token(SECRET)).headers["cache-control"]

    def test_what_a_service_does_not_allow_is_not_cached(self, place: Place, tmp_path: Path) -> None:
        """Nor what came from no service."""
        edge = self.start(place, tmp_path)
        answer = edge.get("/web/api/Type")
        assert answer.json() == {"data": {"__typename": "Query"}}
        assert answer.headers["cache-control"] == "no-store"
        edge.services.status = 500
        assert edge.get("/web/api/Product?id=1").headers["cache-control"] == "no-store"

    def test_cf_connecting_ip_is_not_read(self, place: Place, tmp_path: Path) -> None:
        """It can't get anybody a new count."""
        edge = self.start(place, tmp_path)

        def ask(number: int) -> httpx.Response:
            return edge.gateway.post("web", {"query": "{ __typename }"}, headers={"cf-connecting-ip": f"192.0.2.{number}"})

        assert statuses([ask(number) for number in range(103)]) == {200: 100, 429: 3}


class TestApolloServer:
    """The page's application: a user and the orders of the user, from two services of Apollo's conventions."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """The application in a folder."""
        text = (PAGES / "apollo-server.md").read_text(encoding="utf-8")
        for name, content in re.findall(r"^```python\n# ([\w/]+\.py)\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
            file = tmp_path / name
            file.parent.mkdir(exist_ok=True)
            (file.parent / "__init__.py").touch()
            file.write_text(content, encoding="utf-8")
        return tmp_path

    def run(self, folder: Path, *arguments: str) -> str:
        """What `python -m ARGUMENTS` prints in the folder."""
        environment = {**os.environ, "PYTHONPATH": str(PAGES.parents[1])}
        command = [sys.executable, "-m", *arguments]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def test_the_graph_is_the_same(self, folder: Path) -> None:
        """Types, fields and arguments, but for the list, which is null if its service fails."""
        sdl = self.run(folder, "bff", "schema", "export", "web")
        for line in ("user(id: ID!): User", "orders(first: Int = 20): [Order!]", "total: Float!", "name: String\n"):
            assert line in sdl

    def test_two_calls_side_by_side(self, folder: Path) -> None:
        """The requests that the data sources made, and the answer."""
        (folder / "test_page.py").write_text(
            """
from bff.testing import Scripted, running
from schema.app import app

USER = {"id": "7", "email": "a@example.com", "name": None}
ORDER = {"id": "o1", "userId": "7", "total": 9.5, "status": "paid"}


async def test_page():
    users, orders = Scripted({"/users/7": USER}), Scripted({"/orders?userId=7": [ORDER]})
    async with running(app, {"users": users, "orders": orders}) as gateway:
        answer = await gateway.ask("web", '{ user(id: "7") { email name orders { id total status } } }')
        shown = {"id": "o1", "total": 9.5, "status": "paid"}
        assert answer.body == {"data": {"user": {"email": "a@example.com", "name": None, "orders": [shown]}}}
        assert sorted(answer.calls) == [("orders", "GET", "/orders?userId=7"), ("users", "GET", "/users/7")]
        orders.fail(500)
        answer = await gateway.ask("web", '{ user(id: "7") { email orders { id } } }')
        assert answer.data == {"user": {"email": "a@example.com", "orders": None}}
""",
            encoding="utf-8",
        )
        printed = self.run(folder, "pytest", "-q", "-p", "no:cacheprovider", "-o", "asyncio_mode=auto", "test_page.py")
        assert "1 passed" in printed
        (folder / "a.graphql").write_text('{ user(id: "7") { email orders { id } } }')
        assert "1 wave, at most 2 calls" in self.run(folder, "bff", "explain", "web", "a.graphql")
