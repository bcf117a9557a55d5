"""A new certificate authority and a server certificate at each start."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LOOPBACK = "127.0.0.1"
VALIDITY = timedelta(days=30)
_NAMES = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")


@dataclass(frozen=True, slots=True)
class Authority:
    """The server's TLS context, the CA certificate (PEM) that clients trust, and how it meets kubelets itself."""

    context: ssl.SSLContext
    certificate: bytes
    client: ssl.SSLContext


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _builder(subject: str, issuer: str, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    start = datetime.now(UTC) - timedelta(minutes=5)  # clocks differ
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + VALIDITY)
    )


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def new_authority(folder: Path, address: str = LOOPBACK) -> Authority:
    """Make a CA and certificates for an address and for a client; keys lie in `folder` for a moment, for us only."""
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca_name = f"twin-ca-{x509.random_serial_number():x}"[:40]
    identifier = x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key())
    ca = (
        _builder(ca_name, ca_name, ca_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(authority=True), critical=True)
        .add_extension(identifier, critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    names = [x509.IPAddress(ip_address(address)), *(x509.DNSName(name) for name in _NAMES)]

    def signed(subject: str, usage: x509.ObjectIdentifier) -> bytes:
        """A new key and its certificate."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            _builder(subject, ca_name, key.public_key())
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False
            )
            .sign(ca_key, hashes.SHA256())
        )
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return private + certificate.public_bytes(serialization.Encoding.PEM)

    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # As API servers meet kubelets by default.
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    _load(server, folder, signed("kube-apiserver", ExtendedKeyUsageOID.SERVER_AUTH))
    _load(client, folder, signed("kube-apiserver-kubelet-client", ExtendedKeyUsageOID.CLIENT_AUTH))
    return Authority(server, ca.public_bytes(serialization.Encoding.PEM), client)


def _load(context: ssl.SSLContext, folder: Path, identity: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "apiserver.pem"
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(identity)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(path)
    path.unlink()  # loaded; nobody needs the key any longer
