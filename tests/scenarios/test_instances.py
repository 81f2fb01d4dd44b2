"""Several instances of a service, and the administrators' controls."""

import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.conftest import StartGateway
from tests.support.background import Background
from tests.support.faults import Fault, FaultyPort, json_answer
from tests.support.gateways import RunningGateway
from tests.support.services import Tapped

PRODUCT = '{ product(id: "1") { name } }'
SOURCES = "{ sources { name breaker forced instances { number healthy weight state } } }"
UNCACHED = {"BFF_SOURCES__PRODUCTS__CACHE__ENABLED": "false"}


@pytest.fixture
def second(own_background: Background, services: Tapped) -> Iterator[FaultyPort]:
    """A second instance of the products service."""
    port = own_background.run(FaultyPort.open(int(services.ports["products"].behind.rpartition(":")[2])))
    yield port
    own_background.run(port.close())


def products(gateway: RunningGateway) -> dict[str, Any]:
    """The products source as administrators see it."""
    sources: list[dict[str, Any]] = gateway.ask("admin", SOURCES)["data"]["sources"]
    return next(source for source in sources if source["name"] == "products")


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait for a health check, since a running gateway has a real clock."""
    until = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_canary_gets_its_share(start_gateway: StartGateway, services: Tapped, second: FaultyPort) -> None:
    """Weights of nine to one: about thirty of three hundred calls."""
    first = services.ports["products"]
    for port in (first, second):
        port.custom = lambda _: json_answer(services.data.products.json([1]))
    gateway = start_gateway(PRODUCTS_SERVICE_URL=f"{first.url};weight=9,{second.url}", **UNCACHED)
    for _ in range(300):
        assert "errors" not in gateway.ask("web", PRODUCT)
    assert first.requests + second.requests == 300
    assert 10 <= second.requests <= 60
    assert [instance["weight"] for instance in products(gateway)["instances"]] == [9, 1]


def test_a_failing_instance_fails_no_request(start_gateway: StartGateway, services: Tapped, second: FaultyPort) -> None:
    """Its calls are repeated at the other one. After a few it gets none, and the breaker stays closed."""
    gateway = start_gateway(PRODUCTS_SERVICE_URL=f"{services.urls['products']},{second.url}", **UNCACHED)
    second.fault = Fault.RESET
    for _ in range(120):
        assert gateway.ask("web", PRODUCT) == {"data": {"product": {"name": "Product 1"}}}
    source = products(gateway)
    assert source["breaker"] == "CLOSED"
    assert [instance["state"] for instance in source["instances"]] == ["IN", "EJECTED"]
    assert second.requests == 5


def test_health_checks_take_an_instance_out_and_back_in(
    start_gateway: StartGateway, services: Tapped, second: FaultyPort
) -> None:
    """Before a client's call fails."""
    checks = {"BFF_SOURCES__PRODUCTS__HEALTH__INTERVAL_S": "0.05", "BFF_SOURCES__PRODUCTS__HEALTH__TIMEOUT_S": "10"}
    gateway = start_gateway(PRODUCTS_SERVICE_URL=f"{services.urls['products']},{second.url}", **checks, **UNCACHED)

    def state() -> str:
        shown: str = products(gateway)["instances"][1]["state"]
        return shown

    second.fault = Fault.STATUS_503
    wait_until(lambda: state() == "UNHEALTHY")
    asked = len([request for request in second.failed if b"/products" in request])
    for _ in range(30):
        assert "errors" not in gateway.ask("web", PRODUCT)
    assert len([request for request in second.failed if b"/products" in request]) == asked == 0
    second.fault = None
    wait_until(lambda: state() == "IN")


def test_an_administrator_forces_a_breaker_open(
    gateway: RunningGateway, services: Tapped, caplog: pytest.LogCaptureFixture
) -> None:
    """Then orders gets no calls. Released, it is as before. The audit log has the administrator."""
    caplog.set_level(logging.INFO, "bff.audit")
    force = 'mutation ($state: BreakerState) { forceBreaker(source: "orders", state: $state) { source { breaker } } }'
    query = '{ user(id: "1") { name orders(first: 1) { id } } }'
    gateway.ask("admin", force, {"state": "OPEN"}, sub="7", role="admin")
    answer = gateway.ask("web", query, sub="1")
    assert answer["data"] == {"user": {"name": "User 1", "orders": None}}
    assert answer["errors"][0]["extensions"]["code"] == "UPSTREAM_UNAVAILABLE"
    assert "orders" not in services.count()
    ready = gateway.http.get(f"{gateway.url}/ready")
    assert (ready.status_code, ready.json()["sources"]["orders"]["breaker"]) == (200, "open")
    gateway.ask("admin", force, {"state": None}, sub="7", role="admin")
    assert "errors" not in gateway.ask("web", query, sub="1")
    lines = [record.__dict__["fields"] for record in caplog.records if record.name == "bff.audit"]
    assert [(line["action"], line["by"], line["state"]) for line in lines] == [
        ("force_breaker", "7", "open"),
        ("force_breaker", "7", None),
    ]


def test_only_administrators_may_use_the_controls(gateway: RunningGateway) -> None:
    """The mutation is not in the other variants, and the admin variant needs the role."""
    query = 'mutation { forceBreaker(source: "orders", state: OPEN) { source { name } } }'
    for variant in ("web", "mobile"):
        assert gateway.ask(variant, query, sub="1")["errors"][0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"
    found = gateway.http.post(f"{gateway.url}/admin/graphql", json={"query": query}, headers=gateway.bearer("1"))
    assert found.status_code == 403
