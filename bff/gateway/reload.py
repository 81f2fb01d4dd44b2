"""Reads the settings again while the gateway runs, and serves by them: as a whole, or not at all.

If the settings are not valid, the faults are logged and nothing changes. Changed settings that need a restart
(`bff.settings.live`) are logged by name.
"""

import asyncio
from collections.abc import Callable

from bff.gateway.serving import Made, Serving
from bff.graph.controls import Reloaded
from bff.observe import logs
from bff.runtime.frames import frames_of
from bff.runtime.log import Log
from bff.server.host import Served
from bff.settings import Settings, SettingsError
from bff.settings.live import differences, taken_over

_log = Log("bff.reload")


class Reload:
    """Reloads the settings: on SIGHUP, when the file changes, or when an administrator asks for it."""

    def __init__(self, load: Callable[[], Settings] | None, serving: Serving, use: Callable[[Served], None]) -> None:
        """`load` reads the settings; None if there is nothing to read. `use` gets what is served from now on."""
        self._load = load
        self._serving = serving
        self._use = use
        self._one_at_a_time = asyncio.Lock()

    async def __call__(self) -> Reloaded:
        """Reload, and return what has changed. Never raises for settings that are not valid."""
        if self._load is None:
            _log.warning("nothing to reload")
            return Reloaded(faults=("this gateway has no settings file to read again",))
        async with self._one_at_a_time:
            try:
                # In a thread, since files are read, and large manifests take a while.
                read, made = await asyncio.to_thread(self._read, self._load)
            except SettingsError as error:
                faults = str(error).splitlines()
            except Exception as error:  # noqa: BLE001 - whatever fails, the gateway goes on with the settings that it has
                _log.error("settings not reloaded", kind=type(error).__qualname__, frames=frames_of(error.__traceback__))
                return Reloaded(faults=("an internal error, which the log describes",))
            else:
                return self._apply(read, made)
            _log.error("settings not reloaded", faults=faults)
            return Reloaded(faults=tuple(faults))

    def _read(self, load: Callable[[], Settings]) -> tuple[Settings, Made]:
        """The settings that were read, and what is served by those of them that can be taken over."""
        read = load()
        return read, self._serving.make(taken_over(self._serving.made.settings, read))

    def _apply(self, read: Settings, made: Made) -> Reloaded:
        before = self._serving.made.settings
        changed = differences(before, made.settings)
        needs_restart = tuple(each for each in differences(made.settings, read) if not _is_missing_url(read, each))
        self._serving.use(made)
        self._use(made.served)
        if "log_level" in changed:
            logs.set_level(made.settings.log_level)
        moved = tuple(each.removesuffix("_service_url") for each in changed if each.endswith("_service_url"))
        _log.info("settings reloaded", changed=changed, needs_restart=needs_restart)
        return Reloaded(moved, changed, needs_restart)


def _is_missing_url(read: Settings, name: str) -> bool:
    """Whether this is the URL of a service that was left out: then its instances stay as they are."""
    return name.endswith("_service_url") and getattr(read, name) is None
