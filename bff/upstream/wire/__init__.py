"""HTTP clients for services, behind one small protocol (`protocol.py`), so that another client can replace them."""

from bff.upstream.wire.protocol import (
    AnswerTooLarge,
    BrokenAnswer,
    ConnectionBroken,
    NotAttempted,
    NotConnected,
    TlsOptions,
    Unsendable,
    Wire,
    WireError,
    WireOptions,
    WireReply,
    WireRequest,
)

__all__ = [
    "AnswerTooLarge",
    "BrokenAnswer",
    "ConnectionBroken",
    "NotAttempted",
    "NotConnected",
    "TlsOptions",
    "Unsendable",
    "Wire",
    "WireError",
    "WireOptions",
    "WireReply",
    "WireRequest",
]
