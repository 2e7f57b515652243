"""Runs of inputs in several processes: what is checked before, and which pool does the work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from jdsr_cli.atomic import prepare_folder
from jdsr_cli.errors import JdsrError
from jdsr_cli.execution.cluster import RayPool
from jdsr_cli.execution.local import LocalPool
from jdsr_cli.execution.scheduler import Pool, run_units
from jdsr_cli.execution.units import Unit, UnitRunner
from jdsr_cli.inference.backends import resolve_device_name
from jdsr_cli.media import expand_inputs, probe
from jdsr_cli.progress import Progress
from jdsr_cli.restoration.models import open_models, open_signer
from jdsr_cli.restoration.result_names import ResultNames
from jdsr_cli.restoration.stages.reading import expected_frames
from jdsr_cli.restoration.summary import InputResult, RunSummary
from jdsr_cli.settings import DetectionSettings, ExecutionSettings
from jdsr_cli.temporary_folders import sweep_temporary_folders

SEGMENTS_EACH = 4
"""Segments of an input for each further process that takes part in it. With three segments, two
processes on two cores took 1.2 times as long as one that uses both."""


class Executor(Protocol):
    """Processes units, any number of times."""

    def run(self, units: Sequence[Unit], progress: Progress) -> Iterator[tuple[Unit, InputResult]]:
        """Process units and yield each with its result, in the order in which they end."""


class _InThisProcess:
    """Processes units one after another in this process."""

    def __init__(self, runner: UnitRunner) -> None:
        self._runner = runner

    def run(self, units: Sequence[Unit], progress: Progress) -> Iterator[tuple[Unit, InputResult]]:
        """Process units in their order."""
        for unit in units:
            yield unit, self._runner.run(unit, progress)


class _InPool:
    """Processes units in a pool."""

    def __init__(self, pool: Pool, segment: int) -> None:
        self._pool = pool
        self._segment = segment

    def run(self, units: Sequence[Unit], progress: Progress) -> Iterator[tuple[Unit, InputResult]]:
        """Process units at once."""
        yield from run_units(units, self._pool, progress, self._segment)


@contextmanager
def open_runner(
    settings: DetectionSettings,
    execution: ExecutionSettings,
    out: Path,
    progress: Progress,
    parts: int | None = None,
) -> Iterator[Executor]:
    """Open what processes units: this process, worker processes, or a Ray cluster.

    Args:
        settings: Settings of the run.
        execution: Number and place of the processes.
        out: Folder for the results, which exists.
        progress: Receives notes while the networks are opened in this process.
        parts: Number of processes that gain time, see `count_parts`; None if unknown.

    Raises:
        UsageError: The options contradict each other, the cluster cannot be used, or the results
            are to be signed, and certificate or key cannot be used.
        DeviceError: A device is not available.
        WeightsError: A weight file is missing or altered.

    """
    execution.check(settings)
    sweep_temporary_folders()
    if execution.in_process:
        runner = UnitRunner(settings, open_models)
        runner.open(progress)
        yield _InThisProcess(runner)
        return
    # Checked before any process is started; each one that writes opens it again.
    open_signer(settings)
    pool: Pool
    if execution.engine == "ray":
        pool = RayPool(settings, execution, out)
    else:
        pool = LocalPool(worker_settings(settings, execution, parts))
    try:
        yield _InPool(pool, settings.segment)
    finally:
        pool.close()


def worker_settings(
    settings: DetectionSettings, execution: ExecutionSettings, parts: int | None = None
) -> list[DetectionSettings]:
    """Return the settings of each worker of this machine; devices take turns.

    Args:
        settings: Settings of the run.
        execution: Number of processes, and their devices.
        parts: There are no more workers than parts of the work, so that those share all cores.

    Raises:
        UsageError, DeviceError: A device is unknown or not available.

    """
    devices = execution.devices or (settings.device,)
    for device in devices:
        resolve_device_name(device)
    return [
        replace(settings, device=devices[number % len(devices)])
        for number in range(min(execution.processes, parts or execution.processes))
    ]


def count_parts(paths: Sequence[Path], settings: DetectionSettings, enough: int) -> int:
    """Return how many processes gain time: one for each input, and more for long inputs.

    Args:
        paths: The inputs.
        settings: Settings of the run.
        enough: Number from which nothing more is counted.

    """
    parts = len(paths)
    for path in paths:
        if parts >= enough:
            break
        try:
            frames = expected_frames(probe(path, settings.reading), settings.reading)
        except JdsrError:
            # Its process reports the error.
            continue
        segments = enough * SEGMENTS_EACH if frames is None else -(-frames // settings.segment)
        parts += (segments - 1) // SEGMENTS_EACH
    return max(len(paths), min(parts, enough))


def run_inputs(
    inputs: Sequence[str | Path],
    out: Path,
    settings: DetectionSettings,
    execution: ExecutionSettings,
    progress: Progress,
) -> RunSummary:
    """Process all inputs in several processes, each into a folder of its own in `out`.

    Names of results, their bytes and the order of the summary are those of a run in one process.

    Raises:
        As `open_runner`, and OutputError: Nothing can be written in `out`.

    """
    execution.check(settings)
    paths, faults = expand_inputs([str(item) for item in inputs], progress.note, out)
    failed = [InputResult(Path(fault.where or ""), error=fault) for fault in faults]
    if not paths:
        return RunSummary(tuple(failed))
    prepare_folder(out)
    names = ResultNames(out).choose(paths)
    units = [
        Unit(number, path, out, name)
        for number, (path, name) in enumerate(zip(paths, names, strict=True))
    ]
    parts = count_parts(paths, settings, execution.processes)
    with open_runner(settings, execution, out, progress, parts) as runner:
        results = {unit.number: result for unit, result in runner.run(units, progress)}
    return RunSummary((*failed, *(results[unit.number] for unit in units)))
