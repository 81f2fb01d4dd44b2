"""The ASGI application. Requests to variants and routes are answered directly, all others by FastAPI."""

import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bff.gate.proxies import Proxies
from bff.graph.controls import Reloaded
from bff.request import access_log, driver
from bff.request.access_log import NO_FURTHER_FIELDS, FurtherFields
from bff.request.compression import Compression
from bff.request.correlation import request_id_of
from bff.request.driver import Run
from bff.request.encoding import encode
from bff.request.endpoint import Endpoint
from bff.request.exchange import headers_of, open_exchange
from bff.request.http import ClientDisconnected
from bff.request.response import EncodedResponse
from bff.request.services import Services
from bff.runtime.clock import Clock
from bff.runtime.version import VERSION
from bff.server.cors import CorsRules
from bff.upstream.caller import Deadline

API = "/api/"
"""In a path, between the name of a variant and the name of one of its trusted operations."""
MANAGEMENT = "bff.management"
"""A key of ASGI's scope: the request has arrived at the port for operators."""
_GZIP_LEVEL = 4


@dataclass(frozen=True, slots=True, eq=False)
class Served:
    """What is served: all that the settings decide and that can change while the gateway runs. Replaced as a whole.

    Attributes:
        endpoints: the variants by name.
        services: what the pipeline works with.
        proxies: which proxies in front are trusted to report a client's address.
        run_trusted: what runs a request to `/{variant}/api/{name}`, by variant and name, existing or not.
        cors: which pages of other origins may call, by variant.
        log_fields: further fields of the access log.
        routes: finds what serves a request by a route; None if there are no routes.
        management: what is served on the port for operators; None if there is none, and all is served on one port.
        by_path: the variants by path.
    """

    endpoints: Mapping[str, Endpoint]
    services: Services
    proxies: Proxies
    run_trusted: Callable[[str, str], Run]
    cors: Mapping[str, CorsRules] = field(default_factory=dict)
    log_fields: FurtherFields = NO_FURTHER_FIELDS
    routes: Callable[[Scope], ASGIApp | None] | None = None
    management: "Served | None" = None
    by_path: Mapping[str, Endpoint] = field(init=False)

    def __post_init__(self) -> None:
        """Index the variants by path."""
        object.__setattr__(self, "by_path", {each.variant.path: each for each in self.endpoints.values()})


class Gateway(FastAPI):
    """The application.

    `describe` returns lines for the log at the start: events and their fields.

    After `leave()`, `/ready` answers 503; after `drain()`, new requests are refused. `in_flight` is the number of requests
    in progress.
    """

    def __init__(
        self,
        served: Served,
        reload: Callable[[], Coroutine[Any, Any, Reloaded]],
        clock: Clock = time.monotonic,
        compression: Compression | None = None,
        **options: Any,
    ) -> None:
        """Make the application.

        Args:
            served: what is served. A request keeps what was served when it arrived.
            reload: reads the settings again, and replaces `served`.
            clock: the time of deadlines and durations.
            compression: compresses answers; None if they are sent as they are.
            options: FastAPI's.
        """
        super().__init__(
            title="bff",
            version=VERSION,
            docs_url=None,
            redoc_url=None,
            openapi_url=None,
            redirect_slashes=False,  # a redirect would repeat the host name that the client sent
            **options,
        )
        self.served = served
        self.reload = reload
        self._clock = clock
        self._compression = compression
        if compression is not None:  # of what FastAPI answers: metrics, pages
            self.add_middleware(GZipMiddleware, minimum_size=compression.min_bytes, compresslevel=_GZIP_LEVEL)
        self.describe: Callable[[], Iterable[tuple[str, dict[str, Any]]]] = tuple
        self.in_flight = 0
        self.leaving = False
        self.draining = False
        self.started = False

    def leave(self) -> None:
        """Report on `/ready` that the process is about to stop. Requests are still served."""
        self.leaving = True

    def drain(self) -> None:
        """Refuse new requests from now on."""
        self.leaving = self.draining = True

    def served_on(self, scope: Scope) -> Served:
        """What is served on the port at which a request has arrived."""
        served = self.served
        return served if served.management is None or MANAGEMENT not in scope else served.management

    def is_for_operators(self, scope: Scope) -> bool:
        """Whether a request may see the state of the gateway: on the port for operators, or on the only one."""
        return self.served.management is None or MANAGEMENT in scope

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI's entry point."""
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        path = scope["path"]
        if b"%" in scope.get("raw_path", b""):
            # The path is not decoded: an encoded one could bypass a proxy's rule for it.
            path = scope["path"] = scope["raw_path"].decode("ascii")
        served = self.served_on(scope)
        endpoint = served.by_path.get(path)
        self.in_flight += 1
        try:
            if endpoint is not None:
                await self._answer(served, endpoint, driver.run, scope, receive, send)
                return
            variant, _, name = path[1:].partition(API)
            if name and variant in served.endpoints:
                run = served.run_trusted(variant, name)
                await self._answer(served, served.endpoints[variant], run, scope, receive, send)
            elif served.routes is not None and (serve := served.routes(scope)) is not None:
                await serve(scope, receive, send)
            else:
                await self._answer_other(scope, receive, send)
        finally:
            self.in_flight -= 1

    async def _answer(
        self, served: Served, endpoint: Endpoint, run: Run, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Answer a request to a variant."""
        began = self._clock()
        headers = headers_of(scope)
        deadline = Deadline(began + endpoint.deadlines.request_s, self._clock)
        address = served.proxies.client((scope["client"] or (None,))[0], headers.get(b"x-forwarded-for", ()))
        exchange = open_exchange(endpoint, scope, receive, headers, deadline, address, began)
        services = served.services
        metrics, variant = services.metrics, endpoint.variant.name
        try:
            response = encode(exchange, await run(exchange, services))
        except ClientDisconnected as disconnected:
            metrics.gone(variant, disconnected.outcome, exchange.client.consumer_name)
            access_log.log_disconnect(exchange, disconnected, self._clock() - began)
            return
        if self._compression is not None and len(response.body) >= self._compression.min_bytes:
            response = await self._compression(response, exchange.header(b"accept-encoding"))
        await _send(response, exchange.request_id, send)
        duration_s = self._clock() - began
        metrics.request(variant, response.outcome, duration_s, exchange.client.consumer_name)
        access_log.log_request(exchange, response, duration_s, served.log_fields)

    async def _answer_other(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let FastAPI answer a request to anything but a variant."""
        began = time.monotonic()
        request_id = request_id_of(headers_of(scope))
        status = 500

        async def send_on(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            await super().__call__(scope, receive, send_on)
        finally:
            access_log.log_other(scope["method"], scope["path"], status, time.monotonic() - began, request_id)


class ManagementPort:
    """The gateway on the port for operators."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI's entry point."""
        scope[MANAGEMENT] = True
        await self._gateway(scope, receive, send)


async def _send(response: EncodedResponse, request_id: str, send: Send) -> None:
    headers = [*response.headers, (b"x-request-id", request_id.encode())]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})
