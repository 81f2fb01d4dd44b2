"""Administrative actions on the gateway itself, as the graph uses them."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Reloaded:
    """The outcome of reloading the settings.

    Attributes:
        moved: the sources whose instances were changed.
        changed: the names of the settings that were changed, as `consumers.partner`.
        needs_restart: the names of the changed settings that take effect only after a restart.
        faults: why the settings are invalid; then nothing was changed.
    """

    moved: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    needs_restart: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()


class Controls(Protocol):
    """Administrative actions. They affect only the process that handles the request."""

    def drop_answers(self) -> None:
        """Clear the response caches."""
        ...

    async def reload(self) -> Reloaded:
        """Reload the settings, and apply those that can change while the gateway runs."""
        ...
