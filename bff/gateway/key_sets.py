"""The key sets of the issuers. Each is fetched in the background for as long as the settings name it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from bff.gate.jwks import KeySet, KeySetPlace
from bff.runtime.background import Background
from bff.runtime.clock import Clock
from bff.upstream.wire import Wire, WireOptions

Place = tuple[str, KeySetPlace]
"""An issuer's name, and where its key set is."""


class KeySets:
    """Makes key sets, and runs those that are in use. A key set whose issuer and place stay the same survives a reload.

    `on_withdrawn` is called when an issuer has withdrawn a key.
    """

    def __init__(self, wire: Callable[[WireOptions], Wire], background: Background, clock: Clock) -> None:
        self.on_withdrawn: Callable[[], None] = lambda: None
        self._wire = wire
        self._background = background
        self._clock = clock
        self._sets: Mapping[Place, tuple[KeySet, Wire]] = {}
        self._tasks: dict[Place, asyncio.Task[None]] | None = None
        self._closing: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<KeySets {len(self._sets)}>"

    def find(self, places: Mapping[str, KeySetPlace]) -> Mapping[Place, tuple[KeySet, Wire]]:
        """The key sets at these places by issuer: those in use, and new ones that are not fetched yet."""
        return {place: self._sets.get(place) or self._new(*place) for place in places.items()}

    def _new(self, name: str, place: KeySetPlace) -> tuple[KeySet, Wire]:
        wire = self._wire(WireOptions(max_connections=2, connect_timeout_s=3.0))
        return KeySet(name, place, wire, lambda: self.on_withdrawn(), clock=self._clock), wire  # noqa: PLW0108 - it may change

    def use(self, sets: Mapping[Place, tuple[KeySet, Wire]]) -> None:
        """Fetch these key sets from now on, and no others."""
        before, self._sets = self._sets, sets
        if self._tasks is None:
            return
        for place, (_, wire) in before.items():
            if place not in sets:
                self._tasks.pop(place).cancel()
                closing = asyncio.create_task(wire.aclose())
                self._closing.add(closing)
                closing.add_done_callback(self._closing.discard)
        for place in sets.keys() - before.keys():
            self._start(self._tasks, place)

    def _start(self, tasks: dict[Place, asyncio.Task[None]], place: Place) -> None:
        tasks[place] = self._background.start(f"keys {place[0]}", self._sets[place][0].run)

    def refresh(self) -> None:
        """Fetch all key sets now."""
        for keys, _ in self._sets.values():
            keys.refresh()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the key sets in use up to date while the context is open."""
        tasks = self._tasks = {}
        for place in self._sets:
            self._start(tasks, place)
        try:
            yield
        finally:
            self._tasks = None
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), *self._closing, return_exceptions=True)
            await asyncio.gather(*(wire.aclose() for _, wire in self._sets.values()))
