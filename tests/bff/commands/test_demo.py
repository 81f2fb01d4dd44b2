"""Serving: ports, options, a clean end."""

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
    """The services have ports that people can remember."""
    assert dict(DEFAULT_PORTS) == {"users": 8101, "orders": 8102, "products": 8103}


async def test_services_listen_where_they_are_told_and_end() -> None:
    """The URLs have the ports asked for; after the end nobody listens there and the ports can be had again."""
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
    """An OSError says which service could not have which port, and the ports bound before it are free again."""
    free = _free_ports(1)[0]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"the orders service cannot listen on 127.0.0.1:{port}") as caught:
            async with running(ports={"users": free, "orders": port, "products": 0}):
                pytest.fail("was started")
    assert caught.value.errno == errno.EADDRINUSE
    socket.create_server(("127.0.0.1", free)).close()


async def test_falling_back_takes_another_port() -> None:
    """With `fall_back` the service whose port is in use is served elsewhere, the others where they were asked for."""
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
    """A port for a service that there is not is a mistake."""
    with pytest.raises(ValueError, match="payments"):
        async with running(ports={"payments": 0}):
            pytest.fail("was started")


async def test_two_sets_do_not_know_of_each_other() -> None:
    """Each running set has its own data, unless it is given some."""
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


async def test_entity_tags_are_the_same_everywhere() -> None:
    """Instances with the same data give the same tag, so that any of them can answer 304."""
    async with (
        running(ports=ANY_PORTS) as one,
        running(ports=ANY_PORTS) as two,
        httpx.AsyncClient(trust_env=False) as client,
    ):
        tag = (await client.get(f"{one['users']}/users/1")).headers["ETag"]
        response = await client.get(f"{two['users']}/users/1", headers={"If-None-Match": tag})
    assert response.status_code == 304


async def test_answers_do_not_wait_for_delayed_acknowledgements(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers go out at once: sockets made without their protocol's number kept each one back for 40 ms."""
    protocols: list[int] = []
    listen = socket.socket.listen

    def noted(self: socket.socket, *arguments: int) -> None:
        protocols.append(self.proto)
        listen(self, *arguments)

    monkeypatch.setattr(socket.socket, "listen", noted)
    async with running(ports=ANY_PORTS):
        assert set(protocols) == {socket.IPPROTO_TCP}


async def test_signals_stay_with_the_process() -> None:
    """Serving changes no signal handler."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    async with running(ports=ANY_PORTS) as urls, httpx.AsyncClient(trust_env=False) as client:
        await client.get(f"{urls['users']}/health")
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


async def test_latency_is_added_to_every_answer_but_health() -> None:
    """Reads, writes, refusals and unknown paths wait; health does not."""
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


async def test_latency_holds_back_the_answer_and_not_the_work() -> None:
    """A client that gave up before the answer finds its write done: what idempotency keys are for."""
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


async def test_no_store_takes_the_place_of_caching() -> None:
    """With `no_store` no answer may be kept by anyone."""
    async with running(DemoOptions(no_store=True), ports=ANY_PORTS) as urls, httpx.AsyncClient(trust_env=False) as client:
        for name, url in urls.items():
            for path in (f"/{name}/1", f"/{name}?ids=1", f"/{name}"):
                assert (await client.get(url + path)).headers["Cache-Control"] == "no-store"


async def test_requests_under_way_are_answered_before_the_end() -> None:
    """The end waits for answers that are under way."""
    data = DemoData()
    async with httpx.AsyncClient(trust_env=False) as client:
        async with running(DemoOptions(latency_s=0.3), ports=ANY_PORTS, data=data) as urls:
            task = asyncio.create_task(client.patch(f"{urls['users']}/users/1", json={"name": "Last"}))
            while b'"Last"' not in data.users.json([1]):  # noqa: ASYNC110 -- the data tell nobody
                await asyncio.sleep(0.001)
        assert (await task).status_code == 200


async def test_an_end_right_after_the_start_is_clean() -> None:
    """A context that is left at once leaves no task and no socket."""
    async with running(ports=ANY_PORTS) as urls:
        pass
    assert len(asyncio.all_tasks()) == 1
    for url in urls.values():
        socket.create_server(("127.0.0.1", _port(url))).close()


async def test_cancelling_ends_the_services() -> None:
    """The services end with the task that runs them, and the cancellation goes through."""
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


def test_a_latency_below_nothing_is_refused() -> None:
    """Options are checked where they are made."""
    with pytest.raises(ValueError, match="latency_s"):
        DemoOptions(latency_s=-1)
