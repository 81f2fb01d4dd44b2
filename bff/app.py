"""The composition root: the one place that wires settings, sources, schemas and steps into an application.

`Gateway` is the FastAPI host. Requests to a variant's path go straight to the pipeline, a thin ASGI endpoint; all others
(`/health`, `/ready`, `/metrics`, GraphiQL's files) go FastAPI's way.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse, RedirectResponse
from starlette.responses import Response as HTTPResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bff import __version__, http, pipeline
from bff.endpoint import Endpoint
from bff.engine.plans import Plans
from bff.exchange import Exchange, Response, headers_of, request_id_of, traceparent_of
from bff.gate.auth import SHORTEST_SAFE_SECRET, Authenticator, AuthOptions
from bff.graphiql.examples import EXAMPLES
from bff.graphiql.page import page
from bff.graphiql.static import PREFIX as ASSETS_PREFIX
from bff.graphiql.static import Assets
from bff.observe import access_log
from bff.observe.listeners import log_event, to_all
from bff.observe.metrics import CONTENT_TYPE, Metrics
from bff.reload import Reload
from bff.settings import SOURCES, Settings, SettingsError
from datasources.caller import Deadline
from datasources.events import Listener
from datasources.orders import Orders
from datasources.products import Products
from datasources.rest import RestSource
from datasources.traffic.stack import Stack
from datasources.users import Users
from datasources.wire import Wire
from datasources.wire.choice import wire_for
from schema.graph import variant_schemas
from schema.sources import Sources
from schema.variants import VARIANTS

Mode = Literal["serve", "dev"]
S = TypeVar("S", bound=RestSource[Any])
_log = logging.getLogger("bff.app")


class Gateway(FastAPI):
    """The application. `drain()` makes it refuse what is new; `in_flight` counts what still runs."""

    def __init__(
        self,
        endpoints: Mapping[str, Endpoint],
        services: pipeline.Services,
        deadline_s: float,
        reload: Callable[[], None],
        **options: Any,
    ) -> None:
        super().__init__(title="bff", version=__version__, docs_url=None, redoc_url=None, openapi_url=None, **options)
        self._endpoints = {endpoint.variant.path: endpoint for endpoint in endpoints.values()}
        self._services = services
        self._deadline_s = deadline_s
        self.reload = reload
        """Read the settings again, and take over what can change while it runs: where the services are."""
        self.in_flight = 0
        self.draining = False
        self.started = False

    def drain(self) -> None:
        """From now on nothing new is begun."""
        self.draining = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI's entry: a variant's path goes to the pipeline, anything else to FastAPI."""
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        endpoint = self._endpoints.get(scope["path"])
        self.in_flight += 1
        try:
            if endpoint is not None:
                await self._answer(endpoint, scope, receive, send)
            else:
                await self._host(scope, receive, send)
        finally:
            self.in_flight -= 1

    async def _answer(self, endpoint: Endpoint, scope: Scope, receive: Receive, send: Send) -> None:
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
        )
        try:
            response = await pipeline.run(exchange, self._services)
        except http.ClientGone:
            access_log.of_gone(exchange, time.monotonic() - began)
            return
        await _send(response, exchange.request_id, send)
        duration_s = time.monotonic() - began
        self._services.metrics.request(endpoint.variant.name, response.outcome, duration_s)
        access_log.of_graphql(exchange, response, duration_s)

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
            access_log.of_other(scope["method"], scope["path"], status, time.monotonic() - began, request_id)


async def _send(response: Response, request_id: str, send: Send) -> None:
    headers = [*response.headers, (b"x-request-id", request_id.encode())]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})


@dataclass(frozen=True, slots=True)
class _Sourced:
    """The sources, with their stacks by name and the wires below them, which are to be closed at the end."""

    sources: Sources
    stacks: Mapping[str, Stack]
    wires: Sequence[Wire]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """While the context is open, the stacks do what they do beside the calls."""
        beside = [asyncio.create_task(stack.run()) for stack in self.stacks.values()]
        try:
            yield
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
            await asyncio.gather(*(stack.aclose() for stack in self.stacks.values()))
            await asyncio.gather(*(wire.aclose() for wire in self.wires))


def create(settings: Settings, mode: Mode = "serve", load_again: Callable[[], Settings] | None = None) -> Gateway:
    """Wire the gateway. Raises `SettingsError` where something that it can't do without is missing.

    `load_again` reads the settings anew when the gateway is told to reload; without it there is nothing to read.
    """
    if missing := _missing(settings):
        raise SettingsError("\n".join(missing))
    authenticator = Authenticator(_auth_options(settings))
    metrics = Metrics(SOURCES)
    sourced = _sources(settings, to_all([metrics.on_event, log_event]))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with sourced.running():
            gateway.started = True
            yield
            gateway.drain()

    services = pipeline.Services(authenticator, sourced.sources, metrics, lambda: gateway.draining)
    endpoints = _endpoints(settings, mode)
    reload = Reload(settings, load_again, sourced.stacks)
    gateway = Gateway(endpoints, services, settings.request.deadline_s, reload, lifespan=lifespan)
    _add_operations(gateway, sourced.sources, metrics)
    gateway.mount(ASSETS_PREFIX, Assets(), name="graphiql")
    if mode == "dev":
        gateway.add_route("/", lambda _: RedirectResponse(VARIANTS[0].path), include_in_schema=False)
    for setting in settings.idle():
        _log.warning("setting without effect in this version", extra={"fields": {"setting": setting}})
    return gateway


def with_cors(gateway: Gateway, settings: Settings) -> ASGIApp:
    """The gateway as browsers on other origins may ask it; itself where none may."""
    if not settings.cors.origins:
        return gateway
    return CORSMiddleware(
        gateway,
        allow_origins=list(settings.cors.origins),
        allow_methods=["GET", "POST"],
        allow_headers=["authorization", "content-type", "x-request-id", "traceparent"],
        expose_headers=["x-request-id", "retry-after"],
        max_age=600,
    )


def _missing(settings: Settings) -> list[str]:
    """What has to be set and is not, a line each: all of it at once."""
    lines = [f"{name}_service_url ({name.upper()}_SERVICE_URL): missing" for name in SOURCES if not settings.instances(name)]
    if settings.jwks_url is not None:
        lines.append("jwks_url (JWKS_URL): key sets are not supported by this version; set JWT_SECRET")
    elif settings.jwt_secret is None:
        lines.append("jwt_secret (JWT_SECRET): missing, and without it no token can be checked")
    return lines


def _auth_options(settings: Settings) -> AuthOptions:
    if settings.jwt_secret is None:
        raise AssertionError("what is missing is told first")
    secret = settings.jwt_secret.get_secret_value()
    if len(secret.encode()) < SHORTEST_SAFE_SECRET:
        _log.warning("JWT_SECRET is short", extra={"fields": {"bytes_wanted": SHORTEST_SAFE_SECRET}})
    return AuthOptions(secret, settings.jwt_issuer, settings.jwt_audience)


def _sources(settings: Settings, emit: Listener) -> _Sourced:
    stacks: dict[str, Stack] = {}
    wires: list[Wire] = []

    def bound(source: type[S]) -> S:
        options = getattr(settings.sources, source.name)
        try:
            wires.append(wire_for(options.wire()))
        except OSError as error:
            raise SettingsError(f"sources.{source.name}.tls: {error.strerror or error}") from None
        instances = settings.instances(source.name) or ()
        stack = stacks[source.name] = Stack(source.name, instances, options.traffic(), wires[-1], emit)
        return source(stack, forward_identity=options.forward_identity)

    return _Sourced(Sources(bound(Users), bound(Orders), bound(Products)), stacks, wires)


def _endpoints(settings: Settings, mode: Mode) -> dict[str, Endpoint]:
    schemas = variant_schemas()
    names = [variant.name for variant in VARIANTS]
    # What is asked for nobody in particular is the same for everybody.
    public = [each.record for each in (Users, Orders, Products) if not getattr(settings.sources, each.name).forward_identity]
    endpoints = {}
    for variant in VARIANTS:
        options = getattr(settings.variants, variant.name)
        if options.documents == "trusted":
            raise SettingsError(f"variants.{variant.name}.documents: trusted documents are not supported by this version")
        in_dev = mode == "dev"
        introspection = in_dev if options.introspection is None else options.introspection
        graphiql = in_dev if options.graphiql is None else options.graphiql
        endpoints[variant.name] = Endpoint(
            variant,
            schemas[variant.name],
            Plans(schemas[variant.name], options.limits, introspection=introspection, public=public),
            options.limits,
            page(variant.name, names, EXAMPLES[variant.name], admin_only=variant.role is not None) if graphiql else None,
        )
    return endpoints


def _add_operations(gateway: Gateway, sources: Sources, metrics: Metrics) -> None:
    """What operators and their machines ask: `/health`, `/ready`, `/metrics`."""

    async def health(_: Any) -> HTTPResponse:
        return JSONResponse({"status": "ok"})

    async def ready(_: Any) -> HTTPResponse:
        status = "draining" if gateway.draining else "ready" if gateway.started else "starting"
        states = {source.name: {"breaker": source.status().breaker.value} for source in sources.all()}
        return JSONResponse({"status": status, "sources": states}, status_code=200 if status == "ready" else 503)

    async def metrics_(_: Any) -> HTTPResponse:
        return HTTPResponse(metrics.text(), headers={"content-type": CONTENT_TYPE.decode()})

    routes: dict[str, Callable[[Any], Any]] = {"/health": health, "/ready": ready, "/metrics": metrics_}
    for path, answer in routes.items():
        gateway.add_route(path, answer, methods=["GET"], include_in_schema=False)
