"""What the verification of results finds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from jdsr_cli.errors import (
    EXIT_OK,
    EXIT_PARTIAL,
    InputError,
    JdsrError,
    NotAsRecordedError,
)

Severity = Literal["problem", "note"]


@dataclass(frozen=True)
class Finding:
    """Something that the verification of a result found.

    Examples:
        >>> from jdsr_cli import Finding
        >>> print(Finding("problem", "faces.jsonl", "the record is not JSON", line=7))
        faces.jsonl, line 7: the record is not JSON

    """

    severity: Severity
    """`problem`: the result is not as recorded; `note`: what the user should know."""
    file: str
    """File of the result, relative to its folder, or `.` for the folder."""
    what: str
    """What was changed, is missing or was added."""
    line: int | None = None
    """Number of the line or record in that file, from 1."""

    def __str__(self) -> str:
        line = "" if self.line is None else f", line {self.line}"
        return f"{self.file}{line}: {self.what}"


@dataclass(frozen=True)
class VerifiedResult:
    """The verification of one result, or of a folder of results.

    Examples:
        >>> from jdsr_cli import CropSettings, crop_faces, verify
        >>> _ = crop_faces(["photo.png"], "crops", CropSettings(device="cpu"))
        >>> (result,) = verify(["crops/photo"]).results
        >>> result.as_recorded, result.problems
        (True, ())

    """

    folder: Path
    files: int = 0
    """Number of files whose hashes were computed."""
    findings: tuple[Finding, ...] = ()
    left_out: int = 0
    """Number of videos that were left out of the bundle, and were not compared."""
    error: JdsrError | None = None
    """Why the folder could not be verified."""
    is_collection: bool = False
    """Whether it is a folder of results, whose results follow; then `findings` are about these."""

    @property
    def problems(self) -> tuple[Finding, ...]:
        """Differences from what is recorded."""
        return tuple(one for one in self.findings if one.severity == "problem")

    @property
    def notes(self) -> tuple[Finding, ...]:
        """What the user should know."""
        return tuple(one for one in self.findings if one.severity == "note")

    @property
    def as_recorded(self) -> bool:
        """Whether the folder was verified without a problem."""
        return self.error is None and not self.problems


@dataclass(frozen=True)
class Verification:
    """The verification of several results.

    Examples:
        >>> from jdsr_cli import verify
        >>> verify(["absent"]).exit_code
        3

    """

    results: tuple[VerifiedResult, ...]

    @property
    def exit_code(self) -> int:
        """0 if all are as recorded, 7 if one is not, 3 if none is a result, otherwise 4."""
        failed = [one for one in self.results if one.error is not None]
        if any(one.problems for one in self.results):
            return NotAsRecordedError.exit_code
        if not failed:
            return EXIT_OK
        return InputError.exit_code if len(failed) == len(self.results) else EXIT_PARTIAL
