"""Explains an operation without running a gateway: the upstream calls of a document, checked by a variant's limits."""

import msgspec

from bff.app import App
from bff.engine.arguments import InvalidVariables
from bff.engine.explain import Explanation
from bff.engine.plans import Plans
from bff.errors import DocumentError, GatewayError
from bff.settings import Settings

_members = msgspec.json.Decoder(dict[str, object])


class NotExplained(Exception):
    """The document, the operation's name or the variables are invalid. `lines` are the errors."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__(lines)
        self.lines = lines


def explained(app: App, settings: Settings, variant: str, text: str, name: str | None, variables: str) -> Explanation:
    """The upstream calls of the document's operation of that name. Raises `NotExplained`."""
    try:
        given = _members.decode(variables)
    except msgspec.DecodeError as error:
        raise NotExplained(["variables: expected a JSON object"]) from error
    plans = Plans(app.schemas[variant], settings.variant(variant).limits, introspection=True)
    try:
        prepared, _ = plans.get(text)
        operation = prepared.operation(name)
        explanation = plans.explain(operation, given)
        plans.check_cost(operation, given)
    except GatewayError as error:
        raise NotExplained([error.message]) from error
    except (DocumentError, InvalidVariables) as error:
        raise NotExplained([_line(fault) for fault in error.errors]) from error
    return explanation


def _line(fault: object) -> str:
    """An error and its location."""
    locations = getattr(fault, "locations", None) or ()
    where = "".join(f"{place.line}:{place.column}: " for place in locations[:1])
    return f"{where}{getattr(fault, 'message', fault)}"
