"""What an HTTP client must do to serve as the wire, and the five ways in which it may fail.

A wire keeps no cookies, follows no redirects, reads no proxy settings, never sends a request twice, and takes no more
bytes than it was told. Time is not its affair: the caller cancels it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class WireRequest:
    """One HTTP request, whole."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class WireReply:
    """One HTTP answer, whole. Header names are in lower case; of a repeated one the values are joined by commas."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class WireError(Exception):
    """The root: no whole answer came."""


class Unsendable(WireError):
    """What was to be sent fits no HTTP request, so nothing was: the service has no part in it."""


class NotConnected(WireError):
    """No connection stood, so nothing was sent."""


class ConnectionBroken(WireError):
    """The connection broke before an answer began: the service may or may not have acted."""


class BrokenAnswer(WireError):
    """An answer began, and broke off or was no HTTP."""


class AnswerTooLarge(WireError):
    """The answer is longer than allowed; the rest of it was not read."""


class Wire(Protocol):
    """An HTTP client as the data sources see it."""

    async def send(self, request: WireRequest, *, max_response_bytes: int) -> WireReply:
        """Send one request and read the whole answer. Raises `WireError`; may be cancelled at any moment."""
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...
