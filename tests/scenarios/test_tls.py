"""HTTPS by `bff serve`: its answers, a renewed certificate, clients that don't speak it, the stop."""

import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from cryptography import x509

from tests.scenarios.test_commands import environment_of, slowly
from tests.support.certificates import MadeCertificate, certificate
from tests.support.gateways import free_port
from tests.support.processes import Command, bff
from tests.support.services import Tapped

PRODUCT = {"query": '{ product(id: "1") { name } }'}


class Site:
    """A gateway with a certificate."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.files = folder / "cert.pem", folder / "key.pem"
        self.made = certificate()
        self.made.write(*self.files)
        self.port = free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        self.environment = {
            **environment,
            "BFF_TLS__CERT_FILE": str(self.files[0]),
            "BFF_TLS__KEY_FILE": str(self.files[1]),
            "BFF_TLS__HSTS_MAX_AGE_S": "31536000",
        }

    def client(self) -> httpx.Client:
        """A client that trusts the present certificate alone."""
        context = ssl.create_default_context(cadata=self.made.certificate.decode())
        return httpx.Client(verify=context, trust_env=False, timeout=30, base_url=self.url)

    def serial(self) -> int:
        """The serial number of the certificate that a new connection gets."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=30) as raw,
            context.wrap_socket(raw) as secure,
        ):
            return x509.load_der_x509_certificate(secure.getpeercert(binary_form=True) or b"").serial_number

    def replace(self, made: MadeCertificate) -> None:
        """Put another certificate in place, as a renewal does: first the one file, then the other."""
        self.made = made
        made.write(*self.files)

    @contextmanager
    def serving(self, folder: Path, *arguments: str) -> Iterator[Command]:
        """`bff serve` once it is ready."""
        command = ("serve", "--host", "127.0.0.1", "--port", str(self.port), *arguments)
        with bff(folder, *command, environment=self.environment) as serve:
            serve.wait_for('"certificate"')
            yield serve


@pytest.fixture
def site(tmp_path: Path, services: Tapped) -> Site:
    """Not started yet."""
    return Site(tmp_path, environment_of(services))


@pytest.mark.parametrize("workers", ["1", "2"])
def test_it_speaks_https(tmp_path: Path, site: Site, workers: str) -> None:
    """With HSTS on each answer. HTTP and old versions of TLS get nothing, and leave no trace of a fault in the log."""
    with site.serving(tmp_path, "--workers", workers) as serve:
        with site.client() as client:
            answer = client.post("/web/graphql", json=PRODUCT)
            assert answer.json() == {"data": {"product": {"name": "Product 1"}}}
            for path in ("/health", "/web/graphql", "/nothing"):
                assert client.get(path).headers["strict-transport-security"] == "max-age=31536000"
        with pytest.raises(httpx.TransportError):
            httpx.get(f"http://127.0.0.1:{site.port}/health", trust_env=False)
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        old.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        with (
            socket.create_connection(("127.0.0.1", site.port), timeout=30) as raw,
            pytest.raises((ssl.SSLError, OSError)),
            old.wrap_socket(raw),
        ):
            pass
        assert serve.stop() == 0
        assert '"url":"https://127.0.0.1:' in serve.output()
        assert "Traceback" not in serve.output()
        assert '"level":"error"' not in serve.output()


def test_a_client_that_offers_http_2_gets_http_1_1(tmp_path: Path, site: Site) -> None:
    """By ALPN (RFC 7301)."""
    with site.serving(tmp_path):
        context = ssl.create_default_context(cadata=site.made.certificate.decode())
        context.set_alpn_protocols(["h2", "http/1.1"])
        with (
            socket.create_connection(("127.0.0.1", site.port), timeout=30) as raw,
            context.wrap_socket(raw, server_hostname="127.0.0.1") as secure,
        ):
            assert secure.selected_alpn_protocol() == "http/1.1"


def test_a_renewed_certificate_is_used_without_a_restart(tmp_path: Path, site: Site) -> None:
    """For new connections; those that are open go on. One that can't be used is reported, and changes nothing."""
    with site.serving(tmp_path) as serve, site.client() as client:
        assert client.post("/web/graphql", json=PRODUCT).status_code == 200
        before = site.made.serial
        site.files[0].write_bytes(b"nonsense")
        serve.wait_for("the certificate was not reloaded")
        assert site.serial() == before
        site.replace(certificate())
        until = time.monotonic() + 60
        while site.serial() != site.made.serial:
            assert time.monotonic() < until, serve.output()
            time.sleep(0.05)
        assert client.post("/web/graphql", json=PRODUCT).status_code == 200  # by the connection from before
        with site.client() as new:
            assert new.post("/web/graphql", json=PRODUCT).status_code == 200


def test_a_stop_finishes_running_requests(tmp_path: Path, site: Site, services: Tapped) -> None:
    """As with HTTP: the answer arrives, and the exit code is 0."""
    may_answer = threading.Event()
    services.ports["products"].custom = slowly(may_answer)
    site.environment |= {"BFF_SOURCES__PRODUCTS__TIMEOUT_S": "60", "BFF_REQUEST__DEADLINE_S": "60"}
    answers: list[httpx.Response] = []
    with site.serving(tmp_path) as serve, site.client() as client:
        asking = threading.Thread(target=lambda: answers.append(client.post("/web/graphql", json=PRODUCT)))
        asking.start()
        while services.ports["products"].requests == 0:
            time.sleep(0.01)
        serve.process.send_signal(15)
        serve.wait_for('"draining"')
        may_answer.set()
        asking.join(60)
        assert answers[0].json() == {"data": {"product": {"name": "Product 1"}}}
        assert answers[0].headers["connection"] == "close"
        assert serve.process.wait(60) == 0


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"BFF_TLS__KEY_FILE": "/nowhere"}, "tls.cert_file: No such file or directory"),
        ({"BFF_TLS__CERT_FILE": ""}, "expected cert_file as well"),
    ],
)
def test_what_cannot_be_served_stops_the_start(tmp_path: Path, site: Site, changed: dict[str, str], message: str) -> None:
    """With exit code 2 and the reason."""
    environment = {name: value for name, value in {**site.environment, **changed}.items() if value}
    with bff(tmp_path, "serve", "--port", str(site.port), environment=environment) as serve:
        assert serve.process.wait(60) == 2
        assert message in serve.output()
        assert "Traceback" not in serve.output()


def test_paths_in_the_file_start_at_its_folder(tmp_path: Path, site: Site) -> None:
    """As all paths of settings do."""
    folder = tmp_path / "etc"
    folder.mkdir()
    (folder / "tls").mkdir()
    site.made.write(folder / "tls/cert.pem", folder / "tls/key.pem")
    (folder / "bff.toml").write_text('[tls]\ncert_file = "tls/cert.pem"\nkey_file = "tls/key.pem"\n')
    for name in [name for name in site.environment if name.startswith("BFF_TLS")]:
        del site.environment[name]
    with site.serving(tmp_path, "--config", str(folder / "bff.toml")) as serve:
        lines = [json.loads(line) for line in serve.output().splitlines()]
        assert any(line["message"] == "certificate" and line["has_expired"] is False for line in lines)
