"""Several workers: a blocked one delays no stop and is replaced, and none outlives the supervisor."""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.support.gateways import free_port
from tests.support.processes import Command, bff, set_of
from tests.support.services import Tapped

_HANG_S = 30
"""Seconds after which a test that hangs fails."""


@contextmanager
def two_workers(tmp_path: Path, services: Tapped, **environment: str) -> Iterator[tuple[Command, str, list[int]]]:
    """A gateway, its URL, and the process ids of its workers."""
    port = free_port()
    arguments = ("serve", "--host", "127.0.0.1", "--port", str(port), "--workers", "2")
    with bff(tmp_path, *arguments, environment=set_of(services.urls, **environment)) as serve:
        serve.wait_until_ready(url := f"http://127.0.0.1:{port}")
        yield serve, url, workers_of(serve)


def workers_of(serve: Command) -> list[int]:
    """The process ids of its workers."""
    pid = serve.process.pid
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def eventually(is_so: Callable[[], bool]) -> None:
    """Wait until the condition is true."""
    until = time.monotonic() + _HANG_S
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.02)


def can_listen(url: str) -> bool:
    """Whether the port is free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", int(url.rpartition(":")[2])))
        except OSError:
            return False
        return True


def test_a_blocked_worker_does_not_delay_a_stop(tmp_path: Path, services: Tapped) -> None:
    """It is killed after the drain time, and the exit code is 0."""
    with two_workers(tmp_path, services, BFF_DRAIN__TIMEOUT_S="0.1", BFF_SUPERVISOR__UNRESPONSIVE_S="0") as (
        serve,
        url,
        pids,
    ):
        os.kill(pids[0], signal.SIGSTOP)
        serve.process.send_signal(signal.SIGTERM)
        assert serve.process.wait(_HANG_S) == 0
        assert '"worker killed: it did not stop"' in serve.output()
        assert can_listen(url)


def test_a_blocked_worker_is_replaced(tmp_path: Path, services: Tapped) -> None:
    """Otherwise its connections would hang for ever. The other worker serves on."""
    with two_workers(tmp_path, services, BFF_SUPERVISOR__UNRESPONSIVE_S="2") as (serve, url, pids):
        os.kill(pids[0], signal.SIGSTOP)
        serve.wait_for('"worker killed: its event loop is blocked"')
        serve.wait_for('"worker replaced"')
        eventually(lambda: len(workers_of(serve)) == 2 and pids[0] not in workers_of(serve))
        assert httpx.get(f"{url}/health", trust_env=False, timeout=_HANG_S).status_code == 200
        assert serve.stop() == 0


class InFlight:
    """A request that the service answers only when it is let."""

    def __init__(self, services: Tapped, url: str) -> None:
        self._may = threading.Event()
        services.ports["products"].custom = self._slowly
        self._answers: list[httpx.Response] = []
        self._thread = threading.Thread(target=self._ask, args=(url,))
        self._thread.start()
        eventually(lambda: services.ports["products"].requests > 0)

    def _slowly(self, _: bytes) -> bytes:
        self._may.wait(_HANG_S)
        page = b'{"items":[],"nextCursor":null,"total":7}'
        return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(page), page)

    def _ask(self, url: str) -> None:
        query = {"query": "{ products { totalCount } }"}
        self._answers.append(httpx.post(f"{url}/web/graphql", json=query, timeout=_HANG_S, trust_env=False))

    def answer(self) -> object:
        """Let the service answer. Returns what the client got."""
        self._may.set()
        self._thread.join(_HANG_S)
        return self._answers[0].json()


SEVEN = {"data": {"products": {"totalCount": 7}}}


def test_no_worker_outlives_its_supervisor(tmp_path: Path, services: Tapped) -> None:
    """After the supervisor was killed, running requests are finished, and then the port is free for the next gateway."""
    with two_workers(tmp_path, services, BFF_SOURCES__PRODUCTS__TIMEOUT_S="30") as (serve, url, _):
        in_flight = InFlight(services, url)
        serve.process.kill()
        eventually(lambda: serve.output().count('"the supervisor has died: the worker stops"') == 2)
        assert in_flight.answer() == SEVEN
        eventually(lambda: can_listen(url))


def test_a_signal_to_the_whole_group_drains_too(tmp_path: Path, services: Tapped) -> None:
    """Ctrl-C in a terminal and a stop by systemd reach each worker twice. Running requests are finished all the same."""
    with two_workers(tmp_path, services, BFF_SOURCES__PRODUCTS__TIMEOUT_S="30") as (serve, url, _):
        in_flight = InFlight(services, url)
        os.killpg(serve.process.pid, signal.SIGINT)
        serve.wait_for('"draining"')
        time.sleep(0.7)  # in which a worker that took the second signal for impatience would have ended
        assert in_flight.answer() == SEVEN
        assert serve.process.wait(_HANG_S) == 0
