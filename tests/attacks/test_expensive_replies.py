"""A service that makes its replies expensive: much work for few bytes, or bytes that are no part of the reply."""

import json

import pytest

from bff.upstream.wire.connection import FREE_PIECES, ServiceConnection
from tests.conftest import StartGateway
from tests.support.fakes import a_product
from tests.support.services import Tapped

PRODUCT = a_product(1)
BODY = json.dumps(PRODUCT).encode()
STATUS = b"HTTP/1.1 200 OK\r\n"
CHUNKED = STATUS + b"content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
WHOLE = b"%x\r\n%b\r\n0\r\n" % (len(BODY), BODY)
QUERY = '{ product(id: "1") { name } }'
SPUN_OUT = {
    "a byte a chunk": CHUNKED + b"1\r\n \r\n" * 700_000 + WHOLE + b"\r\n",
    "4 MB of trailers": CHUNKED + WHOLE + b"a: b\r\n" * 700_000 + b"\r\n",
    "one trailer of 4 MB": CHUNKED + WHOLE + b"a: " + b"b" * 4_000_000 + b"\r\n\r\n",
    "4 MB of chunk extensions": CHUNKED + b"1;" + b"a" * 4_000_000 + b"\r\n \r\n" + WHOLE + b"\r\n",
    "4 MB of headers": STATUS + b"a: b\r\n" * 700_000 + CHUNKED[len(STATUS) :] + WHOLE + b"\r\n",
    "4 MB of hints": b"HTTP/1.1 103 Early Hints\r\n\r\n" * 160_000 + CHUNKED + WHOLE + b"\r\n",
}


def test_an_expensive_reply_is_refused(
    start_gateway: StartGateway, services: Tapped, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a few thousand calls of the parser. Each of these blocked the event loop for a quarter of a second or more."""
    calls = 0
    on_body, on_header = ServiceConnection.on_body, ServiceConnection.on_header

    def count_body(self: ServiceConnection, body: bytes) -> None:
        nonlocal calls
        calls += 1
        on_body(self, body)

    def count_header(self: ServiceConnection, name: bytes, value: bytes) -> None:
        nonlocal calls
        calls += 1
        on_header(self, name, value)

    monkeypatch.setattr(ServiceConnection, "on_body", count_body)
    monkeypatch.setattr(ServiceConnection, "on_header", count_header)
    gateway = start_gateway(BFF_SOURCES__PRODUCTS__BREAKER__MINIMUM_CALLS="1000", BFF_SOURCES__PRODUCTS__RETRY__ATTEMPTS="1")
    for name, answer in SPUN_OUT.items():
        services.ports["products"].custom = lambda _, answer=answer: answer
        calls = 0
        lost = gateway.ask("web", QUERY)
        assert lost["data"] == {"product": None}, name
        assert lost["errors"][0]["extensions"] == {"code": "UPSTREAM_ERROR", "source": "products"}
        assert calls < FREE_PIECES + 10_000, name
    services.ports["products"].custom = None
    assert gateway.ask("web", QUERY) == {"data": {"product": {"name": "Product 1"}}}


def test_trailers_and_interim_replies_do_not_change_freshness(start_gateway: StartGateway, services: Tapped) -> None:
    """Only the headers of the final reply count."""
    hint = b"HTTP/1.1 103 Early Hints\r\ncache-control: max-age=60\r\nvary: *\r\n\r\n"
    port = services.ports["products"]
    port.custom = lambda _: hint + CHUNKED + WHOLE + b"cache-control: max-age=60\r\n\r\n"
    gateway = start_gateway()
    for number in (1, 2):
        response = gateway.post("web", {"query": QUERY})
        assert response.json() == {"data": {"product": {"name": "Product 1"}}}
        assert response.headers["cache-control"] == "no-store"
        assert len(port.failed) == number
