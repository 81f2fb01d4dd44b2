"""A call that several requests share: one request (the leader) makes it, the others (the followers) wait for its outcome."""

import asyncio
from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from bff.runtime.error_copies import detached
from bff.runtime.loop import running_loop
from bff.upstream.errors import SourceError, TimedOut
from bff.upstream.traffic.call import Call, Reply
from bff.upstream.traffic.freshness import usable

Outcome = Reply | SourceError | None
"""A reply; an error, of which each follower raises a copy; None if the leader left before there was either."""

_MAX_FOLLOWERS = 250
"""Followers of one call. Further requests share a call of their own."""


class SharedCall:
    """A call that is under way or about to start.

    Attributes:
        keys: the keys that it requests; empty for a call shared by its target. Keys may be added until it starts.
        was_cut_off: whether the leader left it for a reason that may lie in the keys: a timeout or an internal error.
    """

    __slots__ = ("_followers", "_has_ended", "_outcome", "keys", "was_cut_off")

    def __init__(self, keys: list[Any]) -> None:
        self.keys = keys
        self.was_cut_off = False
        self._has_ended = False
        self._outcome: Outcome = None
        self._followers: list[asyncio.Future[None]] | None = None

    def __repr__(self) -> str:
        state = "ended" if self._has_ended else "under way"
        return f"<SharedCall {state}, {len(self.keys)} keys, {len(self._followers or ())} followers>"

    @property
    def is_full(self) -> bool:
        """Whether no more requests may wait for it. All of them are woken at once when it ends, which must not take long."""
        return self._followers is not None and len(self._followers) >= _MAX_FOLLOWERS

    def end(self, outcome: Outcome) -> None:
        """Give the followers its outcome."""
        self._outcome = outcome
        self._has_ended = True
        for follower in self._followers or ():
            if not follower.done():
                follower.set_result(None)

    async def outcome(self) -> Outcome:
        """Wait until it ends."""
        if not self._has_ended:
            follower: asyncio.Future[None] = running_loop().create_future()
            if self._followers is None:
                self._followers = []
            self._followers.append(follower)
            await follower
        return self._outcome


def outcome_for_followers(error: SourceError, call: Call) -> SourceError | None:
    """What followers get when the leader's call failed: the error, or None so that they call the service themselves.

    If the leader's own deadline ended the call, that says nothing to followers that have more time.
    """
    return None if isinstance(error, TimedOut) and call.caller.deadline.left() <= 0 else detached(error)


def part_of(reply: Reply, keys: list[Any], shared: SharedCall) -> Reply:
    """The part of a shared reply for these keys."""
    if len(keys) == len(shared.keys):
        return reply
    return replace(reply, value={key: reply.value[key] for key in keys if key in reply.value})


def merge(values: dict[Any, Any], headers: list[Mapping[str, str]]) -> Reply:
    """One reply from the values of several calls, with the headers of the reply that may be used for the shortest time."""
    return Reply(200, values, min(headers, key=lambda each: usable(each, with_identity=False), default={}))
