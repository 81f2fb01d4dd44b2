"""A stop loses no request: not behind a proxy, not in the accept queue, not on a keep-alive connection."""

import json
import os
import signal
import socket
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from bff.commands import token as tokens
from bff.settings import load
from schema.app import app as shop_app
from tests.support.gateways import SECRET, free_port
from tests.support.processes import Command, bff
from tests.support.proxies import nginx
from tests.support.rolling import Traffic
from tests.support.services import Tapped
from tests.support.sockets import one_answer

QUERY = json.dumps({"query": "{ __typename }"}).encode()
REQUEST = (
    b"POST /web/graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(QUERY)
) + QUERY
READY = b"GET /ready HTTP/1.1\r\nhost: x\r\n\r\n"


def environment_of(services: Tapped, **more: str) -> dict[str, str]:
    """The environment of a gateway in front of the services."""
    places = {f"{name.upper()}_SERVICE_URL": url for name, url in services.urls.items()}
    return {"JWT_SECRET": SECRET, "BFF_RATE__ENABLED": "false", "LOG_LEVEL": "warning", **places, **more}


def serving(stack: ExitStack, folder: Path, services: Tapped, port: int, workers: int = 1, **more: str) -> Command:
    """`bff serve` on that port, ready."""
    arguments = ("serve", "--host", "127.0.0.1", "--port", str(port), "--workers", str(workers))
    command = stack.enter_context(bff(folder, *arguments, environment=environment_of(services, **more)))
    command.wait_until_ready(f"http://127.0.0.1:{port}")
    return command


def connect(port: int) -> socket.socket:
    """A connection to it."""
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def test_after_the_delay_each_answer_closes_its_connection(tmp_path: Path, services: Tapped) -> None:
    """`/ready` is 503 from the signal on. Then a kept connection is served once more, with `Connection: close`."""
    port = free_port()
    with ExitStack() as stack:
        serve = serving(stack, tmp_path, services, port, BFF_DRAIN__DELAY_S="2")
        kept, late = (stack.enter_context(connect(port)) for _ in range(2))
        for connection in (kept, late):
            connection.sendall(REQUEST)
            assert one_answer(connection)[0] == 200
        serve.process.send_signal(signal.SIGTERM)
        answered: list[tuple[int, bytes]] = []
        while not answered or answered[-1][0] != 503:
            kept.sendall(READY)
            answered.append(one_answer(kept)[:2])
        for _ in range(5):
            kept.sendall(REQUEST)
            status, head, _ = one_answer(kept)
            assert status == 200
            assert b"connection: close" not in head.lower()
        assert httpx.get(f"http://127.0.0.1:{port}/ready", trust_env=False).status_code == 503  # a new connection
        # Until the delay is over, and beyond.
        while b"connection: close" not in head.lower():
            kept.sendall(REQUEST)
            status, head, _ = one_answer(kept)
            assert status == 200
            time.sleep(0.05)
        assert kept.recv(1) == b""
        late.sendall(REQUEST)
        status, head, _ = one_answer(late)
        assert (status, b"connection: close" in head.lower()) == (200, True)
        assert serve.process.wait(20) == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_connections_in_the_accept_queue_are_served(tmp_path: Path, services: Tapped, workers: int) -> None:
    """The kernel has accepted them, and their requests must not be reset."""
    port = free_port()
    with ExitStack() as stack:
        serve = serving(stack, tmp_path, services, port, workers)
        children = Path(f"/proc/{serve.process.pid}/task/{serve.process.pid}/children").read_text().split()
        stopped = [int(child) for child in children] or [serve.process.pid]
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        waiting = [stack.enter_context(connect(port)) for _ in range(50)]
        for connection in waiting:
            connection.sendall(REQUEST)
        serve.process.send_signal(signal.SIGTERM)
        time.sleep(0.1)
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
        for connection in waiting:
            assert one_answer(connection)[0] == 200
        assert serve.process.wait(20) == 0


def test_an_idle_connection_is_closed(tmp_path: Path, services: Tapped) -> None:
    """An idle connection doesn't delay the stop."""
    port = free_port()
    with ExitStack() as stack:
        serve = serving(stack, tmp_path, services, port, BFF_DRAIN__TIMEOUT_S="300")
        idle, fresh = (stack.enter_context(connect(port)) for _ in range(2))
        idle.sendall(REQUEST)
        assert one_answer(idle)[0] == 200
        serve.process.send_signal(signal.SIGTERM)
        assert idle.recv(1) == fresh.recv(1) == b""
        assert serve.process.wait(20) == 0


def test_pipelined_requests_are_answered(tmp_path: Path, services: Tapped) -> None:
    """Only the last answer closes the connection."""
    port = free_port()
    with ExitStack() as stack:
        serve = serving(stack, tmp_path, services, port, BFF_SOURCES__PRODUCTS__TIMEOUT_S="10")
        slow = threading.Event()

        def when_told(_: bytes) -> bytes:
            slow.wait(10)
            return b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"

        services.ports["products"].custom = when_told
        connection = stack.enter_context(connect(port))
        body = json.dumps({"query": "{ product(id: 1) { name } }"}).encode()
        head = b"POST /web/graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        connection.sendall(head % len(body) + body)
        while services.ports["products"].requests == 0:
            time.sleep(0.01)
        serve.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        connection.sendall(REQUEST)
        time.sleep(0.2)
        slow.set()
        assert one_answer(connection)[2] == b'{"data":{"product":null}}'
        status, last, _ = one_answer(connection)
        assert (status, b"connection: close" in last.lower()) == (200, True)
        assert serve.process.wait(20) == 0


@pytest.mark.long
def test_a_rolling_restart_behind_nginx_loses_and_repeats_nothing(tmp_path: Path, services: Tapped) -> None:
    """Two gateways with default settings are replaced in turn, while clients read and write."""
    ports = [free_port() for _ in range(2)]
    before = sum(1 for _ in services.data.orders.records())
    with ExitStack() as stack:
        running = [serving(stack, tmp_path, services, port) for port in ports]
        urls = [f"http://127.0.0.1:{port}" for port in ports]
        url = stack.enter_context(nginx(tmp_path, urls, options="max_fails=0"))
        traffic = Traffic(url, {"authorization": f"Bearer {token()}"})

        def roll() -> None:
            for turn in range(4):
                assert running[turn % 2].stop() == 0
                running[turn % 2] = serving(stack, tmp_path, services, ports[turn % 2])

        traffic.run(4, roll)
    assert not traffic.failures
    assert traffic.asked > 100
    assert len(set(traffic.orders)) == len(traffic.orders) == sum(1 for _ in services.data.orders.records()) - before


def token() -> str:
    """One for user 1."""
    return tokens.make(load(shop_app, {"JWT_SECRET": SECRET}), sub="1")
