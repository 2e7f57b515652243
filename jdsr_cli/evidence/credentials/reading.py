"""Reading and verification of C2PA content credentials, embedded or in a file beside.

Verification is offline: no credentials are fetched from an address that a file names, and no
revocation service (OCSP) is asked. Which issuers are trusted is up to the caller; without a trust
list a signature can be valid, but nobody vouches for who made it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, Literal

from jdsr_cli.errors import InputMissingError, InputUnreadableError, UsageError
from jdsr_cli.evidence.credentials.library import (
    ASSERTION,
    load_library,
    make_context,
    media_type_of,
    sidecar_of,
)

Kind = Literal["absent", "valid", "untrusted", "invalid", "unchecked"]
MAX_SIDECAR = 64 << 20
"""Bytes above which a file beside another one does not hold its credentials."""
STATES: Mapping[str, Kind] = {"Trusted": "valid", "Valid": "untrusted"}
"""What the states of the library mean; all others are invalid."""
REMOTE = "Remote"
"""Start of the messages of the library about credentials at an address."""
UNTRUSTED = "signingCredential.untrusted"
FAULTS = {
    "assertion.dataHash.mismatch": "the file was changed after it was signed",
    "assertion.bmffHash.mismatch": "the file was changed after it was signed",
    "assertion.boxesHash.mismatch": "the file was changed after it was signed",
    "claimSignature.mismatch": "the signed statement or its signature was changed",
    "claim.malformed": "the signed statement is damaged",
    "claim.missing": "there is no signed statement",
    "claimSignature.missing": "the signature is missing",
    "claimSignature.outsideValidity": "it was signed when the certificate was not valid",
    "assertion.hashedURI.mismatch": "a part of the signed statement was changed",
    "assertion.missing": "a part of the signed statement is missing",
    "signingCredential.expired": "the certificate has expired, and no timestamp proves that the "
    "signature is older",
    "signingCredential.invalid": "its certificate may not sign content credentials",
    "signingCredential.revoked": "the certificate was revoked",
}
"""What the failure codes of the C2PA specification 2.1, section 15.2.2, mean."""


@dataclass(frozen=True)
class Credentials:
    """The content credentials of a file, and whether they hold.

    Who signed and what was stated is known for `valid`, `untrusted` and most `invalid` ones.
    """

    kind: Kind
    """`untrusted`: valid, but the issuer of the certificate is not on the trust list."""
    detail: str = ""
    """What is invalid, or why there is nothing or nothing was checked."""
    subject: str | None = None
    """Whom the signer's certificate names, such as ``C=GB, O=Police, CN=Unit 7``."""
    issuer: str | None = None
    """Who issued that certificate."""
    algorithm: str | None = None
    """Signature algorithm, such as ``es256``."""
    time: str | None = None
    """Time of the work as the signer states it, ISO 8601; no authority confirms it."""
    beside: bool = False
    """Whether they are in a file beside the file."""
    title: str | None = None
    """Name of the file as it was signed."""
    source_type: str | None = None
    """Digital source type of the edit, a term of the IPTC; None if none is stated."""
    statement: Mapping[str, Any] | None = None
    """The signed assertion of jdsr, `jdsr.restoration`; None if there is none."""

    @property
    def state(self) -> str:
        """The state in words.

        One of ``absent``, ``valid``, ``valid, signer not on the trust list``, ``invalid: ...`` and
        ``not checked: ...``.
        """
        if self.kind == "untrusted":
            return "valid, signer not on the trust list"
        name = "not checked" if self.kind == "unchecked" else self.kind
        return f"{name}: {self.detail}" if self.detail else name


def read_credentials(path: Path, trust: Path | None = None) -> Credentials:
    """Read the content credentials of a file, in it or in ``<file>.c2pa``, and verify them.

    Args:
        path: The file.
        trust: PEM file with the certificates of trusted issuers; None to trust none.

    Returns:
        The credentials; `unchecked` if the packages of the extra are missing or broken.

    Raises:
        InputMissingError, InputUnreadableError: The file is missing or cannot be read.
        UsageError: The trust list cannot be used.

    """
    anchors = None if trust is None or not_installed() else read_trust_list(trust)

    def open_file(name: str) -> BinaryIO | None:
        file = path.with_name(name)
        return file.open("rb") if file == path or file.is_file() else None

    try:
        return read_opened(path.name, open_file, anchors)
    except FileNotFoundError as error:
        raise InputMissingError("no such file", where=path, hint="Check the spelling.") from error
    except OSError as error:
        raise InputUnreadableError(
            f"cannot be read ({error.strerror or error})", where=path, hint="Check its permissions."
        ) from error


def not_installed() -> str | None:
    """Return why credentials cannot be checked; None if the packages of the extra are there."""
    try:
        load_library()
    except UsageError as error:
        missing = isinstance(error.__cause__, ModuleNotFoundError)
        return "install jdsr[provenance]" if missing else error.what
    return None


def read_opened(
    name: str, open_file: Callable[[str], BinaryIO | None], anchors: str | None = None
) -> Credentials:
    """Read and verify the credentials of a file that somebody else opens.

    Args:
        name: Name of the file; its suffix says what it is.
        open_file: Opens the file of a name, also that beside it; None if there is no such file.
        anchors: Certificates of trusted issuers, PEM.

    Raises:
        OSError: A file cannot be read.

    """
    reason = not_installed()
    if reason is not None:
        return Credentials("unchecked", reason)
    beside = sidecar_of(Path(name))
    media_type = media_type_of(beside.with_suffix(""))
    with ExitStack() as files:
        source = open_file(name)
        if source is None:
            return Credentials("absent")
        files.enter_context(source)
        found = read_stream(source, media_type, None, anchors)
        sidecar = open_file(beside.as_posix()) if found.kind == "absent" else None
        if sidecar is None:
            return found
        store = files.enter_context(sidecar).read(MAX_SIDECAR + 1)
        if not 0 < len(store) <= MAX_SIDECAR:
            what = f"{beside.name} is empty or too large"
            return Credentials("invalid", what, beside=True)
        source.seek(0)
        return read_stream(source, media_type, store, anchors)


def read_stream(
    source: IO[bytes], media_type: str | None, store: bytes | None, anchors: str | None = None
) -> Credentials:
    """Read and verify the credentials of a stream.

    Args:
        source: The bytes of the file, from the start.
        media_type: Its media type; None to recognise it by its content.
        store: Its credentials, if they are in another file.
        anchors: Certificates of trusted issuers, PEM.

    """
    c2pa = load_library()
    context = make_context(anchors=anchors)
    beside = store is not None
    try:
        with c2pa.Reader(media_type, source, store, context=context) as reader:
            report, described = json.loads(reader.json()), json.loads(reader.crjson())
    except c2pa.C2paError.ManifestNotFound:
        return Credentials("absent")
    except c2pa.C2paError as error:
        if str(error).startswith(REMOTE):
            return Credentials("absent", "they are at an address in the network, which is not read")
        if not beside and (media_type is None or isinstance(error, c2pa.C2paError.NotSupported)):
            return Credentials("absent")
        return Credentials("invalid", f"they cannot be read ({error})", beside=beside)
    except ValueError as error:
        return Credentials("invalid", f"they cannot be read ({error})", beside=beside)
    return _conclude(report, described, beside=beside)


def read_trust_list(path: Path) -> str:
    """Return the certificates of a trust list.

    Raises:
        UsageError: The file cannot be read, or is not one of certificates in PEM.

    """
    load_library()
    from cryptography import x509

    try:
        content = path.read_bytes()
        x509.load_pem_x509_certificates(content)
        return content.decode()
    except OSError as error:
        raise UsageError(
            f"cannot be read ({error.strerror or error})",
            where=path,
            hint="Give a PEM file with the certificates of trusted issuers.",
        ) from error
    except ValueError as error:
        raise UsageError(
            "is not a list of certificates",
            where=path,
            hint="Give a PEM file with the certificates of trusted issuers.",
        ) from error


def _conclude(
    report: Mapping[str, Any], described: Mapping[str, Any], *, beside: bool
) -> Credentials:
    """Return the credentials from the two reports of the library."""
    label = report.get("active_manifest")
    manifest: Mapping[str, Any] = report.get("manifests", {}).get(label, {})
    listed: list[Mapping[str, Any]] = described.get("manifests", [])
    full = next((one for one in listed if one.get("label") == label), {})
    signature = full.get("signature", {})
    certificate = signature.get("certificateInfo", {})
    results = report.get("validation_results", {}).get("activeManifest", {})
    failures = [one for one in results.get("failure", ()) if one.get("code") != UNTRUSTED]
    edits = [
        action
        for data in _assertions(manifest, "c2pa.actions")
        for action in data.get("actions", ())
        if action.get("action") != "c2pa.opened"
    ]
    kind = STATES.get(str(report.get("validation_state")), "invalid")
    return Credentials(
        kind,
        _describe_faults(failures) if kind == "invalid" else "",
        subject=_name_text(certificate.get("subject")),
        issuer=_name_text(certificate.get("issuer")),
        algorithm=signature.get("algorithm"),
        time=next((when for one in edits if isinstance(when := one.get("when"), str)), None),
        beside=beside,
        title=_text(manifest.get("title")),
        source_type=next(map(_text, (one.get("digitalSourceType") for one in edits)), None),
        statement=next(_assertions(manifest, ASSERTION), None),
    )


def _describe_faults(failures: list[Mapping[str, Any]]) -> str:
    texts = (
        FAULTS.get(one["code"]) or f"{one.get('explanation') or 'fault'} ({one['code']})"
        for one in failures
    )
    return "; ".join(dict.fromkeys(texts)) or "they do not verify"


def _name_text(name: Mapping[str, Any] | None) -> str | None:
    """Return a distinguished name as text; None if there is none."""
    if not name:
        return None
    return ", ".join(f"{part}={value}" for part, value in name.items())


def _assertions(manifest: Mapping[str, Any], label: str) -> Iterator[Mapping[str, Any]]:
    """Yield the content of the assertions whose labels start with `label`."""
    for assertion in manifest.get("assertions", ()):
        data = assertion.get("data")
        if str(assertion.get("label", "")).startswith(label) and isinstance(data, Mapping):
            yield data


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
