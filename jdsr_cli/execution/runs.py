"""Runs of inputs in several processes: what is checked before, and which pool does the work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from jdsr_cli.atomic import prepare_folder
from jdsr_cli.execution.cluster import RayPool
from jdsr_cli.execution.local import LocalPool
from jdsr_cli.execution.scheduler import Pool, run_units
from jdsr_cli.execution.units import Unit, UnitRunner
from jdsr_cli.inference.backends import resolve_device_name
from jdsr_cli.media import expand_inputs
from jdsr_cli.progress import Progress
from jdsr_cli.restoration.models import open_models
from jdsr_cli.restoration.pipeline import name_outputs
from jdsr_cli.restoration.summary import InputResult, RunSummary
from jdsr_cli.settings import DetectionSettings, ExecutionSettings


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

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def run(self, units: Sequence[Unit], progress: Progress) -> Iterator[tuple[Unit, InputResult]]:
        """Process units at once."""
        yield from run_units(units, self._pool, progress)


@contextmanager
def open_runner(
    settings: DetectionSettings,
    execution: ExecutionSettings,
    out: Path,
    progress: Progress,
    units: int | None = None,
) -> Iterator[Executor]:
    """Open what processes units: this process, worker processes, or a Ray cluster.

    Args:
        settings: Settings of the run.
        execution: Number and place of the processes.
        out: Folder for the results, which exists.
        progress: Receives notes while the networks are opened in this process.
        units: Number of units that will be processed, None if unknown.

    Raises:
        UsageError: The options contradict each other, or the cluster cannot be used.
        DeviceError: A device is not available.
        WeightsError: A weight file is missing or altered.

    """
    execution.check(settings)
    if execution.in_process:
        runner = UnitRunner(settings, open_models)
        runner.open(progress)
        yield _InThisProcess(runner)
        return
    pool: Pool
    if execution.engine == "ray":
        pool = RayPool(settings, execution, out)
    else:
        pool = LocalPool(worker_settings(settings, execution, units))
    try:
        yield _InPool(pool)
    finally:
        pool.close()


def worker_settings(
    settings: DetectionSettings, execution: ExecutionSettings, units: int | None = None
) -> list[DetectionSettings]:
    """Return the settings of each worker of this machine; devices take turns.

    Args:
        settings: Settings of the run.
        execution: Number of processes, and their devices.
        units: There are no more workers than units, so that those share all cores.

    Raises:
        UsageError, DeviceError: A device is unknown or not available.

    """
    devices = execution.devices or (settings.device,)
    for device in devices:
        resolve_device_name(device)
    return [
        replace(settings, device=devices[number % len(devices)])
        for number in range(min(execution.processes, units or execution.processes))
    ]


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
    paths, faults = expand_inputs([str(item) for item in inputs])
    failed = [InputResult(Path(fault.where or ""), error=fault) for fault in faults]
    if not paths:
        return RunSummary(tuple(failed))
    prepare_folder(out)
    names = name_outputs(paths)
    units = [
        Unit(number, path, out, name)
        for number, (path, name) in enumerate(zip(paths, names, strict=True))
    ]
    with open_runner(settings, execution, out, progress, len(units)) as runner:
        results = {unit.number: result for unit, result in runner.run(units, progress)}
    return RunSummary((*failed, *(results[unit.number] for unit in units)))
