"""The bytes of an input: their hash, and whether they are still the same at the end.

A result is evidence of the bytes that its frames were read from. A recorder may still write the
file, or somebody may replace it, while it is read for hours; then no hash describes what was read.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path

from jdsr_cli.errors import InputError
from jdsr_cli.evidence import digest_file
from jdsr_cli.media import input_files
from jdsr_cli.restoration.standard_input import input_name


@dataclass(frozen=True)
class _Stamp:
    """What the system says about a file; it differs after every change of the content."""

    path: Path
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

    Raises:
        InputError: It cannot be read, or it changed while it was hashed.

    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.changed = False
        self._stamps = self._stamp()
        self.digest = digest_file(path, input_name(path), files=input_files(path))
        if self._stamp() != self._stamps:
            raise self._fault("changes while it is read")

    def check(self) -> None:
        """Check that the input holds the bytes that were hashed.

        It is hashed again only if the system says that it was touched.

        Raises:
            InputError: It holds other bytes, or cannot be read any more.

        """
        stamps = self._stamp()
        if stamps == self._stamps:
            return
        now = digest_file(self._path, self.digest.file, files=input_files(self._path))
        if now != self.digest:
            self.changed = True
            raise self._fault(
                f"changed while it was read ({self.digest.bytes} bytes before, {now.bytes} now)"
            )
        self._stamps = stamps

    def _stamp(self) -> list[_Stamp]:
        try:
            found = [(file, file.stat()) for file in input_files(self._path)]
        except OSError as fault:
            if isinstance(fault, InputError):
                raise
            raise InputError(
                f"cannot be read any more ({fault.strerror or fault})",
                where=self._path,
                hint="Check that its disk or share is connected.",
            ) from fault
        for file, status in found:
            # To open a pipe in its place would wait for ever.
            if not stat.S_ISREG(status.st_mode):
                raise InputError(
                    "is no file with a fixed content any more",
                    where=file,
                    hint="Put the recording back in its place.",
                )
        return [
            _Stamp(file, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            for file, status in found
        ]

    def _fault(self, what: str) -> InputError:
        return InputError(
            f"{what}, so that no hash describes the frames",
            where=self._path,
            hint="Wait until nothing writes it, or copy it; then start again, with --force if a "
            "run was interrupted.",
        )
