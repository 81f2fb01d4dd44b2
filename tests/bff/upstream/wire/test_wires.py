"""All wires over real local sockets: what they send, what they accept, and how they fail. One suite for all of them."""

import asyncio
import gc
import shutil
import socket
import ssl
import subprocess
import warnings
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import pytest

from bff.upstream.wire import (
    AnswerTooLarge,
    BrokenAnswer,
    ConnectionBroken,
    NotConnected,
    TlsOptions,
    Unsendable,
    Wire,
    WireError,
    WireOptions,
    WireReply,
    WireRequest,
)
from bff.upstream.wire.asyncio_wire import AsyncioWire
from bff.upstream.wire.choice import wire_for
from bff.upstream.wire.connection import FREE_PIECES, MAX_HEADERS, MAX_INTERIM, ServiceConnection
from bff.upstream.wire.httpx_wire import HttpxWire
from bff.upstream.wire.resolver import Resolver
from tests.bff.upstream.wire.peer import (
    PATIENCE_S,
    Act,
    Flood,
    Peer,
    close,
    listening,
    moments,
    reset,
    response,
    say,
    wait_for_ever,
)

MIB = 1024 * 1024
HEADERS = (("Accept", "application/json"), ("X-Request-ID", "request-1"))


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    """The server."""
    async with listening() as peer:
        yield peer


MakeWire = Callable[[WireOptions], Wire]
WIRES: dict[str, MakeWire] = {"asyncio": AsyncioWire, "httpx": HttpxWire}


@pytest.fixture(params=WIRES)
def make_wire(request: pytest.FixtureRequest) -> MakeWire:
    """Makes wires of each kind."""
    return WIRES[request.param]


@pytest.fixture
async def wire(make_wire: MakeWire) -> AsyncIterator[Wire]:
    """A wire with at most one connection, so that a leaked one is noticed."""
    wire = make_wire(WireOptions(max_connections=1))
    yield wire
    await wire.aclose()


async def send(wire: Wire, url: str, method: str = "GET", body: bytes | None = None, *, most_bytes: int = MIB) -> WireReply:
    """Send one request, with a short timeout."""
    request = WireRequest(method, f"{url}/users/1?a=b", HEADERS, body)
    return await asyncio.wait_for(wire.send(request, max_response_bytes=most_bytes), PATIENCE_S)


async def check_usable(wire: Wire, peer: Peer) -> None:
    """After any failure, the next request gets its own response."""
    before = len(peer.requests)
    peer.acts = [say(response(b"fine"))]
    assert (await send(wire, peer.url)).body == b"fine"
    assert len(peer.requests) == before + 1


# what goes out


@pytest.mark.parametrize(
    ("method", "body", "more"),
    [
        ("GET", None, b""),
        ("POST", b'{"a":1}', b"Content-Length: 7\r\n"),
        ("POST", None, b"Content-Length: 0\r\n"),
        ("PATCH", "ü".encode(), b"Content-Length: 2\r\n"),
    ],
)
async def test_a_request_is_sent_unchanged(wire: Wire, peer: Peer, method: str, body: bytes | None, more: bytes) -> None:
    """To the byte: target, headers in their order, `Host`, the body's length, and no header of the client's own."""
    await send(wire, peer.url, method, body)
    host = peer.url.removeprefix("http://").encode()
    head, _, sent = peer.requests[0].partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == f"{method} /users/1?a=b HTTP/1.1".encode()
    given = [b"Host: " + host, b"Accept: application/json", b"X-Request-ID: request-1"]
    assert sorted(lines[1:]) == sorted(given + more.splitlines())
    assert sent == (body or b"")


@pytest.mark.parametrize("target", ["/products?ids=3,1,2", "/products?search=50%25+off%3F%2F%C3%BC&limit=20", "/users/-1"])
async def test_a_target_is_sent_unchanged(wire: Wire, peer: Peer, target: str) -> None:
    """It isn't encoded, decoded or normalized."""
    await wire.send(WireRequest("GET", peer.url + target, HEADERS), max_response_bytes=MIB)
    assert peer.heads == [f"GET {target} HTTP/1.1"]


async def test_cookies_are_not_kept(wire: Wire, peer: Peer) -> None:
    """A cookie that a service sets for one viewer is never sent for another."""
    peer.acts = [say(response(b"{}", "set-cookie: session=secret; Path=/"))]
    for _ in range(3):
        reply = await send(wire, peer.url)
        assert "session" in reply.headers["set-cookie"]
    assert not [request for request in peer.requests if b"cookie" in request.lower()]


async def test_the_environment_is_ignored(
    wire: Wire, make_wire: MakeWire, peer: Peer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither proxies nor credentials of the environment are used."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    async with listening() as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
            monkeypatch.setenv(name.lower(), proxy.url)
        own = make_wire(WireOptions(max_connections=1))
        for each in (wire, own):
            await send(each, peer.url)
        await own.aclose()
        assert proxy.connections == 0
    assert peer.heads == ["GET /users/1?a=b HTTP/1.1"] * 2
    assert not [request for request in peer.requests if b"authorization" in request.lower()]


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        ("", (("X-User-ID", "Ж"),)),
        ("", (("X-User-ID", "ü"),)),
        ("", (("X-User-ID", "\ud800"),)),
        ("", (("X-User-ID", "1\r\nX-Admin: 1"),)),
        ("", (("X-User-ID", "1\nX-Admin: 1"),)),
        ("", (("X-User-ID", "1\x00"),)),
        ("", (("X User ID", "1"),)),
        ("/" + "a" * 70_000, ()),
        ("/\x00", ()),
        ("/a\r\nX-Admin: 1", ()),
    ],
    ids=lambda value: repr(value)[:40],
)
async def test_an_invalid_request_is_not_sent(
    wire: Wire, peer: Peer, url: str, headers: tuple[tuple[str, str], ...]
) -> None:
    """It has an error of its own, since the service isn't the reason."""
    with pytest.raises(Unsendable):
        await wire.send(WireRequest("GET", peer.url + url, headers), max_response_bytes=MIB)
    assert peer.requests == []
    await check_usable(wire, peer)


# what comes back


async def test_a_response_is_returned_unchanged(wire: Wire, peer: Peer) -> None:
    """Status, headers by lower-case names with repeated ones joined, and the body without content decoding."""
    headers = ("Content-Type: application/json", "content-encoding: gzip", "Vary: a", "vary: b", "X-Name: J\xfcrgen")
    peer.acts = [say(response(b"\x1f\x8bno gzip", *headers, status="418 I'm a teapot"))]
    reply = await send(wire, peer.url)
    assert (reply.status, reply.body) == (418, b"\x1f\x8bno gzip")
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["vary"] == "a, b"
    assert reply.headers["x-name"] == "Jürgen"
    assert set(reply.headers) == {"content-length", "content-type", "content-encoding", "vary", "x-name"}


CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("act", "body"),
    [
        (say(response(b"")), b""),
        (say(response(b"", status="204 No Content")), b""),
        (say(CHUNKED + b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"), b"hello world"),
        (say(b"HTTP/1.1 200 OK\r\n\r\nhello", close), b"hello"),
        (say(b"HTTP/1.0 200 OK\r\n\r\nhello", close), b"hello"),
        (say(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + response(b"hello")), b"hello"),
        (say(response(b"hello", "connection: close"), close), b"hello"),
    ],
)
async def test_all_ways_to_end_a_body(wire: Wire, peer: Peer, act: Act, body: bytes) -> None:
    """By its length, in chunks, by the connection's end. Interim responses are skipped."""
    peer.acts = [act]
    assert (await send(wire, peer.url)).body == body
    await check_usable(wire, peer)


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_redirects_are_not_followed(wire: Wire, peer: Peer, status: str, method: str) -> None:
    """The settings say where a service is, not its responses."""
    peer.acts = [say(response(b"", f"location: {peer.url}/elsewhere", status=status)), say(response())]
    assert (await send(wire, peer.url, method)).status == int(status[:3])
    assert len(peer.requests) == 1


async def test_whitespace_around_a_header_is_stripped(wire: Wire, peer: Peer) -> None:
    """RFC 9110, section 5.5: an ETag followed by a blank is the same ETag."""
    peer.acts = [say(response(b"{}", 'ETag: \t "1" \t ', "x-empty:  "))]
    reply = await send(wire, peer.url)
    assert (reply.headers["etag"], reply.headers["x-empty"]) == ('"1"', "")


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 204 None\r\ntransfer-encoding: chunked\r\n\r\n",
        b"HTTP/1.1 304 Same\r\ntransfer-encoding: chunked\r\n\r\n",
        b"HTTP/1.1 204 None\r\ncontent-length: 5\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
    ids=["204 chunked", "304 chunked", "204 with a length", "1.0 chunked"],
)
async def test_a_connection_with_ambiguous_framing_is_not_reused(peer: Peer, head: bytes) -> None:
    """The declared body may still arrive, and would be read as the next response (RFC 9112, section 6)."""
    wire = AsyncioWire(WireOptions())
    peer.acts = [say(head), say(response(b"mine"))]
    assert (await send(wire, peer.url)).body == b""
    assert (await send(wire, peer.url)).body == b"mine"
    assert peer.connections == 2
    await wire.aclose()


# connections


async def test_a_connection_is_reused(wire: Wire, peer: Peer) -> None:
    """Requests one after the other use one connection, whatever the responses' status."""
    statuses = ["200 OK", "404 Not Found", "500 Internal Server Error", "422 Invalid", "200 OK"]
    peer.acts = [say(response(status=status)) for status in statuses]
    for _ in statuses:
        await send(wire, peer.url)
    assert (len(peer.requests), peer.connections) == (5, 1)


async def test_there_are_never_more_connections_than_set(make_wire: MakeWire, peer: Peer) -> None:
    """Further concurrent requests wait for a connection, and then use it."""
    wire = make_wire(WireOptions(max_connections=3))
    await asyncio.gather(*(send(wire, peer.url) for _ in range(20)))
    assert (len(peer.requests), peer.connections) == (20, 3)
    await wire.aclose()


@pytest.mark.parametrize("end", [close, reset])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_connection_that_died_idle_is_not_used(wire: Wire, peer: Peer, end: Act, method: str) -> None:
    """The server closed it between two requests: the next one, also a write, is sent once, over a new connection."""
    peer.acts = [say(response(b"{}"), end), say(response())]
    await send(wire, peer.url)
    await peer.gone()
    assert (await send(wire, peer.url, method)).status == 200
    assert (len(peer.requests), peer.connections) == (2, 2)


@pytest.mark.parametrize("end", [close, reset])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_request_is_not_repeated_when_its_connection_closes(wire: Wire, peer: Peer, end: Act, method: str) -> None:
    """Whether the service acted can't be known, so nothing is sent a second time."""
    peer.acts = [say(response()), say(b"", end), say(response())]
    await send(wire, peer.url)
    with pytest.raises(ConnectionBroken):
        await send(wire, peer.url, method)
    assert (len(peer.requests), peer.connections) == (2, 1)
    await check_usable(wire, peer)


async def test_an_idle_connection_is_closed_in_time(make_wire: MakeWire, peer: Peer) -> None:
    """After `keepalive_s` it isn't reused: a firewall may have dropped it."""
    wire = make_wire(WireOptions(max_connections=1, keepalive_s=0))
    for _ in range(2):
        await send(wire, peer.url)
    assert peer.connections == 2
    await wire.aclose()


async def test_closing_the_wire_closes_idle_connections(make_wire: MakeWire, peer: Peer) -> None:
    """None outlives the wire."""
    wire = make_wire(WireOptions(max_connections=2))
    await asyncio.gather(send(wire, peer.url), send(wire, peer.url))
    await wire.aclose()
    await peer.gone()
    await peer.gone()


async def test_closing_fails_running_and_waiting_requests(peer: Peer) -> None:
    """No request hangs, and none is begun. httpx leaves both to its caller."""
    wire = AsyncioWire(WireOptions(max_connections=1))
    peer.acts = [wait_for_ever]
    tasks = [asyncio.create_task(send(wire, peer.url)) for _ in range(3)]
    await until(peer.requests)
    await wire.aclose()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [ConnectionBroken, NotConnected, NotConnected]
    with pytest.raises(NotConnected):
        await send(wire, peer.url)
    assert peer.connections == 1


async def test_a_free_connection_goes_to_the_longest_waiting_request(peer: Peer) -> None:
    """In order of arrival; and to another address if that is where the request goes."""
    wire = AsyncioWire(WireOptions(max_connections=1))
    async with listening() as other:
        urls = [peer.url, other.url, peer.url, other.url]
        order: list[str] = []

        async def ask(url: str) -> None:
            await send(wire, url)
            order.append(url)

        await asyncio.gather(*map(ask, urls))
        assert order == urls
        await wire.aclose()


# no connection


def closed_port() -> int:
    """A port on which no process listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def test_refused(wire: Wire, peer: Peer) -> None:
    """No process listens: nothing was sent."""
    with pytest.raises(NotConnected):
        await send(wire, f"http://127.0.0.1:{closed_port()}")
    await check_usable(wire, peer)


async def test_an_unknown_host(wire: Wire, peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    """No name server knows it: nothing was sent."""

    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", unknown)
        with pytest.raises(NotConnected):
            await send(wire, "http://users.invalid:8001")
    await check_usable(wire, peer)


@pytest.mark.parametrize("answer", [say(response()), say(b"\x15\x03\x03\x00\x02\x02\x28")])
async def test_a_server_without_tls(wire: Wire, peer: Peer, answer: Act) -> None:
    """Plain HTTP or an alert in place of a handshake: nothing of the request was sent."""
    hello: list[bytes] = []

    async def not_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hello.append(await reader.read(4096))
        await answer(writer)
        writer.close()

    server = await asyncio.start_server(not_tls, "127.0.0.1", 0)
    async with server:
        with pytest.raises(NotConnected):
            await send(wire, f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    assert len(hello) == 1  # to try again is for others to decide
    assert b"/users/1" not in hello[0]
    await check_usable(wire, peer)


needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates")


@dataclass(frozen=True)
class Certificates:
    """A certificate authority, with a local server's and a client's certificate."""

    folder: Path

    def path(self, name: str) -> str:
        """A PEM file."""
        return str(self.folder / f"{name}.pem")

    def server(self, *, asks_client: bool = False) -> ssl.SSLContext:
        """The server's TLS; with `asks_client` only for clients that the authority knows."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path("server"), self.path("server-key"))
        if asks_client:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.path("ca"))
        return context


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Made for this run."""
    made = Certificates(tmp_path_factory.mktemp("tls"))
    new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    for name, subject, more in (
        ("ca", "/CN=authority", []),
        ("server", "/CN=127.0.0.1", ["-addext", "subjectAltName=IP:127.0.0.1"]),
        ("client", "/CN=gateway", ["-addext", "extendedKeyUsage=clientAuth"]),
    ):
        signed = [] if name == "ca" else ["-CA", made.path("ca"), "-CAkey", made.path("ca-key")]
        constraint = [] if name == "ca" else ["-addext", "basicConstraints=critical,CA:FALSE"]
        files = ["-keyout", made.path(f"{name}-key"), "-out", made.path(name)]
        subprocess.run([*new, "-subj", subject, *more, *constraint, *signed, *files], check=True, capture_output=True)
    return made


def secure(url: str) -> str:
    """The same place over TLS."""
    return url.replace("http:", "https:")


@pytest.fixture
async def quiet() -> None:
    """The server's log of a failed handshake is suppressed."""
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)


@needs_openssl
async def test_an_untrusted_certificate(wire: Wire, peer: Peer, certificates: Certificates, quiet: None) -> None:
    """Nothing is sent to an impostor, above all no token."""
    async with listening(certificates.server()) as impostor:
        with pytest.raises(NotConnected):
            await send(wire, secure(impostor.url))
        assert impostor.requests == []
    await check_usable(wire, peer)


@needs_openssl
async def test_a_certificate_authority_of_the_settings(make_wire: MakeWire, certificates: Certificates) -> None:
    """It is trusted in place of the system's."""
    wire = make_wire(WireOptions(max_connections=1, tls=TlsOptions(ca_file=certificates.path("ca"))))
    async with listening(certificates.server()) as peer:
        for _ in range(2):
            assert (await send(wire, secure(peer.url))).status == 200
        assert (len(peer.requests), peer.connections) == (2, 1)
    await wire.aclose()


@needs_openssl
async def test_a_certificate_for_another_name(make_wire: MakeWire, certificates: Certificates, quiet: None) -> None:
    """Although its authority is trusted."""
    wire = make_wire(WireOptions(max_connections=1, tls=TlsOptions(ca_file=certificates.path("ca"))))
    async with listening(certificates.server()) as peer:
        with pytest.raises(NotConnected):
            await send(wire, secure(peer.url).replace("127.0.0.1", "localhost"))
        assert peer.requests == []
    await wire.aclose()


@needs_openssl
@pytest.mark.parametrize("known", [True, False])
async def test_a_service_that_requires_a_client_certificate(
    make_wire: MakeWire, certificates: Certificates, quiet: None, known: bool
) -> None:
    """It is sent if the service requests it. Without one the service refuses."""
    ours = {"cert_file": certificates.path("client"), "key_file": certificates.path("client-key")} if known else {}
    wire = make_wire(WireOptions(max_connections=1, tls=TlsOptions(ca_file=certificates.path("ca"), **ours)))
    async with listening(certificates.server(asks_client=True)) as peer:
        if known:
            assert (await send(wire, secure(peer.url))).status == 200
        else:
            with pytest.raises((NotConnected, ConnectionBroken)):  # with TLS 1.3 the refusal comes after the first bytes
                await send(wire, secure(peer.url))
            assert peer.requests == []
    await wire.aclose()


def test_unreadable_certificates_are_an_error(make_wire: MakeWire, tmp_path: Path) -> None:
    """At start-up, not at the first call."""
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate")
    for options in (TlsOptions(ca_file=str(tmp_path / "none.pem")), TlsOptions(ca_file=str(broken))):
        with pytest.raises(OSError):  # noqa: PT011 - of ssl or of the file
            make_wire(WireOptions(tls=options))


async def test_connecting_has_its_own_timeout(make_wire: MakeWire) -> None:
    """A host that never replies costs the time to connect, not that of a call. Nothing was sent."""
    deaf = socket.socket()
    deaf.bind(("127.0.0.1", 0))
    deaf.listen(0)
    others = [socket.socket() for _ in range(4)]
    for each in others:  # whose handshakes fill its queue
        each.setblocking(False)
        each.connect_ex(deaf.getsockname())
    wire = make_wire(WireOptions(max_connections=1, connect_timeout_s=0.1))
    with pytest.raises(NotConnected):
        await send(wire, f"http://127.0.0.1:{deaf.getsockname()[1]}")
    await wire.aclose()
    for each in (deaf, *others):
        each.close()


# responses without a request


@pytest.mark.parametrize("late", [False, True])
async def test_a_second_response_never_reaches_the_next_request(
    make_wire: MakeWire, peer: Peer, request: pytest.FixtureRequest, late: bool
) -> None:
    """It may be another viewer's."""
    if make_wire is HttpxWire and not late:
        request.applymarker(pytest.mark.xfail(reason="httpcore hands it to the next request", strict=True))

    both_said = asyncio.Event()

    async def twice(writer: asyncio.StreamWriter) -> None:
        first, second = response(b"mine"), response(b"another's")
        await say(first if late else first + second)(writer)
        if late:
            await moments()
            await say(second)(writer)
        both_said.set()

    wire = make_wire(WireOptions(max_connections=1))
    peer.acts = [twice, say(response(b"fine"))]
    try:
        assert (await send(wire, peer.url)).body == b"mine"
        await asyncio.wait_for(both_said.wait(), PATIENCE_S)
        await moments()
        assert (await send(wire, peer.url)).body == b"fine"
    finally:
        await wire.aclose()


async def test_the_beginning_of_a_second_response_closes_the_connection(peer: Peer) -> None:
    """The rest of it would reach the next request."""
    wire = AsyncioWire(WireOptions(max_connections=1))
    peer.acts = [say(response(b"mine") + b"HTTP/1.1 200 OK\r\ncontent-le"), say(response(b"fine"))]
    assert (await send(wire, peer.url)).body == b"mine"
    assert (await send(wire, peer.url)).body == b"fine"
    assert peer.connections == 2
    await wire.aclose()


# HTTP/2


@needs_openssl
async def test_http_2_if_enabled(certificates: Certificates) -> None:
    """Over TLS, negotiated by ALPN: concurrent requests share a connection. Only httpx speaks it."""
    seen: list[h2.events.RequestReceived] = []
    context = certificates.server()
    context.set_alpn_protocols(["h2"])
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        peer = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        peer.initiate_connection()
        writer.write(peer.data_to_send())
        while data := await reader.read(65536):
            for event in peer.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    seen.append(event)
                if isinstance(event, h2.events.StreamEnded):
                    peer.send_headers(event.stream_id, [(":status", "200"), ("content-type", "application/json")])
                    peer.send_data(event.stream_id, b"{}", end_stream=True)
            writer.write(peer.data_to_send())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    wire = wire_for(WireOptions(http2=True, tls=TlsOptions(ca_file=certificates.path("ca"))), Resolver())
    assert isinstance(wire, HttpxWire)
    async with server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await send(wire, url)
        replies = await asyncio.gather(send(wire, url), send(wire, url, "POST", b"{}"))
        assert [(reply.status, reply.body) for reply in replies] == [(200, b"{}")] * 2
        await wire.aclose()
    assert connections == 1
    sent = [dict(event.headers or ()) for event in seen]
    assert [each[b":method"] for each in sent] == [b"GET", b"GET", b"POST"]
    assert {each[b"x-request-id"] for each in sent} == {b"request-1"}


def test_http_1_uses_the_asyncio_wire() -> None:
    """The default: it takes a thirtieth of the CPU time."""
    assert isinstance(wire_for(WireOptions(), Resolver()), AsyncioWire)


# connections that break


BROKEN_BEFORE = {
    "closed": say(b"", close),
    "reset": say(b"", reset),
    "closed in the status line": say(b"HTTP/1.1 20", close),
    "reset in the head": say(b"HTTP/1.1 200 OK\r\ncontent-le", reset),
    "closed after a hint": say(b"HTTP/1.1 103 Early Hints\r\n\r\n", close),
}
BROKEN_WITHIN = {
    "closed before the body": say(response(b"", length=10), close),
    "closed in the body": say(response(b"12345", length=10), close),
    "reset in the body": say(response(b"12345", length=10), reset),
    "closed in a chunk": say(CHUNKED + b"5\r\nhe", close),
    "closed between chunks": say(CHUNKED + b"5\r\nhello\r\n", close),
    "reset between chunks": say(CHUNKED + b"5\r\nhello\r\n", reset),
    "reset in an endless body": say(b"HTTP/1.1 200 OK\r\n\r\nhello", reset),
    "chunks of no size": say(CHUNKED + b"hello\r\n"),
    "another protocol": say(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"),
    "no status": say(b"HTTP/1.1 OK\r\n\r\n"),
    "no header": say(b"HTTP/1.1 200 OK\r\nwhat is this\r\n\r\n"),
    "two lengths": say(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n12"),
    "a length that is none": say(b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n"),
    "chunked twice": say(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"),
    "another coding": say(b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"),
    "a head without end": Flood(b"HTTP/1.1 200 OK\r\n", b"x: " + b"y" * 1000 + b"\r\n"),
}


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("act", BROKEN_BEFORE.values(), ids=BROKEN_BEFORE)
async def test_a_connection_that_breaks_before_a_response(wire: Wire, peer: Peer, act: Act, method: str) -> None:
    """The service may have acted, so the request is never sent a second time."""
    peer.acts = [act, say(response())]
    with pytest.raises(ConnectionBroken):
        await send(wire, peer.url, method)
    assert len(peer.requests) == 1
    await check_usable(wire, peer)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("act", BROKEN_WITHIN.values(), ids=BROKEN_WITHIN)
async def test_a_broken_response(wire: Wire, peer: Peer, act: Act, method: str) -> None:
    """Truncated or invalid: it is an error, and the request is never sent a second time."""
    peer.acts = [act, say(response())]
    with pytest.raises(BrokenAnswer):
        await send(wire, peer.url, method)
    assert len(peer.requests) == 1
    await check_usable(wire, peer)


# answers that are too large


@pytest.mark.parametrize("length", [1000, 1001])
@pytest.mark.parametrize("chunked", [False, True])
async def test_the_size_of_a_body_is_limited(wire: Wire, peer: Peer, length: int, chunked: bool) -> None:
    """To the byte, with a declared length or without."""
    body = b"x" * length
    peer.acts = [say(CHUNKED + b"%x\r\n%b\r\n0\r\n\r\n" % (length, body) if chunked else response(body))]
    if length <= 1000:
        assert (await send(wire, peer.url, most_bytes=1000)).body == body
    else:
        with pytest.raises(AnswerTooLarge):
            await send(wire, peer.url, most_bytes=1000)
    await check_usable(wire, peer)


@pytest.mark.parametrize(
    "flood",
    [
        Flood(response(b"", length=100 * MIB), b" " * 65536),
        Flood(response(b"", length=10**18), b" " * 65536),
        Flood(CHUNKED, b"10000\r\n" + b" " * 65536 + b"\r\n"),
        Flood(CHUNKED, b"1\r\n \r\n" * 1000),
        Flood(b"HTTP/1.1 200 OK\r\n\r\n", b" " * 65536),
    ],
    ids=["declared", "absurd", "chunks", "small chunks", "endless"],
)
async def test_a_body_that_is_too_large_is_not_read(wire: Wire, peer: Peer, flood: Flood) -> None:
    """The connection is closed at once: only what the sockets buffered may have arrived."""
    flood.sent = 0
    peer.acts = [flood]
    with pytest.raises(AnswerTooLarge):
        await send(wire, peer.url, most_bytes=100_000)
    await peer.gone()
    assert flood.sent < 20 * MIB
    assert len(peer.requests) == 1
    await check_usable(wire, peer)


STATUS_LINE = b"HTTP/1.1 200 OK\r\n"
FLOODS = {
    "1-byte chunks": Flood(CHUNKED, b"1\r\nx\r\n" * 1000),
    "trailers": Flood(CHUNKED + b"1\r\nx\r\n0\r\n", b"a: b\r\n" * 1000),
    "a trailer": Flood(CHUNKED + b"1\r\nx\r\n0\r\na: ", b"b" * 65536),
    "chunk extensions": Flood(CHUNKED + b"1;a=", b"b" * 65536),
    "headers": Flood(STATUS_LINE, b"a: b\r\n" * 1000),
    "a header": Flood(STATUS_LINE + b"a: ", b"b" * 65536),
    "interim answers": Flood(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
    "a reason": Flood(b"HTTP/1.1 200 ", b"b" * 65536),
}


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
async def test_the_bytes_around_a_body_are_limited(wire: Wire, peer: Peer, flood: Flood) -> None:
    """At most as many as a head may have. Beyond that the connection is closed."""
    if isinstance(wire, HttpxWire) and flood is FLOODS["interim answers"]:
        pytest.skip("h11 takes interim answers one by one, so that the loop goes on; the attempt's time bounds them")
    flood.sent = 0
    peer.acts = [flood]
    with pytest.raises((BrokenAnswer, AnswerTooLarge)):
        await send(wire, peer.url, most_bytes=10 * MIB)
    await peer.gone()
    assert flood.sent < 20 * MIB
    await check_usable(wire, peer)


class Counting(ServiceConnection):
    """A connection that counts the parser's callbacks, and the most of them for one piece of data."""

    calls = most = 0

    def data_received(self, data: bytes) -> None:
        before = Counting.calls
        super().data_received(data)
        Counting.most = max(Counting.most, Counting.calls - before)

    def on_header(self, name: bytes, value: bytes) -> None:
        Counting.calls += 1
        super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        Counting.calls += 1
        super().on_body(body)

    def on_message_begin(self) -> None:
        Counting.calls += 1
        super().on_message_begin()


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
async def test_no_response_costs_many_callbacks(peer: Peer, flood: Flood, monkeypatch: pytest.MonkeyPatch) -> None:
    """They block the event loop: a few thousand at most, where 256 KiB had 50,000."""
    monkeypatch.setattr("bff.upstream.wire.asyncio_wire.ServiceConnection", Counting)
    monkeypatch.setattr(Counting, "calls", 0)
    monkeypatch.setattr(Counting, "most", 0)
    wire = AsyncioWire(WireOptions())
    flood.sent = 0
    peer.acts = [flood]
    with pytest.raises((BrokenAnswer, AnswerTooLarge)):
        await send(wire, peer.url, most_bytes=10 * MIB)
    assert Counting.most <= Counting.calls < FREE_PIECES + 20_000
    await wire.aclose()


async def test_a_long_response_in_small_pieces_does_not_block_the_loop(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is parsed in slices, with other work in between. The body is complete."""
    monkeypatch.setattr("bff.upstream.wire.asyncio_wire.ServiceConnection", Counting)
    monkeypatch.setattr(Counting, "calls", 0)
    monkeypatch.setattr(Counting, "most", 0)
    wire = AsyncioWire(WireOptions())
    body = bytes(range(256)) * 16 * 1024
    chunks = b"".join(b"20\r\n%b\r\n" % body[start : start + 32] for start in range(0, len(body), 32))
    peer.acts = [say(CHUNKED + chunks + b"0\r\n\r\n"), say(response(body))]
    for _ in range(2):
        reply = await send(wire, peer.url, most_bytes=10 * MIB)
        assert reply.body == body
    assert Counting.calls > 100_000
    assert Counting.most < 10_000
    assert peer.connections == 1
    await wire.aclose()


@pytest.mark.parametrize("more", [0, 1])
async def test_pieces_headers_and_interim_responses_are_limited(wire: Wire, peer: Peer, more: int) -> None:
    """To the piece. A body of larger pieces may have any number of them."""
    pieces = CHUNKED + b"1\r\nx\r\n" * (FREE_PIECES + FREE_PIECES // 15 + more) + b"0\r\n\r\n"
    headers = STATUS_LINE + b"".join(b"a%d: b\r\n" % number for number in range(MAX_HEADERS - 1 + more))
    interim = b"HTTP/1.1 100 Continue\r\n\r\n" * (MAX_INTERIM + more)
    cases = [pieces, headers + b"content-length: 0\r\n\r\n", interim + response()]
    for case in cases[: 2 if isinstance(wire, HttpxWire) else 3]:
        peer.acts = [say(case)]
        if more:
            with pytest.raises((BrokenAnswer, AnswerTooLarge)):
                await send(wire, peer.url)
        else:
            assert (await send(wire, peer.url)).status == 200
    await check_usable(wire, peer)


async def test_only_the_final_responses_headers_are_returned(wire: Wire, peer: Peer) -> None:
    """Not those of interim responses, and no trailers, whichever their name."""
    interim = b"HTTP/1.1 103 Early Hints\r\nx-early: 1\r\ncache-control: max-age=60\r\n\r\n"
    trailers = b"0\r\nx-late: 1\r\ncache-control: max-age=60\r\nset-cookie: a\r\n\r\n"
    peer.acts = [say(interim + CHUNKED + b"2\r\n{}\r\n" + trailers)]
    for _ in range(2):
        reply = await send(wire, peer.url)
        assert dict(reply.headers) == {"transfer-encoding": "chunked"}
        assert reply.body == b"{}"
    assert peer.connections == 1


async def test_a_declared_length_that_is_too_large_is_refused_at_once(wire: Wire, peer: Peer) -> None:
    """Before any byte of the body."""
    peer.acts = [say(response(b"", length=1001))]
    with pytest.raises(AnswerTooLarge):
        await send(wire, peer.url, most_bytes=1000)
    await peer.gone()


# cancellation


async def cancel(task: "asyncio.Task[WireReply]") -> None:
    """Cancel it, and check that the cancellation isn't swallowed."""
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, PATIENCE_S)


async def until(happened: Sequence[object], times: int = 1) -> None:
    """Wait until the list has this many items."""
    async with asyncio.timeout(PATIENCE_S):
        while len(happened) < times:  # noqa: ASYNC110 - a tiny wait for a real socket
            await asyncio.sleep(0.001)


async def hang_in_body(writer: asyncio.StreamWriter) -> None:
    """Begin a response, and stop."""
    writer.write(response(b"12345", length=10))
    await wait_for_ever(writer)


@pytest.mark.parametrize("act", [wait_for_ever, hang_in_body])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_cancellation_closes_the_connection(wire: Wire, peer: Peer, act: Act, method: str) -> None:
    """Before the response and in the middle of it: a late response can't reach the next request, and no place is lost."""
    peer.acts = [act]
    for time in (1, 2, 3):
        task = asyncio.create_task(send(wire, peer.url, method))
        await until(peer.requests, time)
        await asyncio.sleep(0.02)
        await cancel(task)
        await peer.gone()
    assert peer.connections == len(peer.requests) == 3
    await check_usable(wire, peer)
    assert peer.connections == 4


async def test_cancellation_while_waiting_for_a_connection(wire: Wire, peer: Peer) -> None:
    """Nothing was sent, and no other request is delayed."""
    peer.acts = [wait_for_ever]
    first = asyncio.create_task(send(wire, peer.url))
    await until(peer.requests)
    second = asyncio.create_task(send(wire, peer.url))
    await asyncio.sleep(0.02)
    await cancel(second)
    await cancel(first)
    assert len(peer.requests) == 1
    await check_usable(wire, peer)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_cancellation_while_connecting(wire: Wire, peer: Peer) -> None:
    """A hanging handshake is aborted: nothing of the request was sent, and no other request is delayed."""
    hello: list[bytes] = []
    over, left = asyncio.Event(), asyncio.Event()

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hello.append(await reader.read(4096))
        await over.wait()
        reset(writer)
        left.set()

    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    async with server:
        task = asyncio.create_task(send(wire, f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"))
        await until(hello)
        await cancel(task)
        await check_usable(wire, peer)
        over.set()
        await left.wait()
    assert b"/users/1" not in hello[0]
    del task
    with warnings.catch_warnings(record=True) as left_open:
        warnings.simplefilter("always", ResourceWarning)
        gc.collect()
        await asyncio.sleep(0)
    # httpcore leaves such a connection to the garbage collector to close.
    assert not left_open or isinstance(wire, HttpxWire)


# what is shown


def test_a_repr_shows_no_settings(wire: Wire) -> None:
    """No address and no pool."""
    assert repr(wire) in {"AsyncioWire()", "HttpxWire()"}


@pytest.mark.parametrize("kind", [NotConnected, ConnectionBroken, BrokenAnswer, AnswerTooLarge, Unsendable])
def test_wire_errors_have_one_root(kind: type[WireError]) -> None:
    """Code that catches any wire error needs one class. Its message is empty."""
    assert issubclass(kind, WireError)
    assert str(kind()) == ""
