"""Certificates for servers of this machine, made for a test."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat


@dataclass(frozen=True, slots=True)
class MadeCertificate:
    """A certificate for 127.0.0.1 that is its own authority, and its key, in PEM."""

    certificate: bytes
    key: bytes
    serial: int

    def write(self, cert_file: Path, key_file: Path) -> None:
        """Write both files."""
        cert_file.write_bytes(self.certificate)
        key_file.write_bytes(self.key)


def certificate(*, days: int = 10, password: str | None = None) -> MadeCertificate:
    """A new one. With negative days it has expired."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "gateway")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=100))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    encryption = NoEncryption() if password is None else BestAvailableEncryption(password.encode())
    return MadeCertificate(
        made.public_bytes(Encoding.PEM),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption),
        made.serial_number,
    )
