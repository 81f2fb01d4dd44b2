"""Reloads the settings when a file that they come from has changed: the settings file, or a manifest."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from bff.settings import Settings

SETTLE_S = 0.1
"""Seconds for which a changed file must stay the same before it is read."""

_MOST_FILES = 10_000
_Print = tuple[tuple[str, int, int, int], ...]
"""Of each file its path, inode, size and time of change (ns): enough to notice a change, also of a replaced file."""


class FileWatch:
    """Looks at the files every `reload.interval_s` seconds."""

    def __init__(
        self,
        settings: Callable[[], Settings],
        reload: Callable[[], Awaitable[object]],
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """`settings` returns those in use, which name the files."""
        self._settings = settings
        self._reload = reload
        self._sleep = sleep

    async def run(self) -> None:
        """Watch until cancelled."""
        before = await self._print()
        while True:
            await self._sleep(self._settings().reload.interval_s)
            now = await self._print()
            if now == before:
                continue
            # Whoever writes the file may not be ready: half of it could be valid settings without any consumer.
            while True:
                await self._sleep(SETTLE_S)
                settled = await self._print()
                if settled == now:
                    break
                now = settled
            # The print from before the reload: a change during it is noticed the next time.
            before = now
            await self._reload()

    async def _print(self) -> _Print:
        return await asyncio.to_thread(lambda: tuple(_prints(self._settings())))


def _prints(settings: Settings) -> Iterator[tuple[str, int, int, int]]:
    for number, path in enumerate(_files(settings)):
        if number >= _MOST_FILES:
            return
        try:
            found = path.stat()
        except OSError:  # it may be about to be replaced
            yield str(path), 0, 0, 0
        else:
            yield str(path), found.st_ino, found.st_size, found.st_mtime_ns


def _files(settings: Settings) -> Iterator[Path]:
    if settings.file is not None:
        yield settings.file
    for name in type(settings.variants).model_fields:  # type: ignore[attr-defined] # see `settings_class`
        for place in map(Path, settings.variant(name).manifests):
            yield place
            if place.is_dir():
                yield from sorted(place.glob("*.json"))
