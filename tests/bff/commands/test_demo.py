"""Serving demo services: ports, options, shutdown."""

import asyncio
import errno
import signal
import socket
import time
from urllib.parse import urlsplit

import httpx
import pytest

from bff.app import DemoOptions
from datasources.demo.data import DemoData
from tests.support.demo import ANY_PORTS, DEFAULT_PORTS, running


def _port(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None
    return port


def _free_ports(number: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [sock.getsockname()[1] for sock in sockets]
    for sock in sockets:
        sock.close()
    return ports


def test_default_ports() -> None:
    """8101 to 8103."""
    assert dict(DEFAULT_PORTS) == {"users": 8101, "orders": 8102, "products": 8103}


async def test_services_listen_on_the_given_ports_until_the_end() -> None:
    """The URLs have the given ports. After the end the ports are closed and can be bound again."""
    ports = dict(zip(DEFAULT_PORTS, _free_ports(3), strict=True))
    for _ in range(2):
        async with running(ports=ports) as urls, httpx.AsyncClient(trust_env=False) as client:
            assert urls == {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
            for url in urls.values():
                assert (await client.get(f"{url}/health")).status_code == 200
        for port in ports.values():
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", port)


async def test_a_port_in_use_is_named_and_nothing_starts() -> None:
    """The OSError names the service and the port, and the ports that were already bound are closed."""
    free = _free_ports(1)[0]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"the orders service cannot listen on 127.0.0.1:{port}") as caught:
            async with running(ports={"users": free, "orders": port, "products": 0}):
                pytest.fail("was started")
    assert caught.value.errno == errno.EADDRINUSE
    socket.create_server(("127.0.0.1", free)).close()


async def test_with_fall_back_another_port_is_used() -> None:
    """For the service whose port is in use. The others have the given ports."""
    free = _free_ports(1)[0]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with (
            running(ports={"users": free, "orders": port, "products": 0}, fall_back=True) as urls,
            httpx.AsyncClient(trust_env=False) as client,
        ):
            assert _port(urls["users"]) == free
            assert _port(urls["orders"]) != port
            assert (await client.get(f"{urls['orders']}/orders/1")).json()["id"] == 1


async def test_an_unknown_service_is_named() -> None:
    """A port for an unknown service is an error."""
    with pytest.raises(ValueError, match="payments"):
        async with running(ports={"payments": 0}):
            pytest.fail("was started")


async def test_each_running_set_has_its_own_data() -> None:
    """Unless both are given the same data."""
    data = DemoData()
    async with (
        running(ports=ANY_PORTS, data=data) as one,
        running(ports=ANY_PORTS) as two,
        running(ports=ANY_PORTS, data=data) as three,
        httpx.AsyncClient(trust_env=False) as client,
    ):
        await client.patch(f"{one['users']}/users/1", json={"name": "Changed"})
        names = [(await client.get(f"{urls['users']}/users/1")).json()["name"] for urls in (one, two, three)]
    assert names == ["Changed", "User 1", "Changed"]


async def test_instances_have_the_same_entity_tags() -> None:
    """If their data are the same, so that any of them can respond with 304."""
    async with (
        running(ports=ANY_PORTS) as one,
        running(ports=ANY_PORTS) as two,
        httpx.AsyncClient(trust_env=False) as client,
    ):
        tag = (await client.get(f"{one['users']}/users/1")).headers["ETag"]
        response = await client.get(f"{two['users']}/users/1", headers={"If-None-Match": tag})
    assert response.status_code == 304


async def test_responses_do_not_wait_for_delayed_acknowledgements(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sockets that are made without a protocol number once delayed each response by 40 ms."""
    protocols: list[int] = []
    listen = socket.socket.listen

    def noted(self: socket.socket, *arguments: int) -> None:
        protocols.append(self.proto)
        listen(self, *arguments)

    monkeypatch.setattr(socket.socket, "listen", noted)
    async with running(ports=ANY_PORTS):
        assert set(protocols) == {socket.IPPROTO_TCP}


async def test_signal_handlers_are_not_changed() -> None:
    """Before, during and after requests they are the same."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    async with running(ports=ANY_PORTS) as urls, httpx.AsyncClient(trust_env=False) as client:
        await client.get(f"{urls['users']}/health")
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


async def test_latency_delays_every_response_except_health() -> None:
    """Reads, writes, errors and unknown paths are delayed."""
    async with (
        running(DemoOptions(latency_s=3600), ports=ANY_PORTS) as urls,
        httpx.AsyncClient(trust_env=False, timeout=30) as client,
    ):
        assert (await client.get(f"{urls['users']}/health")).status_code == 200
    options = DemoOptions(latency_s=0.08)
    async with running(options, ports=ANY_PORTS) as urls, httpx.AsyncClient(trust_env=False) as client:
        base = urls["users"]

        async def took_s(method: str, path: str) -> float:
            start_s = time.perf_counter()
            await client.request(method, base + path, json={"name": "A"} if method == "PATCH" else None)
            return time.perf_counter() - start_s

        calls = [("GET", "/users/1"), ("PATCH", "/users/1"), ("GET", "/users/x"), ("GET", "/nothing")]
        slow = await asyncio.gather(*(took_s(*call) for call in calls))
        assert min(slow) >= 0.079


async def test_latency_delays_the_response_and_not_the_write() -> None:
    """If the client gives up before the response, its write is still executed."""
    data = DemoData()
    async with (
        running(DemoOptions(latency_s=1.5), ports=ANY_PORTS, data=data) as urls,
        httpx.AsyncClient(trust_env=False, timeout=30) as client,
    ):
        asked = asyncio.create_task(client.patch(f"{urls['users']}/users/1", json={"name": "Late"}))
        while b'"Late"' not in data.users.json([1]):
            assert not asked.done()
            await asyncio.sleep(0.001)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)


async def test_no_store_replaces_cache_control() -> None:
    """In the response to every kind of read."""
    async with running(DemoOptions(no_store=True), ports=ANY_PORTS) as urls, httpx.AsyncClient(trust_env=False) as client:
        for name, url in urls.items():
            for path in (f"/{name}/1", f"/{name}?ids=1", f"/{name}"):
                assert (await client.get(url + path)).headers["Cache-Control"] == "no-store"


async def test_running_requests_end_before_shutdown() -> None:
    """The context waits for their responses."""
    data = DemoData()
    async with httpx.AsyncClient(trust_env=False) as client:
        async with running(DemoOptions(latency_s=0.3), ports=ANY_PORTS, data=data) as urls:
            task = asyncio.create_task(client.patch(f"{urls['users']}/users/1", json={"name": "Last"}))
            while b'"Last"' not in data.users.json([1]):  # noqa: ASYNC110 -- the data have no event to wait for
                await asyncio.sleep(0.001)
        assert (await task).status_code == 200


async def test_an_immediate_shutdown_is_clean() -> None:
    """It leaves no task and no socket."""
    async with running(ports=ANY_PORTS) as urls:
        pass
    assert len(asyncio.all_tasks()) == 1
    for url in urls.values():
        socket.create_server(("127.0.0.1", _port(url))).close()


async def test_cancellation_stops_the_services() -> None:
    """The services stop with the task that runs them, and the cancellation is propagated."""
    urls: dict[str, str] = {}
    up = asyncio.Event()

    async def forever() -> None:
        async with running(ports=ANY_PORTS) as bound:
            urls.update(bound)
            up.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(forever())
    await up.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", _port(urls["users"]))


def test_a_negative_latency_is_refused() -> None:
    """When the options are made."""
    with pytest.raises(ValueError, match="latency_s"):
        DemoOptions(latency_s=-1)
