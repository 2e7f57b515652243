"""A pool of worker processes on this machine."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait

from jdsr_cli.execution.scheduler import Event, Lost, Progressed
from jdsr_cli.execution.units import Work
from jdsr_cli.execution.worker import serve
from jdsr_cli.inference.backends import usable_cores
from jdsr_cli.settings import DetectionSettings

STOP_SECONDS = 30.0
"""How long a worker may take to close its files before it is killed."""


def threads_each(processes: int) -> int:
    """Return the number of threads of each of several processes, so that all cores are used."""
    return max(1, usable_cores() // processes)


class _Worker:
    """A process, and what it does."""

    def __init__(self, settings: DetectionSettings, threads: int) -> None:
        # A new interpreter: a fork would copy the locks of running threads.
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(
            target=serve, args=(theirs, settings, threads), name="jdsr-worker"
        )
        self.process.start()
        theirs.close()
        self.work: Work | None = None

    def describe_end(self) -> str:
        """Return how the process ended."""
        self.process.join()
        code = self.process.exitcode or 0
        if code >= 0:
            return f"its process ended (exit code {code})"
        out_of_memory = ", as the system does when memory is short" if code == -9 else ""
        return f"its process was ended by signal {-code}{out_of_memory}"

    def stop(self) -> None:
        """Close the connection, upon which an idle process ends."""
        self.connection.close()
        self.process.join(STOP_SECONDS)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


class LocalPool:
    """Worker processes of this machine, one for each settings; a lost one is started again.

    Args:
        settings: Settings of the run for each worker, which differ in the device.

    """

    def __init__(self, settings: Sequence[DetectionSettings]) -> None:
        self._settings = settings
        self._threads = threads_each(len(settings))
        self._workers: dict[int, _Worker] = {}

    def _free_slots(self) -> list[int]:
        return [
            slot
            for slot in range(len(self._settings))
            if slot not in self._workers or self._workers[slot].work is None
        ]

    def free(self) -> int:
        """Return the number of workers without work."""
        return len(self._free_slots())

    def submit(self, work: Work) -> None:
        """Send work to a worker, which is started if there is none."""
        slot = self._free_slots()[0]
        if slot not in self._workers:
            self._workers[slot] = _Worker(self._settings[slot], self._threads)
        worker = self._workers[slot]
        worker.work = work
        try:
            worker.connection.send(work)
        except OSError:
            # The process is gone; reading from the connection reports it.
            return

    def events(self) -> Sequence[Event]:
        """Wait for the next messages of the workers."""
        busy = {worker.connection: slot for slot, worker in self._workers.items() if worker.work}
        return [self._receive(busy[ready]) for ready in wait(list(busy)) if ready in busy]

    def _receive(self, slot: int) -> Event:
        worker = self._workers[slot]
        work = worker.work
        assert work is not None
        try:
            event: Event = worker.connection.recv()
        except (EOFError, OSError):
            del self._workers[slot]
            worker.connection.close()
            assisted = work.role == "assist"
            return Lost(work.unit.number, worker.describe_end(), assisted)
        if not isinstance(event, Progressed):
            worker.work = None
        return event

    def close(self) -> None:
        """End the workers, which are idle."""
        for worker in self._workers.values():
            worker.stop()
        self._workers.clear()

    def cancel(self) -> Sequence[Event]:
        """Terminate the workers; they close their journals as after Ctrl-C."""
        workers, self._workers = self._workers, {}
        for worker in workers.values():
            worker.process.terminate()
        end, events = time.monotonic() + STOP_SECONDS, []
        for worker in workers.values():
            events += _drain(worker.connection, end)
            worker.stop()
        return events


def _drain(connection: Connection, end: float) -> list[Event]:
    """Return the messages of a worker until it closes its connection, or until a time."""
    events: list[Event] = []
    try:
        while connection.poll(max(0.0, end - time.monotonic())):
            events.append(connection.recv())
    except (EOFError, OSError):
        pass
    return events
