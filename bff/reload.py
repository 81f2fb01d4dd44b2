"""Reading the settings again while the gateway runs.

What can change then is where the services are: their instances and weights. What can't is named in the log, and so is a
file that can't be used: then all stays as it is.
"""

from collections.abc import Callable, Mapping

from bff.graph.controls import Reloaded
from bff.runtime.log import Log
from bff.settings import Settings, SettingsError
from bff.upstream.traffic.stack import Stack

_log = Log("bff.reload")


class Reload:
    """Called on SIGHUP, and by administrators."""

    def __init__(self, settings: Settings, load: Callable[[], Settings] | None, stacks: Mapping[str, Stack]) -> None:
        self._settings = settings
        self._load = load
        self._stacks = stacks

    def __call__(self) -> Reloaded:
        """Take over what has changed. Never raises for what stands in the file."""
        if self._load is None:
            _log.warning("nothing to reload")
            return Reloaded(faults=("there are no settings to read again",))
        try:
            settings = self._load()
        except SettingsError as error:
            faults = str(error).splitlines()
            _log.error("settings not reloaded", faults=faults)
            return Reloaded(faults=tuple(faults))
        moved = []
        for name, stack in self._stacks.items():
            instances = settings.instances(name)
            # A source that is no longer named keeps its place: no gateway goes without one.
            if instances and instances != self._settings.instances(name):
                stack.set_instances(instances)
                moved.append(name)
        places = {f"{name}_service_url" for name in self._stacks}
        before, after = self._settings, settings
        waiting = [
            name
            for name in type(settings).model_fields
            if name not in places and getattr(before, name) != getattr(after, name)
        ]
        taken = {f"{name}_service_url": settings.instances(name) for name in moved}
        self._settings = before.model_copy(update=taken)
        _log.info("settings reloaded", moved=moved, needs_restart=waiting)
        return Reloaded(tuple(moved), tuple(waiting))
