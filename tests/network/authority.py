"""A private certificate authority, as companies and their proxies have."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

SERVERS = ("slack", "socket", "files", "hooks", "models", "tools")
"""Names, each in `.test`."""
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Authority:
    """Its certificate, and that of a server with the names of all `SERVERS`."""

    certificate: Path
    server_certificate: Path
    server_key: Path

    @classmethod
    def create(cls, folder: Path, *, expired: bool = False) -> Authority:
        """Keeps everything in `folder`."""
        authority_key, server_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        name, server = _name("An authority of one's own"), _name("a server")
        own = _builder(name, name, authority_key.public_key()).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        end = datetime.now(UTC) - _DAY if expired else datetime.now(UTC) + 30 * _DAY
        names = x509.SubjectAlternativeName(
            [
                *(x509.DNSName(f"{name}.test") for name in SERVERS),
                x509.IPAddress(ip_address("127.0.0.1")),
            ]
        )
        signed = _builder(server, name, server_key.public_key(), end).add_extension(
            names, critical=False
        )
        made = cls(folder / "authority.pem", folder / "server.pem", folder / "server.key")
        for path, builder in ((made.certificate, own), (made.server_certificate, signed)):
            signature = builder.sign(authority_key, hashes.SHA256())
            path.write_bytes(signature.public_bytes(serialization.Encoding.PEM))
        made.server_key.write_bytes(
            server_key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return made

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.server_certificate, self.server_key)
        return context


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    end: datetime | None = None,
) -> x509.CertificateBuilder:
    end = end or datetime.now(UTC) + 30 * _DAY
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(end - 60 * _DAY)
        .not_valid_after(end)
    )
