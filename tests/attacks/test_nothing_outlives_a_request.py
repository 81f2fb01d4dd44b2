"""No object of a request outlives it, however it ended: no traceback, no frame, no token."""

import asyncio
import gc
import json
import logging
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import FrameType, ModuleType, TracebackType
from typing import Any

import pytest

from bff.commands import token as tokens
from bff.graph.context import Context
from bff.graph.loaders import Loaders
from bff.request.exchange import Exchange
from bff.request.requested_operation import RequestedOperation
from bff.request.response import Response
from bff.upstream.caller import Caller
from bff.upstream.traffic.single_flight import SingleFlight
from tests.conftest import StartGateway
from tests.support.faults import Fault, json_answer
from tests.support.gateways import RunningGateway
from tests.support.services import Tapped

PACKAGES = ("bff", "schema", "datasources")
OF_A_REQUEST = (TracebackType, FrameType, Exchange, RequestedOperation, Response, Caller, Context, Loaders)
CLIENTS = 300
SETTINGS = {"BFF_SOURCES__PRODUCTS__TIMEOUT_S": "60", "BFF_REQUEST__DEADLINE_S": "60"}
STOPS = (asyncio.AbstractEventLoop, asyncio.Future, logging.Logger, logging.Handler)
"""Objects that lead out of the gateway, to the test itself."""


def is_own(name: str) -> bool:
    """Whether a module is the project's."""
    return name.partition(".")[0] in PACKAGES


def reachable(roots: Iterable[Any]) -> Iterator[Any]:
    """All objects that are reachable from the roots, except through other packages' modules."""
    foreign = {id(vars(module)) for name, module in list(sys.modules.items()) if not is_own(name) and module is not None}
    seen: set[int] = set()
    left = list(roots)
    while left:
        each = left.pop()
        if id(each) in seen or id(each) in foreign or isinstance(each, STOPS):
            continue
        if isinstance(each, ModuleType) and not is_own(each.__name__):
            continue
        seen.add(id(each))
        yield each
        left += gc.get_referents(each)


def left_over(gateway: RunningGateway, secrets: Iterable[str]) -> Counter[str]:
    """Objects of ended requests that are still reachable from the project's modules or the gateway, counted by type."""
    gateway.app.served.services.authenticator.forget()  # valid tokens are cached until they expire, on purpose
    gc.collect()
    modules = [module for name, module in list(sys.modules.items()) if is_own(name)]
    found: Counter[str] = Counter()
    known = tuple(secrets)
    flights = 0
    for each in reachable([*modules, gateway.app]):
        flights += isinstance(each, SingleFlight)
        if isinstance(each, OF_A_REQUEST):
            found[type(each).__name__] += 1
        elif isinstance(each, str | bytes):
            text = each if isinstance(each, str) else each.decode("latin-1")
            found["token"] += any(secret in text for secret in known) if "." in text else 0
    assert flights >= 3  # proves that the walk reaches the policies of the sources
    return +found


def own_objects() -> Counter[str]:
    """The number of the project's objects in memory by type, with tracebacks and frames."""
    gc.collect()
    kinds = Counter(type(each) for each in gc.get_objects())
    return Counter(
        {
            f"{kind.__module__}.{kind.__qualname__}": number
            for kind, number in kinds.items()
            if is_own(str(kind.__module__)) or kind in {TracebackType, FrameType}
        }
    )


def settled(gateway: RunningGateway) -> None:
    """Wait until no request is in progress."""
    for _ in range(2000):
        if not gateway.app.in_flight:
            return
        time.sleep(0.005)
    raise AssertionError("requests are still running")


def fresh_tokens(gateway: RunningGateway, number: int, *, first: int = 0) -> list[str]:
    """That many tokens, each of another user."""
    return [tokens.make(gateway.settings, sub=str(first + each), role=None, ttl_s=3600) for each in range(1, number + 1)]


def signatures(given: Iterable[str]) -> list[str]:
    """The part of each token that no other token has."""
    return [token.rpartition(".")[2] for token in given]


@contextmanager
def asking(gateway: RunningGateway, query: str, given: Iterable[str]) -> Iterator[list[socket.socket]]:
    """One client per token. All have sent the same query, and wait."""
    host, _, port = gateway.url.removeprefix("http://").partition(":")
    body = json.dumps({"query": query}).encode()
    clients = []
    for token in given:
        client = socket.create_connection((host, int(port)))
        head = f"POST /web/graphql HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\n"
        head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        client.sendall(head.encode() + body)
        clients.append(client)
    try:
        yield clients
    finally:
        for client in clients:
            client.close()


def wait_for(gateway: RunningGateway, number: int) -> None:
    """Wait until that many requests are in progress."""
    for _ in range(4000):
        if gateway.app.in_flight == number:
            return
        time.sleep(0.005)
    raise AssertionError(f"expected {number} requests to run, got {gateway.app.in_flight}")


@pytest.mark.parametrize(
    "query", ['{ product(id: "1") { name } }', "{ products(first: 3) { nodes { name } } }"], ids=["by key", "by target"]
)
def test_clients_that_disconnect_one_after_another(start_gateway: StartGateway, services: Tapped, query: str) -> None:
    """300 requests share a call, which passes to the next request when its client disconnects. Nothing is left of any."""
    gateway = start_gateway(**SETTINGS)
    services.fail("products", Fault.HANG)
    given = fresh_tokens(gateway, CLIENTS)
    with asking(gateway, query, given) as clients:
        wait_for(gateway, CLIENTS)
        for number, client in enumerate(clients, start=1):
            client.close()
            if number % 3 == 0:
                wait_for(gateway, CLIENTS - number)  # so that they don't disconnect all at once
    settled(gateway)
    assert left_over(gateway, signatures(given)) == Counter()


def unfriendly(gateway: RunningGateway, services: Tapped, given: list[str]) -> None:
    """Requests that fail in each way; each token is used once per way."""
    broken = b'{"items":[{"id":1},' + services.data.products.json([2]) + b'],"nextCursor":null,"total":2}'
    kept = json_answer(broken, "cache-control: public, max-age=60")
    queries = [
        '{ me { name orders { id } } product(id: "1") { name } }',
        "{ a: products(first: 2) { nodes { name } } b: products(first: 2) { edges { node { id } } } }",
        '{ products(first: 2, after: "junk") { nodes { name } } }',
        'mutation { updateProfile(input: {name: "x"}) { user { name } } }',
        '{ order(id: "1") { id } }',
        '{ x: product(id: "1") { name @skip(if: false) } nothing }',
    ]
    services.ports["products"].custom = lambda _: kept
    services.fail("orders", Fault.STATUS_500)
    services.fail("users", Fault.STATUS_400)
    for token in given:
        headers = {"authorization": f"Bearer {token}"}
        for query in queries:
            gateway.post("web", {"query": query}, headers=headers)
        gateway.post("web", [{"query": query} for query in queries], headers=headers)
        bad = token[:-4] + ("AAAA" if not token.endswith("AAAA") else "BBBB")
        gateway.post("web", {"query": queries[0]}, headers={"authorization": f"Bearer {bad}"})
        gateway.post("web", {"query": queries[0]}, headers={"authorization": f"Bearer {token}.{token}"})
    settled(gateway)


def test_requests_that_fail(start_gateway: StartGateway, services: Tapped) -> None:
    """By failing services, invalid records in cached replies, invalid documents and invalid tokens: nothing is left."""
    gateway = start_gateway(BFF_SOURCES__ORDERS__BREAKER__MINIMUM_CALLS="1000", BFF_SOURCES__USERS__RETRY__ATTEMPTS="1")
    given = fresh_tokens(gateway, 12)
    unfriendly(gateway, services, given[:6])
    assert left_over(gateway, signatures(given)) == Counter()
    before = own_objects()
    unfriendly(gateway, services, given[6:])
    assert left_over(gateway, signatures(given)) == Counter()
    grown = own_objects() - before
    # Background work may leave up to five objects of a type; a leak would leave six or more, one per token.
    assert {kind: number for kind, number in grown.items() if number >= 6} == {}
