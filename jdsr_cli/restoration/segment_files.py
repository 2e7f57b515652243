"""The files of segments in the folder of the work of one input: their names, and which are kept."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

STATE = ".state.npz"
"""End of the names of the snapshots at the ends of finished segments."""
KEPT_SNAPSHOTS = 8
"""Latest segments whose snapshots all stay; of those before, every second one of as many again,
then every fourth, and so on."""


class SegmentFiles:
    """The files `NUMBER.SUFFIX` of the segments of one input, which are numbered from 0.

    Args:
        folder: Folder of the work, which may not exist yet.

    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def file(self, number: int, suffix: str) -> Path:
        """Return the path of a file of segment `number`."""
        return self._folder / f"{number:06d}{suffix}"

    def snapshot(self, number: int) -> Path:
        """Return the path of the snapshot at the end of segment `number`."""
        return self.file(number, STATE)

    def snapshots(self) -> list[int]:
        """Return the segments whose snapshots are there."""
        return [number for _, number, _ in self._files(STATE)]

    def written(self) -> int:
        """Return the number of segments that the process that writes the results has finished."""
        return max((number + 1 for number in self.snapshots()), default=0)

    def drop_snapshots(self, last: int) -> None:
        """Remove snapshots that need not stay beside that of segment `last`, the latest one.

        A damaged segment makes a run fall back to the snapshot before it. All of the latest
        segments stay, and of earlier ones the fewer the earlier they are.
        """
        for number in self.snapshots():
            segments = number + 1
            spacing = segments & -segments
            if number > last or last - number >= KEPT_SNAPSHOTS * spacing:
                self.snapshot(number).unlink(missing_ok=True)

    def clear(self, suffix: str, end: int) -> None:
        """Remove the files of the segments before `end` that have this suffix."""
        for path, number, _ in list(self._files(suffix)):
            if number < end:
                path.unlink(missing_ok=True)

    def size_of(self, suffix: str) -> int:
        """Return the bytes of all files of segments that have this suffix."""
        return sum(size for _, _, size in self._files(suffix))

    def _files(self, suffix: str) -> Iterator[tuple[Path, int, int]]:
        """Yield path, segment and size of each file of a segment that has a suffix."""
        with suppress(OSError), os.scandir(self._folder) as entries:
            for entry in entries:
                number = entry.name.partition(".")[0]
                if entry.name.endswith(suffix) and number.isdecimal():
                    with suppress(OSError):
                        yield Path(entry.path), int(number), entry.stat().st_size
