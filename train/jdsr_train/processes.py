"""How a training process behaves towards the system: signals, threads, processes beside it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

STARTED_VARIABLE = "JDSR_TRAIN_STARTED"
"""Environment variable by which processes of one run know when its command was given."""


@contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """Let SIGTERM do what Ctrl-C does: raise KeyboardInterrupt in the main thread.

    Processes that were forked meanwhile, such as those that make samples, just end.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    owner = os.getpid()

    def stop(number: int, frame: FrameType | None) -> None:
        if os.getpid() == owner:
            raise KeyboardInterrupt
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def single_threaded(device: str) -> Iterator[None]:
    """Let a process that trains on a CPU use one thread, unless OMP_NUM_THREADS says otherwise.

    Two threads of OpenMP wait for one another in turn as soon as anything else, such as the
    processes that make samples, needs a core: a step then takes several times as long. More cores
    are used by more processes.
    """
    if device != "cpu" or "OMP_NUM_THREADS" in os.environ:
        yield
        return
    import torch  # late, so that a command which only starts others is quick

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def start_time() -> float:
    """When this run's command was given, on the clock of `time.monotonic`, in seconds."""
    told = os.environ.get(STARTED_VARIABLE)
    return time.monotonic() if told is None else float(told)


def launch(processes: int, arguments: Sequence[str], began: float) -> int:
    """Run `jdsr` with these arguments in several processes that share every step.

    On Ctrl-C and SIGTERM they are told, and waited for.

    Args:
        processes: Their number.
        arguments: Of the command line, without the option that asks for processes.
        began: When the command was given, see `started`.

    Returns:
        The exit code of the run: 0, or that of the first process that failed.

    """
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone",
        f"--nproc-per-node={processes}", "-m", "jdsr_cli", *arguments,
    ]  # fmt: skip
    threads = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    environment = {**os.environ, **threads, STARTED_VARIABLE: str(began)}
    with sigterm_as_interrupt(), subprocess.Popen(command, env=environment) as running:
        while True:
            try:
                return running.wait()
            except KeyboardInterrupt:
                running.send_signal(signal.SIGTERM)
