"""A source's own token: fetched, renewed in time, renewed when refused, bounded in everything."""

import asyncio
from base64 import b64decode
from typing import Any
from urllib.parse import parse_qs

import orjson
import pytest

from bff.upstream.client_credentials import ClientCredentials, ClientCredentialsOptions
from bff.upstream.errors import NoCredentials
from bff.upstream.wire import NotConnected, WireReply, WireRequest

OPTIONS = ClientCredentialsOptions("https://id.example.com/token", "gate way", "s3cr:et", scope="a b", audience="orders")


class Server:
    """A token endpoint. `reply` is its answer; an exception is raised."""

    def __init__(self, **token: Any) -> None:
        self.token: dict[str, Any] = {"access_token": "t1", "token_type": "bearer", "expires_in": 100, **token}
        self.status = 200
        self.raises: Exception | None = None
        self.requests: list[WireRequest] = []

    async def send(self, request: WireRequest, *, max_response_bytes: int) -> WireReply:
        self.requests.append(request)
        await asyncio.sleep(0)
        if self.raises is not None:
            raise self.raises
        return WireReply(self.status, {}, orjson.dumps(self.token))

    async def aclose(self) -> None:
        """Nothing to close."""


class Rig:
    """Credentials whose clock and sleep are set by hand."""

    def __init__(self, server: Server, options: ClientCredentialsOptions = OPTIONS) -> None:
        self.at = 0.0
        self.slept: list[float] = []
        self.credentials = ClientCredentials(
            "orders", options, server, clock=lambda: self.at, sleep=self.sleep, random=lambda: 0.0
        )

    async def sleep(self, seconds: float) -> None:
        """Pass the time at once; stop after ten turns."""
        self.slept.append(seconds)
        self.at += seconds
        if len(self.slept) >= 3:
            raise asyncio.CancelledError

    async def run(self) -> None:
        """Three turns of the background task."""
        with pytest.raises(asyncio.CancelledError):
            await self.credentials.run()


async def test_a_token_is_fetched_and_renewed_before_it_expires() -> None:
    """At 80 % of its life. Until the first one is there, calls fail at once."""
    server = Server()
    rig = Rig(server)
    with pytest.raises(NoCredentials):
        rig.credentials.authorization()
    await rig.run()
    assert rig.slept == [80.0, 80.0, 80.0]
    assert rig.credentials.authorization() == "Bearer t1"
    assert len(server.requests) == 3


async def test_the_request_is_that_of_the_specification() -> None:
    """The client's id and secret are form-encoded, then sent as Basic (RFC 6749, section 2.3.1)."""
    server = Server()
    await Rig(server).run()
    request = server.requests[0]
    headers = dict(request.headers)
    assert (request.method, request.url) == ("POST", "https://id.example.com/token")
    assert b64decode(headers["Authorization"].removeprefix("Basic ")) == b"gate+way:s3cr%3Aet"
    form = parse_qs((request.body or b"").decode())
    assert form == {"grant_type": ["client_credentials"], "scope": ["a b"], "audience": ["orders"]}


async def test_the_secret_may_be_sent_in_the_body() -> None:
    """For servers that want it there."""
    server = Server()
    await Rig(server, ClientCredentialsOptions("https://id/token", "me", "s&x", auth="post")).run()
    assert "Authorization" not in dict(server.requests[0].headers)
    form = parse_qs((server.requests[0].body or b"").decode())
    assert form == {"grant_type": ["client_credentials"], "client_id": ["me"], "client_secret": ["s&x"]}


async def test_while_the_server_fails_the_last_token_is_used_until_it_expires() -> None:
    """Then calls fail at once. Fetches are repeated with growing pauses."""
    server = Server()
    rig = Rig(server)
    await rig.credentials._fetch_once()
    server.raises = NotConnected()
    await rig.run()
    assert rig.slept == [1.0, 2.0, 4.0]
    assert rig.credentials.authorization() == "Bearer t1"
    rig.at = 100.0
    with pytest.raises(NoCredentials):
        rig.credentials.authorization()


async def test_a_refused_token_is_renewed_once_for_all() -> None:
    """Concurrent refusals make one fetch, and another one follows after five seconds at the earliest."""
    server = Server()
    rig = Rig(server)
    await rig.credentials._fetch_once()
    rig.at = 10.0
    server.token["access_token"] = "t2"
    await asyncio.gather(*(rig.credentials.renew("Bearer t1") for _ in range(5)))
    assert rig.credentials.authorization() == "Bearer t2"
    assert len(server.requests) == 2
    await rig.credentials.renew("Bearer t1")  # an older token: it has been renewed
    await rig.credentials.renew("Bearer t2")  # too soon
    assert len(server.requests) == 2
    rig.at = 16.0
    await rig.credentials.renew("Bearer t2")
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    "token",
    [
        {"access_token": ""},
        {"access_token": 7},
        {"access_token": "a b"},
        {"access_token": "ä"},
        {"access_token": "a\r\nx: y"},
        {"access_token": "x" * 9000},
        {"token_type": "mac"},
        {"expires_in": 0},
        {"expires_in": -1},
        {"expires_in": "soon"},
        {"expires_in": float("1e-9")},
    ],
)
async def test_a_response_without_a_usable_token(token: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    """It counts as a failure, and nothing of it is logged."""
    rig = Rig(Server(**token))
    await rig.credentials._fetch_once()
    with pytest.raises(NoCredentials):
        rig.credentials.authorization()
    (record,) = caplog.records
    assert record.__dict__["fields"]["source"] == "orders"
    assert "s3cr" not in caplog.text
    assert "t1" not in str(record.__dict__["fields"])


@pytest.mark.parametrize(("life", "delay_s"), [(None, 240.0), ("50", 40.0), (10**9, 30 * 86_400 * 0.8)])
async def test_the_life_of_a_token(life: Any, delay_s: float) -> None:
    """Unstated it is five minutes; text is accepted; it is bounded."""
    rig = Rig(Server(expires_in=life))
    await rig.credentials._fetch_once()
    assert rig.credentials.delay_s() == pytest.approx(delay_s)


def test_the_repr_has_no_secret() -> None:
    """Neither that of the options."""
    assert "s3cr" not in repr(OPTIONS)
    assert repr(Rig(Server()).credentials) == "<ClientCredentials orders: no token>"
