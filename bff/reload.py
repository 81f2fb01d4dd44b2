"""Reads the settings again while the gateway runs.

The services' instances and weights change at once. Other changed settings are logged as needing a restart. If the settings
are not valid, the faults are logged and nothing changes.
"""

from collections.abc import Callable, Mapping

from bff.graph.controls import Reloaded
from bff.runtime.log import Log
from bff.settings import Settings, SettingsError
from bff.upstream.traffic.stack import Stack

_log = Log("bff.reload")


class Reload:
    """Reloads the settings, on SIGHUP or when an administrator asks for it."""

    def __init__(self, settings: Settings, load: Callable[[], Settings] | None, stacks: Mapping[str, Stack]) -> None:
        self._settings = settings
        self._load = load
        self._stacks = stacks

    def __call__(self) -> Reloaded:
        """Reload, and return what has changed. Never raises for settings that are not valid."""
        if self._load is None:
            _log.warning("nothing to reload")
            return Reloaded(faults=("this gateway has no settings file to read again",))
        try:
            settings = self._load()
        except SettingsError as error:
            faults = str(error).splitlines()
            _log.error("settings not reloaded", faults=faults)
            return Reloaded(faults=tuple(faults))
        moved: list[str] = []
        for name, stack in self._stacks.items():
            instances = settings.instances(name)
            # A source without instances keeps those that it has: the gateway needs every source.
            if instances and instances != self._settings.instances(name):
                stack.set_instances(instances)
                moved.append(name)
        url_settings = {f"{name}_service_url" for name in self._stacks}
        before, after = self._settings, settings
        needs_restart = [
            name
            for name in type(settings).model_fields
            if name not in url_settings and getattr(before, name) != getattr(after, name)
        ]
        taken = {f"{name}_service_url": settings.instances(name) for name in moved}
        self._settings = before.model_copy(update=taken)
        _log.info("settings reloaded", moved=moved, needs_restart=needs_restart)
        return Reloaded(tuple(moved), tuple(needs_restart))
