"""Checks trusted documents against the graph as it is: whether every app that is out there would go on working."""

from dataclasses import dataclass

from bff.app import App
from bff.engine.plans import Plans
from bff.errors import DocumentError, GatewayError
from bff.gate.manifests import ManifestError, TrustedDocument, read_all
from bff.settings import Settings, SettingsError


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a check. `faults` are lines for people: variant, manifest, document, place and what is wrong."""

    checked: int
    broken: int
    faults: tuple[str, ...]


def check(app: App, settings: Settings) -> Report:
    """Check the documents of all variants' manifests. Raises `SettingsError` where a manifest can't be read."""
    checked = broken = 0
    faults: list[str] = []
    for variant in app.variant_names:
        options = settings.variant(variant)
        try:
            documents = read_all(options.manifests)
        except ManifestError as error:
            raise SettingsError(f"variants.{variant}.manifests: {error}") from None
        # Suggestions are for whoever mends the document; introspection may be what a trusted document is there for.
        plans = Plans(app.schemas[variant], options.limits, introspection=True)
        for document in documents:
            checked += 1
            found = _faults(plans, document)
            broken += bool(found)
            faults += [f"{variant}: {document.manifest}: {document.name or document.ids[0]}: {fault}" for fault in found]
    return Report(checked, broken, tuple(faults))


def _faults(plans: Plans, document: TrustedDocument) -> list[str]:
    try:
        prepared, _ = plans.get(document.text)
        for operation in prepared.operations.values():
            # With variables left out lists are as long as they are by default.
            plans.check_cost(operation, {})
    except GatewayError as error:
        return [error.message]
    except DocumentError as error:
        return [
            f"{fault.locations[0].line}:{fault.locations[0].column}: {fault.message}" if fault.locations else fault.message
            for fault in error.errors
        ]
    return []
