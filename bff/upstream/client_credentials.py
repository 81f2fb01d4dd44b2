"""OAuth 2.0 client credentials (RFC 6749, section 4.4): a source's own identity, fetched and renewed in the background.

The token is renewed when 80 % of its life is over, and when the service refuses it. While the authorization server is
unavailable the last token is used until it expires; after that, calls fail at once.
"""

import asyncio
import random
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import quote_plus, urlencode

import msgspec

from bff.runtime.clock import Clock
from bff.runtime.log import Log
from bff.upstream.errors import NoCredentials
from bff.upstream.wire import Wire, WireReply, WireRequest

_RENEWED_AT = 0.8
_JITTER = 0.1
_UNSTATED_LIFE_S = 300.0
"""Seconds for which a token is used whose life the server does not state."""
_LONGEST_LIFE_S = 30 * 86_400.0
_LEAST_LIFE_S = 10.0
_FIRST_RETRY_S = 1.0
_LONGEST_RETRY_S = 60.0
_MOST_DOUBLINGS = 6
_LEAST_INTERVAL_S = 5.0
"""Seconds between fetches that are caused by a refusal of the service."""
_FETCH_TIMEOUT_S = 5.0
_MOST_BYTES = 64 * 1024
_LONGEST_TOKEN = 8192
_log = Log("bff.credentials")


@dataclass(frozen=True, slots=True)
class ClientCredentialsOptions:
    """How a source gets its own token.

    Attributes:
        token_url: the token endpoint of the authorization server.
        client_id, client_secret: the gateway's own.
        scope: the scopes to request, separated by spaces.
        audience: the audience to request, which some servers need.
        auth: how the client's id and secret are sent: in `Authorization`, or in the body.
    """

    token_url: str
    client_id: str
    client_secret: str = field(repr=False)
    scope: str | None = None
    audience: str | None = None
    auth: Literal["basic", "post"] = "basic"


class _Token(msgspec.Struct):
    access_token: str
    token_type: str = "Bearer"  # noqa: S105 - the name of a type
    expires_in: float | str | None = None


_token = msgspec.json.Decoder(_Token)


class _TokenError(Exception):
    """The reply has no usable token. The message is for the log, so it has nothing of the reply."""


class ClientCredentials:
    """The token of one source. The composition root runs `run` as a background task."""

    def __init__(
        self,
        source: str,
        options: ClientCredentialsOptions,
        wire: Wire,
        *,
        clock: Clock = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        random: Callable[[], float] = random.random,
    ) -> None:
        """Nothing is fetched yet."""
        self._source = source
        self._wire = wire
        self._clock = clock
        self._sleep = sleep
        self._random = random
        self._request = _request(options)
        self._value: str | None = None
        self._expires_at = 0.0
        self._renew_in_s = 0.0
        self._failures = 0
        self._renewed_at: float | None = None
        self._fetching: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<ClientCredentials {self._source}: {'a token' if self._value else 'no token'}>"

    def authorization(self) -> str:
        """The value of `Authorization`. Raises `NoCredentials` if there is no token that is still valid."""
        if self._value is None or self._clock() >= self._expires_at:
            raise NoCredentials(self._source)
        return self._value

    async def run(self) -> None:
        """Keep the token fresh until cancelled."""
        while True:
            await self._fetch_once()
            await self._sleep(self.delay_s())

    def delay_s(self) -> float:
        """Seconds until the next fetch."""
        if self._failures:
            return min(_FIRST_RETRY_S * 2.0 ** min(self._failures - 1, _MOST_DOUBLINGS), _LONGEST_RETRY_S)
        return max(self._renew_in_s * (1 - _JITTER * self._random()), 1.0)

    async def renew(self, refused: str) -> None:
        """Fetch another token, since the service has refused this one: at most every five seconds."""
        if refused != self._value:  # it has been renewed meanwhile
            return
        if self._fetching is None:
            if self._renewed_at is not None and self._clock() - self._renewed_at < _LEAST_INTERVAL_S:
                return
            self._renewed_at = self._clock()
        await self._fetch_once()

    async def _fetch_once(self) -> None:
        """Fetch a token, or wait for the fetch in progress. A cancelled request doesn't cancel it for the others."""
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._fetch())
        await asyncio.shield(self._fetching)

    async def _fetch(self) -> None:
        try:
            async with asyncio.timeout(_FETCH_TIMEOUT_S):
                reply = await self._wire.send(self._request, max_response_bytes=_MOST_BYTES)
            self._take(reply)
        except Exception as error:  # noqa: BLE001 - after any failure the last token is used, and `run` tries again
            self._failures += 1
            reason = str(error) if isinstance(error, _TokenError) else type(error).__name__
            has_token = self._value is not None and self._clock() < self._expires_at
            _log.warning("credentials not fetched", source=self._source, reason=reason, has_token=has_token)
        finally:
            self._fetching = None

    def _take(self, reply: WireReply) -> None:
        if reply.status != 200:
            raise _TokenError(f"status {reply.status}")
        try:
            token = _token.decode(reply.body)
            life_s = _UNSTATED_LIFE_S if token.expires_in is None else float(token.expires_in)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
            raise _TokenError("not a token response") from error
        text = token.access_token
        if token.token_type.lower() != "bearer":
            raise _TokenError("expected a token of the type Bearer")
        if not (0 < len(text) <= _LONGEST_TOKEN and text.isascii() and text.isprintable() and " " not in text):
            raise _TokenError("the token can't be sent in a header")
        if not life_s >= _LEAST_LIFE_S:
            raise _TokenError("the token expires at once")
        life_s = min(life_s, _LONGEST_LIFE_S)
        self._failures = 0
        self._value = f"Bearer {text}"
        self._expires_at = self._clock() + life_s
        self._renew_in_s = life_s * _RENEWED_AT


def _request(options: ClientCredentialsOptions) -> WireRequest:
    secret = options.client_secret
    form = {"grant_type": "client_credentials"}
    if options.scope is not None:
        form["scope"] = options.scope
    if options.audience is not None:
        form["audience"] = options.audience
    headers = [
        ("Accept", "application/json"),
        ("Accept-Encoding", "identity"),
        ("User-Agent", "bff"),
        ("Content-Type", "application/x-www-form-urlencoded"),
    ]
    if options.auth == "post":
        form |= {"client_id": options.client_id, "client_secret": secret}
    else:
        # Each part is form-encoded first (RFC 6749, section 2.3.1).
        pair = f"{quote_plus(options.client_id)}:{quote_plus(secret)}"
        headers.append(("Authorization", f"Basic {b64encode(pair.encode()).decode()}"))
    return WireRequest("POST", options.token_url, tuple(headers), urlencode(form).encode())
