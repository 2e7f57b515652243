"""Certificate authorities, certificates and keys, which the tests of signing make."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("cryptography", reason="needs the extra provenance")

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

EMAIL = ExtendedKeyUsageOID.EMAIL_PROTECTION
SERVER = ExtendedKeyUsageOID.SERVER_AUTH
TIME_STAMPS = ExtendedKeyUsageOID.TIME_STAMPING
REVOCATION = ExtendedKeyUsageOID.OCSP_SIGNING
DOCUMENTS = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36")
CLAIMS = x509.ObjectIdentifier("1.3.6.1.4.1.62558.2.1")
ANYTHING = x509.ObjectIdentifier("2.5.29.37.0")
PEM = serialization.Encoding.PEM


@lru_cache
def make_key(kind: str) -> Any:
    """Return a private key: p256, p384, p521, k1, ed25519 or rsa with its bits."""
    curves: dict[str, ec.EllipticCurve] = {
        "p256": ec.SECP256R1(), "p384": ec.SECP384R1(), "p521": ec.SECP521R1(),
        "k1": ec.SECP256K1(),
    }  # fmt: skip
    if kind in curves:
        return ec.generate_private_key(curves[kind])
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(65537, int(kind.removeprefix("rsa")))


def name(common: str) -> x509.Name:
    attributes = (
        (NameOID.COUNTRY_NAME, "GB"), (NameOID.ORGANIZATION_NAME, "Tests"),
        (NameOID.COMMON_NAME, common),
    )  # fmt: skip
    return x509.Name([x509.NameAttribute(kind, value) for kind, value in attributes])


@dataclass(frozen=True)
class Authority:
    """A certificate authority."""

    certificate: x509.Certificate
    key: Any

    @classmethod
    def make(cls, common: str = "Root", issuer: Authority | None = None) -> Authority:
        key = ec.generate_private_key(ec.SECP256R1())
        return cls(issue(common, key, issuer or None, own_key=key, authority=True), key)


def issue(
    common: str,
    key: Any,
    issuer: Authority | None,
    *,
    own_key: Any = None,
    authority: bool = False,
    days: tuple[float, float] = (-1, 365),
    purposes: tuple[x509.ObjectIdentifier, ...] | None = (EMAIL,),
    usage: str | None = "sign",
    service: str | None = None,
) -> x509.Certificate:
    """Return a certificate; with `issuer` None it is self-signed with `own_key`.

    Args:
        common: Common name.
        key: Private key of the certificate.
        issuer: Who signs it.
        own_key: Key of a self-signed certificate.
        authority: Whether it may sign certificates.
        days: Days from now at which its validity starts and ends.
        purposes: Extended key usages; None for no such extension.
        usage: Key usage: sign, encipher or certify; None for no such extension.
        service: Address of an OCSP service.

    """
    signing = own_key if issuer is None else issuer.key
    by = name(common) if issuer is None else issuer.certificate.subject
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder(by, name(common), key.public_key(), x509.random_serial_number())
        .not_valid_before(now + timedelta(days=days[0]))
        .not_valid_after(now + timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(authority, None), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()),
            critical=False,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if usage is not None:
        signs, certifies = usage == "sign", authority or usage == "certify"
        flags = (signs, False, usage == "encipher", False, False, certifies, certifies)
        builder = builder.add_extension(x509.KeyUsage(*flags, False, False), critical=True)
    if purposes is not None and not authority:
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    if service is not None:
        at = x509.UniformResourceIdentifier(service)
        access = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, at)
        builder = builder.add_extension(x509.AuthorityInformationAccess([access]), critical=False)
    digest = None if isinstance(signing, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(signing, digest)


def certificate_pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(one.public_bytes(PEM) for one in certificates)


def key_pem(key: Any, password: bytes | None = None) -> bytes:
    hidden: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password is not None:
        hidden = serialization.BestAvailableEncryption(password)
    content: bytes = key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, hidden)
    return content


@dataclass(frozen=True)
class SigningFiles:
    """The files of a certificate chain, of its key and of its root."""

    certificate: Path
    key: Path
    root: Path

    @property
    def pair(self) -> tuple[Path, Path]:
        return self.certificate, self.key


def write_files(
    folder: Path, *, kind: str = "p256", common: str = "Unit 7", levels: int = 1, **properties: Any
) -> SigningFiles:
    """Write a certificate of a new authority, its chain and its key into a folder.

    Args:
        folder: Created if it is missing.
        kind: Kind of the key.
        common: Common name of the certificate.
        levels: Authorities above it.
        properties: Of the certificate, see `issue`.

    """
    folder.mkdir(parents=True, exist_ok=True)
    authorities = [Authority.make()]
    for level in range(1, levels):
        authorities.insert(0, Authority.make(f"Intermediate {level}", authorities[0]))
    key = make_key(kind)
    certificate = issue(common, key, authorities[0], **properties)
    files = SigningFiles(folder / "chain.pem", folder / "key.pem", folder / "root.pem")
    chain = (certificate, *(one.certificate for one in authorities))
    files.certificate.write_bytes(certificate_pem(*chain))
    files.key.write_bytes(key_pem(key))
    files.root.write_bytes(certificate_pem(authorities[-1].certificate))
    return files
