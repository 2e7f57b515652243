"""Temporary folders for footage: removed with their owner, or by the next run if it was killed.

A process that is killed (SIGKILL, power cut) removes nothing. Each folder holds a file that its
owner has locked, and the system releases the lock when the owner ends. Whoever creates a folder
removes those of this kind whose lock is free, and so never one that is in use.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Self

from filelock import BaseFileLock, FileLock, Timeout

PREFIX = "jdsr-work-"
"""Start of the name of each folder."""
_LOCK = ".lock"


class TemporaryFolder:
    """A new folder in the temporary folder of the system; a context manager that removes it.

    Attributes:
        path: The folder.

    Raises:
        OSError: It cannot be created.

    """

    def __init__(self) -> None:
        sweep_temporary_folders()
        while True:
            self.path = Path(tempfile.mkdtemp(prefix=PREFIX))
            self._lock = FileLock(self.path / _LOCK, thread_local=False)
            try:
                self._lock.acquire(blocking=False)
            except Timeout:
                continue  # a process that sweeps was faster, and removes the empty folder
            except BaseException:
                shutil.rmtree(self.path, ignore_errors=True)
                raise
            if (self.path / _LOCK).exists():
                return
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def remove(self) -> None:
        """Remove the folder and what it contains."""
        _remove(self.path, self._lock)


def sweep_temporary_folders() -> None:
    """Remove the folders of processes that were killed; what cannot be examined stays."""
    try:
        found = sorted(Path(tempfile.gettempdir()).glob(f"{PREFIX}*"))
    except OSError:
        return
    for folder in found:
        lock = folder / _LOCK
        with suppress(OSError, Timeout):
            if folder.is_symlink() or not lock.is_file() or lock.is_symlink() or not _own(folder):
                continue
            held = FileLock(lock, thread_local=False)
            held.acquire(blocking=False)
            _remove(folder, held)


def _own(folder: Path) -> bool:
    """Whether the folder belongs to the user of this process, where the system knows that."""
    return not hasattr(os, "getuid") or folder.stat().st_uid == os.getuid()


def _remove(folder: Path, lock: BaseFileLock) -> None:
    """Remove everything but the lock, then the lock and the folder."""
    with suppress(OSError):
        for path in folder.iterdir():
            if path.name == _LOCK:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
    lock.release()
    shutil.rmtree(folder, ignore_errors=True)
