"""Peak of the resident memory of this process and its children."""

from __future__ import annotations

import os
from pathlib import Path
from threading import Event, Thread
from typing import Self

INTERVAL = 0.05
"""Seconds between two samples."""
MIB = 1 << 20


def resident_mib(process: int) -> float:
    """Return the resident memory of a process and all its descendants in MiB.

    0 where it has ended, or where the system has no /proc.
    """
    folder = Path(f"/proc/{process}")
    try:
        pages = int((folder / "statm").read_text().split()[1])
        children = [
            int(child)
            for task in (folder / "task").iterdir()
            for child in (task / "children").read_text().split()
        ]
    except (OSError, IndexError):
        return 0.0
    own = pages * os.sysconf("SC_PAGE_SIZE") / MIB
    return own + sum(resident_mib(child) for child in children)


class PeakMemory:
    """Samples the memory of this process tree while the context is open."""

    def __init__(self) -> None:
        self.mib = 0.0
        """Highest sample in MiB; 0 where the system has no /proc."""
        self._ended = Event()
        self._thread = Thread(target=self._run, name="memory", daemon=True)

    def _run(self) -> None:
        while True:
            self.mib = max(self.mib, resident_mib(os.getpid()))
            if self._ended.wait(INTERVAL):
                return

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
