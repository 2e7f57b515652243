"""A worker: a process of this machine that receives units and reports events.

Imports of large packages wait until the number of threads is set, which they read on import.
"""

from __future__ import annotations

import os
import signal
from multiprocessing.connection import Connection
from types import FrameType
from typing import TYPE_CHECKING

from jdsr_cli.allocation import return_freed_memory
from jdsr_cli.signals import ignore_ending_signals
from jdsr_cli.standard_streams import guarded_streams

if TYPE_CHECKING:
    from jdsr_cli.execution.scheduler import Event
    from jdsr_cli.execution.units import UnitRunner, Work
    from jdsr_cli.progress import Progress
    from jdsr_cli.settings import DetectionSettings

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class SentProgress:
    """A `Progress` whose calls are sent to the scheduler as events."""

    def __init__(self, connection: Connection, number: int) -> None:
        self._connection = connection
        self._number = number

    def _send(self, method: str, *arguments: object) -> None:
        from jdsr_cli.execution.scheduler import Progressed

        self._connection.send(Progressed(self._number, method, arguments))

    def begin(self, task: str, total: int | None) -> None:
        """Send the start of a task."""
        self._send("begin", task, total)

    def advance(self, task: str, units: int = 1) -> None:
        """Send done units."""
        self._send("advance", task, units)

    def end(self, task: str) -> None:
        """Send the end of a task."""
        self._send("end", task)

    def note(self, message: str) -> None:
        """Send a note."""
        self._send("note", message)


def serve(connection: Connection, settings: DetectionSettings, threads: int) -> None:
    """Process units until the connection is closed or the process is terminated.

    Args:
        connection: Receives `Work`; sends events.
        settings: Settings of the run, with the device of this worker.
        threads: Threads of each network and of OpenCV.

    """
    # Ctrl-C and SIGHUP reach all processes of a terminal; the scheduler decides what they end.
    ignore_ending_signals()
    signal.signal(signal.SIGTERM, _interrupt)
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    return_freed_memory()
    try:
        with guarded_streams():
            _serve(connection, settings, threads)
    except (EOFError, BrokenPipeError, ConnectionResetError, KeyboardInterrupt):
        return


def _interrupt(_: int, __: FrameType | None) -> None:
    """Interrupt the run as Ctrl-C does, so that it keeps its finished segments."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


def _serve(connection: Connection, settings: DetectionSettings, threads: int) -> None:
    import cv2

    from jdsr_cli.execution.units import UnitRunner
    from jdsr_cli.restoration.models import open_models

    cv2.setNumThreads(threads)
    runner = UnitRunner(settings, open_models)
    while True:
        work: Work = connection.recv()
        connection.send(perform(work, runner, SentProgress(connection, work.unit.number)))


def perform(work: Work, runner: UnitRunner, progress: Progress) -> Event:
    """Do what a process was given; return the event with which that ends."""
    from jdsr_cli.errors import JdsrError
    from jdsr_cli.execution.scheduler import Assisted, Finished, Refused

    number = work.unit.number
    if work.role == "assist":
        try:
            return Assisted(number, runner.assist(work.unit, progress))
        except JdsrError as error:
            return Assisted(number, goes_on=False, error=error)
    try:
        result = runner.run(work.unit, progress, resumes=work.role == "resume")
    except JdsrError as error:
        return Refused(number, error)
    return Finished(number, result)
