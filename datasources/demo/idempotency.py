"""Idempotency keys: a write that is sent twice is executed once.

A key is valid for one path and one day, and is stored in memory. A write is executed synchronously, so a second request with
the same key never finds the first one half done. If the store is full, the oldest key is removed.
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
    """An executed write: the digest of its body, its response, and when it expires."""

    body_digest: bytes
    answer: Response
    until_s: float


class IdempotencyKeys:
    """The writes of the last day that had a key."""

    def __init__(
        self, *, clock: Callable[[], float] = time.monotonic, keep_s: float = KEEP_S, max_entries: int = MAX_ENTRIES
    ) -> None:
        self._clock = clock
        self._keep_s = keep_s
        self._max_entries = max_entries
        # In the order of execution, so also in the order of expiry.
        self._done: dict[bytes, _Done] = {}

    def __repr__(self) -> str:
        return f"<IdempotencyKeys {len(self._done)} of {self._max_entries}>"

    def once(self, path: str, key: str, body: bytes, work: Callable[[], Response]) -> Response:
        """Execute `work` and store its response; if the key is known, return the stored response.

        Raises `Problem` (409) if the key was used with another body. If `work` raises, nothing is stored.
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
    """A digest of the parts, so that long keys and bodies take no memory. Each part is hashed with its length."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()
