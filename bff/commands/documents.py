"""Checks trusted documents against the present graph: whether the released apps still work."""

from dataclasses import dataclass

from bff.app import App
from bff.engine.plans import Plans
from bff.errors import DocumentError, GatewayError
from bff.gate.manifests import ManifestError, TrustedDocument, read_all
from bff.settings import Settings, SettingsError


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a check. Each line of `faults` has the variant, manifest, document, location and error."""

    checked: int
    broken: int
    faults: tuple[str, ...]


def check(app: App, settings: Settings) -> Report:
    """Check the documents of all variants' manifests. Raises `SettingsError` if a manifest can't be read."""
    checked = broken = 0
    faults: list[str] = []
    for variant in app.variant_names:
        options = settings.variant(variant)
        try:
            documents = read_all(options.manifests)
        except ManifestError as error:
            raise SettingsError(f"variants.{variant}.manifests: {error}") from None
        # Errors have suggestions, because developers read them. Introspection is on: a trusted document may use it.
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
            # Variables are not known here, so lists have their default length.
            plans.check_cost(operation, {})
    except GatewayError as error:
        return [error.message]
    except DocumentError as error:
        return [
            f"{fault.locations[0].line}:{fault.locations[0].column}: {fault.message}" if fault.locations else fault.message
            for fault in error.errors
        ]
    return []
