"""Content credentials of one result: its files are signed as they are completed.

A picture of a face is signed when it is written, since its hash goes into the records; a video when
its segments are joined. Both are before anything is hashed for the manifest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jdsr_cli.evidence.credentials import Content, CredentialSigner, Origin


@dataclass(frozen=True)
class SignedFile:
    """A file that was signed, and with which certificate."""

    file: str
    """Name relative to the folder of the result."""
    certificate: str
    """SHA-256 of the certificate."""


class ResultSigner:
    """Signs the files of one result.

    Args:
        signer: The signer of the run.
        origin: What the result is made from and with.
        folder: Folder of the result.

    Raises:
        OutputError: The certificate has expired.

    """

    def __init__(self, signer: CredentialSigner, origin: Origin, folder: Path) -> None:
        signer.check_validity()
        self._signer = signer
        self._origin = origin
        self._folder = folder
        self._signed: list[SignedFile] = []
        """What was signed since the last call of `take_signed`."""

    def sign(self, path: Path, content: Content = "restored") -> tuple[Path, ...]:
        """Sign a file in the folder; return it, and the file of its credentials if that is another.

        Args:
            path: The file, complete but not hashed yet.
            content: What it shows.

        Raises:
            OutputError: It cannot be signed; it is as it was before.

        """
        files = self._signer.sign(path, self._origin, content)
        name = path.relative_to(self._folder).as_posix()
        self._signed.append(SignedFile(name, self._signer.certificate.sha256))
        return files

    def take_signed(self) -> list[SignedFile]:
        """Return what was signed since the last call."""
        signed, self._signed = self._signed, []
        return signed

    def describe(self, signed: Sequence[SignedFile]) -> dict[str, Any]:
        """Return the entry of the manifest for all files of the result that were signed."""
        return {
            "certificate_sha256": self._signer.certificate.sha256,
            "subject": self._signer.subject,
            "algorithm": self._signer.certificate.algorithm,
            "files": sorted({one.file for one in signed}),
        }

    def note(self, signed: Sequence[SignedFile]) -> str | None:
        """Return a sentence on files that an interrupted run signed with another certificate."""
        other = [one for one in signed if one.certificate != self._signer.certificate.sha256]
        if not other:
            return None
        hashes = ", ".join(sorted({one.certificate for one in other}))
        return (
            f"{len(other)} files were signed before the run was resumed, with another certificate "
            f"of the same subject (SHA-256 {hashes})"
        )


def sign_file(
    signer: ResultSigner | None, path: Path, content: Content = "restored"
) -> tuple[Path, ...]:
    """Sign a complete file if files are signed at all; return the files that it consists of then.

    Raises:
        OutputError: It cannot be signed.

    """
    return (path,) if signer is None else signer.sign(path, content)
