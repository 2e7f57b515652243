"""A pool of tasks on the nodes of a Ray cluster.

All nodes see the inputs and the folder of results under the same path. Weights need not be there:
they are put into Ray's object store once, from which each node fetches them once, into its cache.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import numpy as np

from jdsr_cli.allocation import return_freed_memory
from jdsr_cli.atomic import atomic_file
from jdsr_cli.errors import (
    InputMissingError,
    JdsrError,
    OutputError,
    UsageError,
)
from jdsr_cli.execution.scheduler import Assisted, Event, Finished, Lost, Progressed
from jdsr_cli.execution.units import Unit, UnitRunner, Work
from jdsr_cli.execution.worker import perform
from jdsr_cli.media.inputs import is_sequence
from jdsr_cli.progress import Progress
from jdsr_cli.restoration.models import Models, open_models
from jdsr_cli.restoration.summary import InputResult
from jdsr_cli.settings import (
    AUTO,
    RAY_PORT,
    DetectionSettings,
    ExecutionSettings,
    RestoreSettings,
)
from jdsr_cli.weights import cache_directory, entry, locate, sha256_of
from jdsr_cli.weights.locations import find_file
from jdsr_cli.weights.names import path_of

STEP_SECONDS = 0.2
"""How often the progress of the tasks is fetched."""
STOP_SECONDS = 30.0
"""How long cancelled tasks may take to close their files before they are killed."""
SHARED_HINT = "Inputs and --out must lie in a folder that all nodes share under the same path."


@dataclass(frozen=True)
class SharedWeights:
    """The weights of a run, in the object store of the cluster."""

    given: str
    """Name or path, as the user gave it."""
    file: str
    """Name of the file."""
    sha256: str
    stored: Mapping[str, Any]
    """The reference to the bytes; a mapping, so that Ray does not fetch them without need."""

    def path(self) -> str:
        """Return what opens them on this node: `given`, or a file in the cache of the node."""
        there = path_of(self.given) if Path(self.given).is_file() else find_file(self.file)
        if there is not None and sha256_of(there) == self.sha256:
            return self.given
        path = cache_directory() / "cluster" / self.sha256 / self.file
        if not path.is_file():
            import ray

            with atomic_file(path, make_folder=True) as partial:
                partial.write_bytes(ray.get(self.stored["bytes"]).tobytes())
        return str(path)

    def open(self, settings: DetectionSettings, progress: Progress) -> Models:
        """Open the networks of a run; the manifest names the weights as the user did."""
        models = open_models(replace(settings, weights=self.path()), progress)  # type: ignore[call-arg]
        assert models.weights is not None
        return replace(models, weights={**models.weights, "name": self.given})


@dataclass(frozen=True)
class Task:
    """What a task needs besides its unit."""

    settings: DetectionSettings
    weights: SharedWeights | None
    marker: Path
    """File in the folder of results by which a node recognises the shared folder."""


class QueuedProgress:
    """A `Progress` whose calls are put into a queue of the cluster."""

    def __init__(self, queue: Any, number: int) -> None:
        self._queue = queue
        self._number = number

    def _put(self, method: str, *arguments: object) -> None:
        self._queue.put(Progressed(self._number, method, arguments))

    def begin(self, task: str, total: int | None) -> None:
        """Queue the start of a task."""
        self._put("begin", task, total)

    def advance(self, task: str, units: int = 1) -> None:
        """Queue done units."""
        self._put("advance", task, units)

    def end(self, task: str) -> None:
        """Queue the end of a task."""
        self._put("end", task)

    def note(self, message: str) -> None:
        """Queue a note."""
        self._put("note", message)


_runners: dict[Task, UnitRunner] = {}
"""The runner of the last task of this process of a node, whose networks are open."""


def run_task(work: Work, task: Task, queue: Any) -> Event:
    """Do work on a node."""
    unit = work.unit
    unseen = _unseen(unit, task)
    if unseen is not None and work.role == "assist":
        return Assisted(unit.number, goes_on=False, error=unseen)
    if unseen is not None:
        return Finished(unit.number, InputResult(unit.source, error=unseen))
    if task not in _runners:
        return_freed_memory()
        for runner in _runners.values():
            runner.close()
        _runners.clear()
        opener = open_models if task.weights is None else task.weights.open
        _runners[task] = UnitRunner(task.settings, opener)
    return perform(work, _runners[task], QueuedProgress(queue, unit.number))


def _unseen(unit: Unit, task: Task) -> JdsrError | None:
    """Return the error if this node does not see the input or the folder of results."""
    node = socket.gethostname()
    if not unit.source.exists() and not is_sequence(unit.source):
        what = f"the node {node} does not see this file"
        return InputMissingError(what, where=unit.source, hint=SHARED_HINT)
    if not task.marker.exists():
        what = f"the node {node} does not see this folder"
        return OutputError(what, where=task.marker.parent, hint=SHARED_HINT)
    return None


def _with_absolute_paths(settings: DetectionSettings) -> DetectionSettings:
    """Return settings whose files do not depend on the working directory of a node."""
    if not isinstance(settings, RestoreSettings) or settings.sign is None:
        return settings
    certificate, key = settings.sign
    return replace(settings, sign=(certificate.absolute(), key.absolute()))


class RayPool:
    """Tasks of a Ray cluster, each of one CPU, and of one GPU where the cluster has any.

    Args:
        settings: Settings of the run.
        execution: Address of the cluster, and the most tasks at once.
        out: Folder for the results, which exists.

    Raises:
        UsageError: Ray is not installed, or no cluster answers.
        WeightsError: The weights are missing on this machine.

    """

    def __init__(
        self, settings: DetectionSettings, execution: ExecutionSettings, out: Path
    ) -> None:
        given, located = "", None
        if isinstance(settings, RestoreSettings) and settings.weights != AUTO:
            given, located = settings.weights, _locate(settings.weights)
        self._ray = _import_ray()
        self._connected = not self._ray.is_initialized()
        if self._connected:
            _connect(self._ray, execution.address)
        resources = self._ray.cluster_resources()
        gpus = resources.get("GPU", 0.0) if settings.device != "cpu" else 0.0
        self._limit = execution.jobs or max(1, int(gpus or resources.get("CPU", 1.0)))
        self._marker = NamedTemporaryFile(dir=out, prefix=".jdsr-cluster-")  # noqa: SIM115 - open until `close`
        self._task = Task(
            _with_absolute_paths(settings),
            None if located is None else self._share(given, *located),
            Path(self._marker.name).absolute(),
        )
        options = {"num_cpus": 1, "num_gpus": 1 if gpus else 0, "max_retries": 0}
        self._remote: Callable[..., Any] = self._ray.remote(**options)(run_task).remote
        self._queue = self._open_queue()
        self._running: dict[Any, Work] = {}

    def _share(self, given: str, path: Path, sha256: str) -> SharedWeights:
        data = np.frombuffer(path.read_bytes(), np.uint8)
        return SharedWeights(given, path.name, sha256, _Stored({"bytes": self._ray.put(data)}))

    def _open_queue(self) -> Any:
        """Open the queue for progress on this node, which outlives the others."""
        from ray.util.queue import Queue
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = self._ray.get_runtime_context().get_node_id()
        strategy = NodeAffinitySchedulingStrategy(here, soft=False)
        return Queue(actor_options={"num_cpus": 0, "scheduling_strategy": strategy})

    def free(self) -> int:
        """Return how many more tasks are submitted; Ray queues those without a node."""
        return self._limit - len(self._running)

    def submit(self, work: Work) -> None:
        """Submit a task."""
        unit = work.unit
        unit = replace(unit, source=unit.source.absolute(), folder=unit.folder.absolute())
        work = replace(work, unit=unit)
        self._running[self._remote(work, self._task, self._queue)] = work

    def events(self) -> Sequence[Event]:
        """Return the progress since the last call, and the tasks that have ended."""
        ready, _ = self._ray.wait(list(self._running), timeout=STEP_SECONDS)
        return [*self._queued(), *(self._conclude(reference) for reference in ready)]

    def _queued(self) -> list[Event]:
        waiting = self._queue.qsize()
        return list(self._queue.get_nowait_batch(waiting)) if waiting else []

    def _conclude(self, reference: Any) -> Event:
        work = self._running.pop(reference)
        try:
            event: Event = self._ray.get(reference)
        except self._ray.exceptions.RayError as fault:
            first = str(fault).strip().partition("\n")[0].rstrip(".")
            reason = f"its Ray task was lost ({type(fault).__name__}: {first})"
            return Lost(work.unit.number, reason, work.role == "assist")
        return event

    def close(self) -> None:
        """Release the queue and, if this pool opened it, the connection to the cluster."""
        self._marker.close()
        with suppress(self._ray.exceptions.RayError):
            self._queue.shutdown(force=True)
        if self._connected:
            self._ray.shutdown()

    def cancel(self) -> Sequence[Event]:
        """Interrupt the tasks, as Ctrl-C does; kill those that do not end."""
        running = list(self._running)
        self._running.clear()
        for reference in running:
            self._ray.cancel(reference)
        late: list[Any] = []
        if running:
            _, late = self._ray.wait(running, num_returns=len(running), timeout=STOP_SECONDS)
        for reference in late:
            self._ray.cancel(reference, force=True)
        time.sleep(STEP_SECONDS)
        return self._queued()


class _Stored(dict[str, Any]):
    """A mapping that is equal to and hashed as its content, so that tasks can be compared."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(tuple(self.items()))


def _locate(given: str) -> tuple[Path, str]:
    """Return the file of weights on this machine, and its hash."""
    path = path_of(given) or locate(entry(given))
    return path, sha256_of(path)


def _import_ray() -> Any:
    try:
        import ray
    except ModuleNotFoundError as fault:
        raise UsageError(
            "the package ray is not installed",
            where="--engine ray",
            hint="Run `pip install 'jdsr[cluster]'` on every node.",
        ) from fault
    return ray


def _connect(ray: Any, address: str | None) -> None:
    """Connect to a cluster; without an address to that of this machine, started if need be."""
    if address is not None and ":" not in address:
        address = f"{address}:{RAY_PORT}"
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, OSError, RuntimeError, ValueError) as fault:
        first = str(fault).strip().partition("\n")[0]
        raise UsageError(
            f"no Ray cluster answers at {address or 'this machine'} ({first})",
            where="--address",
            hint="Start it with `ray start`, and run this command on one of its nodes.",
        ) from fault
