"""The type of the clocks that are handed in: `time.monotonic` in production, a clock of their own in tests."""

from collections.abc import Callable

Clock = Callable[[], float]
"""Returns seconds that never decrease, from an arbitrary start, as `time.monotonic` does."""
