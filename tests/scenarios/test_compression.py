"""Compression of answers over real sockets: who gets which, and what a cache may do with it."""

import gzip
import json
from typing import Any

import httpx
import pytest
import zstandard

from tests.conftest import StartGateway
from tests.support.gateways import RunningGateway

PRODUCTS = "{ products(first: 50) { nodes { id name price description } } }"
SMALL = "{ __typename }"


def raw(
    gateway: RunningGateway, query: str, accept_encoding: str | None, method: str = "POST", **headers: str
) -> tuple[httpx.Response, bytes]:
    """The response, and its body as it was sent."""
    sent = {"accept-encoding": accept_encoding or "identity", "content-type": "application/json", **headers}
    content: dict[str, Any] = {"content": json.dumps({"query": query})} if method == "POST" else {"params": {"query": query}}
    with gateway.http.stream(method, f"{gateway.url}/web/graphql", headers=sent, **content) as answer:
        return answer, b"".join(answer.iter_raw())


def test_the_client_gets_the_coding_that_it_accepts(dev_gateway: RunningGateway) -> None:
    """The same answer in each coding, with the length of what is sent, and `Vary` for caches between."""
    plain, expected = raw(dev_gateway, PRODUCTS, None)
    assert "content-encoding" not in plain.headers
    for accepted, coding, decode in (
        ("gzip, deflate, br", "gzip", gzip.decompress),
        ("gzip, deflate, br, zstd", "zstd", zstandard.decompress),
    ):
        answer, body = raw(dev_gateway, PRODUCTS, accepted)
        assert answer.headers["content-encoding"] == coding
        assert int(answer.headers["content-length"]) == len(body) < len(expected) / 3
        assert json.loads(decode(body)) == json.loads(expected)
    assert "Accept-Encoding" in plain.headers["vary"]


def test_a_small_answer_is_not_compressed(dev_gateway: RunningGateway) -> None:
    """Below `compression.min_bytes`."""
    answer, body = raw(dev_gateway, SMALL, "gzip")
    assert "content-encoding" not in answer.headers
    assert json.loads(body) == {"data": {"__typename": "Query"}}


def test_each_coding_has_a_validator_of_its_own(dev_gateway: RunningGateway) -> None:
    """RFC 9110, section 8.8.3.3. A client that has the answer in any coding gets a 304 with the validator that it sent."""
    tags = {coding: raw(dev_gateway, PRODUCTS, coding, "GET")[0].headers["etag"] for coding in (None, "gzip", "zstd")}
    assert len(set(tags.values())) == 3
    for tag in tags.values():
        for coding in tags:
            answer, body = raw(dev_gateway, PRODUCTS, coding, "GET", **{"if-none-match": f'"other", {tag}'})
            assert (answer.status_code, body, answer.headers["etag"]) == (304, b"", tag)
            assert "content-encoding" not in answer.headers
    answer, _ = raw(dev_gateway, PRODUCTS, "gzip", "GET", **{"if-none-match": '"other-gzip"'})
    assert answer.status_code == 200


def test_a_head_request_has_the_headers_of_its_get(dev_gateway: RunningGateway) -> None:
    """RFC 9110, section 9.3.2."""
    (got, _), (head, body) = (raw(dev_gateway, PRODUCTS, "gzip", method) for method in ("GET", "HEAD"))
    assert body == b""
    for name in ("content-length", "content-encoding", "etag"):
        assert head.headers[name] == got.headers[name]


@pytest.mark.parametrize("path", ["/metrics", "/web/graphql"])
def test_pages_are_compressed_too(dev_gateway: RunningGateway, path: str) -> None:
    """GraphiQL and metrics."""
    answer = dev_gateway.http.get(dev_gateway.url + path, headers={"accept-encoding": "gzip", "accept": "text/html"})
    assert answer.headers["content-encoding"] == "gzip"
    assert len(answer.text) > 1024


def test_it_can_be_switched_off(start_gateway: StartGateway) -> None:
    """`compression.enabled`; `compression.min_bytes` moves the limit."""
    off = start_gateway(BFF_COMPRESSION__ENABLED="false")
    answer, _ = raw(off, PRODUCTS, "gzip")
    assert "content-encoding" not in answer.headers
    assert "content-encoding" not in off.http.get(f"{off.url}/metrics").headers
    larger = start_gateway(BFF_COMPRESSION__MIN_BYTES="1000000")
    assert "content-encoding" not in raw(larger, PRODUCTS, "gzip")[0].headers
    smaller = start_gateway(BFF_COMPRESSION__MIN_BYTES="1")
    assert "content-encoding" not in raw(smaller, SMALL, "gzip")[0].headers  # nothing would be gained
