"""Idempotency keys: a write that is sent twice is done once.

A key holds for a path, for a day, in memory. The work is synchronous and is done under the key in one go, so that a
second request can never find the first half done: while the first still waits to be answered, its answer is known.
The store is bounded: past its bound the oldest key is forgotten, however young.
"""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from starlette.responses import Response

from datasources.demo.problems import Problem

KEEP_S: Final = 24 * 60 * 60
MAX_ENTRIES: Final = 10_000


@dataclass(frozen=True, slots=True)
class _Done:
    """A write that was done: what it was asked, what it answered, until when that is known."""

    body_digest: bytes
    answer: Response
    until_s: float


class IdempotencyKeys:
    """The writes of the last day that came with a key."""

    def __init__(
        self, *, clock: Callable[[], float] = time.monotonic, keep_s: float = KEEP_S, max_entries: int = MAX_ENTRIES
    ) -> None:
        self._clock = clock
        self._keep_s = keep_s
        self._max_entries = max_entries
        # In the order in which they were done, hence also in the order in which they expire.
        self._done: dict[bytes, _Done] = {}

    def __repr__(self) -> str:
        return f"<IdempotencyKeys {len(self._done)} of {self._max_entries}>"

    def once(self, path: str, key: str, body: bytes, work: Callable[[], Response]) -> Response:
        """Does the work and keeps its answer, or gives the answer kept.

        Raises a 409 `Problem` where the key came with another body before. Work that raises leaves no trace.
        """
        self._forget_expired()
        place = _digest(path.encode(), key.encode())
        body_digest = _digest(body)
        done = self._done.get(place)
        if done is not None:
            if done.body_digest != body_digest:
                raise Problem(409, "This Idempotency-Key was used with another body.")
            return done.answer
        answer = work()
        self._done[place] = _Done(body_digest, answer, self._clock() + self._keep_s)
        if len(self._done) > self._max_entries:
            del self._done[next(iter(self._done))]
        return answer

    def _forget_expired(self) -> None:
        now_s = self._clock()
        while self._done:
            oldest = next(iter(self._done))
            if self._done[oldest].until_s > now_s:
                return
            del self._done[oldest]


def _digest(*parts: bytes) -> bytes:
    """A short stand-in for the parts, so that long keys and bodies cost no memory. No part is the start of another."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()
