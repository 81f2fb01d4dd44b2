"""A short run of the wire's fuzzer; and that it would find what it looks for."""

import asyncio
import time
from math import inf
from random import Random

import pytest

from bff.upstream.wire.connection import ServiceConnection
from tests.fuzz.answers import Answer, Incomplete, Malformed, OutOfBounds, read_strictly
from tests.fuzz.wire import Difference, fuzz, in_memory


def test_the_wire_reads_what_a_strict_reader_reads() -> None:
    """The same hundred answers each time over real sockets, and as many in memory, cut in several ways."""
    kinds = fuzz(11, seconds=600, most=100, hold_s=inf)
    assert kinds["reply"] > 60
    assert kinds["BrokenAnswer"] > 60
    assert kinds["AnswerTooLarge"] > 5


@pytest.mark.parametrize("part", ["trailers", "length", "unasked", "cut off"])
def test_the_fuzzer_finds_a_mistake(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wire with a mistake made on purpose doesn't pass."""
    if part == "trailers":  # taken for headers

        def on_header(self: ServiceConnection, name: bytes, value: bytes) -> None:
            self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

        monkeypatch.setattr(ServiceConnection, "on_header", on_header)
    elif part == "length":  # a body larger than allowed
        monkeypatch.setattr(ServiceConnection, "on_body", lambda self, body: self._chunks.append(body))
    elif part == "unasked":  # a second answer is not noticed
        monkeypatch.setattr(ServiceConnection, "on_message_begin", lambda _: None)
    else:  # the end of a connection is taken for the end of any answer

        def eof_received(self: ServiceConnection) -> None:
            if self._in_body and self._waiter is not None and not self._waiter.done():
                self._answer()

        monkeypatch.setattr(ServiceConnection, "eof_received", eof_received)
    with pytest.raises(Difference):
        asyncio.run(in_memory(Random(3), until=time.monotonic() + 600, most=2000))


HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (HEAD + b"content-length: 2\r\n\r\nhi", (b"hi", False)),
        (HEAD + b"content-length: 2\r\n\r\nhi!", (b"hi", True)),
        (HEAD + b"transfer-encoding: chunked\r\n\r\n2;a=b\r\nhi\r\n0\r\nx: y\r\n\r\n", (b"hi", False)),
        (HEAD + b"connection: close\r\ncontent-length: 0\r\n\r\n", (b"", True)),
        (HEAD + b"\r\nhi", (b"hi", True)),
        (HEAD + b"content-length: 2\r\n\r\nh", Incomplete),
        (HEAD + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n", Malformed),
        (HEAD + b"content-length: 2\r\ncontent-length: 2\r\n\r\nhi", Malformed),
        (HEAD + b"a : b\r\n\r\n", Malformed),
        (HEAD + b"content-length: 4001\r\n\r\n", OutOfBounds),
        (b"HTTP/1.1 101 Other\r\n\r\n", Malformed),
        (b"HTTP/1.1 103 Hint\r\nx: y\r\n\r\n" + HEAD + b"content-length: 0\r\n\r\n", (b"", False)),
    ],
)
def test_the_strict_reader(data: bytes, expected: tuple[bytes, bool] | type[Exception]) -> None:
    """It is a reader of its own, so it has tests of its own."""
    if isinstance(expected, type):
        with pytest.raises(expected):
            read_strictly(data, closed=True)
        return
    answer = read_strictly(data, closed=True)
    assert isinstance(answer, Answer)
    assert (answer.body, answer.is_last) == expected
