"""Wires the variants: a schema, limits and caches for each. What stays the same in a reload survives it, with its caches."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bff.app import App
from bff.engine.pace import Pace
from bff.engine.plans import Plans
from bff.gate.access import entry_of
from bff.gate.documents import Documents
from bff.gate.manifests import ManifestError, TrustedDocuments, read_all
from bff.gate.response_cache import ResponseCache
from bff.gateway.cors import cors_rules
from bff.gateway.mode import Mode
from bff.graph.variants import Variant
from bff.graphiql.examples import Example, ExampleError
from bff.graphiql.examples import read as read_examples
from bff.graphiql.page import page
from bff.operations.calls import TrustedOperations
from bff.request.endpoint import Endpoint
from bff.request.response import EncodedResponse
from bff.runtime.clock import Clock
from bff.settings import Settings, SettingsError, VariantSettings

if TYPE_CHECKING:
    from bff.gate.shared import Shared


@dataclass(frozen=True, slots=True)
class ServedVariant:
    """A variant as it is served, and what it was made of.

    Attributes:
        options: its settings.
        trusted: the documents of its manifests.
        operations: those documents, as operations with a URL.
    """

    endpoint: Endpoint
    options: VariantSettings
    trusted: TrustedDocuments
    operations: TrustedOperations


@dataclass(frozen=True, slots=True)
class _DependsOn:
    """The headers of a request that a variant's responses depend on, besides those that they always depend on."""

    forwarded: tuple[bytes, ...]
    origin: bool

    def is_that_of(self, endpoint: Endpoint) -> bool:
        """Whether the variant is served so."""
        return (self.forwarded, self.origin) == (endpoint.forwarded, endpoint.varies_by_origin)


class Variants:
    """Makes the variants of an application from its settings."""

    def __init__(self, app: App, mode: Mode, shared: "Shared | None", clock: Clock, public: Sequence[type]) -> None:
        """`public` are the records of sources that get no identity: their replies are the same for every viewer."""
        self._app = app
        self._is_dev = mode == "dev"
        self._shared = shared
        self._clock = clock
        self._public = public
        self._pace = Pace()  # a single one, since all variants share the event loop

    def __repr__(self) -> str:
        return f"<Variants {', '.join(self._app.variant_names)}>"

    def make(self, settings: Settings, before: dict[str, ServedVariant]) -> dict[str, ServedVariant]:
        """The variants by name. `before` are those in use, whose unchanged parts are used again. Raises `SettingsError`."""
        forwarded = tuple(name.encode() for name in forwarded_names(self._app, settings))
        rules = cors_rules(settings, self._app.variant_names, is_dev=self._is_dev)
        made = {}
        for variant in self._app.variants:
            own = rules[variant.name]
            depends = _DependsOn(forwarded, origin=own.is_on and not own.allows_any)
            made[variant.name] = self._made(variant, settings.variant(variant.name), before.get(variant.name), depends)
        return made

    def _made(
        self, variant: Variant, options: VariantSettings, before: ServedVariant | None, depends: _DependsOn
    ) -> ServedVariant:
        trusted = _trusted(variant.name, options)
        if before is not None and before.trusted.is_same_as(trusted):
            if before.options == options and depends.is_that_of(before.endpoint):
                return before
            trusted, operations = before.trusted, before.operations
        else:
            operations = TrustedOperations(self._app.schemas[variant.name], trusted)
        endpoint = self._endpoint(variant, options, trusted, before, depends)
        return ServedVariant(endpoint, options, trusted, operations)

    def _endpoint(
        self,
        variant: Variant,
        options: VariantSettings,
        trusted: TrustedDocuments,
        before: ServedVariant | None,
        depends: _DependsOn,
    ) -> Endpoint:
        schema = self._app.schemas[variant.name]
        introspection = self._is_dev if options.introspection is None else options.introspection
        suggestions = introspection if options.suggestions is None else options.suggestions
        graphiql = self._is_dev if options.graphiql is None else options.graphiql
        plans, documents, response_cache, shown = None, None, None, None
        if before is not None:
            old = before.options
            if (old.limits, old.introspection, old.suggestions) == (
                options.limits,
                options.introspection,
                options.suggestions,
            ):
                plans = before.endpoint.plans
            if old.documents == options.documents and before.trusted is trusted:
                documents = before.endpoint.documents
            if old.answers == options.answers:
                response_cache = before.endpoint.response_cache
            shown = before.endpoint.page
        return Endpoint(
            variant,
            schema,
            plans
            or Plans(
                schema,
                options.limits,
                introspection=introspection,
                suggestions=suggestions,
                public=self._public,
                pace=self._pace,
            ),
            options.limits,
            options.rate,
            entry_of(options.access, options.role, options.scopes, variant.role),
            documents or Documents(variant.name, options.documents, trusted, self._shared, self._clock),
            (response_cache or ResponseCache(options.answers, self._clock)) if options.answers.enabled else None,
            (shown or self._graphiql(variant)) if graphiql else None,
            depends.forwarded,
            depends.origin,
        )

    def _graphiql(self, variant: Variant) -> EncodedResponse:
        examples = self._examples(variant)
        shown = page(variant.name, self._app.variant_names, examples, admin_only=variant.role is not None)
        return EncodedResponse(200, tuple(shown.headers), shown.body, outcome="page")

    def _examples(self, variant: Variant) -> tuple[Example, ...]:
        if self._app.folder is None:
            return ()
        try:
            return read_examples(self._app.folder / "examples", variant.name)
        except ExampleError as error:
            raise SettingsError(str(error)) from None


def forwarded_names(app: App, settings: Settings) -> tuple[str, ...]:
    """The names of the client's headers that some source gets, each once."""
    return tuple(sorted({each for name in app.source_names for each in settings.source(name).forward_headers}))


def _trusted(variant: str, options: VariantSettings) -> TrustedDocuments:
    try:
        trusted = read_all(options.manifests)
    except ManifestError as error:
        raise SettingsError(f"variants.{variant}.manifests: {error}") from None
    if options.documents == "trusted" and not len(trusted):
        raise SettingsError(f"variants.{variant}.manifests: missing, and without one no document is trusted")
    return trusted
