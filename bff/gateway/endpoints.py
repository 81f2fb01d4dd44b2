"""Wires the variants: a schema, limits and caches for each."""

from typing import TYPE_CHECKING

from bff.app import App
from bff.engine.pace import Pace
from bff.engine.plans import Plans
from bff.gate.documents import Documents
from bff.gate.manifests import ManifestError, TrustedDocuments, read_all
from bff.gate.response_cache import ResponseCache
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


def endpoints_of(
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
