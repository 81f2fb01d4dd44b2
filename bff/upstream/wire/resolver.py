"""Resolver: looks up the addresses of hosts in separate threads, and caches them for a short time.

The event loop resolves names in a small pool of threads (four in libuv), and a timeout ends the wait for a look-up but not
the look-up: one host whose name server hangs would fill the pool, and no other host could be resolved. Here each host that
is being looked up has one thread, and all requests for the host wait for it.

The last good addresses are used while the system's resolver fails or is slow. IP addresses and `localhost` are never looked
up.
"""

import asyncio
import ipaddress
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from math import inf
from typing import TypeVar

from bff.runtime.bounded_cache import ENTRY_BYTES, BoundedCache
from bff.runtime.loop import running_loop

T = TypeVar("T")
LookUp = Callable[[str], Sequence[str]]
"""Blocks, and returns the IP addresses of a host in the order to try them. Raises `OSError` or `UnicodeError`."""

FRESH_S = 30.0
"""Seconds for which addresses are used without a new look-up. The system's resolver reports no lifetimes."""
GOOD_S = 300.0
"""Seconds for which addresses are used while a new look-up runs. Older ones are used only if it is slow."""
FAILED_S = 1.0
"""Seconds after a failed look-up before the next one."""
HEAD_START_S = 0.25
"""Seconds for which an address is tried alone (RFC 8305, section 5)."""
_MAX_THREADS = 64
_MAX_ADDRESSES = 8
_MAX_BYTES = 256 * 1024
_LOCAL = ("127.0.0.1", "::1")
_NO_SUCH_HOST = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})


class ResolverFull(OSError):
    """The limit of concurrent look-ups is reached. This says nothing about the host that was asked for."""


def system_look_up(host: str) -> list[str]:
    """Ask the system's resolver. Blocks."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [str(sockaddr[0]) for *_, sockaddr in found]


class _Known:
    """The last result of a host's look-ups. Times are of the resolver's clock, in seconds."""

    __slots__ = ("addresses", "found_at", "is_doubted", "looked_up_at", "next_at")

    def __init__(self, addresses: tuple[str, ...], now: float, fresh_s: float) -> None:
        self.addresses = addresses
        """Empty if the last look-up failed and none before it succeeded."""
        self.found_at = now
        """When the addresses were found."""
        self.looked_up_at = now
        """When the last look-up ended, successful or not."""
        self.next_at = now + fresh_s
        """When the next look-up is due."""
        self.is_doubted = False
        """Whether no address accepted a connection when they were last tried."""


class _Running:
    """A look-up in its thread."""

    __slots__ = ("began_at", "ended")

    def __init__(self, began_at: float, ended: "asyncio.Future[None]") -> None:
        self.began_at = began_at
        self.ended = ended


class Resolver:
    """Resolves the hosts of all wires of a process. Not thread-safe."""

    def __init__(self, look_up: LookUp = system_look_up, clock: Callable[[], float] = time.monotonic) -> None:
        self._look_up = look_up
        self._clock = clock
        self._running: dict[str, _Running] = {}
        self._known: BoundedCache[str, _Known] = BoundedCache(max_weight=_MAX_BYTES, largest_share=8)

    def __repr__(self) -> str:
        return f"<Resolver: {len(self._known)} hosts known, {len(self._running)} being looked up>"

    async def resolve(self, host: str, patience_s: float = inf) -> tuple[str, ...]:
        """The addresses of a host, in the order to try them. Raises `OSError`.

        Args:
            host: a name, or an IP address without brackets.
            patience_s: how long to wait for a look-up if older addresses are known. If none are, the wait has no limit but
                the caller's own.
        """
        if _is_address(host):
            return (host,)
        if host.lower().rstrip(".") == "localhost":
            return _LOCAL  # RFC 6761, section 6.3
        now = self._clock()
        known = self._known.get(host)
        if known is not None and now < known.next_at:
            return _addresses(known)
        running = self._running.get(host)
        if running is None:
            if len(self._running) >= _MAX_THREADS:
                if known is not None and known.addresses:
                    return known.addresses
                raise ResolverFull
            running = self._start(host, now)
        if known is None or not known.addresses:
            await asyncio.wait([running.ended])
        elif now - running.began_at >= patience_s or (now - known.found_at < GOOD_S and not known.is_doubted):
            return known.addresses
        else:
            await asyncio.wait([running.ended], timeout=None if patience_s == inf else patience_s)
        return _addresses(self._known.get(host))

    async def connect(
        self,
        host: str,
        connect: Callable[[str], Awaitable[T]],
        discard: Callable[[T], object],
        patience_s: float = inf,
    ) -> T:
        """Connect to the first address of the host that accepts, and learn from it which address to try next time.

        See `resolve` and `connect_first`. Raises `OSError`, or what `connect` raises.
        """
        addresses = await self.resolve(host, patience_s)
        try:
            address, connection = await connect_first(addresses, connect, discard)
        except BaseException:
            # Also on a timeout: an address that drops packets never refuses.
            self.doubt(host)
            raise
        if address != addresses[0]:
            self.prefer(host, address)
        return connection

    def doubt(self, host: str) -> None:
        """No address of the host accepts a connection: look it up soon, and wait for the result."""
        known = self._known.peek(host)
        if known is not None and known.addresses:
            known.is_doubted = True
            known.next_at = min(known.next_at, known.looked_up_at + FAILED_S)

    def prefer(self, host: str, address: str) -> None:
        """This address accepted a connection and others did not: try it first until the next look-up."""
        known = self._known.peek(host)
        if known is not None and address in known.addresses:
            known.addresses = (address, *(each for each in known.addresses if each != address))

    def _start(self, host: str, now: float) -> _Running:
        loop = running_loop()
        running = self._running[host] = _Running(now, loop.create_future())
        thread = threading.Thread(target=self._run, args=(host, loop), name="resolver", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # the system has no thread left
            del self._running[host]
            raise ResolverFull from error
        return running

    def _run(self, host: str, loop: asyncio.AbstractEventLoop) -> None:
        """The thread's work."""
        addresses: tuple[str, ...] = ()
        exists = True
        try:
            addresses = tuple(dict.fromkeys(self._look_up(host)))[:_MAX_ADDRESSES]
        except socket.gaierror as error:
            exists = error.errno not in _NO_SUCH_HOST
        except UnicodeError:  # not a valid name
            exists = False
        except Exception:  # noqa: BLE001, S110 - whatever happens, the waiting requests must get a result
            pass
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(self._settle, host, addresses, exists)

    def _settle(self, host: str, addresses: tuple[str, ...], exists: bool) -> None:
        """Store a result. After a failure the last good addresses stay; after "no such host" they don't."""
        now = self._clock()
        known = self._known.get(host)
        if addresses:
            known = _Known(addresses, now, FRESH_S)
        elif known is not None and exists:
            known.looked_up_at, known.next_at = now, now + FAILED_S
        else:
            known = _Known((), now, FAILED_S)
        self._known.put(host, known, ENTRY_BYTES + len(host) + sum(map(len, known.addresses)))
        running = self._running.pop(host, None)
        if running is not None and not running.ended.done():
            running.ended.set_result(None)


async def connect_first(
    addresses: Sequence[str], connect: Callable[[str], Awaitable[T]], discard: Callable[[T], object]
) -> tuple[str, T]:
    """Connect to the first address that accepts (RFC 8305, without the sorting of families).

    Each address is tried alone for `HEAD_START_S`, or until it fails; then the next is tried at the same time. `discard` is
    called with every connection except the one that is returned. Raises `OSError` if several fail; a single one's own error.
    """
    if len(addresses) == 1:
        return addresses[0], await connect(addresses[0])
    waiting = list(addresses)
    running: dict[asyncio.Future[T], str] = {}
    chosen: asyncio.Future[T] | None = None
    try:
        while True:
            if waiting:
                address = waiting.pop(0)
                running[asyncio.ensure_future(connect(address))] = address
            pending = [each for each in running if not each.done()]
            done, _ = await asyncio.wait(
                pending, timeout=HEAD_START_S if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            chosen = next((each for each in done if not each.cancelled() and each.exception() is None), None)
            if chosen is not None:
                return running[chosen], chosen.result()
            if not waiting and len(done) == len(pending):
                break
    finally:
        await _end([each for each in running if each is not chosen], discard)
    last = done.pop()
    raise OSError("no address accepts a connection") from last.exception()


async def _end(attempts: "Sequence[asyncio.Future[T]]", discard: Callable[[T], object]) -> None:
    for attempt in attempts:
        attempt.cancel()
    for outcome in await asyncio.gather(*attempts, return_exceptions=True):
        if not isinstance(outcome, BaseException):
            discard(outcome)


def _addresses(known: _Known | None) -> tuple[str, ...]:
    if known is None or not known.addresses:
        raise socket.gaierror(socket.EAI_NONAME, "the host has no address")
    return known.addresses


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
