"""The composition root: makes an ASGI application of an `App` and its settings."""

import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from fastapi import FastAPI
from starlette.responses import RedirectResponse

from bff.app import App
from bff.gate.proxies import Proxies
from bff.gate.response_cache import DropOnWrite
from bff.gateway.checks import faults_of
from bff.gateway.counts import counts_of, shared_of
from bff.gateway.endpoints import endpoints_of
from bff.gateway.mode import Mode
from bff.gateway.operations import add_openapi, add_operations
from bff.gateway.sources import bound_sources
from bff.gateway.tokens import consumers_of, token_checks
from bff.graph.controls import Reloaded
from bff.graphiql.page import ASSETS
from bff.observe.listeners import log_event, to_all
from bff.observe.loop_watch import LoopWatch
from bff.observe.metrics import Metrics
from bff.operations.gate import TrustedCalls
from bff.reload import Reload
from bff.request.endpoint import Endpoint
from bff.request.services import Services
from bff.runtime.background import Background
from bff.runtime.clock import Clock
from bff.server.host import Gateway
from bff.server.static import Assets
from bff.settings import Settings, SettingsError
from bff.upstream.events import Listener
from bff.upstream.wire import Wire, WireOptions
from bff.upstream.wire.choice import wire_for
from bff.upstream.wire.resolver import Resolver

WireFactory = Callable[[WireOptions, Resolver], Wire]
"""Makes the HTTP client of one source or one key set: `wire_for`. Raises `OSError` if a certificate can't be read."""


def create(
    app: App,
    settings: Settings,
    mode: Mode = "serve",
    load_again: Callable[[], Settings] | None = None,
    *,
    wires: WireFactory = wire_for,
    clock: Clock = time.monotonic,
) -> Gateway:
    """Wire the gateway of an application.

    Args:
        app: the application.
        settings: its settings.
        mode: `dev` turns on introspection, GraphiQL and the OpenAPI page where the settings don't say otherwise.
        load_again: reads the settings again when they are reloaded; None if there is nothing to read.
        wires: makes the HTTP clients.
        clock: the time of deadlines, breakers, caches and rates. Tokens and quotas follow the calendar instead.

    Raises:
        SettingsError: a required setting is missing.
        AppError: the application is inconsistent.
    """
    if faults := faults_of(app, settings):
        raise SettingsError("\n".join(faults))
    metrics = Metrics(app.source_names)
    background = Background(metrics.background_death)
    resolver = Resolver()

    def wire(options: WireOptions) -> Wire:
        return wires(options, resolver)

    keyed = token_checks(settings, wire, clock)
    shared = shared_of(settings, metrics)
    endpoints, operations = endpoints_of(app, settings, mode, shared, clock)
    caches = [endpoint.response_cache for endpoint in endpoints.values() if endpoint.response_cache is not None]
    listeners: list[Listener] = [metrics.on_event, log_event, *([DropOnWrite(caches)] if caches else [])]
    sourced = bound_sources(app, settings, to_all(listeners), wire, clock)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with background.watching(), sourced.running(background), keyed.running(background):
            if shared is not None:
                await shared.begin()
            gateway.started = True
            with LoopWatch(metrics.loop_held).running():
                yield
            gateway.drain()
        if shared is not None:
            await shared.aclose()

    read_again = Reload(settings, load_again, sourced.stacks)

    def reload() -> Reloaded:
        keyed.refresh()
        return read_again()

    services = Services(
        keyed.authenticator,
        consumers_of(settings),
        counts_of(settings, shared, clock),
        sourced.sources,
        app.rules,
        metrics,
        _Controls(endpoints, reload),
        lambda: gateway.draining,
    )
    proxies = Proxies(settings.proxies.trusted)
    gateway = Gateway(
        endpoints,
        services,
        proxies,
        settings.request.deadline_s,
        reload,
        TrustedCalls(operations),
        clock=clock,
        lifespan=lifespan,
    )
    add_operations(gateway, sourced.sources, metrics)
    gateway.mount(ASSETS.prefix, Assets(ASSETS), name="graphiql")
    add_openapi(gateway, settings, mode, operations)
    if mode == "dev":
        gateway.add_route("/", lambda _: RedirectResponse(app.variants[0].path), include_in_schema=False)
    return gateway


@dataclass(frozen=True, slots=True)
class _Controls:
    """See `bff.graph.controls.Controls`."""

    endpoints: Mapping[str, Endpoint]
    reload_: Callable[[], Reloaded]

    def drop_answers(self) -> None:
        for endpoint in self.endpoints.values():
            if endpoint.response_cache is not None:
                endpoint.response_cache.clear()

    def reload(self) -> Reloaded:
        return self.reload_()
