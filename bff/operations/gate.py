"""A call of a trusted operation by REST: the GraphQL pipeline, but with parameters and with REST's HTTP statuses.

Two steps differ. `accept` negotiates, and `read` takes the operation from the path and its variables from the parameters.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from bff.errors import BadRequest
from bff.operations.calls import TrustedOperation, TrustedOperations
from bff.request import driver, http, pipeline
from bff.request.driver import Run
from bff.request.exchange import Exchange
from bff.request.gate_steps import METHODS, check_method, negotiate, read_body
from bff.request.http import READS, GraphQLRequest, MediaType
from bff.request.pipeline import Pipeline
from bff.request.response import EncodedResponse, Response
from bff.request.services import Services

_MUTATION_METHODS = b"POST, OPTIONS"
_STATUSES: Mapping[str, int] = {
    "BAD_USER_INPUT": 400,
    "QUERY_TOO_COMPLEX": 400,
    "UNAUTHENTICATED": 401,
    "FORBIDDEN": 403,
    "RATE_LIMITED": 429,
    "UPSTREAM_ERROR": 502,
    "UPSTREAM_UNAVAILABLE": 503,
    "UPSTREAM_TIMEOUT": 504,
}
"""By error code. Any other code is 500: the client didn't write the document, so it can't be the client's mistake."""


class TrustedCalls:
    """Runs calls of trusted operations. Each operation has a pipeline of its own, made at start-up."""

    def __init__(self, operations: Mapping[str, TrustedOperations]) -> None:
        """`operations` are those of each variant, by its name."""
        self._runs = {variant: {each.name: _run_of(each) for each in known} for variant, known in operations.items()}
        self._run_unknown = _run_of(None)

    def __repr__(self) -> str:
        return f"<TrustedCalls {sum(map(len, self._runs.values()))} operations>"

    def __call__(self, variant: str, name: str) -> Run:
        """What runs a call of that name. For an unknown name it responds with 404, after the steps of the gate."""
        return self._runs[variant].get(name, self._run_unknown)


def pipeline_of(operation: TrustedOperation | None) -> Pipeline:
    """The pipeline of an operation's calls; None stands for every name that no operation has."""
    gate = pipeline.replaced(pipeline.GATE, {negotiate: partial(accept, operation)})
    return Pipeline(gate, partial(read, operation), pipeline.OPERATION)


def _run_of(operation: TrustedOperation | None) -> Run:
    steps = pipeline_of(operation)

    async def run(exchange: Exchange, services: Services) -> Response | EncodedResponse:
        response = await driver.run(exchange, services, steps)
        return response if isinstance(response, EncodedResponse) else with_status(response)

    return run


async def accept(operation: TrustedOperation | None, exchange: Exchange, _: Services) -> EncodedResponse | None:
    """Answer OPTIONS; the response's media type is always JSON. Raises `BadRequest` (405, 406).

    `Allow` says whether an operation is a mutation, and so that it exists. If not everybody may use the variant, it
    does not say so, since no token has been checked yet.
    """
    is_known_mutation = operation is not None and operation.is_mutation and exchange.endpoint.entry.is_open
    response = check_method(exchange, _MUTATION_METHODS if is_known_mutation else METHODS)
    exchange.media = MediaType.JSON
    return response


async def read(operation: TrustedOperation | None, exchange: Exchange, _: Services) -> GraphQLRequest:
    """The operation that is called, with its parameters as variables. Raises `GatewayError` (404 if there is none)."""
    if operation is None:
        raise BadRequest("There is no operation of that name.", status=404)
    if exchange.scope["method"] in READS:
        if operation.is_mutation:
            raise BadRequest("Expected POST: this operation is a mutation.", status=405, headers=_ALLOW_MUTATION)
        variables = operation.of_query(exchange.scope["query_string"])
    else:
        http.check_content(exchange.header(b"content-type"), exchange.header(b"content-encoding"))
        variables = operation.of_body(await read_body(exchange))
    return GraphQLRequest(operation.text, operation.operation, variables)


_ALLOW_MUTATION = ((b"allow", _MUTATION_METHODS),)


def with_status(response: Response) -> Response:
    """The response with the status of its first error, if it has no data but errors."""
    content = response.content
    if response.status != 200 or not response.codes or isinstance(content, bytes):
        return response
    if any(value is not None for value in (content.get("data") or {}).values()):
        return response
    extensions = content["errors"][0]["extensions"]
    status = _STATUSES.get(extensions["code"], 500)
    headers, retry_after = response.headers, extensions.get("retryAfter")
    if status == 401:
        headers += ((b"www-authenticate", b"Bearer"),)
    if retry_after is not None and status in {429, 503, 504}:
        headers += ((b"retry-after", b"%d" % retry_after),)
    return replace(response, status=status, headers=headers)
