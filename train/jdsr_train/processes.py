"""Signals, threads and process groups of training processes; imported without torch."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType

from jdsr_cli.signals import interrupting_signals

STARTED_VARIABLE = "JDSR_TRAIN_STARTED"
"""Environment variable with the start time of the command, for all processes of a run."""


def without_lost_peers(number: int) -> None:
    """Make a worker that prepares samples silent about the loss of the process that takes them.

    A thread of `multiprocessing` passes the memory of batches to that process. If it is interrupted
    at this moment, the thread would print a traceback; the run has then ended in order.

    Args:
        number: Number of the worker, which is not needed.

    """
    del number

    def report(
        kind: type[BaseException], fault: BaseException, trace: TracebackType | None
    ) -> None:
        if not issubclass(kind, (EOFError, ConnectionError)):
            sys.__excepthook__(kind, fault, trace)

    sys.excepthook = report


@contextmanager
def single_threaded(device: str) -> Iterator[None]:
    """Use a single thread for training on a CPU, unless OMP_NUM_THREADS is set.

    OpenMP threads wait for one another when other processes, such as workers, need a core, and a
    step then takes several times as long. Use more processes for more cores.
    """
    if device != "cpu" or "OMP_NUM_THREADS" in os.environ:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def start_time() -> float:
    """Return when the command of this run was started, in seconds of `time.monotonic`."""
    value = os.environ.get(STARTED_VARIABLE)
    return time.monotonic() if value is None else float(value)


def launch(processes: int, arguments: Sequence[str], start: float) -> int:
    """Run `jdsr` with these arguments in several processes that share every step.

    Ctrl-C, SIGTERM and SIGHUP are passed on to them, and their end is awaited.

    Args:
        processes: Number of processes.
        arguments: Arguments of the command line, without `--processes`.
        start: Start of the command, see `start_time`.

    Returns:
        The exit code: 0, or that of the first process that failed.

    """
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone",
        f"--nproc-per-node={processes}", "-m", "jdsr_cli", *arguments,
    ]  # fmt: skip
    threads = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    environment = {**os.environ, **threads, STARTED_VARIABLE: str(start)}
    with interrupting_signals(), subprocess.Popen(command, env=environment) as process:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                process.send_signal(signal.SIGTERM)
