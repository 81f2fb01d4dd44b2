"""The steps of a request, in order. `driver.py` runs them.

An HTTP request passes the steps of `GATE`; `decode` reads the GraphQL requests in it. For each of these, `prepare` finds
the operation and `check` admits it; then it passes the steps of `OPERATION`. A step ends the request by returning a
response or by raising; if it returns None, the next step follows. No step knows which one is next.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bff.request.exchange import Exchange
from bff.request.gate_steps import admit, authenticate, charge, decode, negotiate
from bff.request.http import GraphQLRequest
from bff.request.operation_steps import charge_cost, check_work, execute, explain, lookup_response
from bff.request.requested_operation import RequestedOperation
from bff.request.response import EncodedResponse, Response
from bff.request.services import Services

GateStep = Callable[[Exchange, Services], Awaitable[Response | EncodedResponse | None]]
Decode = Callable[[Exchange, Services], Awaitable[GraphQLRequest | Sequence[GraphQLRequest]]]
OperationStep = Callable[[RequestedOperation, Services], Awaitable[Response | None]]

GATE: Sequence[GateStep] = (
    admit,  # first: nothing new begins in a process that is stopping
    negotiate,  # before authentication, so that a browser gets the page in which a token can be entered
    authenticate,  # before the body is read: a client that may not use the variant can't send one
    charge,  # as soon as it is known whose limits count
)
"""The steps of an HTTP request. They decide whether it is admitted."""

OPERATION: Sequence[OperationStep] = (
    explain,  # before the cost is charged: nothing is run
    lookup_response,  # before the cost is charged: a cached response costs next to nothing
    check_work,  # after the look-up: a cached response needs no calls; before the cost is charged: a refusal costs nothing
    charge_cost,
    execute,
)
"""The steps of each operation in it. They follow authentication, so that a client that may not use the variant
learns nothing of its schema."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A kind of request. `decode` follows the steps of `gate`; then each operation passes those of `operation`."""

    gate: Sequence[GateStep]
    decode: Decode
    operation: Sequence[OperationStep]


GRAPHQL = Pipeline(GATE, decode, OPERATION)


def replaced(steps: Sequence[GateStep], others: Mapping[Any, GateStep]) -> tuple[GateStep, ...]:
    """The same list with some steps replaced. Raises `ValueError` if a step to be replaced is not in the list."""
    if missing := [step for step in others if step not in steps]:
        raise ValueError(f"Expected steps of the list, got {', '.join(step.__name__ for step in missing)}.")
    return tuple(others.get(step, step) for step in steps)
