"""The steps of an HTTP request, and how its GraphQL requests are read. `pipeline.py` has their order."""

import asyncio
from collections.abc import Sequence

from bff.errors import BadRequest, Draining, GatewayError
from bff.gate.consumers import HEADER as API_KEY
from bff.gate.counts import Counts
from bff.gate.rate import ADDRESS_OF_ALL, ALL, Ledger, Subject, counted_name
from bff.request import deadlines, http
from bff.request.exchange import Client, Exchange, Visit
from bff.request.http import READS, GraphQLRequest, MediaType
from bff.request.response import EncodedResponse
from bff.request.services import Services
from bff.runtime.loop import TimeLimit

METHODS = b"GET, HEAD, POST, OPTIONS"
_METHODS = frozenset({*READS, "POST"})
_CHARGED_REFUSALS = frozenset({401, 403})


async def refuse_while_draining(_: Visit, services: Services) -> None:
    """Refuse new requests while the process is stopping. Raises `Draining`."""
    if services.is_draining():
        raise Draining


async def admit(exchange: Exchange, services: Services) -> None:
    """Refuse new requests while the process is stopping; give the client no more time than it asks for.

    Raises `Draining`, `BadRequest`.
    """
    if services.is_draining():
        raise Draining
    if deadlines.HEADER in exchange.headers:
        known, clock = exchange.endpoint.deadlines, exchange.deadline.clock
        exchange.heed(known.wish(exchange.began, clock, exchange.headers[deadlines.HEADER]))


async def negotiate(exchange: Exchange, _: Services) -> EncodedResponse | None:
    """Answer a browser with GraphiQL, and OPTIONS. Raises `BadRequest` (405, 406)."""
    scope, page = exchange.scope, exchange.endpoint.page
    is_page_url = page is not None and scope["method"] in READS and not scope["query_string"]
    if is_page_url and http.wants_html(exchange.header(b"accept")):
        return page
    return check_method(exchange, METHODS)


def check_method(exchange: Exchange, methods: bytes) -> EncodedResponse | None:
    """Answer OPTIONS with these methods (an `Allow` value). Raises `BadRequest` (405, 406)."""
    method = exchange.scope["method"]
    if method == "OPTIONS":
        return EncodedResponse(204, ((b"allow", methods), (b"content-length", b"0")), b"", outcome="options")
    if method not in _METHODS:
        raise BadRequest("Expected GET or POST.", status=405, headers=((b"allow", methods),))
    if exchange.accepted is None:
        raise BadRequest(f"Expected an Accept that allows {MediaType.RESPONSE} or {MediaType.JSON}.", status=406)
    return None


async def authenticate(exchange: Visit, services: Services) -> None:
    """Identify the client and check that it may use this variant or route. A refusal is charged to its rate limit too.

    Raises `InvalidToken`, `InvalidApiKey`, `KeysUnavailable`, `VariantNotAllowed`, `TokenNeeded`, `KeyNeeded`,
    `KeyOrTokenNeeded`, `RoleNeeded`.
    """
    try:
        await _identify(exchange, services)
    except GatewayError as error:
        if error.status in _CHARGED_REFUSALS and services.counts is not None:
            # Not to all clients' count: whoever is refused could use it up for the others.
            await _charge(exchange, services, services.counts, clients_of(exchange, services))
        raise


async def _identify(exchange: Visit, services: Services) -> None:
    signed_in = await services.authenticator.authenticate(exchange.headers.get(b"authorization", []))
    consumer = services.consumers.identify(exchange.headers.get(API_KEY, []))
    if signed_in is not None or consumer is not None:
        # Both are valid here: a request with a good token and a bad API key is charged to its address.
        exchange.client = Client(signed_in, consumer)
    exchange.endpoint.check(signed_in, consumer)


async def charge(exchange: Visit, services: Services) -> None:
    """Charge the request to the client's rate limits and quotas. Raises `RateLimited`."""
    if services.counts is None:
        return
    subjects = clients_of(exchange, services)
    endpoint, client = exchange.endpoint, exchange.client
    if endpoint.rate_of_address is not None and (client.consumer is None or client.signed_in is not None):
        subjects.append(Subject(ADDRESS_OF_ALL, exchange.address, endpoint.rate_of_address))
    if endpoint.rate_of_all is not None:
        subjects.append(Subject(ALL, "", endpoint.rate_of_all))
    await _charge(exchange, services, services.counts, subjects)


async def _charge(exchange: Visit, services: Services, counts: Counts, subjects: Sequence[Subject]) -> None:
    refused = services.metrics.rate_refused
    exchange.ledger = Ledger(counts, exchange.endpoint.name, subjects, exchange.wait_budget, refused)
    await exchange.ledger.charge_requests()


def clients_of(exchange: Visit, services: Services) -> list[Subject]:
    """The clients whose limits a request is charged to: a consumer with limits of its own, and the user.

    Without a user it is the consumer, by the variant's limits; without either it is the address. The tier that a token
    names is in place of the variant's limits.
    """
    options, client = exchange.endpoint.rate, exchange.client
    subjects = []
    if client.consumer is not None and (client.consumer.rate is not None or client.signed_in is None):
        subjects.append(Subject("consumer", client.consumer.name, client.consumer.rate or options))
    if client.signed_in is not None:
        tier = client.signed_in.tier
        of_user = options if tier is None else services.tiers.get(tier, options)
        subjects.append(Subject("user", counted_name(client.signed_in.viewer.sub), of_user))
    return subjects or [Subject("address", exchange.address, options)]


async def decode(exchange: Exchange, _: Services) -> GraphQLRequest | Sequence[GraphQLRequest]:
    """The GraphQL request in the URL or the body; or those of a batch, each of which is charged. Raises `GatewayError`."""
    if exchange.scope["method"] in READS:
        return http.decode_query(exchange.scope["query_string"])
    http.check_content(exchange.header(b"content-type"), exchange.header(b"content-encoding"))
    decoded = http.decode_body(await read_body(exchange), exchange.endpoint.limits.batch)
    if isinstance(decoded, list) and len(decoded) > 1:
        await exchange.ledger.charge_requests(len(decoded) - 1)
    return decoded


async def read_body(exchange: Exchange) -> bytes:
    """The whole body. Raises `BadRequest` (408 at the deadline, 413), `http.ClientDisconnected`."""
    max_bytes = exchange.endpoint.limits.body_bytes
    timer = TimeLimit(exchange.deadline.left())
    try:
        return await http.read_body(exchange.receive, exchange.header(b"content-length"), max_bytes)
    except asyncio.CancelledError:
        if not timer.has_cut_off():
            raise
        raise BadRequest("The body took too long.", status=408, headers=((b"connection", b"close"),)) from None
    finally:
        timer.lift()
