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

if TYPE_CHECKING:
    from jdsr_cli.execution.units import Unit
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
        connection: Receives pairs of a unit and whether it resumes; sends events.
        settings: Settings of the run, with the device of this worker.
        threads: Threads of each network and of OpenCV.

    """
    # Ctrl-C reaches all processes of a terminal; the scheduler alone decides what it ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _interrupt)
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    return_freed_memory()
    try:
        _serve(connection, settings, threads)
    except (EOFError, BrokenPipeError, ConnectionResetError, KeyboardInterrupt):
        return


def _interrupt(_: int, __: FrameType | None) -> None:
    """Interrupt the run as Ctrl-C does, so that it keeps its finished segments."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


def _serve(connection: Connection, settings: DetectionSettings, threads: int) -> None:
    import cv2

    from jdsr_cli.errors import JdsrError
    from jdsr_cli.execution.scheduler import Finished, Refused
    from jdsr_cli.execution.units import UnitRunner
    from jdsr_cli.restoration.models import open_models

    cv2.setNumThreads(threads)
    runner = UnitRunner(settings, open_models)
    while True:
        message: tuple[Unit, bool] = connection.recv()
        unit, resumes = message
        progress = SentProgress(connection, unit.number)
        try:
            result = runner.run(unit, progress, resumes=resumes)
        except JdsrError as error:
            connection.send(Refused(unit.number, error))
        else:
            connection.send(Finished(unit.number, result))
