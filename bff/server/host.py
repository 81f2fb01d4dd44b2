"""The FastAPI host. A request to a variant goes straight to the pipeline, as a thin ASGI endpoint; all others go its way."""

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fastapi import FastAPI
from starlette.types import Message, Receive, Scope, Send

from bff import __version__
from bff.gate.proxies import Proxies
from bff.graph.controls import Reloaded
from bff.operations import gate as rest
from bff.operations.calls import TrustedOperation
from bff.request import access_log, http, pipeline
from bff.request.endpoint import Endpoint
from bff.request.exchange import Exchange, Response, headers_of, request_id_of, traceparent_of
from bff.upstream.caller import Deadline

CALLS = "/api/"
"""Between a variant's name and that of one of its trusted operations."""

Run = Callable[[Exchange, pipeline.Services], Awaitable[Response]]


class Gateway(FastAPI):
    """The application.

    After `leave()`, `/ready` answers 503; after `drain()`, new requests are refused. `in_flight` is the number of requests
    in progress.
    """

    def __init__(
        self,
        endpoints: Mapping[str, Endpoint],
        services: pipeline.Services,
        proxies: Proxies,
        deadline_s: float,
        reload: Callable[[], Reloaded],
        **options: Any,
    ) -> None:
        super().__init__(
            title="bff",
            version=__version__,
            docs_url=None,
            redoc_url=None,
            openapi_url=None,
            redirect_slashes=False,  # a redirect would repeat the host name that the client sent
            **options,
        )
        self._endpoints = {endpoint.variant.path: endpoint for endpoint in endpoints.values()}
        self.endpoints = endpoints
        self.services = services
        self._proxies = proxies
        self._deadline_s = deadline_s
        self.reload = reload
        """Read the settings again, and take over what can change while it runs: where the services are."""
        self.in_flight = 0
        self.leaving = False
        self.draining = False
        self.started = False

    def leave(self) -> None:
        """Report on `/ready` that the process is about to stop. Requests are still served."""
        self.leaving = True

    def drain(self) -> None:
        """From now on nothing new is begun."""
        self.leaving = self.draining = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI's entry: a variant's path goes to the pipeline, anything else to FastAPI."""
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        path = scope["path"]
        if b"%" in scope.get("raw_path", b""):
            # The path is not decoded: an encoded one could bypass a proxy's rule for it.
            path = scope["path"] = scope["raw_path"].decode("ascii")
        endpoint = self._endpoints.get(path)
        self.in_flight += 1
        try:
            if endpoint is not None:
                await self._answer(endpoint, None, pipeline.run, scope, receive, send)
                return
            first, _, name = path[1:].partition(CALLS)
            if name and first in self.endpoints:
                endpoint = self.endpoints[first]
                await self._answer(endpoint, endpoint.calls.get(name), rest.run, scope, receive, send)
            else:
                await self._host(scope, receive, send)
        finally:
            self.in_flight -= 1

    async def _answer(
        self, endpoint: Endpoint, called: TrustedOperation | None, run: Run, scope: Scope, receive: Receive, send: Send
    ) -> None:
        began = time.monotonic()
        headers = headers_of(scope)
        exchange = Exchange(
            endpoint,
            scope,
            receive,
            headers,
            request_id_of(headers),
            traceparent_of(headers),
            Deadline(began + self._deadline_s, time.monotonic),
            self._proxies.client((scope["client"] or (None,))[0], headers.get(b"x-forwarded-for", ())),
            called,
        )
        try:
            response = await run(exchange, self.services)
        except http.ClientDisconnected as gone:
            self.services.metrics.gone(endpoint.variant.name, gone.outcome)
            access_log.log_disconnect(exchange, time.monotonic() - began, gone.outcome, gone.codes)
            return
        await _send(response, exchange.request_id, send)
        duration_s = time.monotonic() - began
        self.services.metrics.request(endpoint.variant.name, response.outcome, duration_s)
        access_log.log_request(exchange, response, duration_s)

    async def _host(self, scope: Scope, receive: Receive, send: Send) -> None:
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


async def _send(response: Response, request_id: str, send: Send) -> None:
    headers = [*response.headers, (b"x-request-id", request_id.encode())]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})
