"""HTTP clients for services, behind one small protocol (`protocol.py`), so that another client can replace them."""

from bff.upstream.wire.protocol import (
    AnswerTooLarge,
    BrokenAnswer,
    ConnectionBroken,
    NotAttempted,
    NotConnected,
    RawHeaders,
    StreamingWire,
    StreamReply,
    StreamRequest,
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
    "RawHeaders",
    "StreamReply",
    "StreamRequest",
    "StreamingWire",
    "TlsOptions",
    "Unsendable",
    "Wire",
    "WireError",
    "WireOptions",
    "WireReply",
    "WireRequest",
]
