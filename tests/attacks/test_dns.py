"""A name server that hangs for one service's host delays no other service."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.conftest import StartGateway
from tests.support.services import Tapped


@pytest.fixture
def hanging_dns(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Look-ups of one host hang until the test ends. All other `.example` hosts are this machine."""
    over, hanging = threading.Event(), set[Any]()
    real = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *more: Any, **named: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name in hanging:
            over.wait(60)
        if isinstance(name, str) and name.endswith(".example"):
            host = "127.0.0.1"
        return real(host, port, *more, **named)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield hanging.add
    over.set()


@pytest.mark.parametrize("http2", ["false", "true"])
def test_a_hanging_name_server_delays_no_other_service(
    start_gateway: StartGateway, services: Tapped, hanging_dns: Callable[[str], None], http2: str
) -> None:
    """Fifty requests to a healthy service succeed, while more calls than a pool has threads wait for the hanging host."""
    hanging_dns("users.example")
    places = {
        f"{name.upper()}_SERVICE_URL": url.replace("127.0.0.1", f"{name}.example") for name, url in services.urls.items()
    }
    gateway = start_gateway(
        **places,
        BFF_SOURCES__USERS__CONNECT_TIMEOUT_S="0.2",
        BFF_SOURCES__USERS__BREAKER__MINIMUM_CALLS="1000",
        BFF_SOURCES__PRODUCTS__CACHE__ENABLED="false",
        BFF_SOURCES__USERS__HTTP2=http2,
        BFF_SOURCES__PRODUCTS__HTTP2=http2,
    )

    viewers = [
        threading.Thread(target=gateway.ask, args=("web", "{ me { name } }"), kwargs={"sub": str(n)}) for n in range(40)
    ]
    for viewer in viewers:
        viewer.start()
    time.sleep(0.1)  # what was begun stays begun: from now on all threads of a shared pool hang
    answers = [gateway.ask("web", f'{{ product(id: "{number}") {{ name }} }}') for number in range(1, 51)]
    assert answers == [{"data": {"product": {"name": f"Product {number}"}}} for number in range(1, 51)]
    for viewer in viewers:
        viewer.join()
    lost = gateway.ask("web", "{ me { name } }", sub="1")
    assert lost["errors"][0]["extensions"]["code"] == "UPSTREAM_UNAVAILABLE"
    ready = gateway.http.get(f"{gateway.url}/ready").json()["sources"]
    assert ready["products"] == {"breaker": "closed"}
    status = gateway.ask("admin", "{ sources { name instances { healthy } } }")["data"]["sources"]
    assert {each["name"]: each["instances"] for each in status}["products"] == [{"healthy": True}]
    threads = [thread for thread in threading.enumerate() if thread.name == "resolver"]
    assert len(threads) == 1
