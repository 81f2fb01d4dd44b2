"""TLS for clients: the certificate, which is read again when its files change, and the accepting of connections.

asyncio's server does not count the connections whose handshake has not ended. A stranger could open any number of them, and
each takes a quarter of a megabyte. So connections are accepted here, and counted before their handshake.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from bff.runtime.log import Log

CHECK_S = 1.0
"""Seconds between two looks whether the files have changed."""
_ACCEPTED_AT_ONCE = 64
_NO_FILES_S = 1.0
"""Seconds without accepting after the process has run out of open files."""
_log = Log("bff.server")

_Print = tuple[tuple[int, int, int] | None, ...]
"""Of each file its inode, size and time of change (ns): enough to notice a change, also of a replaced file."""


class CertificateError(Exception):
    """A certificate or key can't be used. The message says why, without the contents of the files."""


class Certificate:
    """The certificate of the gateway, with its key.

    `context` is for new connections. It is replaced when the files have changed; existing connections keep what they have.
    """

    def __init__(self, cert_file: Path, key_file: Path | None = None, key_password: str | None = None) -> None:
        """Read it. Raises `CertificateError`.

        Args:
            cert_file: in PEM, followed by those of the authorities that are between it and the root.
            key_file: the private key in PEM; None if it is in `cert_file`.
            key_password: of the private key, if it is encrypted.
        """
        self._cert_file = cert_file
        self._key_file = key_file
        self._key_password = key_password
        self._seen = self._print()
        self.context, self.expires_at = self._read()

    def __repr__(self) -> str:
        return f"<Certificate until {self.expires_at:%Y-%m-%d}>"

    @property
    def has_expired(self) -> bool:
        """Whether clients refuse it, since its time is over."""
        return self.expires_at <= datetime.now(UTC)

    def reload(self) -> bool:
        """Read the files again if they have changed. Returns whether it uses them from now on. Reads from the disk.

        Raises `CertificateError`, once for a change; the certificate stays as it is then.
        """
        now = self._print()
        if now == self._seen:
            return False
        self._seen = now
        self.context, self.expires_at = self._read()
        return True

    def _read(self) -> tuple[ssl.SSLContext, datetime]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        try:
            # Without a password OpenSSL would ask for one on the terminal.
            context.load_cert_chain(self._cert_file, self._key_file, password=self._key_password or "")
            expires_at = x509.load_pem_x509_certificate(self._cert_file.read_bytes()).not_valid_after_utc
        except ssl.SSLError as error:
            what = {"KEY_VALUES_MISMATCH": "the key does not belong to the certificate"}.get(error.reason or "")
            raise CertificateError(
                what or "expected a certificate and its private key in PEM, and the key's password"
            ) from None
        except OSError as error:
            raise CertificateError(error.strerror or "the file can't be read") from None
        except ValueError:
            raise CertificateError("expected a certificate in PEM") from None
        return context, expires_at

    def _print(self) -> _Print:
        return tuple(_print_of(path) for path in (self._cert_file, self._key_file) if path is not None)


def _print_of(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:  # it may be about to be replaced
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


async def watch(certificate: Certificate, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep) -> None:
    """Read the certificate again whenever its files change, until cancelled."""
    while True:
        await sleep(CHECK_S)
        await reload(certificate)


async def reload(certificate: Certificate) -> None:
    """Read the certificate again if its files have changed, and log it."""
    try:
        is_new = await asyncio.to_thread(certificate.reload)
    except CertificateError as error:
        _log.error("the certificate was not reloaded: the one before stays", reason=str(error))
    else:
        if is_new:
            log_certificate(certificate)


def log_certificate(certificate: Certificate) -> None:
    """Log until when the certificate is valid."""
    log = _log.error if certificate.has_expired else _log.info
    log("certificate", expires_at=certificate.expires_at.isoformat(), has_expired=certificate.has_expired)


class TlsAcceptor:
    """Accepts TLS connections on a listening socket. It takes the place of asyncio's server.

    `may_accept` gets the number of unfinished handshakes, and says whether one more connection may be accepted. One that
    may not is closed at once.
    """

    def __init__(
        self,
        listener: socket.socket,
        certificate: Certificate,
        protocol: Callable[[], asyncio.Protocol],
        *,
        handshake_s: float,
        may_accept: Callable[[int], bool],
    ) -> None:
        self._listener = listener
        self._certificate = certificate
        self._protocol = protocol
        self._handshake_s = handshake_s
        self._may_accept = may_accept
        self._loop = asyncio.get_running_loop()
        self._handshakes: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None
        self._is_closed = False
        listener.setblocking(False)
        self._loop.add_reader(listener, self._accept)

    def __repr__(self) -> str:
        return f"<TlsAcceptor, {len(self._handshakes)} handshakes>"

    def close(self) -> None:
        """Accept no further connections. Handshakes that have begun go on."""
        if not self._is_closed:
            self._is_closed = True
            if self._pause is not None:
                self._pause.cancel()
            self._loop.remove_reader(self._listener)
            self._listener.close()

    async def wait_closed(self) -> None:
        """End the handshakes that are still unfinished."""
        for task in self._handshakes:
            task.cancel()
        if self._handshakes:
            await asyncio.wait(self._handshakes)

    def begin(self, accepted: socket.socket) -> None:
        """Begin the handshake of an accepted connection."""
        accepted.setblocking(False)
        task = self._loop.create_task(self._handshake(accepted))
        self._handshakes.add(task)
        task.add_done_callback(self._handshakes.discard)

    def _accept(self) -> None:
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                accepted, _address = self._listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError:  # no more files may be opened: another attempt at once would fail as well
                self._loop.remove_reader(self._listener)
                self._pause = self._loop.call_later(_NO_FILES_S, self._loop.add_reader, self._listener, self._accept)
                return
            if self._may_accept(len(self._handshakes)):
                self.begin(accepted)
            else:
                accepted.close()

    async def _handshake(self, accepted: socket.socket) -> None:
        # A client that speaks no TLS, or gives up, is no error of ours.
        with suppress(OSError, TimeoutError):
            await self._loop.connect_accepted_socket(
                self._protocol, accepted, ssl=self._certificate.context, ssl_handshake_timeout=self._handshake_s
            )
