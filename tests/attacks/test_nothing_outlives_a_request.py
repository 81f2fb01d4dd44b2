"""Nothing of a request outlives it: no traceback, frame or token, however it ended."""

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
from bff.upstream.caller import Caller
from bff.upstream.traffic.single_flight import SingleFlight
from tests.conftest import StartGateway
from tests.support.faults import Fault, json_answer
from tests.support.gateways import RunningGateway
from tests.support.services import Tapped

PACKAGES = ("bff", "schema", "datasources")
OF_A_REQUEST = (TracebackType, FrameType, Exchange, Caller, Context, Loaders)
CLIENTS = 300
SETTINGS = {"BFF_SOURCES__PRODUCTS__TIMEOUT_S": "60", "BFF_REQUEST__DEADLINE_S": "60"}
STOPS = (asyncio.AbstractEventLoop, asyncio.Future, logging.Logger, logging.Handler)
"""What leads out of the gateway, into the test itself."""


def is_own(name: str) -> bool:
    """Whether a module is the project's."""
    return name.partition(".")[0] in PACKAGES


def reachable(roots: Iterable[Any]) -> Iterator[Any]:
    """All objects that the roots refer to, directly or not, without those of other packages' modules."""
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
    """The objects of ended requests that the project's modules and the gateway still refer to, by kind."""
    gateway.app.services.authenticator.forget()  # good tokens are known until they expire: that is meant
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
    assert flights >= 3  # the walk reaches the sources' policies
    return +found


def own_objects() -> Counter[str]:
    """The number of the project's objects by type, with tracebacks and frames."""
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
    """Wait until no request runs."""
    for _ in range(2000):
        if not gateway.app.in_flight:
            return
        time.sleep(0.005)
    raise AssertionError("requests are still running")


def fresh_tokens(gateway: RunningGateway, number: int, *, first: int = 0) -> list[str]:
    """Tokens of as many users, all different."""
    return [tokens.make(gateway.settings, sub=str(first + each), role=None, ttl_s=3600) for each in range(1, number + 1)]


def signatures(given: Iterable[str]) -> list[str]:
    """The part that is only in that token."""
    return [token.rpartition(".")[2] for token in given]


@contextmanager
def asking(gateway: RunningGateway, query: str, given: Iterable[str]) -> Iterator[list[socket.socket]]:
    """That many clients that have sent the same query and wait."""
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
    """Wait until that many requests run."""
    for _ in range(4000):
        if gateway.app.in_flight == number:
            return
        time.sleep(0.005)
    raise AssertionError(f"expected {number} requests to run, got {gateway.app.in_flight}")


@pytest.mark.parametrize(
    "query", ['{ product(id: "1") { name } }', "{ products(first: 3) { nodes { name } } }"], ids=["by key", "by target"]
)
def test_clients_that_disconnect_one_after_another(start_gateway: StartGateway, services: Tapped, query: str) -> None:
    """Three hundred wait for the same call. Each caller disconnects and leaves it to the next. Then nothing is left."""
    gateway = start_gateway(**SETTINGS)
    services.fail("products", Fault.HANG)
    given = fresh_tokens(gateway, CLIENTS)
    with asking(gateway, query, given) as clients:
        wait_for(gateway, CLIENTS)
        for number, client in enumerate(clients, start=1):
            client.close()
            if number % 3 == 0:
                wait_for(gateway, CLIENTS - number)  # so that they leave one after another, and not all at once
    settled(gateway)
    assert left_over(gateway, signatures(given)) == Counter()


def failing(gateway: RunningGateway, services: Tapped, given: list[str]) -> None:
    """Requests that fail in every possible way, with a new token for each."""
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
    """Failing sources, unreadable rows in the cache, bad documents and tokens: nothing is left."""
    gateway = start_gateway(BFF_SOURCES__ORDERS__BREAKER__MINIMUM_CALLS="1000", BFF_SOURCES__USERS__RETRY__ATTEMPTS="1")
    given = fresh_tokens(gateway, 12)
    failing(gateway, services, given[:6])
    assert left_over(gateway, signatures(given)) == Counter()
    before = own_objects()
    failing(gateway, services, given[6:])
    assert left_over(gateway, signatures(given)) == Counter()
    grown = own_objects() - before
    # A few objects of background tasks may appear and disappear. Six requests of each kind must leave nothing.
    assert {kind: number for kind, number in grown.items() if number >= 6} == {}
