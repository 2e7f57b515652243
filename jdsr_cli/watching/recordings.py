"""The recordings in a watched folder, and which of them a recorder has finished.

The folder is listed again and again: network shares, on which recorders write, report no changes.
Only times measured by this machine are compared, as the clock of a share may be wrong.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from jdsr_cli.errors import InputUnreadableError
from jdsr_cli.media.folders import is_media_name
from jdsr_cli.result_folders import is_own_folder


@dataclass(frozen=True)
class RecordedFile:
    """A file as it was when the folder was listed."""

    file: str
    """Path relative to the watched folder, with `/`."""
    bytes: int
    modified: int
    """Modification time in nanoseconds, as the file system states it."""


@dataclass(frozen=True)
class FolderListing:
    """What is in a watched folder."""

    recordings: list[RecordedFile]
    """The recordings, the oldest first."""
    results: int
    """Number of folders that were left out since they are results."""


def list_recordings(folder: Path, excluded: Path) -> FolderListing:
    """Return the media files in a folder and its sub-folders.

    Hidden files and folders are left out, files without content, and results of jdsr.

    Args:
        folder: The watched folder.
        excluded: Folder that is left out, with everything below it, unless it is `folder`.

    Raises:
        InputUnreadableError: The folder cannot be listed.

    """
    found, results = [], 0
    excluded = excluded.resolve()
    try:
        for parent, folders, names in os.walk(folder, onerror=_fail):
            here = Path(parent)
            searched = [
                name
                for name in folders
                if not name.startswith(".") and (here / name).resolve() != excluded
            ]
            folders[:] = [name for name in searched if not is_own_folder(here / name)]
            results += len(searched) - len(folders)
            found += [_describe(here / name, folder) for name in names if is_media_name(Path(name))]
    except OSError as fault:
        raise InputUnreadableError(
            f"cannot be listed ({fault.strerror or fault})",
            where=fault.filename or folder,
            hint="Check its permissions, and that the share is connected.",
        ) from fault
    present = [one for one in found if one is not None and one.bytes]
    return FolderListing(sorted(present, key=lambda one: (one.modified, one.file)), results)


def _fail(fault: OSError) -> None:
    raise fault


def _describe(path: Path, folder: Path) -> RecordedFile | None:
    """Return a file as it is; None if it was removed in the meantime."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return RecordedFile(path.relative_to(folder).as_posix(), status.st_size, status.st_mtime_ns)


class SettlingFiles:
    """Remembers since when each recording has not changed.

    Args:
        seconds: How long size and modification time must stay the same.

    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: dict[RecordedFile, float] = {}

    def finished(self, recordings: Iterable[RecordedFile], now: float) -> list[RecordedFile]:
        """Return those of the recordings that have not changed for long enough.

        Args:
            recordings: All recordings as they are now.
            now: Seconds of a clock that is never set back.

        """
        self._since = {one: self._since.get(one, now) for one in recordings}
        return [one for one, since in self._since.items() if now - since >= self._seconds]
