"""Verification of a result: whether the files that its manifest calls signed are."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from jdsr_cli.errors import InputError
from jdsr_cli.evidence.credentials.reading import Credentials, read_credentials
from jdsr_cli.evidence.manifest import MANIFEST, read_manifest


class CredentialCheck(NamedTuple):
    """What was found about one file of a result."""

    file: str
    """Name relative to the folder of the result."""
    state: str
    """In words, see `Credentials.state`."""
    is_problem: bool


def check_credentials(folder: Path, trust: Path | None = None) -> list[CredentialCheck]:
    """Verify the content credentials of every file that the manifest of a result calls signed.

    Credentials that are missing, invalid, or of another signer than the manifest names are a
    problem; that the signer is not on the trust list, or that the packages of the extra are not
    installed, is none.

    Args:
        folder: Folder of the result.
        trust: PEM file with the certificates of trusted issuers; None to trust none.

    Returns:
        One entry for each of these files; none if nothing is signed.

    Raises:
        UsageError: The trust list cannot be used.

    """
    stated = read_manifest(folder).get("credentials")
    if stated is None:
        return []
    files = stated.get("files") if isinstance(stated, dict) else None
    if not isinstance(files, list) or not all(isinstance(name, str) for name in files):
        what = "invalid: the field credentials of the manifest is not one of jdsr"
        return [CredentialCheck(MANIFEST, what, True)]
    return [_check(folder, name, stated, trust) for name in files]


def _check(folder: Path, name: str, stated: dict[str, Any], trust: Path | None) -> CredentialCheck:
    parts = PurePosixPath(name).parts
    if not parts or ".." in parts or PurePosixPath(name).is_absolute() or "\\" in name:
        return CredentialCheck(name, "invalid: the name is not one of a file of the result", True)
    try:
        found = read_credentials(folder / name, trust)
    except InputError as error:
        return CredentialCheck(name, f"invalid: {error.what}", True)
    return _judge(name, found, stated.get("subject"))


def _judge(name: str, found: Credentials, subject: object) -> CredentialCheck:
    if found.kind == "unchecked":
        return CredentialCheck(name, found.state, False)
    if found.kind in ("valid", "untrusted") and found.subject != subject:
        what = f"invalid: signed by {found.subject}, and not by {subject} as the manifest states"
        return CredentialCheck(name, what, True)
    return CredentialCheck(name, found.state, found.kind in ("absent", "invalid"))
