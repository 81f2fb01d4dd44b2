"""Compression: the client decides, large bodies don't hold the event loop, public bodies are compressed once."""

import asyncio
import os
import zlib

import pytest
import zstandard

from bff.request import compression as compression_module
from bff.request.compression import Compression, CompressionOptions, coding_of, without_coding
from bff.request.response import EncodedResponse

JSON = b'{"data":{"products":[' + b'{"id":"1","name":"Product 1"},' * 200 + b"]}}"


def response(body: bytes = JSON, cache_control: bytes = b"no-store") -> EncodedResponse:
    """A response with that body."""
    headers = (
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", cache_control),
        (b"etag", b'"abc"'),
        (b"content-type", b"application/json"),
    )
    return EncodedResponse(200, headers, body)


def decoded(found: EncodedResponse) -> bytes:
    """The body without its coding."""
    coding = dict(found.headers).get(b"content-encoding")
    if coding == b"gzip":
        return zlib.decompress(found.body, 31)
    assert coding == b"zstd"
    return zstandard.ZstdDecompressor().decompress(found.body)


@pytest.mark.parametrize(
    ("accept_encoding", "expected"),
    [
        (b"gzip", b"gzip"),
        (b"x-gzip", b"gzip"),
        (b"GZip", b"gzip"),
        (b"zstd", b"zstd"),
        (b"gzip, deflate, br, zstd", b"zstd"),
        (b"gzip, deflate, br", b"gzip"),
        (b"gzip;q=1.0, zstd;q=0.5", b"gzip"),
        (b"gzip ; q=0.5 , zstd ; q=0.6", b"zstd"),
        (b"*", b"zstd"),
        (b"zstd;q=0, *", b"gzip"),
        (b"*;q=0", None),
        (b"gzip;q=0", None),
        (b"identity", None),
        (b"identity;q=1, gzip;q=0.5", None),
        (b"identity;q=0.5, gzip;q=1", b"gzip"),
        (b"identity;q=0", None),
        (b"br", None),
        (b"", None),
        (b",;,q=1;", None),
        (b"gzip;q=nan", None),
        (b"gzip;q=2", None),
        (b"gzip;q=", None),
        (b"\xff\xfe", None),
        (b"gzip," * 1000, None),
    ],
)
def test_the_client_decides(accept_encoding: bytes, expected: bytes | None) -> None:
    """RFC 9110, section 12.5.3. What is malformed or too long is taken as not acceptable, and never an error."""
    assert coding_of(accept_encoding) == expected


@pytest.mark.parametrize("coding", [b"gzip", b"zstd"])
@pytest.mark.parametrize("body", [JSON, JSON * 1000], ids=["small", "in pieces"])
async def test_the_body_comes_back(coding: bytes, body: bytes) -> None:
    """It is smaller, has its own length and validator, and is the same after decoding."""
    found = await Compression(CompressionOptions())(response(body), coding)
    assert decoded(found) == body
    assert len(found.body) * 4 < len(body)
    headers = dict(found.headers)
    assert headers[b"content-length"] == b"%d" % len(found.body)
    assert headers[b"etag"] == b'"abc-' + coding + b'"'
    assert without_coding(headers[b"etag"]) == b'"abc"'
    assert headers[b"content-type"] == b"application/json"


@pytest.mark.parametrize("accept_encoding", [None, b"identity", b"br"])
async def test_a_client_that_accepts_nothing_gets_it_as_it_is(accept_encoding: bytes | None) -> None:
    """The response is the same object."""
    plain = response()
    assert await Compression(CompressionOptions())(plain, accept_encoding) is plain


async def test_what_does_not_get_smaller_is_sent_as_it_is() -> None:
    """Random bytes, for example."""
    plain = response(os.urandom(2000))
    assert await Compression(CompressionOptions())(plain, b"gzip") is plain


@pytest.mark.parametrize("coding", [b"gzip", b"zstd"])
async def test_a_large_body_does_not_hold_the_event_loop(coding: bytes) -> None:
    """Another task has a turn for each 64 KiB."""
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    task = asyncio.ensure_future(other())
    body = JSON * 2000
    await Compression(CompressionOptions())(response(body), coding)
    task.cancel()
    assert turns >= len(body) // 65536


async def test_two_large_bodies_at_the_same_time_are_not_mixed() -> None:
    """Each has its own compressor."""
    compress, bodies = Compression(CompressionOptions()), [JSON * 500, JSON[::-1] * 500]
    found = await asyncio.gather(*(compress(response(each), b"zstd") for each in bodies))
    assert [decoded(each) for each in found] == bodies


async def test_what_anyone_may_cache_is_compressed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its content. What is one viewer's own is not kept."""
    asked = []
    original = compression_module._compressed

    async def counted(body: bytes, coding: bytes) -> bytes:
        asked.append(coding)
        return await original(body, coding)

    monkeypatch.setattr(compression_module, "_compressed", counted)
    compress = Compression(CompressionOptions())
    for _ in range(3):
        found = await compress(response(cache_control=b"public, max-age=10"), b"gzip")
        assert decoded(found) == JSON
    assert asked == [b"gzip"]
    await compress(response(cache_control=b"public, max-age=10"), b"zstd")
    await compress(response(JSON + b" ", cache_control=b"public, max-age=10"), b"zstd")
    assert asked == [b"gzip", b"zstd", b"zstd"]
    for _ in range(3):
        await compress(response(cache_control=b"private, max-age=10"), b"gzip")
    assert asked[3:] == [b"gzip"] * 3
