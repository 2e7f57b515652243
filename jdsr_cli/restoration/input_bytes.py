"""The bytes of an input: their hash, and whether they are still the same at the end.

A result is evidence of the bytes that its frames were read from. A recorder may still write the
file, or somebody may replace it, while it is read for hours; then no hash describes what was read.
"""

from __future__ import annotations

import stat
import time
from dataclasses import dataclass
from pathlib import Path

from jdsr_cli.errors import InputError, InputMissingError, InputUnreadableError
from jdsr_cli.evidence import digest_file
from jdsr_cli.media import input_files
from jdsr_cli.restoration.standard_input import input_name

_FRESH = 2_000_000_000
"""Nanoseconds for which a file may change again without another stamp: file systems store times in
steps of up to 2 s."""
_TOUCHED = (
    "the input was written, replaced or touched while it was read: its bytes at the end are those "
    "of the hash, but it is not known whether there were others in between"
)


@dataclass(frozen=True)
class _Stamp:
    """What the system says about a file; it differs after every change of the content."""

    path: Path
    file: tuple[int, int]
    """Device and number of the file: a program may have put another one in its place."""
    bytes: int
    modified: int
    changed: int
    """Time of the last change of content or attributes (POSIX); the modification time can be set
    back by programs that copy files, this one cannot."""


class InputBytes:
    """Size and hash of an input; of a sequence those of all its pictures together.

    Args:
        path: The input.

    Attributes:
        digest: Name, size and SHA-256 of the bytes that were hashed.
        changed: Whether `check` found other bytes.
        notes: What the user should know about the input, one sentence each.

    Raises:
        InputError: It cannot be read, or it changed while it was hashed.

    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.changed = False
        self.notes: list[str] = []
        self._stamps, self._fresh = self._look()
        self.digest = digest_file(path, input_name(path), files=input_files(path))
        if self._look()[0] != self._stamps:
            raise self._fault("changes while it is read")

    def check(self) -> None:
        """Check that the input holds the bytes that were hashed.

        It is hashed again only if the system says that it was touched, or cannot say so yet.

        Raises:
            InputError: It holds other bytes, or cannot be read any more.

        """
        try:
            stamps, fresh = self._look()
        except (InputMissingError, InputUnreadableError) as fault:
            raise self._gone(fault.what) from fault
        if stamps == self._stamps and not self._fresh:
            return
        try:
            now = digest_file(self._path, self.digest.file, files=input_files(self._path))
        except InputError as fault:
            raise self._gone(fault.what) from fault
        if now != self.digest:
            self.changed = True
            raise self._fault(
                f"changed while it was read ({self.digest.bytes} bytes before, {now.bytes} now)"
            )
        if stamps != self._stamps:
            self.notes[:] = [_TOUCHED]
        self._stamps, self._fresh = stamps, fresh

    def _look(self) -> tuple[list[_Stamp], bool]:
        """Return the stamps of all files, and whether one was touched just before."""
        try:
            found = [(file, file.stat()) for file in input_files(self._path)]
        except OSError as fault:
            if isinstance(fault, InputError):
                raise
            raise self._gone(fault.strerror or str(fault)) from fault
        for file, status in found:
            # To open a pipe in its place would wait for ever.
            if not stat.S_ISREG(status.st_mode):
                raise InputError(
                    "is no file with a fixed content any more",
                    where=file,
                    hint="Put the recording back in its place.",
                )
        stamps = [
            _Stamp(
                file,
                (status.st_dev, status.st_ino),
                status.st_size,
                status.st_mtime_ns,
                status.st_ctime_ns,
            )
            for file, status in found
        ]
        now = time.time_ns()
        return stamps, any(abs(now - one.changed) < _FRESH for one in stamps)

    def _gone(self, reason: str) -> InputError:
        return InputError(
            f"cannot be read any more: it was removed, renamed or locked ({reason})",
            where=self._path,
            hint="Put it back, and check that its disk or share is connected.",
        )

    def _fault(self, what: str) -> InputError:
        return InputError(
            f"{what}, so that no hash describes the frames",
            where=self._path,
            hint="Wait until nothing writes it, or copy it; then start again, with --force if a "
            "run was interrupted.",
        )
