"""Measure the generator: faces a second by backend, device, precision and batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from jdsr_cli.benchmarking.network_cost import NetworkCost, count_cost
from jdsr_cli.benchmarking.peaks import DevicePeaks, measure_peaks
from jdsr_cli.benchmarking.report import BenchReport, Figure, MeasuredRow
from jdsr_cli.benchmarking.timing import time_calls
from jdsr_cli.errors import DeviceError, UsageError
from jdsr_cli.inference.backends import resolve_device_name
from jdsr_cli.inference.generator import GeneratorNetwork
from jdsr_cli.inference.loading import ONNX, open_generator
from jdsr_cli.progress import Progress
from jdsr_cli.restoration.stages.generation import FaceGenerator
from jdsr_cli.settings import AUTO, BackendName, GeneratorBenchSettings
from jdsr_cli.weights import default_weights, load_generator
from jdsr_cli.weights.loading import PRECISIONS


def bench_generator(
    settings: GeneratorBenchSettings, progress: Progress, *, repeat: int = 3
) -> BenchReport:
    """Time the generator on random crops, with all that `restore` does to a batch of them.

    A precision or device that this machine does not have gives a row that says so.

    Args:
        settings: What is varied.
        progress: Receives the progress by rows.
        repeat: Measurements of each row.

    Raises:
        UsageError: A name of a device is not known.
        WeightsError: The weights cannot be used.

    """
    name = settings.weights
    if name == AUTO:
        name = default_weights(resolve_device_name(AUTO)).name
    for device in settings.chosen_devices:
        _device_fault(device)
    cost = None
    if Path(name).suffix != ONNX:
        cost = count_cost(load_generator(name, "cpu", "float32"))
    measurement = _Measurement(name, settings.seconds, repeat, cost, cache(measure_peaks))
    rows: dict[str, MeasuredRow] = {}
    kinds = [
        (backend, device, precision)
        for backend in settings.chosen_backends
        for device in settings.chosen_devices
        for precision in settings.chosen_precisions
    ]
    progress.begin("bench", len(kinds) * len(settings.chosen_batches))
    for backend, device, precision in kinds:
        for batch in settings.chosen_batches:
            candidate = measurement.open(backend, device, precision, batch)
            # Two names, such as auto and float32, can mean the same.
            if candidate.name not in rows:
                rows[candidate.name] = measurement.measure(candidate)
            progress.advance("bench")
    progress.end("bench")
    conditions = {
        "weights": name,
        "gmac_per_face": None if cost is None else round(cost.gmacs, 4),
        "parameters": None if cost is None else cost.parameters,
        "seconds": settings.seconds,
        "repeat": repeat,
    }
    return BenchReport("generator", conditions, tuple(rows.values()))


def _device_fault(name: str) -> str | None:
    """Return why this machine does not have a device, None if it does.

    Raises:
        UsageError: There is no such name.

    """
    try:
        resolve_device_name(name)
    except DeviceError as error:
        return error.what
    return None


@dataclass(frozen=True)
class _Candidate:
    """One combination of what is varied."""

    conditions: Mapping[str, Any]
    network: GeneratorNetwork | str
    """The open generator, or why it cannot be opened."""

    @property
    def name(self) -> str:
        """Name of its row."""
        return "{backend} {device} {precision} batch {batch}".format(**self.conditions)


@dataclass(frozen=True)
class _Measurement:
    """What all rows of a report have in common."""

    weights: str
    seconds: float
    repeat: int
    cost: NetworkCost | None
    """None for an exported network, whose operations are not counted."""
    peaks: Callable[[str, str], DevicePeaks]

    def open(self, backend: BackendName, device: str, precision: str, batch: int) -> _Candidate:
        """Open the generator for one combination."""
        conditions = {
            "backend": backend, "device": device, "precision": precision, "batch": batch,
        }  # fmt: skip
        try:
            resolved = resolve_device_name(device)
            network = open_generator(self.weights, resolved, precision, backend, batch=batch)
        except UsageError as error:
            return _Candidate(conditions, error.what)
        conditions |= {"device": network.device, "precision": network.precision}
        return _Candidate(conditions, network)

    def measure(self, one: _Candidate) -> MeasuredRow:
        """Measure an open generator; a row without figures if it could not be opened."""
        if isinstance(one.network, str):
            return MeasuredRow(one.name, one.conditions, unavailable=one.network)
        measured = self._figures(one.network, one.conditions["batch"])
        figures = {key: Figure.of(values) for key, values in measured}
        return MeasuredRow(one.name, one.conditions, figures)

    def _figures(self, network: GeneratorNetwork, batch: int) -> Iterator[tuple[str, list[float]]]:
        generator = FaceGenerator(network, batch)
        random = np.random.default_rng(0)
        shape = (batch, generator.side, generator.side, 3)
        crops = list(random.integers(0, 256, shape, np.uint8))
        times = time_calls(lambda: generator.restore(crops), self.repeat, self.seconds)
        rates = [batch / wall for wall in times.wall]
        yield "faces_per_second", rates
        yield "cpu_ms_per_face", [1e3 * cpu / batch for cpu in times.cpu]
        if self.cost is None:
            return
        gmacs = [self.cost.gmacs * rate for rate in rates]
        yield "gmac_per_second", gmacs
        if network.precision not in PRECISIONS:
            return
        limits = self.peaks(network.device, network.precision)
        traffic = self.cost.gbytes(PRECISIONS[network.precision].itemsize, batch)
        yield "peak_gmac_per_second", [limits.gmacs_per_second]
        yield "matrix_share", [value / limits.gmacs_per_second for value in gmacs]
        yield "peak_gbyte_per_second", [limits.gbytes_per_second]
        yield "bandwidth_share", [traffic * rate / limits.gbytes_per_second for rate in rates]
