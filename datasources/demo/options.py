"""What can be set about the demo services, for benchmarks and for exploring."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """How the services behave beyond their contract.

    Attributes:
        latency_s: how long each answer waits once its work is done; `/health` answers at once.
        no_store: answers say `Cache-Control: no-store` in place of what their service says.
    """

    latency_s: float = 0
    no_store: bool = False

    def __post_init__(self) -> None:
        if self.latency_s < 0:
            raise ValueError(f"latency_s is 0 or more, not {self.latency_s}")


DEFAULT_OPTIONS: Final = DemoOptions()
