"""When the client disconnects, the work for it is cancelled."""

import asyncio
from typing import Any

import pytest

import bff.request.disconnect as watching
from bff.request.disconnect import CancelOnDisconnect, cancel_nothing
from bff.request.http import ClientDisconnected


class Client:
    """A client as ASGI's `receive` sees it: silent until it sends something or disconnects."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.received = 0

    async def receive(self) -> dict[str, Any]:
        self.received += 1
        return await self.messages.get()

    def disconnect(self) -> None:
        self.messages.put_nowait({"type": "http.disconnect"})


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    """A client that is watched at once."""
    monkeypatch.setattr(watching, "_WATCH_AFTER_S", 0)
    return Client()


def tasks() -> int:
    """The number of tasks besides the test's own."""
    return len(asyncio.all_tasks()) - 1


async def until_cancelled(seen: list[str]) -> None:
    """Work that never ends by itself. Notes when it is cancelled."""
    try:
        await asyncio.get_running_loop().create_future()
    except asyncio.CancelledError:
        seen.append("cancelled")
        raise


async def test_work_is_cancelled_when_the_client_disconnects(client: Client) -> None:
    """It ends with `ClientDisconnected`, not with a cancellation: the server's task continues."""
    seen: list[str] = []
    asyncio.get_running_loop().call_later(0.02, client.disconnect)
    with pytest.raises(ClientDisconnected):
        async with CancelOnDisconnect(client.receive):
            await until_cancelled(seen)
    assert seen == ["cancelled"]
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await asyncio.sleep(0)
    assert tasks() == 0


async def test_other_messages_cancel_nothing(client: Client) -> None:
    """Only a disconnect does."""
    client.messages.put_nowait({"type": "http.request", "body": b"", "more_body": False})
    async with CancelOnDisconnect(client.receive):
        await asyncio.sleep(0.02)
    assert client.received == 2


async def test_short_work_is_not_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Watching begins only after a while; no task and no timer is left over."""
    monkeypatch.setattr(watching, "_WATCH_AFTER_S", 3600)
    client = Client()
    watch = CancelOnDisconnect(client.receive)
    async with watch:
        await asyncio.sleep(0)
    assert (client.received, tasks()) == (0, 0)
    assert watch._timer.cancelled()


async def test_watching_ends_with_the_work(client: Client) -> None:
    """Its task is cancelled."""
    async with CancelOnDisconnect(client.receive):
        await asyncio.sleep(0.02)
    await asyncio.sleep(0)
    assert (client.received, tasks()) == (1, 0)


async def test_a_cancellation_by_the_server_is_not_swallowed(client: Client) -> None:
    """A server that stops is not mistaken for a client that disconnects."""

    async def request() -> None:
        async with CancelOnDisconnect(client.receive):
            await until_cancelled([])

    running = asyncio.create_task(request())
    await asyncio.sleep(0.02)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_cancellation_by_the_server_wins(client: Client) -> None:
    """If the client disconnects at the same moment, the work ends all the same and nothing is left over."""

    async def request() -> None:
        async with CancelOnDisconnect(client.receive):
            await until_cancelled([])

    running = asyncio.create_task(request())
    await asyncio.sleep(0.02)
    running.cancel()
    client.disconnect()
    with pytest.raises((asyncio.CancelledError, ClientDisconnected)):
        await running
    assert tasks() == 0


async def test_an_error_of_the_work_passes_through(client: Client) -> None:
    """Unchanged."""
    with pytest.raises(ZeroDivisionError):
        async with CancelOnDisconnect(client.receive):
            raise ZeroDivisionError


async def test_work_that_must_not_be_cancelled_continues(client: Client) -> None:
    """It runs to its end; afterwards `is_gone` is true."""
    asyncio.get_running_loop().call_later(0.02, client.disconnect)
    async with CancelOnDisconnect(client.receive, cancel_nothing) as watch:
        async with asyncio.timeout(5):
            while not watch.is_gone:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        await asyncio.sleep(0)
    assert watch.is_gone
    await asyncio.sleep(0)
    assert tasks() == 0


async def test_stop_is_called_instead_of_cancelling(client: Client) -> None:
    """Once, and the task is not cancelled."""
    stopped: list[str] = []
    client.disconnect()
    async with CancelOnDisconnect(client.receive, lambda: stopped.append("stopped")):
        async with asyncio.timeout(5):
            while not stopped:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
    assert stopped == ["stopped"]


async def test_the_server_cancels_work_that_a_disconnect_does_not(client: Client) -> None:
    """A mutation whose client has disconnected still ends when the server stops."""
    seen: list[str] = []

    async def request() -> None:
        async with CancelOnDisconnect(client.receive, cancel_nothing):
            await until_cancelled(seen)

    running = asyncio.create_task(request())
    client.disconnect()
    await asyncio.sleep(0.02)
    assert not running.done()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert seen == ["cancelled"]
