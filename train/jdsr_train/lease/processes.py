"""Processes on the machine: what they see, who is running, how one is ended."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from jdsr_train.lease.places import ROOT_VARIABLE, Places

GRACE = 40.0
"""Seconds after its deadline at which a process is interrupted."""
MERCY = 20.0
"""Seconds after that at which it is killed."""
TRIED = 1.0
"""Seconds for which a lock is tried."""


def environment(places: Places) -> dict[str, str]:
    """Return the environment of processes that run the laid down code."""
    return {
        "OMP_NUM_THREADS": "4",
        **os.environ,
        "PYTHONPATH": f"{places.code}{os.pathsep}{places.code / 'train'}",
        "PYTHONUNBUFFERED": "1",
        "MPLBACKEND": "Agg",
        ROOT_VARIABLE: str(places.root),
        "JDSR_WEIGHTS": str(places.data / "weights"),
    }


@contextmanager
def held(path: Path) -> Iterator[bool]:
    """Hold a lock that goes with the process; gives whether it was free.

    Whoever only asks for it holds it for a moment, so it is tried for a while.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + TRIED
    with path.open("a") as file:
        while not (free := _lock(file)) and time.monotonic() < until:
            time.sleep(0.05)
        yield free


def is_held(path: Path) -> bool:
    """Whether some process holds a lock."""
    if not path.exists():
        return False
    with path.open("a") as file:
        return not _lock(file)


def _lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def run(
    words: Sequence[str], places: Places, log: Path, seconds: float, began: Callable[[int], None]
) -> int:
    """Run a process that should end within a time, and end it where it does not.

    Args:
        words: Its command line.
        places: It runs in the laid down code.
        log: What it prints is added to it.
        seconds: It has `GRACE` more, then it is interrupted, `MERCY` later killed with all that
            it started.
        began: Told its number, which is that of its process group, too.

    Returns:
        Its exit code, negative where a signal ended it.

    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as printed:
        running = subprocess.Popen(
            list(words), cwd=places.code, env=environment(places), stdin=subprocess.DEVNULL,
            stdout=printed, stderr=printed, start_new_session=True,
        )  # fmt: skip
    began(running.pid)
    try:
        with suppress(subprocess.TimeoutExpired):
            return running.wait(max(1.0, seconds + GRACE))
        running.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            return running.wait(MERCY)
        end_group(running.pid)
        return running.wait()
    except BaseException:
        end_group(running.pid)
        raise


def end_group(number: int) -> None:
    """Kill what is left of a process group."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(number, signal.SIGKILL)


def end_orphan(number: int, places: Places) -> None:
    """Kill a process group that a runner began before it was killed itself.

    Only where the command line of its first process names the machine's root: numbers are given
    again.
    """
    with suppress(OSError):
        if str(places.root).encode() in Path(f"/proc/{number}/cmdline").read_bytes():
            end_group(number)
