"""Results of segments that several processes prepare for the one that writes an input.

The detections of a segment do not depend on the segments before it, and its generated faces only on
detections. Both are files in the folder of the work. Whoever makes one holds its lock, which the
system releases if the process is lost; the others wait for it or make another one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from jdsr_cli.atomic import output_error
from jdsr_cli.restoration.workspace import Workspace

WAIT_STEP = 0.05
"""Seconds between two looks whether a result is there."""
Availability = Literal["there", "ours", "elsewhere"]


class SharedResults:
    """The results of one kind of the segments of an input.

    Args:
        workspace: The folder of the work, which exists.
        suffix: End of the names of the files of this kind.

    """

    def __init__(self, workspace: Workspace, suffix: str) -> None:
        self._workspace = workspace
        self._suffix = suffix
        self._locks: dict[int, FileLock] = {}

    def path(self, number: int) -> Path:
        """Return the path of the result of segment `number` (from 0)."""
        return self._workspace.segments.file(number, self._suffix)

    def claim(self, number: int) -> Availability:
        """Claim the result of a segment unless it is there, or another process makes it.

        Returns:
            "there", "ours" if this process is to make it and then calls `release`, or "elsewhere".

        Raises:
            OutputError: The folder cannot be written.

        """
        path = self.path(number)
        if path.exists():
            return "there"
        # A run is claimed by one thread and concluded by another.
        lock = FileLock(f"{path}.lock", timeout=0, thread_local=False)
        try:
            lock.acquire()
        except Timeout:
            return "elsewhere"
        except OSError as fault:
            raise output_error(fault, path) from fault
        if path.exists():
            lock.release()
            return "there"
        self._locks[number] = lock
        return "ours"

    def await_claim(self, number: int, is_given_up: Callable[[], bool]) -> Availability:
        """Claim the result of a segment; if another process makes it, wait for that.

        Args:
            number: Number of the segment.
            is_given_up: Whether the result is not needed any more; then "elsewhere" is returned.

        Returns:
            As `claim`.

        Raises:
            OutputError: As `claim`.

        """
        found = self.claim(number)
        while found == "elsewhere" and not is_given_up():
            time.sleep(WAIT_STEP)
            found = self.claim(number)
        return found

    def remove(self, number: int) -> None:
        """Remove a result."""
        self.path(number).unlink(missing_ok=True)

    def release(self, number: int) -> None:
        """Give up the claim of a segment, if this process holds it."""
        lock = self._locks.pop(number, None)
        if lock is not None:
            lock.release()

    def release_before(self, number: int) -> None:
        """Give up the claims of all segments before `number`."""
        for one in [one for one in self._locks if one < number]:
            self.release(one)

    def release_all(self) -> None:
        """Give up all claims."""
        for one in list(self._locks):
            self.release(one)
