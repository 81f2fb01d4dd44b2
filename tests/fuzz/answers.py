"""HTTP responses for the wire's fuzzer, made by a grammar and then damaged; and a strict parser that judges them.

The parser shares no code with the wire. It follows RFC 9112 literally: what the RFC doesn't allow is `Malformed`.
"""

import re
from dataclasses import dataclass
from random import Random

LIMIT_BYTES = 4000
"""The largest body that the wire may accept."""

_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: [^\r\n]*)?\Z")
"""Any reason phrase is accepted, because none is read."""
_HEADER = re.compile(
    rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*((?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?)[ \t]*\Z"
)
_CHUNK = re.compile(rb"0*([0-9a-fA-F]{1,15})((?:;[!#$%&'*+.^_`|~0-9A-Za-z-]+(?:=[!#$%&'*+.^_`|~0-9A-Za-z-]+)?)*)\Z")

_ODD_CHUNK = re.compile(rb"0*([0-9a-fA-F]{1,15});[\t -~\x80-\xff]*\Z")
"""A chunk with a malformed extension, which the wire may ignore or refuse."""


@dataclass(frozen=True)
class Answer:
    """The response that the strict parser found."""

    status: int
    headers: dict[str, str]
    body: bytes
    is_last: bool
    """Whether the connection must not be reused: it says so, or bytes follow the response, or its end ends the body."""
    may_be_refused: bool
    """Whether it has more headers, trailers, extensions or interim responses than the wire must accept."""


class Malformed(Exception):
    """The bytes are no HTTP response."""


class Incomplete(Exception):
    """The bytes are the beginning of an HTTP response."""


class OutOfBounds(Exception):
    """A response with a body larger than `LIMIT_BYTES`."""


def read_strictly(data: bytes, *, closed: bool) -> Answer:
    """The response in `data`. `closed`: whether the connection was closed after it. Raises the three errors above."""
    headers_seen = interim = 0
    whole = len(data)
    while True:
        status, is_old, headers, data = _head(data)
        headers_seen += len(headers)
        if status == 101:
            raise Malformed
        if status >= 200:
            break
        interim += 1
    merged: dict[str, str] = {}
    for name, value in headers:
        separator = "\n" if name == "set-cookie" else ", "  # cookies can't be joined by commas
        merged[name] = f"{merged[name]}{separator}{value}" if name in merged else value
    options = {option.strip().lower() for option in merged.get("connection", "").split(",")}
    is_last = "keep-alive" not in options if is_old else "close" in options
    body, rest, by_end, trailers = _body(status, merged, data, closed=closed, is_old=is_old)
    if len(body) > LIMIT_BYTES:
        raise OutOfBounds
    around = whole - len(rest) - len(body)
    may_be_refused = headers_seen + trailers > 100 or interim > 16 or around > 64 * 1024
    return Answer(status, merged, body, is_last or by_end or bool(rest.strip(b"\r\n")), may_be_refused)


def _head(data: bytes) -> tuple[int, bool, list[tuple[str, str]], bytes]:
    # Empty lines before a response are ignored, as RFC 9112, section 2.2, says for requests.
    head, end, rest = data.lstrip(b"\r\n").partition(b"\r\n\r\n")
    if not end:
        raise Incomplete
    first, *lines = head.split(b"\r\n")
    match = _STATUS_LINE.match(first)
    if match is None:
        raise Malformed
    headers = []
    for line in lines:
        header = _HEADER.match(line)
        if header is None:
            raise Malformed
        headers.append((header[1].decode("latin-1").lower(), header[2].decode("latin-1")))
    return int(match[2]), match[1] == b"0", headers, rest


def _body(
    status: int, headers: dict[str, str], data: bytes, *, closed: bool, is_old: bool
) -> tuple[bytes, bytes, bool, int]:
    """The body, the bytes after it, whether the connection's end is its end, and the number of trailers."""
    coding, length = headers.get("transfer-encoding"), headers.get("content-length")
    if coding is not None and (length is not None or (coding.lower() != "chunked" and status not in {204, 304})):
        raise Malformed
    if length is not None and (re.fullmatch("[0-9]+", length) is None or int(length) >= 2**64):
        raise Malformed
    if status in {204, 304}:
        # Neither has a body (RFC 9110, section 6.4.1). If one is announced, its bytes may follow the response.
        return b"", data, coding is not None or (status == 204 and int(length or "0") > 0), 0
    if coding is not None:
        body, rest, trailers = _chunked(data)
        return body, rest, is_old, trailers
    if length is None:
        if not closed:
            raise Incomplete
        return data, b"", True, 0
    if int(length) > LIMIT_BYTES:
        raise OutOfBounds
    if len(data) < int(length):
        raise Incomplete
    return data[: int(length)], data[int(length) :], False, 0


def _chunked(data: bytes) -> tuple[bytes, bytes, int]:
    parts = []
    trailers = 0
    while True:
        line, end, data = data.partition(b"\r\n")
        if not end:
            raise Incomplete
        match = _CHUNK.match(line) or _ODD_CHUNK.match(line)
        if match is None:
            raise Malformed
        if match.re is _ODD_CHUNK:
            trailers += 1000
        size = int(match[1], 16)
        if size == 0:
            break
        if size > LIMIT_BYTES:
            raise OutOfBounds
        if len(data) < size + 2:
            raise Incomplete
        if data[size : size + 2] != b"\r\n":
            raise Malformed
        parts.append(data[:size])
        data = data[size + 2 :]
    after, data = _trailers(data)
    return b"".join(parts), data, trailers + after


def _trailers(data: bytes) -> tuple[int, bytes]:
    """The number of trailers, and the bytes after them."""
    count = 0
    while True:
        line, end, data = data.partition(b"\r\n")
        if not end:
            raise Incomplete
        if not line:
            return count, data
        header = _HEADER.match(line)
        if header is None:
            raise Malformed
        # A trailer with a framing header may be ignored or refused (RFC 9110, section 6.5.1).
        framing = header[1].lower() in {b"content-length", b"transfer-encoding", b"connection", b"upgrade"}
        count += 1000 if framing else 1


# the grammar


_STATUSES = [200] * 10 + [201, 204, 206, 301, 304, 400, 404, 412, 429, 500, 503, 600, 999]
_TOKENS = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n\r\n",
    b" ",
    b"\t",
    b"\0",
    b":",
    b";",
    b",",
    b"0\r\n\r\n",
    b"0",
    b"-1",
    b"+5",
    b"0x5",
    b"FFFFFFFFFFFFFFFF",
    b"18446744073709551617",
    b"Content-Length: 5\r\n",
    b"content-length : 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: chunked, identity\r\n",
    b"Transfer-Encoding:\tchunked \r\n",
    b"Connection: close\r\n",
    b"Connection: upgrade\r\nUpgrade: h2c\r\n",
    b" folded\r\n",
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.0 200 OK\r\n",
    b"HTTP/2 200\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    b"\xff\xfe",
]


def make_answer(rng: Random, nonce: bytes) -> bytes:
    """Bytes for the request with that nonce: usually one response, sometimes a part, more than one, or damaged."""
    data = b"".join(_interim(rng) for _ in range(rng.choice([0, 0, 0, 0, 1, 2, 17])))
    data += _final(rng, nonce)
    if rng.random() < 0.1:
        data += _final(rng, b"stolen-" + nonce)  # a second response, to no request
    if rng.random() < 0.5:
        return data
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        data = _damage(rng, data)
    return data


def _interim(rng: Random) -> bytes:
    status = rng.choice(
        [b"100 Continue", b"102 Processing", b"103 Early Hints", b"103 Early Hints", b"101 Switching", b"199 ?"]
    )
    return b"HTTP/1.1 %b\r\n%b\r\n" % (status, b"".join(_headers(rng, rng.choice([0, 1, 3]))))


def _headers(rng: Random, count: int) -> list[bytes]:
    names = [b"ETag", b"etag", b"Vary", b"X-A", b"x-a", b"Cache-Control", b"Set-Cookie", b"Date"]
    values = [b'"1"', b"", b"a, b", b"\xfc\xe4", b" padded ", b"\ttab\tin\t", b"v" * rng.choice([1, 10, 3000])]
    return [b"%b: %b\r\n" % (rng.choice(names), rng.choice(values)) for _ in range(count)]


def _final(rng: Random, nonce: bytes) -> bytes:
    body = nonce + b"." * rng.choice([0, 1, 20, 500, LIMIT_BYTES - len(nonce), LIMIT_BYTES, 9000])
    lines = _headers(rng, rng.choice([0, 1, 2, 5, 5, 99, 101]))
    if rng.random() < 0.1:
        lines.append(rng.choice([b"Connection: close\r\n", b"Connection: keep-alive\r\n", b"connection: x, Close\r\n"]))
    framing = rng.choice(["length"] * 6 + ["chunks"] * 6 + ["end", "both", "twice", "wrong"])
    length = b"Content-Length: %d\r\n" % len(body)
    if framing in {"length", "both", "twice"}:
        lines.append(length)
    if framing == "twice":
        lines.append(rng.choice([length, b"content-length: 3\r\n"]))
    if framing == "wrong":
        lines.append(b"Content-Length: %b\r\n" % rng.choice([b"", b"-1", b"+3", b"3, 3", b"1e3", b"0x3", b"9" * 30]))
    if framing in {"chunks", "both"}:
        lines.append(
            b"%b: %b\r\n" % (rng.choice([b"Transfer-Encoding", b"transfer-encoding"]), rng.choice([b"chunked", b"Chunked"]))
        )
        body = _in_chunks(rng, body)
    rng.shuffle(lines)
    version = rng.choice([b"1.1"] * 9 + [b"1.0"])
    reason = rng.choice([b"OK", b"", b"Some \xfc reason"])
    return b"HTTP/%b %d %b\r\n%b\r\n%b" % (version, rng.choice(_STATUSES), reason, b"".join(lines), body)


def _in_chunks(rng: Random, body: bytes) -> bytes:
    out, position = [], 0
    most = rng.choice([1, 7, 100, 5000])
    extensions = [b""] * 8 + [b";a", b";a=b", b";" + b"e" * rng.choice([1, 1, 30, 300])]
    while position < len(body):
        part = body[position : position + rng.randint(1, most)]
        size = rng.choice([b"%x", b"%X", b"0%x"]) % len(part)
        out.append(b"%b%b\r\n%b\r\n" % (size, rng.choice(extensions), part))
        position += len(part)
    return b"".join([*out, b"0\r\n", *_headers(rng, rng.choice([0, 0, 0, 1, 3, 120])), b"\r\n"])


def _damage(rng: Random, data: bytes) -> bytes:
    at = rng.randint(0, len(data)) if rng.random() < 0.3 else rng.randint(0, min(len(data), 300))
    size = rng.choice([1, 1, 2, 8, 100])
    line_ends = [match.start() for match in re.finditer(b"\r\n", data)][:50]
    if line_ends and rng.random() < 0.15:
        at = rng.choice(line_ends)
        return data[:at] + rng.choice([b"\n", b"\r", b"", b"\r\r\n", b"\r\n ", b"\r\n\t"]) + data[at + 2 :]
    damaged = [
        data[:at] + data[at + size :],
        data[:at] + rng.randbytes(1) + data[at + 1 :],
        data[: at + size] + data[at:],
        data[:at],
        data[:at] + rng.choice(_TOKENS) + data[at:],
        data[:at] + rng.choice(_TOKENS) * rng.choice([1, 200]) + data[at + size :],
    ]
    return rng.choice(damaged)
