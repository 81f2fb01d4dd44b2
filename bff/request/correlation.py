"""What a request is known by in logs and at services: its id and its trace. The client's own, if they are well-formed."""

import os
import re
from collections.abc import Mapping
from typing import Any

_WELL_FORMED_ID = re.compile(rb"[A-Za-z0-9._~-]{1,128}\Z")
# A version after 00 may append fields. Those that version 00 defines are read, the rest is ignored (W3C Trace Context,
# section 3.2.4). Version ff is invalid, and so are ids of zeros only.
_TRACEPARENT = re.compile(rb"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})(-[ -~]*)?\Z")


class _RandomDigits:
    """Random hexadecimal digits from the kernel, fetched in blocks: a system call costs as much as a pipeline's step."""

    BLOCK_BYTES = 2048

    def __init__(self) -> None:
        self.reset()
        # A forked process has a copy of the block, and must not use the digits that its parent uses.
        os.register_at_fork(after_in_child=self.reset)

    def reset(self) -> None:
        """Drop the digits that are left."""
        self._digits = ""
        self._used = 0

    def take(self, number: int) -> str:
        """That many digits, each of which is returned only once."""
        begin = self._used
        self._used = end = begin + number
        if end > len(self._digits):
            self._digits = os.urandom(self.BLOCK_BYTES).hex()
            begin, self._used = 0, number
            end = number
        return self._digits[begin:end]


_random = _RandomDigits()


def request_id_of(headers: Mapping[bytes, list[Any]]) -> str:
    """The client's `X-Request-ID`, if there is exactly one and it is well-formed; otherwise a new id of 32 digits."""
    given = headers.get(b"x-request-id")
    if given and len(given) == 1 and _WELL_FORMED_ID.match(given[0]):
        return str(given[0], "ascii")
    return _random.take(32)


def traceparent_of(headers: Mapping[bytes, list[Any]]) -> str:
    """The `traceparent` to send to services (W3C Trace Context): the client's trace, or a new one, with a new span."""
    given = headers.get(b"traceparent")
    match = _TRACEPARENT.match(given[0]) if given and len(given) == 1 else None
    if match is None or (match[1] == b"00" and match[4] is not None):
        return f"00-{_random.take(32)}-{_random.take(16)}-01"
    return f"00-{match[2].decode()}-{_random.take(16)}-{match[3].decode()}"
