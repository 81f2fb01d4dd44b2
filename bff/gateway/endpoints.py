"""Wires the variants: a schema, limits and caches for each. What stays the same in a reload survives it, with its caches."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bff.app import App
from bff.engine.pace import Pace
from bff.engine.plans import Plans
from bff.gate.access import entry_of
from bff.gate.documents import Documents
from bff.gate.manifests import ManifestError, TrustedDocument, TrustedDocuments, read_all
from bff.gate.response_cache import ResponseCache
from bff.gateway.cors import cors_rules
from bff.gateway.mode import Mode
from bff.gateway.ports import names_by_port
from bff.graph.variants import Variant
from bff.graphiql.examples import Example, ExampleError
from bff.graphiql.examples import read as read_examples
from bff.graphiql.page import DemoViewer, page
from bff.operations.calls import TrustedOperations
from bff.request.deadlines import Deadlines
from bff.request.endpoint import Endpoint
from bff.request.response import EncodedResponse
from bff.runtime.clock import Clock
from bff.settings import Settings, SettingsError, VariantSettings
from bff.settings.edge import RequestSettings

if TYPE_CHECKING:
    from bff.gate.shared import Shared


@dataclass(frozen=True, slots=True, eq=False)
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
    """What a variant depends on besides its own settings.

    Attributes:
        forwarded, origin: the headers of a request that its responses depend on, besides the usual ones.
        deadlines: its own, or those of all requests.
        beside: the variants on the same port, itself included: its page has links to them.
    """

    forwarded: tuple[bytes, ...]
    origin: bool
    deadlines: Deadlines
    beside: tuple[str, ...]

    def is_that_of(self, endpoint: Endpoint) -> bool:
        """Whether the variant is served so."""
        now = (endpoint.forwarded, endpoint.varies_by_origin, endpoint.deadlines)
        return (self.forwarded, self.origin, self.deadlines) == now


class Variants:
    """Makes the variants of an application from its settings."""

    def __init__(
        self,
        app: App,
        mode: Mode,
        shared: "Shared | None",
        clock: Clock,
        public: Sequence[type],
        viewers: Sequence[DemoViewer] = (),
    ) -> None:
        """`public` are the records of sources that get no identity: their replies are the same for every viewer."""
        self._app = app
        self._is_dev = mode == "dev"
        self._shared = shared
        self._clock = clock
        self._public = public
        self._viewers = viewers
        self._pace = Pace()  # a single one, since all variants share the event loop

    def __repr__(self) -> str:
        return f"<Variants {', '.join(self._app.variant_names)}>"

    def make(self, settings: Settings, before: dict[str, ServedVariant]) -> dict[str, ServedVariant]:
        """The variants by name. `before` are those in use, whose unchanged parts are used again. Raises `SettingsError`."""
        forwarded = tuple(name.encode() for name in forwarded_names(self._app, settings))
        rules = cors_rules(settings, self._app.variant_names, is_dev=self._is_dev)
        public, managed = names_by_port(settings, self._app.variant_names, is_dev=self._is_dev)
        made = {}
        for variant in self._app.variants:
            beside = tuple(public if managed is None or variant.name in public else managed)
            own, options = rules[variant.name], settings.variant(variant.name)
            deadlines = deadlines_of(settings.request, options)
            depends = _DependsOn(forwarded, origin=own.is_on and not own.allows_any, deadlines=deadlines, beside=beside)
            made[variant.name] = self._made(variant, options, before.get(variant.name), depends)
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
            documents = trusted if options.manifests or not self._is_dev else self._example_documents(variant)
            operations = TrustedOperations(self._app.schemas[variant.name], documents)
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
            (shown or self._graphiql(variant, depends.beside)) if graphiql else None,
            depends.forwarded,
            depends.origin,
            depends.deadlines,
            options.rate_of_address,
            options.rate_of_all,
        )

    def _graphiql(self, variant: Variant, beside: Sequence[str]) -> EncodedResponse:
        examples = self._examples(variant)
        # The page begins as the first viewer: one who may use the variant.
        may = {name for name, each in self._app.demo_viewers.items() if variant.role is None or variant.role in each.roles}
        viewers = sorted(self._viewers, key=lambda each: each.name not in may)
        shown = page(variant.name, beside, examples, admin_only=variant.role is not None, viewers=viewers)
        return EncodedResponse(200, tuple(shown.headers), shown.body, outcome="page")

    def _example_documents(self, variant: Variant) -> list[TrustedDocument]:
        """The examples in place of a manifest's documents, so that `bff dev` shows what REST calls of them are like.

        They can be called by name. They are not trusted otherwise: `Documents` does not know them.
        """
        return [TrustedDocument(each.query, (), None, each.name) for each in self._examples(variant)]

    def _examples(self, variant: Variant) -> tuple[Example, ...]:
        if self._app.folder is None:
            return ()
        try:
            return read_examples(self._app.folder / "examples", variant.name)
        except ExampleError as error:
            raise SettingsError(str(error)) from None


def deadlines_of(request: RequestSettings, options: VariantSettings) -> Deadlines:
    """The deadlines of a variant: its own, or those of all requests."""
    request_s = request.deadline_s if options.deadline_s is None else options.deadline_s
    return Deadlines(request_s, request.min_deadline_s, options.deadlines)


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
