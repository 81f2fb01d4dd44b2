"""Raw connections, for requests that no HTTP client would send."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit


@contextmanager
def connected(url: str, *, small: bool = False) -> Iterator[socket.socket]:
    """A new connection. A small one has a minimal receive buffer."""
    address = urlsplit(url)
    with socket.socket() as connection:
        if small:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(30)
        connection.connect((address.hostname or "", address.port or 0))
        yield connection


def until_closed(connection: socket.socket) -> bytes:
    """The bytes received until the other side closes the connection."""
    received = b""
    try:
        while chunk := connection.recv(65536):
            received += chunk
    except ConnectionResetError:
        pass
    return received


def one_answer(connection: socket.socket) -> tuple[int, bytes, bytes]:
    """The status, head and body of the next response, which has a `Content-Length`. Reads nothing of later responses."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        assert byte, head
        head += byte
    head, body = head[:-4], b""
    lengths = [line.partition(b":")[2] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    while len(body) < int(lengths[0]):
        chunk = connection.recv(int(lengths[0]) - len(body))
        assert chunk, body
        body += chunk
    return int(head.split()[1]), head, body
