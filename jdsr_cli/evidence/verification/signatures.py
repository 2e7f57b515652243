"""Check of the content credentials of all pictures and videos of a result."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from jdsr_cli.evidence.credentials import (
    MEDIA_TYPES,
    SIDECAR_TYPES,
    Credentials,
    contradictions,
    make_context,
    not_installed,
    read_opened,
    read_trust_list,
)
from jdsr_cli.evidence.manifest import MANIFEST
from jdsr_cli.evidence.verification.findings import Finding
from jdsr_cli.evidence.verification.stored_result import StoredResult, shown

_SIGNED_SUFFIXES = {*MEDIA_TYPES, *SIDECAR_TYPES}
"""Suffixes of the files that a run with --sign signs: pictures and videos."""


class CredentialCheck(NamedTuple):
    """What was found about one file of a result."""

    file: str
    """Name relative to the folder of the result."""
    state: str
    """In words, see `Credentials.state`."""
    is_problem: bool


def signature_check(trust: Path | None) -> Callable[[StoredResult], Iterator[Finding]]:
    """Return the check of the credentials of a result; the trust list is read here, once.

    Args:
        trust: PEM file with the certificates of trusted issuers; None to trust none.

    Raises:
        UsageError: The trust list cannot be used.

    """
    anchors = None
    if trust is not None:
        anchors = read_trust_list(trust)
        make_context(anchors=anchors)

    def check_signatures(result: StoredResult) -> Iterator[Finding]:
        """Name the files whose credentials are not as they should be; count the others by state."""
        others: dict[str, int] = {}
        for one in check_credentials(result, anchors):
            if one.is_problem:
                what = f"content credentials: {shown(one.state)}"
                yield Finding("problem", shown(one.file), what)
            else:
                others[one.state] = others.get(one.state, 0) + 1
        for state, files in others.items():
            count = f"{files} file{'' if files == 1 else 's'}"
            yield Finding("note", MANIFEST, f"content credentials of {count}: {shown(state)}")

    return check_signatures


def check_credentials(result: StoredResult, anchors: str | None = None) -> list[CredentialCheck]:
    """Verify the content credentials of the pictures and videos of a result.

    Credentials that are missing, invalid, made for another file or result, or not listed by the
    manifest are a problem; that the signer is not on the trust list, or that the packages of the
    extra are not installed, is none. With a trust list every picture and video in the folder needs
    valid credentials of a trusted signer, whatever the manifest says.

    Args:
        result: The result. Files that it records but are not there are left to the other checks.
        anchors: Certificates of trusted issuers, PEM; None to trust none.

    Returns:
        One entry for each file that is signed or should be, by name.

    """
    stated = result.manifest.get("credentials")
    listed = stated.get("files") if isinstance(stated, dict) else [] if stated is None else None
    if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
        what = "invalid: the field credentials of the manifest is not one of jdsr"
        return [CredentialCheck(MANIFEST, what, True)]
    checks = [_absent(result, name) for name in sorted({*listed} - {*result.sizes})]
    found = [one for one in checks if one is not None]
    media = [name for name in result.sizes if _is_media(name)]
    can_read = not_installed() is None
    named = {*listed}
    if anchors is not None:
        left_out = sorted(result.left_out)
        what = "not checked: the file was left out of the bundle"
        found += [CredentialCheck(name, what, True) for name in left_out]
    for name in sorted({*media, *(named & {*result.sizes})}):
        if name in named or can_read:
            found += _check(result, name, is_listed=name in named, anchors=anchors)
    if anchors is not None and stated is None and all(one.state == "absent" for one in found):
        what = "absent: the result has no content credentials"
        return [CredentialCheck(MANIFEST, what, True)]
    return found


def _is_media(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in _SIGNED_SUFFIXES


def _absent(result: StoredResult, name: str) -> CredentialCheck | None:
    """Return what is wrong with a name that is not that of a file; None if another check says it.

    Nothing of that name is opened.
    """
    if name in result.others or any(one is not None and one.file == name for _, one in result.sums):
        return None
    return CredentialCheck(name, "invalid: the name is not one of a file of the result", True)


def _check(
    result: StoredResult, name: str, *, is_listed: bool, anchors: str | None
) -> Iterator[CredentialCheck]:
    def open_file(wanted: str) -> Any:
        file = PurePosixPath(name).with_name(PurePosixPath(wanted).name).as_posix()
        return result.open(file) if file in result.sizes else None

    try:
        found = read_opened(PurePosixPath(name).name, open_file, anchors)
    except OSError as fault:
        yield CredentialCheck(name, f"invalid: it cannot be read ({fault.strerror})", True)
        return
    unsigned = found.kind == "absent" or (found.kind == "invalid" and found.subject is None)
    if unsigned and not is_listed and anchors is None:
        return
    state = _judge(name, found, result, is_listed=is_listed)
    fine = found.kind if state == found.state else "invalid"
    accepted = ("valid",) if anchors is not None else ("valid", "untrusted", "unchecked")
    yield CredentialCheck(name, state, fine not in accepted)


def _judge(name: str, found: Credentials, result: StoredResult, *, is_listed: bool) -> str:
    """Return the state of the credentials of a file, which may be valid for something else."""
    if found.kind not in ("valid", "untrusted"):
        return found.state
    if not is_listed:
        return "invalid: the manifest does not list the file as signed"
    faults = "; ".join(contradictions(name, found, result.manifest))
    return f"invalid: {faults}" if faults else found.state
