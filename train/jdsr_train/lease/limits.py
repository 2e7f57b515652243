"""What a call to the machine may carry, take and bring back."""

from __future__ import annotations

from dataclasses import dataclass

from jdsr_cli.errors import UsageError
from jdsr_train.lease.files import MIB

SAFE = 0.99
"""Share of the largest file that a piece takes: whether the limit itself passes is not known."""
ROOM_MIB = 2.0
"""Of a call, for logs and what describes the pieces."""


@dataclass(frozen=True)
class Limits:
    """Of one call."""

    call_mib: float = 64.0
    """The working tree and everything that is carried."""
    files: int = 8
    """Files that come back."""
    file_mib: float = 16.0
    """Size of one of them."""
    total_mib: float = 64.0
    """Size of all of them."""
    seconds: int = 600
    """Time of a command."""
    characters: int = 2000
    """Length of a command."""
    carried: int = 8
    """Paths that are named to be carried."""

    def __post_init__(self) -> None:
        if min(self.call_mib, self.file_mib, self.total_mib - ROOM_MIB) <= 0:
            raise UsageError(f"limits in MiB must be positive, --total-mib above {ROOM_MIB:g}")
        if self.files < 3:
            raise UsageError(
                f"{self.files} files are too few",
                where="--files",
                hint="A piece, what describes it, and the logs are three",
            )

    @property
    def piece(self) -> int:
        """Bytes of a piece: a little less than may come back, logs left room for."""
        return int(min(SAFE * self.file_mib, self.total_mib - ROOM_MIB) * MIB)

    @property
    def options(self) -> list[str]:
        """Words that tell `watch` what may come back."""
        return [
            f"--files={self.files}",
            f"--file-mib={self.file_mib:g}",
            f"--total-mib={self.total_mib:g}",
        ]
