"""Compression of answers (RFC 9110, section 8.4): zstd (RFC 8878) or gzip (RFC 1952), as the client accepts.

zstd is preferred where the client has no preference: it takes half of gzip's CPU time or less, and its output is smaller.
A large body is compressed in pieces, and other requests run in between. What anyone may cache is compressed once, and kept
by its content for the next request.

A secret beside text that an attacker chooses can be guessed from the compressed length (BREACH). For that the attacker must
make the victim's browser send requests with its credentials. The gateway takes credentials from headers that a page of
another origin can't set, so compression is safe. It is not if something in front of the gateway makes tokens of cookies.
"""

import asyncio
import zlib
from collections.abc import Callable
from dataclasses import replace
from hashlib import blake2b
from typing import Annotated, Protocol

import zstandard
from annotated_types import Ge, Le

from bff.errors import Headers
from bff.request.response import EncodedResponse
from bff.runtime.bounded_cache import ENTRY_BYTES, BoundedCache
from bff.runtime.memo import memoized
from bff.runtime.options import options

_LONGEST_ACCEPT = 1024
"""Bytes. A longer `Accept-Encoding` is ignored: the answer is not compressed."""
_PIECE_BYTES = 64 * 1024
"""Compressed at once: half a millisecond."""
_KEPT_BYTES = 16 * 1024 * 1024
_ZSTD_LEVEL = 3
_GZIP_LEVEL = 4
_GZIP_FORMAT = 31
"""`wbits` of zlib: gzip's header and trailer, with the largest window."""


@options
class CompressionOptions:
    """Whether answers are compressed, and from which size on."""

    enabled: bool = True
    min_bytes: Annotated[int, Ge(1), Le(2**30)] = 1024


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


def _zstd(size: int) -> _Compressor:
    return zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compressobj(size=size)


def _gzip(_: int) -> _Compressor:
    return zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_FORMAT)


_CODINGS: dict[bytes, Callable[[int], _Compressor]] = {b"zstd": _zstd, b"gzip": _gzip}
"""By name, the preferred first: makes what compresses a body of a certain size."""
_ALIASES = {b"x-gzip": b"gzip"}


class Compression:
    """Compresses answers. Bodies that anyone may have are kept compressed, up to 16 MiB of them."""

    def __init__(self, options: CompressionOptions) -> None:
        self.min_bytes = options.min_bytes
        """Shorter bodies are sent as they are: the headers cost more than is gained."""
        self._kept: BoundedCache[tuple[bytes, bytes], bytes] = BoundedCache(max_weight=_KEPT_BYTES, largest_share=4)

    def __repr__(self) -> str:
        return f"<Compression from {self.min_bytes} bytes, {len(self._kept)} kept>"

    async def __call__(self, response: EncodedResponse, accept_encoding: bytes | None) -> EncodedResponse:
        """The response in the coding that the client prefers; as it is if it accepts none, or if nothing is gained."""
        coding = None if accept_encoding is None else coding_of(accept_encoding)
        if coding is None:
            return response
        body = await self._body(response, coding)
        if len(body) >= len(response.body):
            return response
        return replace(response, body=body, headers=_headers(response.headers, coding, len(body)))

    async def _body(self, response: EncodedResponse, coding: bytes) -> bytes:
        if not _is_public(response.headers):
            return await _compressed(response.body, coding)
        key = (coding, blake2b(response.body, digest_size=16).digest())
        body = self._kept.get(key)
        if body is None:
            body = await _compressed(response.body, coding)
            self._kept.put(key, body, len(body) + ENTRY_BYTES)
        return body


async def _compressed(body: bytes, coding: bytes) -> bytes:
    """The body in that coding. The event loop runs other tasks between two pieces."""
    compressor = _CODINGS[coding](len(body))
    if len(body) <= _PIECE_BYTES:
        return compressor.compress(body) + compressor.flush()
    pieces = []
    for start in range(0, len(body), _PIECE_BYTES):
        pieces.append(compressor.compress(body[start : start + _PIECE_BYTES]))
        await asyncio.sleep(0)
    pieces.append(compressor.flush())
    return b"".join(pieces)


def _is_public(headers: Headers) -> bool:
    return any(name == b"cache-control" and value.startswith(b"public") for name, value in headers)


def _headers(headers: Headers, coding: bytes, length: int) -> Headers:
    """The headers of the compressed body. It is another representation, with a validator of its own (section 8.8.3.3)."""
    changed = []
    for name, value in headers:
        if name == b"content-length":
            changed.append((name, b"%d" % length))
        elif name == b"etag":
            changed.append((name, value[:-1] + b"-" + coding + b'"'))
        else:
            changed.append((name, value))
    return (*changed, (b"content-encoding", coding))


def without_coding(etag: bytes) -> bytes:
    """The validator of the same content without compression."""
    for coding in _CODINGS:
        if etag.endswith(b"-" + coding + b'"'):
            return etag[: -len(coding) - 2] + b'"'
    return etag


@memoized(max_entries=256, max_length=_LONGEST_ACCEPT, too_long=lambda _: None)
def coding_of(accept_encoding: bytes) -> bytes | None:
    """The coding that the client prefers (RFC 9110, section 12.5.3); None for none, which is always acceptable."""
    qualities: dict[bytes, float] = {}
    for part in accept_encoding.lower().split(b","):
        name, *parameters = (piece.strip() for piece in part.split(b";"))
        if name:
            qualities[_ALIASES.get(name, name)] = _quality(parameters)
    others = qualities.get(b"*", 0.0)
    best, most = None, qualities.get(b"identity", 0.0)
    for coding in _CODINGS:
        quality = qualities.get(coding, others)
        if quality > 0 and (quality > most or (best is None and quality == most)):
            best, most = coding, quality
    return best


def _quality(parameters: list[bytes]) -> float:
    """The weight `q` (section 12.4.2); 0 if it is malformed."""
    for parameter in parameters:
        key, _, value = parameter.partition(b"=")
        if key.strip() == b"q":
            try:
                quality = float(value)
            except ValueError:
                return 0.0
            return quality if 0 <= quality <= 1 else 0.0
    return 1.0
