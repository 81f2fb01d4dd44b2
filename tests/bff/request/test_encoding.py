"""Responses as bytes: their JSON, content headers, validators, and batches of them."""

import time
from typing import Any

import orjson
import pytest

from bff.engine.operation import Operation
from bff.request.encoding import (
    cache_control_of,
    content_headers,
    encode,
    encode_json,
    encode_part,
    etag_of,
    join_parts,
    known_validator,
)
from bff.request.exchange import Exchange, headers_of, open_exchange
from bff.request.http import MediaType
from bff.request.response import NO_STORE, EncodedResponse, Response, refusal, refusal_for
from bff.upstream.caller import Deadline, Freshness
from tests.support.endpoints import endpoint

PUBLIC = b"public, max-age=5"
GOOD = {"data": {"a": 1}}


def exchange(method: str = "GET", **headers: str) -> Exchange:
    """A request by that method, with headers whose names have `_` in place of `-`."""
    scope = {
        "method": method,
        "headers": [(name.replace("_", "-").encode(), each.encode()) for name, each in headers.items()],
    }
    return open_exchange(endpoint(), scope, None, headers_of(scope), Deadline.after(1, time.monotonic), "")  # type: ignore[arg-type]


def test_a_response_is_encoded_with_its_content_headers() -> None:
    """Then come its own headers, then those of the ledger; what the log needs is kept."""
    given = exchange()

    class Charged:
        counts_cost = False

        def headers(self) -> Any:
            return ((b"ratelimit", b"x"),)

    given.ledger = Charged()  # type: ignore[assignment] # nothing else is asked of it
    encoded = encode(given, Response(GOOD, 201, ((b"own", b"1"),), codes=("C",), outcome="partial"))
    body = b'{"data":{"a":1}}'
    headers = (*content_headers(MediaType.JSON, body), (b"own", b"1"), (b"ratelimit", b"x"))
    assert encoded == EncodedResponse(201, headers, body, ("C",), "partial")
    assert encode(given, encoded) is encoded


@pytest.mark.parametrize(
    ("method", "control", "has_etag"),
    [("GET", PUBLIC, True), ("HEAD", PUBLIC, True), ("POST", PUBLIC, False), ("GET", NO_STORE, False)],
)
def test_what_a_client_may_cache_by_get_has_an_etag(method: str, control: bytes, has_etag: bool) -> None:
    """A POST's response can't be revalidated, and one that must not be stored needs no validator."""
    headers = dict(encode(exchange(method), Response(GOOD, cache_control=control)).headers)
    assert headers[b"cache-control"] == control
    assert (b"etag" in headers) is has_etag


def test_a_client_that_has_the_response_gets_a_304() -> None:
    """With the headers of the 200, but without those of the body (RFC 9110, section 15.4.5)."""
    full = encode(exchange(), Response(GOOD, cache_control=PUBLIC))
    etag = dict(full.headers)[b"etag"].decode()
    short = encode(exchange(if_none_match=etag), Response(GOOD, cache_control=PUBLIC))
    assert (short.status, short.body) == (304, b"")
    assert [each for each in full.headers if each[0] not in {b"content-type", b"content-length"}] == list(short.headers)
    assert encode(exchange(if_none_match='"other"'), Response(GOOD, cache_control=PUBLIC)) == full


def test_the_encoded_content_is_handed_on_once() -> None:
    """To the response cache, which keeps bytes. Content that is bytes already is sent as it is."""
    kept: list[bytes] = []
    encode(exchange(), Response(GOOD, on_encoded=kept.append))
    encode_part(exchange(), Response(GOOD, on_encoded=kept.append))
    assert kept == [b'{"data":{"a":1}}'] * 2
    assert encode(exchange(), Response(b"kept", on_encoded=kept.append)).body == b"kept"
    assert len(kept) == 2


class Odd:
    """A value that JSON has no form for."""


def test_content_that_cannot_be_encoded_is_an_internal_error(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, without the value, and the client gets a valid response; so does the part of a batch."""
    encoded = encode(exchange(), Response({"data": {"a": Odd()}}))
    assert (encoded.status, encoded.codes, encoded.outcome) == (500, ("INTERNAL_SERVER_ERROR",), "refused")
    assert orjson.loads(encoded.body)["errors"][0]["message"] == "Internal server error."
    part = encode_part(exchange(), Response({"data": {"a": Odd()}}))
    assert part.content == encoded.body
    assert [record.name for record in caplog.records] == ["bff.errors"] * 2


def test_parts_of_a_batch_are_joined() -> None:
    """Each as it was encoded; codes without duplicates, and the outcome that all have, otherwise `partial`."""
    good = encode_part(exchange(), Response(GOOD))
    bad = encode_part(exchange(), refusal(exchange(), [{"message": "m", "extensions": {"code": "C"}}], None))
    joined = join_parts([bad, good, bad])
    assert isinstance(joined.content, bytes)
    assert [list(each) for each in orjson.loads(joined.content)] == [["errors"], ["data"], ["errors"]]
    assert (joined.status, joined.codes, joined.outcome) == (200, ("C",), "partial")
    assert (join_parts([good, good]).outcome, join_parts([bad, bad]).outcome) == ("ok", "refused")


@pytest.mark.parametrize(("accept", "status"), [("application/graphql-response+json", 400), ("application/json", 200)])
def test_the_media_type_decides_the_status_of_a_well_formed_request(accept: str, status: int) -> None:
    """With `application/json` every well-formed request is a 200 (GraphQL over HTTP, status codes)."""
    entries = [{"message": "m", "extensions": {"code": "C"}}]
    refused = refusal(exchange(accept=accept), entries, None)
    assert (refused.status, refused.content, refused.codes) == (status, {"errors": entries}, ("C",))
    assert refusal(exchange(accept=accept), entries, 404).status == 404


def test_any_other_error_is_masked_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Its message may hold what a client has sent. The operation is kept for the access log."""
    operation: Operation = object()  # type: ignore[assignment] # it is only handed on
    masked = refusal_for(ValueError("a password"), exchange(), operation)
    assert (masked.status, masked.codes, masked.operation) == (500, ("INTERNAL_SERVER_ERROR",), operation)
    assert "password" not in str(masked)
    assert [record.name for record in caplog.records] == ["bff.errors"]


@pytest.mark.parametrize("media", MediaType)
def test_content_headers_describe_the_body(media: MediaType) -> None:
    """Media type with charset, and length. It varies by the client's credentials, and by default must not be stored."""
    body = encode_json({"data": {"name": "é"}})
    assert orjson.loads(body) == {"data": {"name": "é"}}
    assert dict(content_headers(media, body)) == {
        b"content-type": f"{media.value}; charset=utf-8".encode(),
        b"content-length": str(len(body)).encode(),
        b"vary": b"Accept, Accept-Encoding, Authorization, X-API-Key",
        b"cache-control": b"no-store",
        b"x-content-type-options": b"nosniff",
    }


@pytest.mark.parametrize(
    ("noted", "is_private", "expected"),
    [
        ([], False, b"no-store"),
        ([(30.9, True, True)], False, b"public, max-age=30"),
        ([(30.0, True, True)], True, b"private, max-age=30"),
        ([(30.0, True, True), (5.0, True, True)], False, b"public, max-age=5"),
        ([(30.0, True, True), (60.0, False, True)], False, b"private, max-age=30"),
        ([(30.0, True, True), (0.0, True, True)], False, b"public, no-cache"),
        ([(-3.0, False, True)], False, b"private, no-cache"),
        ([(30.0, True, True), (30.0, True, False)], False, b"no-store"),
    ],
)
def test_cache_control_is_that_of_the_strictest_upstream_response(
    noted: list[tuple[float, bool, bool]], is_private: bool, expected: bytes
) -> None:
    """The shortest age; private if any is; `no-store` if any is, or if there is none."""
    freshness = Freshness()
    for left_s, is_shared, may_keep in noted:
        freshness.note(left_s, is_shared=is_shared, may_keep=may_keep)
    assert cache_control_of(freshness, is_private=is_private) == expected
    freshness.forbid()
    assert cache_control_of(freshness, is_private=is_private) == NO_STORE


def test_an_etag_identifies_the_bytes() -> None:
    """It is strong, and compared weakly (RFC 9110, section 13.1.2)."""
    etag, other = etag_of(b"a"), etag_of(b"b")
    assert etag == etag_of(b"a") != other
    for header in (etag, b"W/" + etag, other + b", " + etag, other + b",W/" + etag, b"*", b" * "):
        assert known_validator(etag, header) == etag
    compressed = etag[:-1] + b'-zstd"'
    assert known_validator(etag, other + b", " + compressed) == compressed
    for known in (None, b"", other, etag[1:-1], b'"*"', other[:-1] + b'-gzip"', etag[:-1] + b'-br"'):
        assert known_validator(etag, known) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2**70, b"1180591620717411303424"),
        (-(2**70), b"-1180591620717411303424"),
        (2**64 - 1, b"18446744073709551615"),
        ("half \ud83d of one", '"half \ufffd of one"'.encode()),
        ("whole \ud83d\ude00", '"whole \U0001f600"'.encode()),
        (
            {"a\udc00": [2**64, ("b\ud800", None, 0.5, True)]},
            '{"a\ufffd":[18446744073709551616,["b\ufffd",null,0.5,true]]}'.encode(),
        ),
        (float("inf"), b"null"),
    ],
)
def test_values_that_orjson_refuses_are_encoded(value: object, text: bytes) -> None:
    """Large integers in full, unpaired surrogates as U+FFFD."""
    assert encode_json({"data": value}) == b'{"data":' + text + b"}"
