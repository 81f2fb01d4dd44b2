"""Services that fail: each costs its own part of the answer and no more."""

import time
from dataclasses import dataclass

import msgspec
import pytest

from tests.conftest import StartGateway
from tests.support.faults import Fault, json_answer
from tests.support.gateways import RunningGateway
from tests.support.services import Tapped

QUERY = '{ user(id: "1") { name orders { id } } product(id: "1") { name } }'


@dataclass(frozen=True)
class Expected:
    """What the client is told of a fault, and whether it counts against the service."""

    code: str
    counts: bool
    retry_after: int | None = None


MATRIX = {
    Fault.REFUSED: Expected("UPSTREAM_UNAVAILABLE", counts=True),
    Fault.RESET: Expected("UPSTREAM_UNAVAILABLE", counts=True),
    Fault.CLOSED: Expected("UPSTREAM_UNAVAILABLE", counts=True),
    Fault.RESET_IN_BODY: Expected("UPSTREAM_ERROR", counts=True),
    Fault.HANG: Expected("UPSTREAM_TIMEOUT", counts=True),
    Fault.SLOW_LORIS: Expected("UPSTREAM_TIMEOUT", counts=True),
    Fault.STATUS_500: Expected("UPSTREAM_ERROR", counts=True),
    Fault.STATUS_503: Expected("UPSTREAM_UNAVAILABLE", counts=True, retry_after=7),
    Fault.STATUS_429: Expected("UPSTREAM_UNAVAILABLE", counts=False, retry_after=3),
    Fault.STATUS_400: Expected("UPSTREAM_ERROR", counts=False),
    Fault.STATUS_401: Expected("UNAUTHENTICATED", counts=False),
    Fault.STATUS_403: Expected("FORBIDDEN", counts=False),
    Fault.REDIRECT: Expected("UPSTREAM_ERROR", counts=True),
    Fault.TRUNCATED_JSON: Expected("UPSTREAM_ERROR", counts=True),
    Fault.NOT_JSON: Expected("UPSTREAM_ERROR", counts=True),
    Fault.WRONG_TYPE: Expected("UPSTREAM_ERROR", counts=True),
    Fault.WRONG_SHAPE: Expected("UPSTREAM_ERROR", counts=False),
    Fault.NO_HTTP: Expected("UPSTREAM_ERROR", counts=True),
    Fault.HUGE: Expected("UPSTREAM_ERROR", counts=False),
    Fault.GZIP: Expected("UPSTREAM_ERROR", counts=True),
}


def test_the_matrix_has_every_fault() -> None:
    """No fault is left without a word on what it does."""
    assert set(MATRIX) == set(Fault)


@pytest.mark.parametrize("fault", list(Fault), ids=lambda fault: fault.name.lower())
def test_a_fault_costs_its_own_part(start_gateway: StartGateway, services: Tapped, fault: Fault) -> None:
    """Whatever orders does, the user's name and the product are there; one error says where, what and which service."""
    gateway = start_gateway(BFF_SOURCES__ORDERS__TIMEOUT_S="0.2", BFF_SOURCES__ORDERS__BREAKER__MINIMUM_CALLS="2")
    expected = MATRIX[fault]
    services.fail("orders", fault)
    answer = gateway.ask("web", QUERY, sub="1")
    assert answer["data"] == {"user": {"name": "User 1", "orders": None}, "product": {"name": "Product 1"}}
    (error,) = answer["errors"]
    assert error["path"] == ["user", "orders"]
    assert error["extensions"]["code"] == expected.code
    assert error["extensions"]["source"] == "orders"
    assert error["extensions"].get("retryAfter") == expected.retry_after
    assert_nothing_leaks(str(answer), services)
    gateway.ask("web", QUERY, sub="1")
    sources = gateway.ask("admin", "{ sources { name breaker } }")["data"]["sources"]
    breakers = {source["name"]: source["breaker"] for source in sources}
    assert breakers == {"users": "CLOSED", "orders": "OPEN" if expected.counts else "CLOSED", "products": "CLOSED"}


def assert_nothing_leaks(text: str, services: Tapped) -> None:
    """No address, no word of a service's and no trace of code reaches a client."""
    ports = [url.rpartition(":")[2] for url in services.urls.values()]
    for secret in ("secret", "127.0.0.1", "localhost", "Traceback", "httpx", "File ", *ports):
        assert secret not in text


def test_after_the_window_fills_a_sick_service_is_left_alone(start_gateway: StartGateway, services: Tapped) -> None:
    """With orders down, five calls go out, then none until the half-open probe; the other sources notice nothing."""
    gateway = start_gateway(BFF_SOURCES__ORDERS__BREAKER__OPEN_S="0.5")
    services.fail("orders", Fault.STATUS_500)
    for number in range(1, 11):
        answer = gateway.ask("web", QUERY, sub="1")
        (error,) = answer["errors"]
        assert answer["data"] == {"user": {"name": "User 1", "orders": None}, "product": {"name": "Product 1"}}
        assert error["extensions"]["code"] == ("UPSTREAM_ERROR" if number <= 5 else "UPSTREAM_UNAVAILABLE")
        assert error["extensions"].get("retryAfter") == (None if number <= 5 else 1)
        assert services.ports["orders"].requests == min(number, 5)
    assert services.count() == {"users": 10, "products": 1}  # which may be kept for a while
    ready = gateway.http.get(f"{gateway.url}/ready")
    assert ready.status_code == 200
    states = {name: source["breaker"] for name, source in ready.json()["sources"].items()}
    assert states == {"users": "closed", "orders": "open", "products": "closed"}

    time.sleep(0.55)  # a real wait: the breaker of a running gateway has a real clock
    gateway.ask("web", QUERY, sub="1")
    gateway.ask("web", QUERY, sub="1")
    assert services.ports["orders"].requests == 6  # one probe, which failed; then left alone again

    services.fail("orders", None)
    time.sleep(0.55)
    answer = gateway.ask("web", QUERY, sub="1")
    assert "errors" not in answer
    assert len(answer["data"]["user"]["orders"]) == 10
    assert gateway.http.get(f"{gateway.url}/ready").json()["sources"]["orders"] == {"breaker": "closed"}


@pytest.mark.parametrize("fault", [Fault.STATUS_400, Fault.STATUS_401, Fault.STATUS_403, Fault.STATUS_429])
def test_no_client_opens_a_breaker_by_what_it_asks(gateway: RunningGateway, services: Tapped, fault: Fault) -> None:
    """4xx answers never count: after many of them the next good call goes through."""
    services.fail("orders", fault)
    for _ in range(12):
        gateway.ask("web", QUERY, sub="1")
    services.fail("orders", None)
    assert "errors" not in gateway.ask("web", QUERY, sub="1")


def test_one_object_of_the_wrong_shape_is_lost_alone(gateway: RunningGateway, services: Tapped) -> None:
    """Of a batch, the object that lacks a required member is null with an error; the others are there."""
    items = [*_items(services.data.products.json([8, 21])), b'{"id":9,"sku":"SKU-00009"}']
    services.ports["products"].custom = lambda _: json_answer(b'{"items":[' + b",".join(items) + b"]}")
    query = '{ a: product(id: "8") { name } b: product(id: "9") { name } c: product(id: "21") { name } }'
    answer = gateway.ask("web", query)
    assert answer["data"] == {"a": {"name": "Product 8"}, "b": None, "c": {"name": "Product 21"}}
    (error,) = answer["errors"]
    assert (error["path"], error["extensions"]) == (["b"], {"code": "UPSTREAM_ERROR", "source": "products"})


def test_one_order_of_the_wrong_shape_leaves_the_others(gateway: RunningGateway, services: Tapped) -> None:
    """Of a user's orders, the one that can't be read is left out and told; the list is not lost with it."""
    good = _items(services.data.orders.json([9001, 8001]))
    broken = good[0].replace(b'"paid"', b'"lost"').replace(b'"id":9001', b'"id":9500')
    services.ports["orders"].custom = lambda _: json_answer(b'{"items":[' + b",".join([broken, *good]) + b"]}")
    answer = gateway.ask("web", '{ user(id: "1") { name orders { id } } }', sub="1")
    assert answer["data"] == {"user": {"name": "User 1", "orders": [{"id": "9001"}, {"id": "8001"}]}}
    (error,) = answer["errors"]
    assert (error["path"], error["extensions"]) == (["user", "orders"], {"code": "UPSTREAM_ERROR", "source": "orders"})


def test_a_page_keeps_the_place_of_what_it_lost(gateway: RunningGateway, services: Tapped) -> None:
    """In a connection the node that can't be read is null at its place, with an error there."""
    good = _items(services.data.products.json([1, 2]))
    body = b'{"items":[' + b",".join([good[0], b"17", good[1]]) + b'],"nextCursor":null,"total":3}'
    services.ports["products"].custom = lambda _: json_answer(body)
    answer = gateway.ask("web", "{ products { nodes { id } } }")
    assert answer["data"]["products"]["nodes"] == [{"id": "1"}, None, {"id": "2"}]
    assert [error["path"] for error in answer["errors"]] == [["products", "nodes", 1]]


def test_the_deadline_bounds_the_whole_operation(start_gateway: StartGateway, services: Tapped) -> None:
    """A service that may take its time gets no more of it than the operation has left."""
    gateway = start_gateway(BFF_REQUEST__DEADLINE_S="0.3", BFF_SOURCES__ORDERS__TIMEOUT_S="5")
    services.fail("orders", Fault.HANG)
    began = time.monotonic()
    answer = gateway.ask("web", QUERY, sub="1")
    assert time.monotonic() - began < 2
    assert answer["data"]["user"] == {"name": "User 1", "orders": None}
    assert answer["errors"][0]["extensions"]["code"] == "UPSTREAM_TIMEOUT"


def _items(joined: bytes) -> list[bytes]:
    return [msgspec.json.encode(record) for record in msgspec.json.decode(b"[" + joined + b"]")]
