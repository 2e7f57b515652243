"""Locks of files that belong to one run; the system releases them if its process is lost."""

from __future__ import annotations

import time
from pathlib import Path

from filelock import FileLock, Timeout

from jdsr_cli.atomic import output_error
from jdsr_cli.errors import OutputError

PATIENCE = 0.5
"""Seconds for which a lock is waited for: other processes may hold it while they look at it."""
PAUSE = 0.01
"""Seconds between two attempts while the folder is being removed."""


def acquire_lock(path: Path, where: Path, what: str) -> FileLock:
    """Return a lock that this process holds; any of its threads may release it.

    A process that holds the lock may remove its folder, which is created again.

    Args:
        path: File of the lock; missing folders are created.
        where: Folder that messages name.
        what: What another process does if it holds the lock.

    Raises:
        OutputError: Another process holds it, or the file cannot be written.

    """
    until = time.monotonic() + PATIENCE
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(path, timeout=max(0.0, until - time.monotonic()), thread_local=False)
            lock.acquire()
        except Timeout as fault:
            raise _is_taken(where, what) from fault
        except (FileNotFoundError, FileExistsError) as fault:
            # The folder has just been removed; or a file has its name, which does not pass.
            if time.monotonic() < until:
                time.sleep(PAUSE)
                continue
            if isinstance(fault, FileExistsError):
                raise output_error(fault, where) from fault
            raise _is_taken(where, what) from fault
        except OSError as fault:
            raise output_error(fault, where) from fault
        if path.exists():
            return lock
        lock.release()


def _is_taken(where: Path, what: str) -> OutputError:
    return OutputError(what, where=where, hint="Wait for it, or choose another folder with --out.")
