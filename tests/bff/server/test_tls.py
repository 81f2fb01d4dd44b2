"""The gateway's certificate, and the accepting of TLS connections."""

import asyncio
import socket
import ssl
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography import x509

from bff.server.sockets import listening
from bff.server.tls import Certificate, CertificateError, TlsAcceptor, reload, watch
from tests.support.certificates import certificate


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Where certificate and key are."""
    made = tmp_path / "cert.pem", tmp_path / "key.pem"
    certificate().write(*made)
    return made


def serial_of(read: Certificate) -> int:
    """The serial number of the certificate that clients get, by a handshake in memory."""
    incoming, outgoing, back, forth = (ssl.MemoryBIO() for _ in range(4))
    server = read.context.wrap_bio(incoming, outgoing, server_side=True)
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_context.check_hostname, client_context.verify_mode = False, ssl.CERT_NONE
    client = client_context.wrap_bio(back, forth)
    for _ in range(4):
        for side, out, into in ((client, forth, incoming), (server, outgoing, back)):
            with suppress(ssl.SSLWantReadError):
                side.do_handshake()
            into.write(out.read())
    return x509.load_der_x509_certificate(client.getpeercert(binary_form=True) or b"").serial_number


def test_a_certificate_and_its_key(files: tuple[Path, Path]) -> None:
    """In two files, or both in one."""
    assert not Certificate(*files).has_expired
    both = files[0].with_name("both.pem")
    both.write_bytes(files[0].read_bytes() + files[1].read_bytes())
    assert serial_of(Certificate(both)) == serial_of(Certificate(*files))
    assert "Certificate until 20" in repr(Certificate(both))


@pytest.mark.parametrize(
    ("cert", "key", "expected"),
    [
        (None, None, "No such file"),
        (certificate().certificate, None, "expected a certificate and its private key in PEM"),
        (certificate().certificate, certificate().key, "the key does not belong to the certificate"),
        (b"", certificate().key, "expected a certificate"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", certificate().key, "expected a certificate"),
        (b"\xff\x00" * 100, b"\xff\x00" * 100, "expected a certificate"),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, cert: bytes | None, key: bytes | None, expected: str) -> None:
    """The message says what is wrong, and nothing of the contents."""
    cert_file, key_file = tmp_path / "cert.pem", tmp_path / "key.pem"
    if cert is not None:
        cert_file.write_bytes(cert)
    if key is not None:
        key_file.write_bytes(key)
    with pytest.raises(CertificateError, match=expected):
        Certificate(cert_file, key_file if key is not None else None)


def test_an_encrypted_key(files: tuple[Path, Path]) -> None:
    """It needs its password. Nobody is asked for one on the terminal."""
    certificate(password="the password").write(*files)
    assert not Certificate(*files, "the password").has_expired
    for wrong in (None, "another"):
        with pytest.raises(CertificateError, match="the key's password"):
            Certificate(*files, wrong)


def test_an_expired_certificate(files: tuple[Path, Path]) -> None:
    """It is served, since without it nothing is; and it is known that it has expired."""
    certificate(days=-1).write(*files)
    assert Certificate(*files).has_expired


def test_it_is_read_again_when_its_files_have_changed(files: tuple[Path, Path]) -> None:
    """While only one of the two is replaced, the certificate before stays, and the error is raised once."""
    read = Certificate(*files)
    before = serial_of(read)
    assert read.reload() is False
    new = certificate()
    files[0].write_bytes(new.certificate)
    with pytest.raises(CertificateError, match="the key does not belong to the certificate"):
        read.reload()
    assert read.reload() is False
    assert serial_of(read) == before
    files[1].unlink()
    with pytest.raises(CertificateError):
        read.reload()
    files[1].write_bytes(new.key)
    assert read.reload() is True
    assert serial_of(read) == new.serial


async def test_the_watch_goes_on_after_an_error(files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    """The certificate is replaced in two steps, and used after the second."""
    read, new, steps = Certificate(*files), certificate(), 0

    async def sleep(_: float) -> None:
        nonlocal steps
        steps += 1
        if steps == 1:
            files[0].write_bytes(new.certificate)
        if steps == 3:
            files[1].write_bytes(new.key)
        if steps == 5:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await watch(read, sleep)
    assert serial_of(read) == new.serial
    await reload(read)


class Served(asyncio.Protocol):
    """Answers a line with a line."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(b"hello\n")


class Accepting:
    """An acceptor on a free port. `most` unfinished handshakes are allowed."""

    def __init__(self, files: tuple[Path, Path], most: int = 10, handshake_s: float = 30.0) -> None:
        self.writers: list[asyncio.StreamWriter] = []
        listener = listening("127.0.0.1", 0)
        self.address = listener.getsockname()
        self.certificate = Certificate(*files)
        self.acceptor = TlsAcceptor(
            listener, self.certificate, Served, handshake_s=handshake_s, may_accept=lambda number: number < most
        )

    async def line(self) -> bytes:
        """The line that a client gets."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        reader, writer = await asyncio.open_connection(*self.address, ssl=context)
        line = await reader.readline()
        writer.close()
        return line

    async def silent(self) -> asyncio.StreamReader:
        """A connection that begins no handshake."""
        reader, writer = await asyncio.open_connection(*self.address)
        self.writers.append(writer)
        return reader

    async def close(self) -> None:
        """Close everything."""
        self.acceptor.close()
        await self.acceptor.wait_closed()
        for writer in self.writers:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


async def test_unfinished_handshakes_are_bounded(files: tuple[Path, Path]) -> None:
    """What exceeds the limit is closed at once. Whoever gives up makes room."""
    server = Accepting(files, most=2)
    assert await server.line() == b"hello\n"
    silent = [await server.silent() for _ in range(3)]
    assert await silent[2].read() == b""
    with pytest.raises((OSError, ssl.SSLError)):
        await server.line()
    server.writers[0].close()
    while True:  # until the server has noticed
        try:
            assert await server.line() == b"hello\n"
            break
        except OSError:
            await asyncio.sleep(0.01)
    await server.close()


async def test_a_handshake_has_a_time_limit(files: tuple[Path, Path]) -> None:
    """A client that never begins is disconnected."""
    server = Accepting(files, handshake_s=0.05)
    assert await (await server.silent()).read() == b""
    await server.close()


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"\0" * 100])
async def test_a_client_that_speaks_no_tls(files: tuple[Path, Path], sent: bytes) -> None:
    """It is disconnected, and others are served."""
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    server = Accepting(files)
    reader = await server.silent()
    server.writers[0].write(sent)
    await reader.read()
    assert await server.line() == b"hello\n"
    await server.close()
    assert faults == []


async def test_after_closing_nothing_is_accepted(files: tuple[Path, Path]) -> None:
    """The port is free again, and closing twice is no error."""
    server = Accepting(files)
    await server.silent()
    await server.close()
    server.acceptor.close()
    with socket.socket() as probe:
        assert probe.connect_ex(server.address) != 0
