"""Listening sockets, for the gateway and for the demo services alike."""

import resource
import socket

_BACKLOG = 2048
_MOST_FILES = 1_048_576


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens already; port 0 is any free one. Raises `OSError`, and leaves nothing open."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named, though it goes without saying: asyncio sends small packets at once (TCP_NODELAY) only on
    # sockets that bear it. Without, each answer would wait some 40 ms for the client's delayed acknowledgement.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        # Listens at once: two sockets may be bound to one port as long as neither listens, and the clash came later.
        sock.listen(_BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def allow_many() -> None:
    """As many open sockets as this process may have: many systems begin with a mere 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def url_of(sock: socket.socket) -> str:
    """The URL at which HTTP is served on the socket."""
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
