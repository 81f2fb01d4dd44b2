"""The type of clocks. Time is passed in everywhere, so that tests move it."""

from collections.abc import Callable

Clock = Callable[[], float]
"""Returns seconds that never decrease, like `time.monotonic`."""
