"""`memoized`: a memo for functions of one text that a client or a service sends, limited in memory.

`functools.lru_cache` limits the number of entries, not their size: the sender of the texts decides how long they are.
"""

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[[Any], Any])


def memoized(*, max_entries: int, max_length: int, too_long: Callable[[Any], Any] | None = None) -> Callable[[F], F]:
    """Keep the results of a function of one `str` or `bytes` for the most recently used arguments.

    Args:
        max_entries: results that are kept.
        max_length: of an argument whose result is kept, in characters or bytes.
        too_long: called with a longer argument, in place of the function; None to call the function each time.
    """

    def decorate(function: F) -> F:
        kept = lru_cache(max_entries)(function)
        other = too_long or function

        @wraps(function)
        def memo(text: Any) -> Any:
            return kept(text) if len(text) <= max_length else other(text)

        return cast("F", memo)

    return decorate
