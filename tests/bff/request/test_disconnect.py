"""When the client goes away, the work for it stops."""

import asyncio
from typing import Any

import pytest

from bff.request import disconnect as hangup
from bff.request.disconnect import CancelOnDisconnect, cancel_nothing
from bff.request.http import ClientDisconnected


class Client:
    """What the server's `receive` knows of the client: silent until it says or does something."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.looked = 0

    async def receive(self) -> dict[str, Any]:
        self.looked += 1
        return await self.messages.get()

    def hang_up(self) -> None:
        self.messages.put_nowait({"type": "http.disconnect"})


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    """A client that is looked after at once."""
    monkeypatch.setattr(hangup, "_PATIENCE_S", 0)
    return Client()


def tasks() -> int:
    """How many tasks there are beside the test's own."""
    return len(asyncio.all_tasks()) - 1


async def until_cancelled(seen: list[str]) -> None:
    """Work that takes for ever, and notes its end."""
    try:
        await asyncio.get_running_loop().create_future()
    except asyncio.CancelledError:
        seen.append("cancelled")
        raise


async def test_what_runs_is_cancelled_when_the_client_is_gone(client: Client) -> None:
    """And is said to be gone, not cancelled: the server's task goes on."""
    seen: list[str] = []
    asyncio.get_running_loop().call_later(0.02, client.hang_up)
    with pytest.raises(ClientDisconnected):
        async with CancelOnDisconnect(client.receive):
            await until_cancelled(seen)
    assert seen == ["cancelled"]
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await asyncio.sleep(0)
    assert tasks() == 0


async def test_what_else_the_client_sends_is_no_reason(client: Client) -> None:
    """Only its going is."""
    client.messages.put_nowait({"type": "http.request", "body": b"", "more_body": False})
    async with CancelOnDisconnect(client.receive):
        await asyncio.sleep(0.02)
    assert client.looked == 2


async def test_a_quick_answer_is_not_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks before it would be worth it, and nothing is left over."""
    monkeypatch.setattr(hangup, "_PATIENCE_S", 3600)
    client = Client()
    watch = CancelOnDisconnect(client.receive)
    async with watch:
        await asyncio.sleep(0)
    assert (client.looked, tasks()) == (0, 0)
    assert watch._timer.cancelled()


async def test_an_answer_that_is_there_goes_out(client: Client) -> None:
    """The watching ends with the work."""
    async with CancelOnDisconnect(client.receive):
        await asyncio.sleep(0.02)
    await asyncio.sleep(0)
    assert (client.looked, tasks()) == (1, 0)


async def test_another_cancellation_goes_on(client: Client) -> None:
    """A server that stops is not taken for a client that goes."""

    async def request() -> None:
        async with CancelOnDisconnect(client.receive):
            await until_cancelled([])

    running = asyncio.create_task(request())
    await asyncio.sleep(0.02)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_both_at_once_is_the_servers(client: Client) -> None:
    """Gone and stopped in one moment: the stop goes on."""

    async def request() -> None:
        async with CancelOnDisconnect(client.receive):
            await until_cancelled([])

    running = asyncio.create_task(request())
    await asyncio.sleep(0.02)
    running.cancel()
    client.hang_up()
    with pytest.raises((asyncio.CancelledError, ClientDisconnected)):
        await running
    assert tasks() == 0


async def test_an_error_of_the_work_is_its_own(client: Client) -> None:
    """It comes through as it is."""
    with pytest.raises(ZeroDivisionError):
        async with CancelOnDisconnect(client.receive):
            raise ZeroDivisionError


async def test_what_must_not_be_stopped_goes_on(client: Client) -> None:
    """It runs to its end; afterwards `is_gone` is true."""
    asyncio.get_running_loop().call_later(0.02, client.hang_up)
    async with CancelOnDisconnect(client.receive, cancel_nothing) as watch:
        async with asyncio.timeout(5):
            while not watch.is_gone:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        await asyncio.sleep(0)
    assert watch.is_gone
    await asyncio.sleep(0)
    assert tasks() == 0


async def test_what_ends_is_for_the_caller_to_say(client: Client) -> None:
    """In place of the task, `stop` is called, once."""
    stopped: list[str] = []
    client.hang_up()
    async with CancelOnDisconnect(client.receive, lambda: stopped.append("stopped")):
        async with asyncio.timeout(5):
            while not stopped:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
    assert stopped == ["stopped"]


async def test_the_server_stops_what_the_client_could_not(client: Client) -> None:
    """A mutation whose client is gone still ends with the server."""
    seen: list[str] = []

    async def request() -> None:
        async with CancelOnDisconnect(client.receive, cancel_nothing):
            await until_cancelled(seen)

    running = asyncio.create_task(request())
    client.hang_up()
    await asyncio.sleep(0.02)
    assert not running.done()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert seen == ["cancelled"]
