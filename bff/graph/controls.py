"""What administrators can do to the gateway itself, as the graph sees it."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What came of reading the settings again.

    Attributes:
        moved: the sources whose instances were taken over.
        needs_restart: what has changed and can't be taken over while the gateway runs.
        faults: why the settings could not be used; then nothing was taken over.
    """

    moved: tuple[str, ...] = ()
    needs_restart: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()


class Controls(Protocol):
    """The gateway's own levers, in the process that answers."""

    def drop_answers(self) -> None:
        """Forget whole answers that were kept."""
        ...

    def reload(self) -> Reloaded:
        """Read the settings again, and take over what can change."""
        ...
