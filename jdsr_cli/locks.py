"""Locks of files that belong to one run; the system releases them if its process is lost."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock, Timeout

from jdsr_cli.atomic import output_error
from jdsr_cli.errors import OutputError


def acquire_lock(path: Path, where: Path, what: str) -> FileLock:
    """Return a lock that this process holds; any of its threads may release it.

    Args:
        path: File of the lock.
        where: Folder that messages name.
        what: What another process does if it holds the lock.

    Raises:
        OutputError: Another process holds it, or the file cannot be written.

    """
    lock = FileLock(path, timeout=0, thread_local=False)
    try:
        lock.acquire()
    except Timeout as fault:
        hint = "Wait for it, or choose another folder with --out."
        raise OutputError(what, where=where, hint=hint) from fault
    except OSError as fault:
        raise output_error(fault, where) from fault
    return lock
