"""The resolver: what is looked up, how often, and when older addresses are used. Look-ups and time are faked."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Sequence

import pytest

from bff.upstream.wire import NotAttempted, NotConnected, WireOptions, WireRequest
from bff.upstream.wire import resolver as resolver_module
from bff.upstream.wire.asyncio_wire import AsyncioWire
from bff.upstream.wire.resolver import FAILED_S, FRESH_S, GOOD_S, Resolver, ResolverFull, connect_first
from tests.bff.upstream.wire.peer import Peer, listening
from tests.support.fakes import Clock

PATIENCE_S = 10.0


class Names:
    """A fake blocking resolver. A host in `hangs` blocks until the test ends; `asked` has every look-up."""

    def __init__(self) -> None:
        self.addresses: dict[str, Sequence[str]] = {}
        self.errors: dict[str, Exception] = {}
        self.hangs: set[str] = set()
        self.asked: list[str] = []
        self.over = threading.Event()

    def __call__(self, host: str) -> Sequence[str]:
        self.asked.append(host)
        if host in self.hangs:
            self.over.wait(60)
        if host in self.errors:
            raise type(self.errors[host])(*self.errors[host].args)
        return self.addresses.get(host, ("192.0.2.1",))


@pytest.fixture
async def names() -> AsyncIterator[Names]:
    """The look-ups."""
    names = Names()
    yield names
    names.over.set()


@pytest.fixture
def resolver(names: Names, clock: Clock) -> Resolver:
    """The resolver above them."""
    return Resolver(names, clock)


@pytest.fixture
def clock() -> Clock:
    """Its time."""
    return Clock()


async def resolve(resolver: Resolver, host: str, patience_s: float = 1.0) -> tuple[str, ...]:
    """The addresses. A test that would wait for ever fails."""
    return await asyncio.wait_for(resolver.resolve(host, patience_s), PATIENCE_S)


async def looked_up(resolver: Resolver) -> None:
    """Wait until no look-up runs."""
    async with asyncio.timeout(PATIENCE_S):
        while resolver._running:  # noqa: ASYNC110 - threads report in no other way
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "203.0.113.7", "localhost", "LOCALHOST."])
async def test_addresses_and_localhost_are_not_looked_up(resolver: Resolver, names: Names, host: str) -> None:
    """RFC 6761, section 6.3."""
    assert await resolve(resolver, host) == (("127.0.0.1", "::1") if "ocal" in host.lower() else (host,))
    assert names.asked == []


async def test_a_result_is_cached(resolver: Resolver, names: Names, clock: Clock) -> None:
    """Twenty requests wait for one look-up. After `FRESH_S`, a new look-up runs while the cached addresses are used."""
    names.addresses["a.example"] = ("192.0.2.1", "192.0.2.2", "192.0.2.1")
    for found in await asyncio.gather(*(resolve(resolver, "a.example") for _ in range(20))):
        assert found == ("192.0.2.1", "192.0.2.2")
    clock.now += FRESH_S - 0.1
    await resolve(resolver, "a.example")
    assert names.asked == ["a.example"]
    names.addresses["a.example"] = ("192.0.2.9",)
    clock.now += 0.1
    assert await resolve(resolver, "a.example") == ("192.0.2.1", "192.0.2.2")
    await looked_up(resolver)
    assert await resolve(resolver, "a.example") == ("192.0.2.9",)
    assert len(names.asked) == 2


async def test_a_hanging_host_delays_no_other(resolver: Resolver, names: Names) -> None:
    """However many hosts hang: each has one thread, however many requests wait for it."""
    names.hangs = {f"slow-{number}.example" for number in range(20)}
    waiting = [asyncio.create_task(resolver.resolve(host)) for host in names.hangs for _ in range(3)]
    await asyncio.sleep(0)
    assert await resolve(resolver, "well.example") == ("192.0.2.1",)
    assert len(names.asked) == 21
    assert not any(task.done() for task in waiting)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_there_are_never_more_threads_than_allowed(
    resolver: Resolver, names: Names, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond that a host is refused at once, unless older addresses are known."""
    await resolve(resolver, "known.example")
    monkeypatch.setattr(resolver_module, "_MAX_THREADS", 2)
    names.hangs = {"slow-1.example", "slow-2.example"}
    waiting = [asyncio.create_task(resolver.resolve(host)) for host in names.hangs]
    await asyncio.sleep(0)
    with pytest.raises(ResolverFull):
        await resolve(resolver, "new.example")
    clock.now += GOOD_S + 1
    assert await resolve(resolver, "known.example") == ("192.0.2.1",)
    wire = AsyncioWire(WireOptions(), resolver)
    with pytest.raises(NotAttempted):
        await wire.send(WireRequest("GET", "http://new.example/", ()), max_response_bytes=1000)
    await wire.aclose()
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


@pytest.mark.parametrize("error", [socket.gaierror(socket.EAI_AGAIN, ""), OSError("no descriptors"), RuntimeError("odd")])
async def test_the_last_good_addresses_are_used_while_the_resolver_fails(
    resolver: Resolver, names: Names, clock: Clock, error: Exception
) -> None:
    """With one look-up a second. A new result replaces them."""
    await resolve(resolver, "a.example")
    names.errors["a.example"] = error
    clock.now += 10 * GOOD_S
    for _ in range(5):
        assert await resolve(resolver, "a.example") == ("192.0.2.1",)
        await looked_up(resolver)
    assert len(names.asked) == 2
    clock.now += FAILED_S
    assert await resolve(resolver, "a.example") == ("192.0.2.1",)
    del names.errors["a.example"]
    names.addresses["a.example"] = ("192.0.2.9",)
    await looked_up(resolver)
    clock.now += FAILED_S
    assert await resolve(resolver, "a.example") == ("192.0.2.9",)


async def test_old_addresses_wait_for_a_look_up_once_and_not_for_one_that_hangs(
    resolver: Resolver, names: Names, clock: Clock
) -> None:
    """Addresses older than `GOOD_S` are used only if the new look-up takes longer than `patience_s`."""
    await resolve(resolver, "a.example")
    names.addresses["a.example"] = ("192.0.2.9",)
    clock.now += GOOD_S + 1
    assert await resolve(resolver, "a.example") == ("192.0.2.9",)
    names.hangs.add("a.example")
    clock.now += GOOD_S + 1
    assert await resolve(resolver, "a.example", patience_s=0.01) == ("192.0.2.9",)
    clock.now += 1
    assert await resolve(resolver, "a.example", patience_s=0.5) == ("192.0.2.9",)
    assert len(names.asked) == 3


@pytest.mark.parametrize("error", [socket.gaierror(socket.EAI_NONAME, ""), UnicodeError("label too long")])
async def test_that_a_host_does_not_exist_is_cached_briefly(
    resolver: Resolver, names: Names, clock: Clock, error: Exception
) -> None:
    """Older addresses aren't used then. Each request gets a new error, since none is raised twice."""
    await resolve(resolver, "a.example")
    names.errors["a.example"] = error
    clock.now += GOOD_S + 1
    errors = set()
    for _ in range(3):
        with pytest.raises(socket.gaierror) as caught:
            await resolve(resolver, "a.example")
        errors.add(id(caught.value))
    assert len(names.asked) == 2
    clock.now += FAILED_S
    del names.errors["a.example"]
    assert await resolve(resolver, "a.example") == ("192.0.2.1",)


async def test_addresses_that_do_not_connect_are_looked_up_again(resolver: Resolver, names: Names, clock: Clock) -> None:
    """The service has moved: the next connection waits for a new look-up, at most one a second."""
    await resolve(resolver, "a.example")
    names.addresses["a.example"] = ("192.0.2.9",)
    for _ in range(3):
        resolver.doubt("a.example")
        assert await resolve(resolver, "a.example") == ("192.0.2.1",)
    clock.now += FAILED_S
    assert await resolve(resolver, "a.example") == ("192.0.2.9",)
    assert len(names.asked) == 2


async def test_the_address_that_works_is_tried_first(resolver: Resolver, names: Names) -> None:
    """A dead address costs its head start once, not for each connection."""
    names.addresses["a.example"] = ("192.0.2.1", "192.0.2.2", "192.0.2.3")
    await resolve(resolver, "a.example")
    resolver.prefer("a.example", "192.0.2.3")
    assert await resolve(resolver, "a.example") == ("192.0.2.3", "192.0.2.1", "192.0.2.2")


async def test_the_cache_is_limited(resolver: Resolver) -> None:
    """By its weight."""
    for number in range(3000):
        resolver._settle(f"{number}.{'a' * 200}.example", ("192.0.2.1",), True)
    assert resolver._known.weight <= 256 * 1024


async def test_a_dead_address_does_not_delay_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that doesn't reply is overtaken, one that refuses is skipped at once, and no connection stays open."""
    monkeypatch.setattr(resolver_module, "HEAD_START_S", 0.01)
    tried, closed = [], []

    async def connect(address: str) -> str:
        tried.append(address)
        if address == "refuses":
            raise ConnectionRefusedError
        if address.startswith("silent"):
            try:
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                closed.append(address)
                raise
        return f"to {address}"

    async def first(*addresses: str) -> tuple[str, str]:
        return await asyncio.wait_for(connect_first(addresses, connect, closed.append), PATIENCE_S)

    assert await first("refuses", "silent-1", "well", "silent-2") == ("well", "to well")
    assert (tried, closed) == (["refuses", "silent-1", "well"], ["silent-1"])
    with pytest.raises(OSError, match="no address") as caught:
        await first("refuses", "refuses")
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)


async def test_the_wire_connects_to_the_address_that_accepts(names: Names, clock: Clock) -> None:
    """Over real sockets: the first address refuses, and the request has the host's name."""
    peer: Peer
    async with listening() as peer:
        names.addresses["shop.example"] = ("127.0.0.9", "127.0.0.1")
        resolver = Resolver(names, clock)
        wire = AsyncioWire(WireOptions(), resolver)
        request = WireRequest("GET", f"http://shop.example:{peer.port}/users/1", ())
        assert (await wire.send(request, max_response_bytes=1000)).status == 200
        assert f"Host: shop.example:{peer.port}".encode() in peer.requests[0]
        assert await resolve(resolver, "shop.example") == ("127.0.0.1", "127.0.0.9")
        await wire.aclose()


async def test_a_host_that_moved_is_found_again(names: Names, clock: Clock) -> None:
    """One connection fails with an error; the next one goes to the host's new address."""
    async with listening() as peer:
        names.addresses["shop.example"] = ("127.0.0.9",)
        wire = AsyncioWire(WireOptions(), Resolver(names, clock))
        request = WireRequest("GET", f"http://shop.example:{peer.port}/users/1", ())
        with pytest.raises(NotConnected):
            await wire.send(request, max_response_bytes=1000)
        names.addresses["shop.example"] = ("127.0.0.1",)
        clock.now += FAILED_S
        assert (await wire.send(request, max_response_bytes=1000)).status == 200
        await wire.aclose()
