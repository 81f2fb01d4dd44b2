"""Sockets: listening, closing without losing a request, and what the kernel knows of a connection."""

import asyncio
import ctypes
import fcntl
import resource
import socket
import struct
import sys
from contextlib import suppress
from typing import Any

_BACKLOG = 2048
_MOST_FILES = 1_048_576


def listening(host: str, port: int) -> socket.socket:
    """A listening socket. Port 0 stands for any free port. Raises `OSError`, and leaves no socket open then."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named, though it is the default: asyncio sets TCP_NODELAY only on sockets that name it. Otherwise each
    # answer would wait about 40 ms for the client's delayed acknowledgement.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        # Two sockets can be bound to one port as long as neither listens, so only this finds out that the port is in use.
        sock.listen(_BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


class _Instruction(ctypes.Structure):
    """An instruction of a classic BPF program (Linux, `linux/filter.h`)."""

    _fields_ = (("code", ctypes.c_uint16), ("jt", ctypes.c_uint8), ("jf", ctypes.c_uint8), ("k", ctypes.c_uint32))


_SO_ATTACH_FILTER = 26
_DROP_SYN = (
    (0x30, 0, 0, 13),  # A = the flags of the TCP header (RFC 9293, section 3.1)
    (0x54, 0, 0, 0x12),  # A &= SYN | ACK
    (0x15, 0, 1, 0x02),  # if it is SYN alone, a new connection:
    (0x06, 0, 0, 0),  # drop the packet
    (0x06, 0, 0, 0xFFFFFFFF),  # otherwise accept it
)


def refuse_new(listener: socket.socket) -> None:
    """Keep new connections out of the accept queue, so that it can be emptied before the listener is closed.

    The kernel drops the SYN of a new connection. The client repeats it a second later, is refused then, and can try another
    server. In the accept queue the connection would be reset together with its request when the listener closes. Does
    nothing on other systems than Linux.
    """
    if sys.platform != "linux":
        return
    program = (_Instruction * len(_DROP_SYN))(*(_Instruction(*each) for each in _DROP_SYN))
    with suppress(OSError):
        listener.setsockopt(
            socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HL", len(_DROP_SYN), ctypes.addressof(program))
        )


_SIOCOUTQ = 0x5411


def unacknowledged_bytes(connection: Any) -> int:
    """Bytes that were written to a connection and not acknowledged by the peer (Linux, tcp(7): `SIOCOUTQ`).

    The kernel buffers several MiB for a client that doesn't read, so the process's own buffer doesn't show how fast the
    client reads. 0 on systems without this call.
    """
    if sys.platform != "linux" or connection is None:
        return 0
    try:
        return int.from_bytes(fcntl.ioctl(connection.fileno(), _SIOCOUTQ, bytes(4)), sys.byteorder)
    except OSError:
        return 0


_TCP_INFO_BYTES = 128
_ACKNOWLEDGED = slice(120, 128)
"""Of `struct tcp_info` (linux/tcp.h): `tcpi_bytes_acked`."""


def acknowledged_bytes(connection: Any) -> int:
    """Bytes that the peer has acknowledged since the connection was made (Linux 4.1, tcp(7): `TCP_INFO`).

    0 on other systems, and for connections that are no TCP.
    """
    if sys.platform != "linux" or connection is None:
        return 0
    try:
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
    except OSError:
        return 0
    return int.from_bytes(info[_ACKNOWLEDGED], sys.byteorder)


def reset(transport: asyncio.Transport) -> None:
    """Close a connection with a reset and discard unsent data, which the kernel would go on sending after a normal close."""
    connection = transport.get_extra_info("socket")
    if connection is not None:
        with suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def allow_many() -> None:
    """Raise the limit on open files as far as allowed, since each connection needs one. Many systems start with 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def url_of(sock: socket.socket) -> str:
    """The URL at which HTTP is served on the socket."""
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
