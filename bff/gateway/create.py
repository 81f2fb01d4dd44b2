"""The composition root: makes an ASGI application of an `App` and its settings."""

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.responses import RedirectResponse

from bff.app import App
from bff.gate.response_cache import DropOnWrite
from bff.gateway.checks import faults_of
from bff.gateway.counts import shared_of
from bff.gateway.key_sets import KeySets
from bff.gateway.mode import Mode
from bff.gateway.operations import add_openapi, add_operations
from bff.gateway.reload import Reload
from bff.gateway.serving import Serving
from bff.gateway.sources import bound_sources
from bff.gateway.summary import summary
from bff.gateway.watch import FileWatch
from bff.graph.controls import Reloaded
from bff.graphiql.page import ASSETS, DemoViewer
from bff.observe.hints import Hints
from bff.observe.listeners import log_event, to_all
from bff.observe.loop_watch import LoopWatch
from bff.observe.metrics import Metrics
from bff.request.compression import Compression
from bff.runtime.background import Background
from bff.runtime.clock import Clock
from bff.server.host import Gateway, Served
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
    viewers: Sequence[DemoViewer] = (),
) -> Gateway:
    """Wire the gateway of an application.

    Args:
        app: the application.
        settings: its settings.
        mode: `dev` turns on introspection, GraphiQL and the OpenAPI page where the settings don't say otherwise.
        load_again: reads the settings again when they are reloaded; None if there is nothing to read.
        wires: makes the HTTP clients.
        clock: the time of deadlines, breakers, caches and rates. Tokens and quotas follow the calendar instead.
        viewers: viewers whom GraphiQL offers to everybody who can open it.

    Raises:
        SettingsError: a required setting is missing.
        AppError: the application is inconsistent.
    """
    metrics = Metrics((*app.source_names, *settings.routed_services()))
    background = Background(metrics.background_death)
    resolver = Resolver()

    def wire(options: WireOptions) -> Wire:
        return wires(options, resolver)

    if faults := faults_of(app, settings):
        raise SettingsError("\n".join(faults))
    key_sets = KeySets(wire, background, clock)
    shared = shared_of(settings, metrics)
    listeners: list[Listener] = [metrics.on_event, log_event, Hints(clock), DropOnWrite(lambda: serving.caches())]  # noqa: PLW0108 - made below
    sourced = bound_sources(app, settings, to_all(listeners), wire, clock)

    async def reload() -> Reloaded:
        key_sets.refresh()
        return await read_again()

    serving = Serving(
        app,
        settings,
        mode,
        sourced=sourced,
        key_sets=key_sets,
        shared=shared,
        metrics=metrics,
        clock=clock,
        reload=reload,
        is_draining=lambda: gateway.draining,
        viewers=viewers,
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        watches = [("settings", watch.run)] if settings.reload.on_change and load_again is not None else []
        async with (
            background.watching(),
            sourced.running(background),
            key_sets.running(),
            background.beside(watches),
        ):
            if shared is not None:
                await shared.begin()
            gateway.started = True
            with LoopWatch(metrics.loop_held).running():
                yield
            gateway.drain()
        if shared is not None:
            await shared.aclose()

    compression = Compression(settings.compression) if settings.compression.enabled else None
    gateway = Gateway(serving.made.served, reload, clock=clock, compression=compression, lifespan=lifespan)

    def use(served: Served) -> None:
        gateway.served = served

    gateway.describe = lambda: summary(app, serving.made.settings, serving.made.variants)
    read_again = Reload(load_again, serving, use)
    watch = FileWatch(lambda: serving.made.settings, reload)
    add_operations(gateway, sourced.stacks, metrics)
    gateway.mount(ASSETS.prefix, Assets(ASSETS), name="graphiql")
    add_openapi(gateway, mode, lambda: serving.made.variants)
    if mode == "dev":
        gateway.add_route("/", lambda _: RedirectResponse(app.variants[0].path), include_in_schema=False)
    return gateway
