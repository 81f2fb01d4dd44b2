"""Wires the ports: what is served on which, HTTPS, CORS, HSTS."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from starlette.types import ASGIApp

from bff.gateway.cors import with_cors
from bff.server.host import Gateway, ManagementPort
from bff.server.hsts import StrictTransportSecurity
from bff.server.tls import Certificate, CertificateError
from bff.settings import Settings, SettingsError


@dataclass(frozen=True, slots=True)
class Ports:
    """What the server needs for its ports.

    Attributes:
        app: what serves requests on the port for clients.
        certificate: of that port; None for HTTP.
        management: what serves requests on the port for operators; None if there is none.
    """

    app: ASGIApp
    certificate: Certificate | None
    management: ASGIApp | None


def ports_of(gateway: Gateway, settings: Settings) -> Ports:
    """The ports of `bff serve`. Raises `SettingsError` if the certificate can't be used."""
    app, tls = with_cors(gateway), settings.tls
    if tls.hsts_max_age_s is not None:
        app = StrictTransportSecurity(app, tls.hsts_max_age_s, subdomains=tls.hsts_subdomains)
    management = None if settings.management.port is None else ManagementPort(gateway)
    return Ports(app, _certificate(settings), management)


def _certificate(settings: Settings) -> Certificate | None:
    tls = settings.tls
    if tls.cert_file is None:
        return None
    password = None if tls.key_password is None else tls.key_password.get_secret_value()
    try:
        return Certificate(Path(tls.cert_file), None if tls.key_file is None else Path(tls.key_file), password)
    except CertificateError as error:
        raise SettingsError(f"tls.cert_file: {error}") from None


def names_by_port(settings: Settings, names: Sequence[str], *, is_dev: bool) -> tuple[Sequence[str], Sequence[str] | None]:
    """The variants on the port for clients, and those on the port for operators; None if there is no such port.

    `bff dev` has one port.
    """
    if settings.management.port is None or is_dev:
        return names, None
    managed = settings.management.variants
    return [name for name in names if name not in managed], managed
