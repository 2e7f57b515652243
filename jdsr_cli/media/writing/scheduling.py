"""Keep encoders from changing the scheduling policy of this process."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_TASKS = Path("/proc/self/task")
"""Folder with an entry for each thread of this process, on Linux."""


@contextmanager
def unchanged_scheduling() -> Iterator[None]:
    """Restore the scheduling policy of all threads of this process at the end of the block.

    When SVT-AV1 is opened by the superuser, it gives the calling thread and its own threads the
    highest real-time priority (SCHED_FIFO). Other processes then get hardly any CPU time, and
    child processes inherit the priority.
    """
    if not hasattr(os, "sched_getscheduler"):
        yield
        return
    before = _scheduling_policies()
    own = before[threading.get_native_id()]
    try:
        yield
    finally:
        for thread, policy in _scheduling_policies().items():
            if policy != before.get(thread, own):
                # The thread may have ended, and a sandbox may forbid the call.
                with suppress(ProcessLookupError, PermissionError):
                    os.sched_setscheduler(thread, *before.get(thread, own))


def _scheduling_policies() -> dict[int, tuple[int, os.sched_param]]:
    """Return policy and parameters of each thread by its native identifier."""
    policies = {}
    threads = {threading.get_native_id()}  # Other threads are not known where /proc is missing.
    if _TASKS.is_dir():
        threads |= {int(folder.name) for folder in _TASKS.iterdir()}
    for thread in threads:
        with suppress(ProcessLookupError):
            policies[thread] = os.sched_getscheduler(thread), os.sched_getparam(thread)
    return policies
