"""Operations: health, readiness, metrics, and one log line a request without personal data."""

import json
import logging
import time

import pytest

from bff.observe.logs import JsonFormatter
from tests.conftest import StartGateway
from tests.support.faults import Fault
from tests.support.gateways import RunningGateway
from tests.support.services import Tapped


def access_lines(caplog: pytest.LogCaptureFixture, number: int) -> list[dict[str, object]]:
    """The first lines of the access log. A line is written after its answer, so this waits for them."""
    until = time.monotonic() + 30
    while True:
        records = [record for record in caplog.records if record.name == "bff.access"]
        if len(records) >= number or time.monotonic() > until:
            return [json.loads(JsonFormatter().format(record)) for record in records]
        time.sleep(0.005)


def test_health_and_ready(gateway: RunningGateway, services: Tapped) -> None:
    """Both are 200 while it serves, whatever the services do. `/ready` has each source and its breaker, and no host."""
    for name in services.ports:
        services.fail(name, Fault.REFUSED)
    assert gateway.http.get(f"{gateway.url}/health").json() == {"status": "ok"}
    ready = gateway.http.get(f"{gateway.url}/ready")
    assert ready.status_code == 200
    sources = {name: {"breaker": "closed"} for name in ("users", "orders", "products")}
    assert ready.json() == {"status": "ready", "sources": sources}
    assert "127.0.0.1" not in ready.text


def test_metrics_of_requests_calls_and_breakers(start_gateway: StartGateway, services: Tapped) -> None:
    """Requests by variant and outcome, calls by source and outcome, the state of each breaker."""
    gateway = start_gateway(BFF_SOURCES__ORDERS__BREAKER__MINIMUM_CALLS="1")
    query = '{ user(id: "1") { name orders { id } } }'
    gateway.ask("web", query, sub="1")
    services.fail("orders", Fault.STATUS_500)
    gateway.ask("web", query, sub="1")
    gateway.ask("web", query, sub="1")
    gateway.ask("mobile", "{ nonsense }")
    response = gateway.http.get(f"{gateway.url}/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=")
    lines = response.text.splitlines()
    for line in (
        'bff_requests_total{outcome="ok",variant="web"} 1.0',
        'bff_requests_total{outcome="partial",variant="web"} 2.0',
        'bff_requests_total{outcome="refused",variant="mobile"} 1.0',
        'bff_operations_total{by="plan",variant="web"} 3.0',
        'bff_upstream_calls_total{outcome="ok",source="users"} 3.0',
        'bff_upstream_calls_total{outcome="ok",source="orders"} 1.0',
        'bff_upstream_calls_total{outcome="bad_answer",source="orders"} 1.0',
        'bff_upstream_calls_total{outcome="breaker_open",source="orders"} 1.0',
        'bff_breaker_state{source="orders",state="open"} 1.0',
        'bff_breaker_state{source="orders",state="closed"} 0.0',
        'bff_breaker_state{source="users",state="closed"} 1.0',
        'bff_documents_total{result="known",variant="web"} 2.0',
    ):
        assert line in lines, line


def test_one_line_a_request(gateway: RunningGateway, services: Tapped, caplog: pytest.LogCaptureFixture) -> None:
    """With operation, status, time, request id, calls by source, and error codes."""
    caplog.set_level(logging.INFO, "bff.access")
    services.fail("orders", Fault.STATUS_503)
    query = "query Account($id: ID!) { user(id: $id) { email orders { id } } product(id: 1) { id } }"
    body = {"query": query, "variables": {"id": "1"}}
    gateway.post("web", body, headers={**gateway.bearer(), "x-request-id": "r-1"})
    (line,) = access_lines(caplog, 1)
    assert line.pop("ms") > 0  # type: ignore[operator]
    assert line.pop("time")
    assert line == {
        "level": "info",
        "logger": "bff.access",
        "message": "request",
        "method": "POST",
        "path": "/web/graphql",
        "variant": "web",
        "consumer": None,
        "operation": "Account",
        "type": "query",
        "status": 200,
        "request_id": "r-1",
        "upstream_calls": {"users": 1, "products": 1, "orders": 1},
        "errors": ["UPSTREAM_UNAVAILABLE"],
    }


def test_the_log_has_no_secrets(gateway: RunningGateway, services: Tapped, caplog: pytest.LogCaptureFixture) -> None:
    """No token, variable, query string, address or text of a service is in any line of our loggers."""
    caplog.set_level(logging.DEBUG, "bff")
    services.fail("orders", Fault.STATUS_500)
    token = gateway.token()
    params = {
        "query": "query ($id: ID!) { user(id: $id) { email orders { id } } }",
        "variables": '{"id":"1"}',
        "secret": "s3cr3t",
    }
    gateway.http.get(f"{gateway.url}/web/graphql", params=params, headers={"authorization": f"Bearer {token}"})
    gateway.http.get(f"{gateway.url}/nowhere?token={token}")
    gateway.post("web", {"query": "{ me { id } }"}, headers={"authorization": f"Bearer {token}x"})
    assert [line["status"] for line in access_lines(caplog, 3)] == [200, 404, 401]
    text = "\n".join(JsonFormatter().format(record) for record in caplog.records if record.name.startswith("bff"))
    for secret in (token, "s3cr3t", '"id":"1"', "user1@example.com", "127.0.0.1", "secret-detail"):
        assert secret not in text


@pytest.mark.parametrize("path", ["/", "/web", "/web/graphql/", "/graphiql/../app.py", "/docs", "/openapi.json", "/%00"])
def test_unknown_paths_are_404(gateway: RunningGateway, path: str) -> None:
    """They are logged as any other request."""
    response = gateway.http.get(gateway.url + path)
    assert response.status_code == 404
    assert response.headers["x-request-id"]


def test_an_internal_error_is_masked_and_logged(
    gateway: RunningGateway, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client gets only the code. The log has the place. Neither has the data."""
    caplog.set_level(logging.ERROR, "bff.errors")

    def broken(*_: object) -> object:
        raise KeyError("user1@example.com")

    monkeypatch.setattr("schema.types.product.scaled", broken)
    answer = gateway.ask("mobile", '{ product(id: "1") { name imageUrl } }')
    assert answer["data"] == {"product": None}
    assert answer["errors"] == [
        {
            "locations": [{"line": 1, "column": 27}],
            "path": ["product", "imageUrl"],
            "message": "Internal server error.",
            "extensions": {"code": "INTERNAL_SERVER_ERROR"},
        }
    ]
    (record,) = [record for record in caplog.records if record.name == "bff.errors"]
    line = JsonFormatter().format(record)
    assert "KeyError" in line
    assert "product.py" in line
    assert "user1@example.com" not in line
