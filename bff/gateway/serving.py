"""Makes what is served from the settings: at start-up, and again for each reload. Made first, then used as a whole."""

from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from secrets import token_bytes
from typing import TYPE_CHECKING, Any

from bff.app import App
from bff.gate.auth import Authenticator
from bff.gate.counts import Counts
from bff.gate.jwks import KeySet
from bff.gate.proxies import Proxies
from bff.gate.response_cache import ResponseCache
from bff.gateway.checks import faults_of
from bff.gateway.cors import cors_rules
from bff.gateway.counts import counts_of
from bff.gateway.endpoints import ServedVariant, Variants
from bff.gateway.key_sets import KeySets, Place
from bff.gateway.mode import Mode
from bff.gateway.ports import names_by_port
from bff.gateway.routes import routes_of
from bff.gateway.sources import Sourced
from bff.gateway.tokens import authenticator_of, consumers_of, key_set_places
from bff.graph.controls import Reloaded
from bff.graphiql.page import DemoViewer
from bff.observe.metrics import Metrics
from bff.operations.gate import TrustedCalls
from bff.request.access_log import FurtherFields
from bff.request.services import Services
from bff.routes.relay import Relay
from bff.runtime.clock import Clock
from bff.server.host import Served
from bff.settings import Settings, SettingsError
from bff.upstream.wire import Wire

if TYPE_CHECKING:
    from bff.gate.shared import Shared


@dataclass(frozen=True, slots=True)
class Made:
    """What is served by certain settings, with the parts that the next reload may use again.

    Attributes:
        settings: those that it was made from.
        variants: by name.
        key_sets: by issuer and URL, each with its HTTP client.
    """

    settings: Settings
    served: Served
    variants: dict[str, ServedVariant]
    authenticator: Authenticator
    key_sets: Mapping[Place, tuple[KeySet, Wire]]


class Serving:
    """Makes and replaces what is served. It keeps what outlives a reload: sources, counts, key sets, metrics."""

    def __init__(
        self,
        app: App,
        settings: Settings,
        mode: Mode,
        *,
        sourced: Sourced,
        key_sets: KeySets,
        shared: "Shared | None",
        metrics: Metrics,
        clock: Clock,
        reload: Callable[[], Coroutine[Any, Any, Reloaded]],
        is_draining: Callable[[], bool],
        viewers: Sequence[DemoViewer] = (),
    ) -> None:
        """Make what is served first. Raises `SettingsError`."""
        public = [each.record for each in app.sources if not settings.source(each.name).forward_identity]
        self._app = app
        self._is_dev = mode == "dev"
        self._user_id_key = token_bytes(32)
        self._variants = Variants(app, mode, shared, clock, public, viewers)
        self._sourced = sourced
        self._key_sets = key_sets
        self._shared = shared
        self._metrics = metrics
        self._clock = clock
        self._reload = reload
        self._is_draining = is_draining
        self._counts: Counts | None = None
        self._made: Made | None = None
        self.use(self.make(settings))

    def __repr__(self) -> str:
        return f"<Serving {', '.join(self._app.variant_names)}>"

    @property
    def made(self) -> Made:
        """What is served now."""
        if self._made is None:
            raise AssertionError("made by the constructor")
        return self._made

    def make(self, settings: Settings) -> Made:
        """What these settings serve. Changes nothing yet, and may run in a thread. Raises `SettingsError`."""
        if faults := faults_of(self._app, settings):
            raise SettingsError("\n".join(faults))
        before = self._made
        variants = self._variants.make(settings, {} if before is None else before.variants)
        key_sets = self._key_sets.find(key_set_places(settings))
        authenticator = self._authenticator(settings, key_sets)
        services = Services(
            authenticator,
            consumers_of(settings),
            self._counts_if_on(settings),
            self._sourced.sources,
            self._app.rules,
            self._metrics,
            _Controls(self.caches, self._reload),
            self._is_draining,
            any(settings.source(name).return_headers for name in self._app.source_names),
            {name: rate for name in self._app.source_names if (rate := settings.source(name).rate) is not None},
            settings.tiers,
        )
        trusted = TrustedCalls({name: each.operations for name, each in variants.items()})
        proxies, log_fields = Proxies(settings.proxies.trusted), self._log_fields(settings)

        relay = Relay(services, proxies, self._clock, log_fields, settings.request.min_deadline_s)

        def served_by(names: Sequence[str]) -> Served:
            return Served(
                {name: variants[name].endpoint for name in names}, services, proxies, trusted, log_fields=log_fields
            )

        public, managed = names_by_port(settings, self._app.variant_names, is_dev=self._is_dev)
        served = replace(
            served_by(public),
            cors=cors_rules(settings, self._app.variant_names, is_dev=self._is_dev),
            routes=routes_of(self._app, settings, self._sourced.stacks, relay),
            management=None if managed is None else served_by(managed),
        )
        return Made(settings, served, variants, authenticator, key_sets)

    def _authenticator(self, settings: Settings, key_sets: Mapping[Place, tuple[KeySet, Wire]]) -> Authenticator:
        """The one in use if nothing that it depends on has changed, since it has a cache of tokens."""
        made = self._made
        if made is not None and made.key_sets == key_sets and _tokens(made.settings) == _tokens(settings):
            return made.authenticator
        return authenticator_of(settings, {name: keys for (name, _), (keys, _) in key_sets.items()})

    def _log_fields(self, settings: Settings) -> FurtherFields:
        own = settings.log.user_id_key
        return FurtherFields(settings.log.fields, self._user_id_key if own is None else own.get_secret_value().encode()[:64])

    def _counts_if_on(self, settings: Settings) -> Counts | None:
        """The counts, which outlive a reload; None if rates are off."""
        if self._counts is None:
            self._counts = counts_of(settings, self._shared, self._clock)
        return self._counts if settings.rate.enabled else None

    def use(self, made: Made) -> None:
        """Serve this from now on. Requests in progress keep what they began with."""
        self._key_sets.use(made.key_sets)
        self._key_sets.on_withdrawn = made.authenticator.forget
        if self._made is not None:
            self._sourced.take_over(self._made.settings, made.settings)
        self._made = made

    def caches(self) -> Iterator[ResponseCache]:
        """The response caches in use."""
        for each in self.made.variants.values():
            if each.endpoint.response_cache is not None:
                yield each.endpoint.response_cache


def _tokens(settings: Settings) -> tuple[object, ...]:
    """The settings that an authenticator depends on."""
    return settings.auth, settings.jwt_secret, settings.jwks_url, settings.jwt_issuer, settings.jwt_audience


@dataclass(frozen=True, slots=True)
class _Controls:
    """See `bff.graph.controls.Controls`."""

    caches: Callable[[], Iterator[ResponseCache]]
    reload_: Callable[[], Coroutine[Any, Any, Reloaded]]

    def drop_answers(self) -> None:
        for cache in self.caches():
            cache.clear()

    async def reload(self) -> Reloaded:
        return await self.reload_()
