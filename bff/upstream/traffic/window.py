"""A sliding window: counts the calls of the last seconds, and of two kinds of marks on them.

It counts in buckets of a tenth of its length, so its memory doesn't depend on the load.
"""

from collections import deque

_BUCKETS = 10


class Window:
    """Counts calls and two kinds of marks, for example failed and slow. The caller passes in the time, in seconds."""

    __slots__ = ("_bucket_s", "_buckets", "_calls", "_first", "_second")

    def __init__(self, length_s: float) -> None:
        self._bucket_s = length_s / _BUCKETS
        self._buckets: deque[list[int]] = deque()  # [the bucket's number, calls, first marks, second marks]
        self._calls = self._first = self._second = 0

    def __repr__(self) -> str:
        return f"<Window {self._calls} calls, {self._first} and {self._second} marked>"

    def add(self, now: float, calls: int = 1, first: int = 0, second: int = 0) -> None:
        """Count calls and their marks."""
        number = int(now / self._bucket_s)
        buckets = self._buckets
        if not buckets or buckets[-1][0] != number:
            self._drop_before(number - _BUCKETS + 1)
            buckets.append([number, 0, 0, 0])
        last = buckets[-1]
        last[1] += calls
        last[2] += first
        last[3] += second
        self._calls += calls
        self._first += first
        self._second += second

    def totals(self, now: float) -> tuple[int, int, int]:
        """Calls, first marks and second marks inside the window."""
        self._drop_before(int(now / self._bucket_s) - _BUCKETS + 1)
        return self._calls, self._first, self._second

    def clear(self) -> None:
        """Reset all counts."""
        self._buckets.clear()
        self._calls = self._first = self._second = 0

    def _drop_before(self, number: int) -> None:
        buckets = self._buckets
        while buckets and buckets[0][0] < number:
            _, calls, first, second = buckets.popleft()
            self._calls -= calls
            self._first -= first
            self._second -= second
