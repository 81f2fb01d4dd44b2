"""The composition root: makes an ASGI application of an `App` and its settings. The only place that wires."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from fastapi import FastAPI
from pydantic import SecretStr
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse, RedirectResponse
from starlette.responses import Response as HTTPResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from bff.app import App
from bff.engine.pace import Pace
from bff.engine.plans import Plans
from bff.gate.auth import SHORTEST_SAFE_SECRET, Authenticator, Confinement, Issuer
from bff.gate.consumers import Consumer, Consumers
from bff.gate.counts import Counts, InMemory
from bff.gate.documents import Documents
from bff.gate.jwks import KeySet
from bff.gate.manifests import ManifestError, TrustedDocuments, read_all
from bff.gate.proxies import Proxies
from bff.gate.response_cache import DropOnWrite, ResponseCache
from bff.graph.controls import Reloaded
from bff.graph.sources import Sources
from bff.graph.variants import Variant
from bff.graphiql.examples import Example, ExampleError
from bff.graphiql.examples import read as read_examples
from bff.graphiql.page import ASSETS, page
from bff.observe.listeners import log_event, to_all
from bff.observe.loop_watch import LoopWatch
from bff.observe.metrics import CONTENT_TYPE, Metrics
from bff.operations.calls import TrustedOperations
from bff.operations.gate import TrustedCalls
from bff.reload import Reload
from bff.request.endpoint import Endpoint
from bff.request.response import EncodedResponse
from bff.request.services import Services
from bff.runtime.background import Background
from bff.runtime.clock import Clock
from bff.runtime.log import Log
from bff.server.host import Gateway
from bff.server.static import Assets
from bff.settings import Settings, SettingsError, VariantSettings
from bff.upstream.events import Listener
from bff.upstream.source import Source
from bff.upstream.traffic.stack import Stack
from bff.upstream.wire import Wire, WireOptions
from bff.upstream.wire.choice import wire_for
from bff.upstream.wire.resolver import Resolver

Mode = Literal["serve", "dev"]
if TYPE_CHECKING:
    from bff.gate.shared import Shared

_log = Log("bff.app")

WireFactory = Callable[[WireOptions, Resolver], Wire]
"""Makes the HTTP client of one source or one key set: `wire_for`. Raises `OSError` if a certificate can't be read."""


@dataclass(frozen=True, slots=True)
class _Sourced:
    """The sources, with their stacks by name and their HTTP clients. The clients are closed at the end."""

    sources: Sources
    stacks: Mapping[str, Stack]
    wires: Sequence[Wire]

    @asynccontextmanager
    async def running(self, background: Background) -> AsyncIterator[None]:
        """Run the health checks of the stacks while the context is open."""
        stacks = self.stacks.values()
        try:
            async with background.beside(
                (f"health {name}", stack.run) for name, stack in self.stacks.items() if stack.checks
            ):
                yield
        finally:
            await asyncio.gather(*(stack.aclose() for stack in stacks))
            await asyncio.gather(*(wire.aclose() for wire in self.wires))


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
    if missing := _missing(app, settings):
        raise SettingsError("\n".join(missing))
    metrics = Metrics(app.source_names)
    background = Background(metrics.background_death)
    resolver = Resolver()

    def wire(options: WireOptions) -> Wire:
        return wires(options, resolver)

    keyed = _authenticator(settings, wire, clock)
    shared = _shared(settings, metrics)
    endpoints, operations = _endpoints(app, settings, mode, shared, clock)
    caches = [endpoint.response_cache for endpoint in endpoints.values() if endpoint.response_cache is not None]
    listeners: list[Listener] = [metrics.on_event, log_event, *([DropOnWrite(caches)] if caches else [])]
    sourced = _sources(app, settings, to_all(listeners), wire, clock)

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
        _consumers(settings),
        _counts(settings, shared, clock),
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
    _add_operations(gateway, sourced.sources, metrics)
    gateway.mount(ASSETS.prefix, Assets(ASSETS), name="graphiql")
    _add_openapi(gateway, settings, mode, operations)
    if mode == "dev":
        gateway.add_route("/", lambda _: RedirectResponse(app.variants[0].path), include_in_schema=False)
    return gateway


def with_cors(gateway: Gateway, settings: Settings) -> ASGIApp:
    """The gateway with CORS for each variant that allows other origins; the gateway itself if no variant does."""
    by_variant: dict[str, ASGIApp] = {}
    for name in gateway.endpoints:
        own = settings.variant(name).cors
        origins = (settings.cors if own is None else own).origins
        if origins:
            by_variant[name] = CORSMiddleware(
                gateway,
                allow_origins=list(origins),
                allow_methods=["GET", "POST"],
                allow_headers=["authorization", "content-type", "if-none-match", "traceparent", "x-api-key", "x-request-id"],
                expose_headers=["etag", "ratelimit", "ratelimit-policy", "retry-after", "x-request-id"],
                max_age=600,
            )
    if not by_variant:
        return gateway

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        first = scope["path"][1:].partition("/")[0] if scope["type"] == "http" else ""
        await by_variant.get(first, gateway)(scope, receive, send)

    return answer


def _missing(app: App, settings: Settings) -> list[str]:
    """One line for each required setting that is missing, and for each setting that contradicts another."""
    unplaced = [name for name in app.source_names if not settings.instances(name)]
    lines = [f"{name}_service_url ({name.upper()}_SERVICE_URL): missing" for name in unplaced]
    if settings.jwt_secret is None and settings.jwks_url is None and not settings.auth.issuers:
        lines.append("jwt_secret (JWT_SECRET) or jwks_url (JWKS_URL): missing, and without one no token can be checked")
    names = [settings.jwt_issuer, *(each.issuer for each in settings.auth.issuers.values())]
    for name, each in settings.auth.issuers.items():
        if each.secret is None and each.jwks_url is None:
            lines.append(f"auth.issuers.{name}: secret or jwks_url is needed, and without one no token can be checked")
        if names.count(each.issuer) > 1:
            lines.append(f"auth.issuers.{name}.issuer: another one has the same")
    digests: dict[str, str] = {}
    for name, consumer in settings.consumers.items():
        if consumer.tier is not None and consumer.tier not in settings.tiers:
            lines.append(f"consumers.{name}.tier: there is no tier of that name")
        if consumer.tier is not None and consumer.rate is not None:
            lines.append(f"consumers.{name}: expected a tier or a rate, got both")
        others = [digests.setdefault(digest, name) for digest in consumer.key_sha256]
        lines += [f"consumers.{name}.key_sha256: {other} has the same key" for other in others if other != name]
    return lines


@dataclass(frozen=True, slots=True)
class _TokenChecks:
    """The authenticator, its key sets, and their HTTP clients."""

    authenticator: Authenticator
    sets: Sequence[tuple[str, KeySet]]
    wires: Sequence[Wire]

    def refresh(self) -> None:
        """Fetch all key sets now."""
        for _, keys in self.sets:
            keys.refresh()

    @asynccontextmanager
    async def running(self, background: Background) -> AsyncIterator[None]:
        """Keep the key sets up to date while the context is open."""
        try:
            async with background.beside((f"keys {name}", keys.run) for name, keys in self.sets):
                yield
        finally:
            await asyncio.gather(*(wire.aclose() for wire in self.wires))


def _authenticator(settings: Settings, wire: Callable[[WireOptions], Wire], clock: Clock) -> _TokenChecks:
    sets: list[tuple[str, KeySet]] = []
    wires: list[Wire] = []

    def issuer(
        name: str,
        secret: SecretStr | None,
        url: str | None,
        issuer: str | None,
        audience: str | None,
        confinement: Confinement | None = None,
    ) -> Issuer:
        keys = None
        if url is not None:
            wires.append(wire(WireOptions(max_connections=2, connect_timeout_s=3.0)))
            keys = KeySet(name, url, wires[-1], lambda: authenticator.forget(), clock=clock)  # noqa: PLW0108 - made below
            sets.append((name, keys))
        text = None if secret is None else secret.get_secret_value()
        if text is not None and len(text.encode()) < SHORTEST_SAFE_SECRET:
            _log.warning("JWT_SECRET is short", issuer=name, bytes_wanted=SHORTEST_SAFE_SECRET)
        return Issuer(text, keys, issuer, audience, confinement)

    issuers = [
        issuer(name, each.secret, each.jwks_url, each.issuer, each.audience, each.confinement())
        for name, each in settings.auth.issuers.items()
    ]
    if settings.jwt_secret is not None or settings.jwks_url is not None:
        own = (settings.jwt_secret, settings.jwks_url, settings.jwt_issuer, settings.jwt_audience)
        issuers.append(issuer("default", *own))
    authenticator = Authenticator(issuers, settings.auth.claims)
    return _TokenChecks(authenticator, sets, wires)


def _consumers(settings: Settings) -> Consumers:
    by_digest = {}
    for name, each in settings.consumers.items():
        rate = settings.tiers[each.tier] if each.tier is not None else each.rate
        consumer = Consumer(name, frozenset(each.variants), frozenset(each.scopes), rate)
        by_digest.update(dict.fromkeys(each.key_sha256, consumer))
    return Consumers(by_digest)


def _shared(settings: Settings, metrics: Metrics) -> "Shared | None":
    if settings.redis_url is None:
        return None
    from bff.gate.shared import Shared  # noqa: PLC0415 - the client takes 10 MiB, so it is loaded only if it is used

    try:
        return Shared(settings.redis_url.get_secret_value(), metrics.shared_state, wait_s=settings.redis.wait_s)
    except ValueError:  # its message may contain a password
        raise SettingsError("redis_url (REDIS_URL): expected redis://, rediss:// or unix://") from None


def _counts(settings: Settings, shared: "Shared | None", clock: Clock) -> Counts | None:
    if not settings.rate.enabled:
        return None
    own = InMemory(clock)
    if shared is None:
        return own
    from bff.gate.shared import SharedCounts  # noqa: PLC0415 - see `_shared`

    return SharedCounts(shared, own)


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


def _sources(app: App, settings: Settings, emit: Listener, wire: Callable[[WireOptions], Wire], clock: Clock) -> _Sourced:
    stacks: dict[str, Stack] = {}
    wires: list[Wire] = []

    def bound(source: type[Source[Any]]) -> Source[Any]:
        options = settings.source(source.name)
        try:
            wires.append(wire(options.wire()))
        except OSError as error:
            raise SettingsError(f"sources.{source.name}.tls: {error.strerror or error}") from None
        instances = settings.instances(source.name) or ()
        stack = stacks[source.name] = Stack(source.name, instances, options.traffic(), wires[-1], emit, clock)
        return source(stack, forward_identity=options.forward_identity)

    return _Sourced(Sources(bound(source) for source in app.sources), stacks, wires)


def _endpoints(
    app: App, settings: Settings, mode: Mode, shared: "Shared | None", clock: Clock
) -> tuple[dict[str, Endpoint], dict[str, TrustedOperations]]:
    """The endpoints and the trusted operations of the variants, by the variant's name."""
    schemas = app.schemas
    # Calls without an identity get the same reply for every viewer.
    public = [each.record for each in app.sources if not settings.source(each.name).forward_identity]
    endpoints, operations = {}, {}
    pace = Pace()  # a single one, since all variants share the event loop
    for variant in app.variants:
        options = settings.variant(variant.name)
        trusted = _trusted(variant.name, options)
        in_dev = mode == "dev"
        introspection = in_dev if options.introspection is None else options.introspection
        graphiql = in_dev if options.graphiql is None else options.graphiql
        operations[variant.name] = TrustedOperations(schemas[variant.name], trusted)
        endpoints[variant.name] = Endpoint(
            variant,
            schemas[variant.name],
            Plans(
                schemas[variant.name],
                options.limits,
                introspection=introspection,
                suggestions=introspection if options.suggestions is None else options.suggestions,
                public=public,
                pace=pace,
            ),
            options.limits,
            options.rate,
            Documents(variant.name, options.documents, trusted, shared, clock),
            ResponseCache(options.answers, clock) if options.answers.enabled else None,
            _graphiql(app, variant) if graphiql else None,
        )
    return endpoints, operations


def _graphiql(app: App, variant: Variant) -> EncodedResponse:
    shown = page(variant.name, app.variant_names, _examples(app, variant), admin_only=variant.role is not None)
    return EncodedResponse(200, tuple(shown.headers), shown.body, outcome="page")


def _examples(app: App, variant: Variant) -> tuple[Example, ...]:
    if app.folder is None:
        return ()
    try:
        return read_examples(app.folder / "examples", variant.name)
    except ExampleError as error:
        raise SettingsError(str(error)) from None


def _trusted(variant: str, options: VariantSettings) -> TrustedDocuments:
    try:
        trusted = read_all(options.manifests)
    except ManifestError as error:
        raise SettingsError(f"variants.{variant}.manifests: {error}") from None
    if options.documents == "trusted" and not len(trusted):
        raise SettingsError(f"variants.{variant}.manifests: missing, and without one no document is trusted")
    return trusted


def _add_operations(gateway: Gateway, sources: Sources, metrics: Metrics) -> None:
    """Add the endpoints for operators and monitoring: `/health`, `/ready`, `/metrics`."""

    async def health(_: Any) -> HTTPResponse:
        return JSONResponse({"status": "ok"})

    async def ready(_: Any) -> HTTPResponse:
        status = "draining" if gateway.leaving else "ready" if gateway.started else "starting"
        states = {source.name: {"breaker": source.status().breaker.value} for source in sources}
        return JSONResponse({"status": status, "sources": states}, status_code=200 if status == "ready" else 503)

    async def metrics_(_: Any) -> HTTPResponse:
        return HTTPResponse(metrics.text(), headers={"content-type": CONTENT_TYPE.decode()})

    routes: dict[str, Callable[[Any], Any]] = {"/health": health, "/ready": ready, "/metrics": metrics_}
    for path, answer in routes.items():
        gateway.add_route(path, answer, methods=["GET"], include_in_schema=False)


def _add_openapi(gateway: Gateway, settings: Settings, mode: Mode, operations: Mapping[str, TrustedOperations]) -> None:
    """Add the OpenAPI page and document of the trusted operations, for the variants with `openapi` on."""
    shown = [name for name in operations if (mode == "dev" if (is_on := settings.variant(name).openapi) is None else is_on)]
    if not shown:
        return
    from bff.operations import openapi  # noqa: PLC0415 - loaded only if a variant shows it
    from bff.operations import page as rest_page  # noqa: PLC0415

    answer = rest_page.page()
    made: list[dict[str, Any]] = []

    def document(_: Any) -> HTTPResponse:  # not a coroutine, so it runs in a thread: it reads every trusted document
        if not made:
            endpoints = [gateway.endpoints[name] for name in shown]
            made.append(openapi.document((each.variant, each.schema, operations[each.variant.name]) for each in endpoints))
        return JSONResponse(made[0], headers={"cache-control": "no-cache", "x-content-type-options": "nosniff"})

    gateway.add_route(rest_page.DOCUMENT_PATH, document, methods=["GET"], include_in_schema=False)
    gateway.add_route(rest_page.PATH, lambda _: answer, methods=["GET"], include_in_schema=False)
    gateway.mount(rest_page.ASSETS.prefix, Assets(rest_page.ASSETS), name="openapi")
