"""Abusive requests: every answer is well-formed, reveals nothing internal, and is no internal error."""

import gzip
import http.client
import json
import random
from typing import Any, Self

import pytest

from tests.conftest import StartGateway
from tests.support.background import Background
from tests.support.gateways import RunningGateway
from tests.support.services import Tapped
from tests.support.sockets import connected, until_closed
from tests.support.work import counted_in

BODIES = 10_000
_INNER = (b"Traceback", b".py", b"127.0.0.1", b"site-packages", b"INTERNAL_SERVER_ERROR")


def well_formed(status: int, body: bytes) -> None:
    """Assert a GraphQL answer, or the server's refusal of invalid HTTP, without internals and without an internal error."""
    assert status < 500
    assert not any(each in body for each in _INNER)
    if body:
        answer = json.loads(body)
        for each in answer if isinstance(answer, list) else [answer]:
            assert "data" in each or each["errors"]


class Line:
    """One connection that is used again and again."""

    def __init__(self, gateway: RunningGateway) -> None:
        self._host, _, port = gateway.url.removeprefix("http://").partition(":")
        self._port = int(port)
        self._connection = http.client.HTTPConnection(self._host, self._port, timeout=20)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def post(self, body: bytes, content_type: str = "application/json", path: str = "/web/graphql", **headers: str) -> int:
        """The status of a well-formed answer."""
        self._connection.request("POST", path, body, {"content-type": content_type, **headers})
        response = self._connection.getresponse()
        well_formed(response.status, response.read())
        return response.status


def bombs() -> dict[str, dict[str, Any]]:
    """Short documents that ask for much."""
    deep = "{ me { orders { user { " * 40
    fragments = "".join(f" fragment F{n} on User {{ id ...F{n + 1} ...F{n + 1} }}" for n in range(30))
    return {
        "aliases": {"query": "{ " + " ".join(f"a{n}: __typename" for n in range(5000)) + " }"},
        "aliased lists": {
            "query": "{ " + " ".join(f"a{n}: products(first: 100) {{ nodes {{ id }} }}" for n in range(30)) + " }"
        },
        "depth": {"query": deep + "id" + " } } }" * 40 + "}"},
        "deep braces": {"query": "{" * 50_000},
        "deep lists": {"query": "{ product(id: " + "[" * 20_000 + "]" * 20_000 + ") { id } }"},
        "deep types": {"query": "query ($a: " + "[" * 1900 + "Int" + "]" * 1900 + ") { __typename }"},
        "a cycle of fragments": {"query": "{ me { ...A } } fragment A on User { ...B } fragment B on User { ...A }"},
        "fragments of itself": {"query": "{ me { ...A } } fragment A on User { id orders { user { ...A } } }"},
        "doubling fragments": {"query": "{ me { ...F0 } }" + fragments + " fragment F30 on User { id }"},
        "directives": {"query": "{ __typename " + "@include(if: true) " * 1000 + "}"},
        "unknown directives": {"query": "{ __typename " + "@a" * 900 + " }"},
        "the same field": {"query": "{ me { " + "id " * 1900 + "} }"},
        "the same object": {"query": "{ " + "me { id } " * 400 + "}"},
        "inline fragments": {"query": "{ " + "... { " * 600 + "__typename" + " }" * 600 + " }"},
        "introspection": {"query": "{ __schema { types { " + "fields { type { " * 9 + "name" + " } }" * 9 + " } } }"},
        "variables": {"query": "query (" + " ".join(f"$v{n}: Int" for n in range(900)) + ") { __typename }"},
        "a long name": {"query": "{ " + "n" * 90_000 + " }"},
        "a long string": {"query": '{ product(id: "' + "9" * 90_000 + '") { id } }'},
        "many operations": {"query": " ".join(f"query Q{n} {{ __typename }}" for n in range(400)), "operationName": "Q1"},
        "huge numbers": {"query": "{ products(first: " + "9" * 5000 + ") { nodes { id } } }"},
        "huge variables": {"query": "query ($n: Int) { products(first: $n) { nodes { id } } }", "variables": {"n": 10**400}},
        "odd variables": {"query": "query ($id: ID!) { product(id: $id) { id } }", "variables": {"id": {"__proto__": []}}},
        "nul": {"query": '{ product(id: "\\u0000") { id } }\u0000'},
        "surrogates": {"query": '{ product(id: "\\ud800") { id } }'},
    }


_MOST_WORK = 1_500_000
"""Function calls of a request, by gateway and services. A successful attack takes thousands of times as many."""


@pytest.mark.parametrize("name", bombs())
def test_a_bomb_is_refused_or_answered_with_little_work(
    gateway: RunningGateway, services: Tapped, own_background: Background, name: str
) -> None:
    """With at most the work of a large request, and the calls that one request may make."""
    with counted_in(own_background) as work:
        response = gateway.http.post(f"{gateway.url}/web/graphql", json=bombs()[name])
    assert work.calls < _MOST_WORK
    well_formed(response.status_code, response.content)
    assert len(services.calls) <= 31
    assert gateway.ask("web", "{ __typename }") == {"data": {"__typename": "Query"}}


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"[" * 50_000, "application/json", 400),
        (b'{"a":' * 15_000, "application/json", 400),
        (b'{"query":"{__typename}","variables":' + b"[" * 40_000 + b"]" * 40_000 + b"}", "application/json", 400),
        (b"\xff\xfe\xfd", "application/json", 400),
        (b'{"query":"\xc3\x28"}', "application/json", 400),
        (b"x" * 200_000, "application/json", 413),
        (b"{}", "text/plain", 415),
        (b"query={__typename}", "application/x-www-form-urlencoded", 415),
        (b"", "application/json", 400),
        (b"null", "application/json", 400),
    ],
)
def test_invalid_bodies_are_refused(gateway: RunningGateway, body: bytes, content_type: str, status: int) -> None:
    """Each for its own reason."""
    with Line(gateway) as line:
        assert line.post(body, content_type) == status


def test_compressed_bodies_are_not_decompressed(gateway: RunningGateway) -> None:
    """A compressed bomb of zeros is refused."""
    packed = gzip.compress(b"0" * 10_000_000)
    with Line(gateway) as line:
        assert line.post(packed, **{"content-encoding": "gzip"}) == 415


@pytest.mark.long
def test_random_bodies_are_answered(start_gateway: StartGateway) -> None:
    """Ten thousand on one connection: junk, truncated and changed requests, unusual members."""
    gateway = start_gateway(BFF_VARIANTS__WEB__INTROSPECTION="true")
    dice = random.Random(20261124)
    whole = [json.dumps(body).encode() for body in bombs().values() if len(json.dumps(body)) < 3000]
    whole += [
        b'{"query":"query Q($id: ID!) { product(id: $id) { id name } }","variables":{"id":"1"},"operationName":"Q"}',
        b'[{"query":"{ me { id } }"},{"query":"{ __typename }","extensions":{"persistedQuery":{"version":1}}}]',
        b'{"documentId":"sha256:00","extensions":{"explain":true}}',
    ]
    odd = [
        b"null",
        b"1e999",
        b"-0",
        b'"\\ud800"',
        b"{}",
        b"[]",
        b"true",
        b"{",
        b"}",
        b"\x00",
        b"\xff",
        b'\\"',
        b"$",
        b"...",
        b"@",
    ]
    with Line(gateway) as line:
        for _ in range(BODIES):
            body = bytearray(dice.choice(whole))
            for _ in range(dice.randrange(6)):
                at = dice.randrange(len(body) + 1)
                match dice.randrange(4):
                    case 0:
                        body[at:at] = dice.choice(odd)
                    case 1:
                        del body[at : at + dice.randrange(20)]
                    case 2:
                        body[at : at + 1] = bytes([dice.randrange(256)])
                    case _:
                        body = bytearray(dice.randbytes(dice.randrange(1, 200)))
            line.post(bytes(body))


def test_invalid_headers_are_refused(gateway: RunningGateway) -> None:
    """Repeated, unusual or endless. The next request is answered."""
    heads = [
        b"authorization: Bearer a\r\nauthorization: Bearer b\r\n",
        b"authorization: \r\n",
        b"authorization: Basic \xff\xfe\r\n",
        b"x-api-key: \xff\r\n",
        b"accept: " + b"a/b;q=0.1," * 500 + b"\r\n",
        b"x-forwarded-for: " + b"1," * 3000 + b"\r\n",
        b"content-type: application/json; charset=\xff\r\n",
        b"x-long: " + b"a" * 100_000 + b"\r\n",
    ]
    for head in heads:
        with connected(gateway.url) as connection:
            body = b'{"query":"{ __typename }"}'
            kind = b"" if b"content-type" in head else b"content-type: application/json\r\n"
            connection.sendall(b"POST /web/graphql HTTP/1.1\r\nhost: a\r\nconnection: close\r\n" + kind + head)
            connection.sendall(b"content-length: %d\r\n\r\n" % len(body) + body)
            received = until_closed(connection)
            assert not any(each in received for each in _INNER)
            assert not received.startswith((b"HTTP/1.1 5",))
    assert gateway.ask("web", "{ __typename }") == {"data": {"__typename": "Query"}}
