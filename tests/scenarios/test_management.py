"""A port of its own for operators: what is there, and what is no longer on the port for clients."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.scenarios.test_commands import environment_of
from tests.support.gateways import SECRET, free_port
from tests.support.processes import Command, bff
from tests.support.services import Tapped

TYPENAME = {"query": "{ __typename }"}


class Ports:
    """The URLs of both ports."""

    def __init__(self) -> None:
        ports = free_port(), free_port()
        self.clients, self.operators = (f"http://127.0.0.1:{port}" for port in ports)
        self.settings = {"PORT": str(ports[0]), "HOST": "127.0.0.1", "BFF_MANAGEMENT__PORT": str(ports[1])}


def get(url: str, **headers: str) -> httpx.Response:
    """The answer to a GET."""
    return httpx.get(url, headers=headers, trust_env=False, timeout=30)


def post(url: str, **headers: str) -> int:
    """The status of the simplest operation."""
    return httpx.post(url, json=TYPENAME, headers=headers, trust_env=False, timeout=30).status_code


@contextmanager
def serving(folder: Path, services: Tapped, ports: Ports, **more: str) -> Iterator[Command]:
    """`bff serve` once it is ready."""
    with bff(folder, "serve", environment={**environment_of(services), **ports.settings, **more}) as serve:
        serve.wait_until_ready(ports.clients)
        yield serve


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_state_of_the_gateway_is_on_the_port_for_operators_alone(tmp_path: Path, services: Tapped, workers: str) -> None:
    """Metrics and the sources' breakers. Both ports have `/health` and the status of `/ready`, for load balancers."""
    ports = Ports()
    with serving(tmp_path, services, ports, WORKERS=workers) as serve:
        assert get(f"{ports.clients}/metrics").status_code == 404
        assert get(f"{ports.clients}/ready").json() == {"status": "ready"}
        assert "bff_requests_total" in get(f"{ports.operators}/metrics").text
        ready = get(f"{ports.operators}/ready").json()
        assert ready["status"] == "ready"
        assert set(ready["sources"]) == {"users", "orders", "products"}
        for url in (ports.clients, ports.operators):
            assert get(f"{url}/health").json() == {"status": "ok"}
        assert post(f"{ports.clients}/web/graphql") == 200
        assert post(f"{ports.operators}/web/graphql") == 404
        assert f'"management_url":"{ports.operators}"' in serve.output()
        assert serve.stop() == 0


def test_a_variant_can_be_served_there_alone(tmp_path: Path, services: Tapped) -> None:
    """With its GraphiQL, its trusted documents and its page of them. Roles are needed as everywhere."""
    ports = Ports()
    more = {
        "BFF_MANAGEMENT__VARIANTS": "admin",
        "BFF_VARIANTS__ADMIN__OPENAPI": "true",
        "BFF_VARIANTS__WEB__OPENAPI": "true",
        "BFF_VARIANTS__WEB__GRAPHIQL": "true",
        "BFF_CORS__ORIGINS": "*",
    }
    with serving(tmp_path, services, ports, **more) as serve:
        with bff(tmp_path, "token", "--sub", "1", "--role", "admin", environment={"JWT_SECRET": SECRET}) as made:
            assert made.process.wait(60) == 0
            bearer = f"Bearer {made.output().strip()}"
        assert post(f"{ports.operators}/admin/graphql", authorization=bearer) == 200
        assert post(f"{ports.operators}/admin/graphql") == 401
        for path in ("/admin/graphql", "/admin/api/Anything"):
            assert post(f"{ports.clients}{path}", authorization=bearer) == 404
        pages = {
            url: get(f"{url}/{name}/graphql", accept="text/html").text
            for url, name in ((ports.clients, "web"), (ports.operators, "admin"))
        }
        assert "/admin/graphql" not in pages[ports.clients]
        assert "/mobile/graphql" in pages[ports.clients]
        assert "/web/graphql" not in pages[ports.operators]
        for url, name in ((ports.clients, "web"), (ports.operators, "admin")):
            assert get(f"{url}/docs").status_code == 200
            tags = {each["name"] for each in get(f"{url}/openapi.json").json().get("tags", [])}
            assert tags <= {name}
        answer = get(f"{ports.operators}/health", origin="https://shop.example.com")
        assert "access-control-allow-origin" not in answer.headers
        assert serve.stop() == 0


def test_routes_are_on_the_port_for_clients_alone(tmp_path: Path, services: Tapped) -> None:
    """They are for clients."""
    ports = Ports()
    routes = '[{"path": "/v1/users", "source": "users", "rewrite": "/users", "access": "anyone"}]'
    with serving(tmp_path, services, ports, BFF_ROUTES=routes):
        assert get(f"{ports.operators}/v1/users/1").status_code == 404
        assert get(f"{ports.clients}/v1/users/1").json()["id"] == 1


def test_both_ports_are_closed_by_a_stop(tmp_path: Path, services: Tapped) -> None:
    """During `drain.delay_s` both say that the gateway is about to stop."""
    ports = Ports()
    with serving(tmp_path, services, ports, BFF_DRAIN__DELAY_S="2") as serve:
        serve.process.send_signal(15)
        until = time.monotonic() + 60
        while get(f"{ports.operators}/ready").status_code != 503:
            assert time.monotonic() < until
        assert get(f"{ports.clients}/ready").json() == {"status": "draining"}
        assert serve.process.wait(60) == 0
        for url in (ports.clients, ports.operators):
            with pytest.raises(httpx.TransportError):
                get(f"{url}/health")


def test_a_variant_without_a_port_stops_the_start(tmp_path: Path, services: Tapped) -> None:
    """It would be served nowhere. A name that is no variant is refused too."""
    for more, message in (
        ({"BFF_MANAGEMENT__VARIANTS": "admin"}, "expected port as well"),
        ({"BFF_MANAGEMENT__VARIANTS": "nobody", "BFF_MANAGEMENT__PORT": "0"}, "BFF_MANAGEMENT__VARIANTS"),
    ):
        with bff(tmp_path, "serve", environment={**environment_of(services), **more}) as serve:
            assert serve.process.wait(60) == 2
            assert message in serve.output()
