"""The bottom: bytes to a service and back, behind one small protocol, so that another client can take its place."""

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
