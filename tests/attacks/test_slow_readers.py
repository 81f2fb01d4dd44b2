"""A client that reads its answer more slowly than the lowest allowed rate is disconnected."""

import json
import socket
import time

from tests.conftest import StartGateway
from tests.support.faults import json_answer
from tests.support.services import Tapped
from tests.support.sockets import connected

_BODY = json.dumps({"query": "{ products(first: 100) { nodes { description } } }"}).encode()
_HEAD = b"POST /web/graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(_BODY)


def catalogue(_: bytes) -> bytes:
    """A page of a hundred products of 50 KB each."""
    items = [
        {
            "id": number,
            "sku": "S",
            "name": "N",
            "description": "d" * 50_000,
            "price": 1.0,
            "currency": "USD",
            "stock": 1,
            "category": "toys",
            "imageUrl": "https://cdn.example.com/1.jpg",
            "updatedAt": "2026-01-01T00:00:00Z",
        }
        for number in range(1, 101)
    ]
    return json_answer(json.dumps({"items": items, "nextCursor": None, "total": 100}).encode())


def test_an_answer_read_byte_by_byte_is_cut_off(start_gateway: StartGateway, services: Tapped) -> None:
    """It is read all the time, but it would take days."""
    gateway = start_gateway(BFF_CONNECTIONS__HEAD_TIMEOUT_S="0.3", BFF_CONNECTIONS__READ_BYTES_PER_S="2048")
    services.ports["products"].custom = catalogue
    with connected(gateway.url, small=True) as connection:
        connection.sendall(_HEAD + _BODY)
        until = time.monotonic() + 60
        while not connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):  # received bytes stay readable after a reset
            assert connection.recv(1)
            assert time.monotonic() < until, "it is still served"
            time.sleep(0.01)


def test_an_answer_that_is_read_slowly_and_steadily_is_served(start_gateway: StartGateway, services: Tapped) -> None:
    """A client with a slow line gets all of it."""
    gateway = start_gateway(BFF_CONNECTIONS__HEAD_TIMEOUT_S="0.5", BFF_CONNECTIONS__READ_BYTES_PER_S="1024")
    services.ports["products"].custom = catalogue
    received = 0
    with connected(gateway.url, small=True) as connection:
        connection.sendall(_HEAD + _BODY)
        while received < 5_000_000:
            chunk = connection.recv(32_768)
            assert chunk
            received += len(chunk)
            time.sleep(0.005)
