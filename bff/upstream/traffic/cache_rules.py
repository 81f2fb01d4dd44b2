"""The cache's rules, without I/O: which errors an entry may replace, where a reply is stored, what a write overtakes."""

from collections.abc import Hashable
from math import inf
from typing import Final

from bff.upstream.errors import (
    BadAnswer,
    Busy,
    Forbidden,
    NotReached,
    NotSendable,
    Rejected,
    SourceError,
    TimedOut,
    Unauthenticated,
    Unavailable,
)
from bff.upstream.traffic.call import ID, Call, RequestedKeys, request_headers
from bff.upstream.traffic.store import Entry, Key, Store

ABSENT: Final = object()
"""The value of an entry for an object that doesn't exist: a 404 is cached too."""
WHOLE: Final = "answer"
"""The family of whole replies. Their key is the call's target."""
STANDS_IN_FOR: Final = (Unavailable, TimedOut, BadAnswer)
"""Errors in place of which an older entry may be used (RFC 5861, section 4)."""
REFUSALS: Final = (Unauthenticated, Forbidden, Rejected)
"""Errors of a service that works, and refuses the request."""
OF_THE_VALIDATOR: Final = frozenset({400, 412, 431})
"""Statuses with which a service may reject a conditional request, but not the same request without a condition."""

_SLOW_S = 10.0
"""Seconds for which a source counts as slow after a slow failure, unless it replies before."""
_UNSETTLED_S = 30.0
"""Seconds for which a write of unknown outcome may still take effect."""
_MAX_UNSETTLED = 1000
"""Objects with a write of unknown outcome. Beyond this number every read of the source counts as concerned."""


class CacheState:
    """What the two cache policies of a source share.

    Attributes:
        store: the entries.
        writes: number of writes and of clearings so far. A reply that was requested under another number is not stored,
            since a write has overtaken it.
        slow_until: until then, by the monotonic clock, the source counts as slow.
    """

    __slots__ = ("slow_until", "store", "writes")

    def __init__(self, store: Store) -> None:
        self.store = store
        self.writes = 0
        self.slow_until = -inf

    def mark_slow(self, now: float) -> None:
        """Count the source as slow for ten seconds."""
        self.slow_until = now + _SLOW_S

    def clear(self) -> None:
        """Drop all entries. Replies to calls that are under way are not stored."""
        self.writes += 1
        self.store.clear()


class UnsettledWrites:
    """The objects that writes of unknown outcome may still change. Each may also change any list of the source."""

    __slots__ = ("_all_until", "_objects", "_until")

    def __init__(self) -> None:
        self._until = -inf
        self._all_until = -inf
        self._objects: dict[Hashable, float] = {}

    def add(self, key: Hashable | None, now: float) -> None:
        """Note a write of unknown outcome. `key` is that of the object that it changes; None if it creates one."""
        self._until = now + _UNSETTLED_S
        if key is None:
            return
        if len(self._objects) >= _MAX_UNSETTLED:
            self._objects = {each: until for each, until in self._objects.items() if until > now}
        if len(self._objects) < _MAX_UNSETTLED:
            self._objects[key] = self._until
        else:
            self._all_until = self._until

    def concerns(self, call: Call, now: float) -> bool:
        """Whether an unsettled write may still change what the read asks for."""
        if now >= self._until:
            return False
        if call.keyed is None or call.keyed.family != ID or now < self._all_until:
            return True
        return any(now < self._objects.get(key, -inf) for key in call.keyed.keys)


def is_settled(call: Call, error: SourceError) -> bool:
    """Whether a failed write can no longer take effect.

    After several attempts this is unknown: the last attempt's error says nothing about earlier attempts.
    """
    if len(call.tried) > 1:
        return False
    if not error.asked or isinstance(error, (NotSendable, Busy, *REFUSALS)):
        return True
    return isinstance(error, NotReached) and not error.sent


def key_of_reply(call: Call, viewer: str | None) -> Key:
    """The store's key for the reply to this call: its only requested key, or else its target."""
    keyed: RequestedKeys | None = call.keyed
    if keyed is not None and len(keyed.keys) == 1:
        return (viewer, keyed.family, keyed.keys[0])
    return (viewer, WHOLE, call.subject)


def matches(entry: Entry, call: Call) -> bool:
    """Whether the call has the request headers' values on which the entry depends (RFC 9111, section 4.1)."""
    vary = entry.lifetimes.vary
    return not vary or vary_values(call, vary) == entry.vary_values


def vary_values(call: Call, names: tuple[str, ...]) -> tuple[str, ...]:
    """The values of these request headers, in the names' order; "" for one that the call doesn't send."""
    sent = {name.lower(): value for name, value in request_headers(call)}
    return tuple(sent.get(name, "") for name in names)
