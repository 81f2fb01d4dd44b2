"""CORS (Fetch standard): which web pages of other origins may call which variant, and with which headers."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

if TYPE_CHECKING:
    from bff.server.host import Gateway

USUAL_HEADERS = (
    "accept-language",
    "apollo-require-preflight",
    "apollographql-client-name",
    "apollographql-client-version",
    "authorization",
    "baggage",
    "content-type",
    "graphql-require-preflight",
    "if-none-match",
    "sentry-trace",
    "traceparent",
    "tracestate",
    "x-api-key",
    "x-apollo-operation-name",
    "x-request-id",
    "x-request-timeout-ms",
)
"""The request headers that GraphQL clients and tools for tracing send."""

_EXPOSED = ("content-language", "etag", "ratelimit", "ratelimit-policy", "retry-after", "server-timing", "x-request-id")
_LOCAL = r"https?://(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?"
_ANY = "*"
_LABELS = r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+"


@dataclass(frozen=True, slots=True)
class CorsRules:
    """The rules of one variant, or of routes.

    Attributes:
        origins: `https://shop.example.com`, `https://*.example.com` for all sub-domains, or `*` for any origin.
        headers: request headers besides `USUAL_HEADERS`, in lower case.
        credentials: whether cookies and the like may be sent.
        max_age_s: for how long browsers may remember the answer to a preflight.
        allows_local: whether pages of this machine may call too.
        methods: those that pages may use.
    """

    origins: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    credentials: bool = False
    max_age_s: int = 600
    allows_local: bool = False
    methods: tuple[str, ...] = ("GET", "POST")

    @property
    def allows_any(self) -> bool:
        """Whether any origin may call."""
        return _ANY in self.origins

    @property
    def is_on(self) -> bool:
        """Whether some other origin may call."""
        return bool(self.origins) or self.allows_local

    def middleware(self, app: ASGIApp) -> ASGIApp:
        """The application with these rules."""
        patterns = [_pattern(each) for each in self.origins if "*." in each] + ([_LOCAL] if self.allows_local else [])
        return CORSMiddleware(
            app,
            allow_origins=[each for each in self.origins if "*." not in each],
            allow_origin_regex="|".join(patterns) or None,
            allow_methods=list(self.methods),
            allow_headers=[*USUAL_HEADERS, *self.headers],
            allow_credentials=self.credentials,
            expose_headers=list(_EXPOSED),
            max_age=self.max_age_s,
        )


def _pattern(origin: str) -> str:
    """A regular expression for `https://*.example.com`: its sub-domains, and not the domain itself."""
    scheme, _, rest = origin.partition("*.")
    return f"{re.escape(scheme)}{_LABELS}{re.escape(rest)}"


class Cors:
    """The gateway with CORS. A request without `Origin`, which no page of another origin can send, goes straight on."""

    def __init__(self, gateway: "Gateway") -> None:
        self._gateway = gateway
        self._rules: Mapping[str, CorsRules] = {}
        self._by_first: dict[str, ASGIApp] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI's entry point."""
        if scope["type"] == "http":
            for name, _ in scope["headers"]:
                if name == b"origin":
                    await self._of(scope["path"])(scope, receive, send)
                    return
        await self._gateway(scope, receive, send)

    def _of(self, path: str) -> ASGIApp:
        """The gateway with the rules of the variant or route at that path. `""` stands for a route for everything."""
        rules = self._gateway.served.cors
        if rules is not self._rules:  # the settings were reloaded
            self._by_first = {name: each.middleware(self._gateway) for name, each in rules.items() if each.is_on}
            self._rules = rules
        first = path[1:].partition("/")[0]
        return self._by_first.get(first if first in rules else "", self._gateway)
