"""Run a job of a queue in a process of its own, and pass signals on to it."""

from __future__ import annotations

import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

from jdsr_cli.atomic import output_error
from jdsr_cli.errors import EXIT_INTERRUPTED, TrainingError

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
TICK = 1.0
"""Seconds between two reports of the time that a job has taken."""
LAST_LINES = 5.0
"""Seconds for which output is awaited after a process has ended, whose own children may hold it."""
ERROR = "error: "


@dataclass(frozen=True)
class ChildResult:
    """How a process ended."""

    code: int
    """Its exit code; negative if a signal ended it."""
    error: str
    """Its last error line, or its last line; empty after success."""


class Interruption:
    """The signals that end a queue: the running process receives SIGTERM once, and is awaited.

    The processes of jobs have a session of their own, so that Ctrl-C reaches them by this alone: a
    second signal would interrupt the export of their weights.
    """

    def __init__(self) -> None:
        self.requested = False
        """Whether a signal has come."""
        self._unsignalled: list[subprocess.Popen[str]] = []

    @contextmanager
    def handled(self) -> Iterator[None]:
        """Handle the signals in this block, except those that this process ignores.

        Outside of the main thread, which alone can handle signals, it does nothing.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        kept = {one: signal.getsignal(one) for one in SIGNALS}
        before = {one: handler for one, handler in kept.items() if handler != signal.SIG_IGN}
        for one in before:
            signal.signal(one, self._receive)
        try:
            yield
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)

    @contextmanager
    def passed_to(self, process: subprocess.Popen[str]) -> Iterator[None]:
        """Pass the first signal, also one that has come before, on to a process."""
        self._unsignalled = [process]
        if self.requested:
            self.pass_on()
        try:
            yield
        finally:
            self._unsignalled = []

    def check(self) -> None:
        """Raise KeyboardInterrupt if a signal has come."""
        if self.requested:
            raise KeyboardInterrupt

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        self.pass_on()

    def pass_on(self) -> None:
        """Send SIGTERM to the running process, unless it has received it already."""
        with suppress(IndexError):
            self._unsignalled.pop().terminate()


def run_child(
    words: Sequence[str],
    log: Path,
    interruption: Interruption,
    on_line: Callable[[str], None],
    on_tick: Callable[[], None],
    lock: int | None = None,
) -> ChildResult:
    """Run `jdsr` and wait for its end.

    Args:
        words: Its arguments.
        log: File to which its output is appended.
        interruption: Receives the signals for it.
        on_line: Called with each line of its output.
        on_tick: Called every `TICK` seconds.
        lock: File descriptor that it inherits.

    Raises:
        KeyboardInterrupt: It was interrupted.
        OutputError: The log cannot be written; the process has ended.
        TrainingError: The process cannot be started.

    """
    with _opened(log) as write:
        write(f"$ jdsr {' '.join(words)}")
        process = _start(words, log, lock)
        shown = ""
        with interruption.passed_to(process):
            try:
                for line in _lines(process, on_tick):
                    write(line)
                    if line.strip():
                        if line.startswith(ERROR) or not shown.startswith(ERROR):
                            shown = line
                        on_line(line)
            except BaseException:
                interruption.pass_on()
                raise
            finally:
                code = process.wait()
    if code and (interruption.requested or code == EXIT_INTERRUPTED):
        raise KeyboardInterrupt
    return ChildResult(code, shown.removeprefix(ERROR).strip() if code else "")


def _start(words: Sequence[str], log: Path, lock: int | None) -> subprocess.Popen[str]:
    try:
        return subprocess.Popen(
            [sys.executable, "-m", "jdsr_cli", *words],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, encoding="utf-8", errors="replace", start_new_session=True,
            pass_fds=() if lock is None else (lock,),
        )  # fmt: skip
    except OSError as error:
        raise TrainingError(
            f"its process cannot be started ({error.strerror or error})",
            where=log.parent,
            hint="Free memory or end other processes, and start the queue again",
        ) from error


@contextmanager
def _opened(log: Path) -> Iterator[Callable[[str], None]]:
    """Open the log of a job, and yield a function that appends a line to it.

    Paths in lines may have any bytes, which are kept.

    Raises:
        OutputError: It cannot be opened, or the function cannot write to it.

    """
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        output = log.open("a", encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise output_error(error, log) from error

    def write(line: str) -> None:
        try:
            output.write(f"{line}\n")
            output.flush()
        except OSError as error:
            raise output_error(error, log) from error

    try:
        yield write
    finally:
        with suppress(OSError):  # what could not be written is in its buffer and has been reported
            output.close()


def _lines(process: subprocess.Popen[str], on_tick: Callable[[], None]) -> Iterator[str]:
    """Yield the lines of a process until it has ended; report the time while none comes."""
    assert process.stdout is not None
    waiting: queue.Queue[str | None] = queue.Queue()
    reader = threading.Thread(target=_read, args=(process.stdout, waiting), daemon=True)
    reader.start()
    remaining = LAST_LINES
    while True:
        try:
            line = waiting.get(timeout=TICK)
        except queue.Empty:
            on_tick()
            if process.poll() is not None:
                remaining -= TICK
                if remaining <= 0:
                    return
            continue
        if line is None:
            return
        yield line


def _read(stream: IO[str], lines: queue.Queue[str | None]) -> None:
    with stream:
        for line in stream:
            lines.put(line.rstrip("\n"))
    lines.put(None)
