"""docs/from: the configurations that people come with behave as they did. Each test runs the page's own block."""

import re
import time
from collections.abc import Mapping
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


def configuration(page: str, **changes: str) -> str:
    """The TOML block of a page, with some texts replaced."""
    (block,) = re.findall(r"```toml\n(.*?)```", (PAGES / f"{page}.md").read_text(encoding="utf-8"), re.DOTALL)
    for old, new in changes.items():
        assert old in block
        block = block.replace(old, new)
    return str(block)


@dataclass
class Services:
    """A raw service in place of all, whose status can be set."""

    raw: RawService
    status: int = 200


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
            status = 200 if self._services is None else self._services.status
            await exchange.send(b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body))

        manager: AbstractAsyncContextManager[RawService] = raw_service(answer)
        raw = self._background.enter(manager)
        self._services = Services(raw)
        file = self._folder / "bff.toml"
        file.write_text(text.replace("http://auth:3000", raw.url), encoding="utf-8")
        urls = dict.fromkeys(("users", "orders", "products"), raw.url)
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
