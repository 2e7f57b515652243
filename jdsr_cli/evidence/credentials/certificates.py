"""The certificate and the private key with which files are signed, and what C2PA asks of them.

The requirements are those of the certificate profile of the C2PA specification 2.1, section 14.5.
They are checked here, before any work, so that each fault is named: the library only says that a
certificate is invalid.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from jdsr_cli.errors import UsageError
from jdsr_cli.evidence.credentials.library import PURPOSES, load_library

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

Extension = TypeVar("Extension", bound="x509.ExtensionType")

PASSWORD_VARIABLE = "JDSR_SIGN_PASSWORD"
"""Environment variable with the password of an encrypted private key."""
MAX_BYTES = 1 << 20
"""Size above which a file is neither a certificate chain nor a key."""
MIN_RSA_BITS = 2048
ANY_PURPOSE = "2.5.29.37.0"
ALONE = {"1.3.6.1.5.5.7.3.8": "timeStamping", "1.3.6.1.5.5.7.3.9": "OCSPSigning"}
"""Extended key usages that a certificate may only have alone (C2PA 2.1, 14.5.1.1)."""
CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}
"""Algorithms by curve."""
KEY_BLOCK = re.compile(
    rb"-----BEGIN ((?:[A-Z0-9]+ )*PRIVATE KEY)-----.+?-----END \1-----", re.DOTALL
)
CERTIFICATE_MARK = b"-----BEGIN CERTIFICATE-----"
KEY_TYPES = "EC (P-256, P-384, P-521), RSA of at least 2048 bits, or Ed25519"
NEEDED_PURPOSES = "one of the extended key usages " + ", ".join(
    f"{name} ({number})" for number, name in PURPOSES.items()
)


@dataclass(frozen=True)
class SigningCertificate:
    """A certificate chain and its private key, which fit each other and the C2PA profile."""

    path: Path
    """File of the chain."""
    chain: str
    """PEM, the certificate of the signer first."""
    key: str = field(repr=False)
    """Private key, PEM (PKCS #8), not encrypted."""
    algorithm: str
    """es256, es384, es512, ps256, ps384, ps512 or ed25519."""
    sha256: str
    """SHA-256 of the signer's certificate (DER), in hexadecimal."""
    not_after: datetime
    """Time at which the first certificate of the chain to expire does."""

    @classmethod
    def load(cls, certificate: Path, key: Path) -> SigningCertificate:
        """Read a certificate chain and a private key, and check them.

        Args:
            certificate: PEM file with the signer's certificate and those of its issuers.
            key: PEM file with the private key. The password of an encrypted one is taken from the
                environment variable ``JDSR_SIGN_PASSWORD``.

        Raises:
            UsageError: A file cannot be read or used, they do not fit, or the certificate may not
                sign content credentials now; the error names the file and what is needed.

        """
        load_library()
        from cryptography.hazmat.primitives import hashes, serialization

        chain = _read_chain(certificate)
        private = _read_key(key)
        algorithm = _choose_algorithm(private, key)
        _check_profile(chain[0], certificate)
        _check_chain(chain, certificate)
        _check_times(chain, certificate)
        if chain[0].public_key() != private.public_key():
            raise UsageError(
                f"is not the key of the certificate {certificate}",
                where=key,
                hint="Give the private key for which that certificate was issued.",
            )
        pem = serialization.Encoding.PEM
        return cls(
            path=certificate,
            chain=b"".join(one.public_bytes(pem) for one in chain).decode(),
            key=private.private_bytes(
                pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ).decode(),
            algorithm=algorithm,
            sha256=chain[0].fingerprint(hashes.SHA256()).hex(),
            not_after=min(one.not_valid_after_utc for one in chain),
        )


def _read_file(path: Path, content: str) -> bytes:
    """Return the bytes of a regular file."""
    try:
        # To open a named pipe may wait for ever.
        if not stat.S_ISREG(path.stat().st_mode):
            raise UsageError("is not a file", where=path, hint=f"Give a PEM file with {content}.")
        if path.stat().st_size > MAX_BYTES:
            raise UsageError(
                f"is larger than {MAX_BYTES >> 20} MiB",
                where=path,
                hint=f"Give a PEM file with {content}.",
            )
        return path.read_bytes()
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(
            f"cannot be read ({reason})", where=path, hint=f"Give a PEM file with {content}."
        ) from error


def _read_chain(path: Path) -> list[x509.Certificate]:
    from cryptography import x509

    content = _read_file(path, "the certificate chain")
    if CERTIFICATE_MARK not in content:
        given = "a private key" if KEY_BLOCK.search(content) else "no certificate in PEM"
        raise UsageError(
            f"holds {given}",
            where=path,
            hint="Give the certificate chain (PEM) first and its private key second. "
            "DER becomes PEM with: openssl x509 -inform DER -in FILE -out FILE.pem",
        )
    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError as error:
        raise UsageError(
            "holds a certificate that cannot be read", where=path, hint="Export it again as PEM."
        ) from error


def _read_key(path: Path) -> PrivateKeyTypes:
    content = _read_file(path, "the private key")
    block = KEY_BLOCK.search(content)
    if block is None:
        given = "a certificate" if CERTIFICATE_MARK in content else "no private key in PEM"
        raise UsageError(
            f"holds {given}",
            where=path,
            hint="Give the certificate chain (PEM) first and its private key second.",
        )
    try:
        return _decode_key(block.group(), None, path)
    except TypeError:
        password = os.environ.get(PASSWORD_VARIABLE)
    if not password:
        raise UsageError(
            "is encrypted",
            where=path,
            hint=f"Set the environment variable {PASSWORD_VARIABLE} to its password.",
        )
    return _decode_key(block.group(), password.encode(), path)


def _decode_key(block: bytes, password: bytes | None, path: Path) -> PrivateKeyTypes:
    """Return the key in a block of PEM; TypeError if it is encrypted and no password is given."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    # The causes are left out: what a parser says about a key may hold parts of it.
    try:
        return load_pem_private_key(block, password)
    except UnsupportedAlgorithm:
        raise UsageError(
            "is a key of an unsupported kind", where=path, hint=f"Use {KEY_TYPES}."
        ) from None
    except ValueError:
        if password is None:
            what, hint = "holds a private key that cannot be read", "Export it again as PEM."
        else:
            what = f"cannot be decrypted with the password in {PASSWORD_VARIABLE}"
            hint = "Check the file and the password."
        raise UsageError(what, where=path, hint=hint) from None


def _choose_algorithm(key: PrivateKeyTypes, path: Path) -> str:
    """Return the signature algorithm that C2PA allows for a key (C2PA 2.1, 13.2)."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ed25519"
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in CURVES:
        return CURVES[key.curve.name]
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= MIN_RSA_BITS:
        return "ps512" if key.key_size >= 4096 else "ps384" if key.key_size >= 3072 else "ps256"
    kind = type(key).__name__.lstrip("_").removesuffix("PrivateKey")
    if isinstance(key, ec.EllipticCurvePrivateKey):
        kind = f"EC {key.curve.name}"
    elif isinstance(key, rsa.RSAPrivateKey):
        kind = f"RSA of {key.key_size} bits"
    raise UsageError(
        f"is a key that C2PA does not allow ({kind})", where=path, hint=f"Use {KEY_TYPES}."
    )


def _check_profile(certificate: x509.Certificate, path: Path) -> None:
    """Check the extensions of the signer's certificate."""
    from cryptography import x509

    def refuse(what: str, needed: str) -> UsageError:
        return UsageError(
            f"the certificate {what}", where=path, hint=f"C2PA needs a certificate {needed}."
        )

    if certificate.version is not x509.Version.v3:
        raise refuse("is not of X.509 version 3", "of version 3")
    try:
        extensions = certificate.extensions
    except ValueError as error:
        what = f"has extensions that cannot be read ({error})"
        raise refuse(what, "whose extensions are valid") from error
    constraints = _extension(extensions, x509.BasicConstraints)
    if constraints is not None and constraints.ca:
        raise refuse(
            "is that of a certificate authority",
            "of the signer, which comes first in the file, before those of its issuers",
        )
    if certificate.issuer == certificate.subject:
        raise refuse(
            "is self-signed",
            "that a certificate authority has issued, also one of your own (see 'Content "
            "credentials' in docs/guide/trust.md)",
        )
    usage = _extension(extensions, x509.KeyUsage)
    if usage is None or not usage.digital_signature:
        raise refuse("may not make digital signatures", "with the key usage digitalSignature")
    if usage.key_cert_sign:
        raise refuse("may sign other certificates", "without the key usage keyCertSign")
    purposes = _extension(extensions, x509.ExtendedKeyUsage)
    given = [] if purposes is None else [one.dotted_string for one in purposes]
    if ANY_PURPOSE in given:
        raise refuse(
            "is for any purpose", f"without anyExtendedKeyUsage, and with {NEEDED_PURPOSES}"
        )
    alone = [name for number, name in ALONE.items() if number in given]
    if alone and len(given) > 1:
        raise refuse(
            f"is for {' and '.join(alone)} as well",
            f"without this extended key usage, and with {NEEDED_PURPOSES}",
        )
    if not set(given) & set(PURPOSES):
        raise refuse("is not for signing content", f"with {NEEDED_PURPOSES}")
    if _extension(extensions, x509.AuthorityKeyIdentifier) is None:
        raise refuse("does not identify the key of its issuer", "with an authority key identifier")


def _extension(extensions: x509.Extensions, kind: type[Extension]) -> Extension | None:
    from cryptography import x509

    try:
        return extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _check_chain(chain: Sequence[x509.Certificate], path: Path) -> None:
    """Check that each certificate was issued by the next one."""
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

    for number, (issued, issuer) in enumerate(pairwise(chain), 1):
        try:
            issued.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm) as error:
            raise UsageError(
                f"certificate {number + 1} in the file did not issue certificate {number}",
                where=path,
                hint="Put the signer's certificate first, then that of its issuer, and so on.",
            ) from error


def _check_times(chain: Sequence[x509.Certificate], path: Path) -> None:
    """Check that every certificate is valid now."""
    now = datetime.now(UTC)
    for number, one in enumerate(chain, 1):
        which = "the certificate" if number == 1 else f"certificate {number} in the file"
        if now > one.not_valid_after_utc:
            what = f"{which} expired on {minute(one.not_valid_after_utc)}"
        elif now < one.not_valid_before_utc:
            what = f"{which} is not valid before {minute(one.not_valid_before_utc)}"
        else:
            continue
        raise UsageError(
            what, where=path, hint="Use a certificate that is valid now, and check the clock."
        )


def minute(time: datetime) -> str:
    """Return a UTC time to the minute, as text."""
    return f"{time:%Y-%m-%d %H:%M} UTC"
