"""Measure the generator: faces a second by backend, device, precision and batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache

import numpy as np
import torch

from jdsr_cli.benchmarking.network_cost import NetworkCost, count_cost
from jdsr_cli.benchmarking.peaks import DevicePeaks, measure_peaks
from jdsr_cli.benchmarking.report import BenchReport, Figure, MeasuredRow
from jdsr_cli.benchmarking.timing import time_calls
from jdsr_cli.errors import DeviceError, UsageError
from jdsr_cli.progress import Progress
from jdsr_cli.restoration.stages.generation import FaceGenerator
from jdsr_cli.settings import AUTO, GeneratorBenchSettings
from jdsr_cli.weights import LoadedGenerator, default_weights, load_generator, resolve_device

LOADERS: Mapping[str, Callable[[str, str, str], LoadedGenerator]] = {"torch": load_generator}
"""Loads weights on a device in a precision, by the names of `settings.GENERATOR_BACKENDS`."""


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
        name = default_weights(resolve_device(AUTO)).name
    absent = _absent_devices(settings.chosen_devices)
    cost = count_cost(load_generator(name, "cpu", "float32"))
    peaks = cache(measure_peaks)
    rows = []
    kinds = [
        (backend, device, precision)
        for backend in settings.chosen_backends
        for device in settings.chosen_devices
        for precision in settings.chosen_precisions
    ]
    progress.begin("bench", len(kinds) * len(settings.chosen_batches))
    for backend, device, precision in kinds:
        for row in _rows(name, backend, device, precision, settings, cost, peaks, absent, repeat):
            rows.append(row)
            progress.advance("bench")
    progress.end("bench")
    conditions = {
        "weights": name,
        "gmac_per_face": round(cost.gmacs, 4),
        "parameters": cost.parameters,
        "seconds": settings.seconds,
        "repeat": repeat,
    }
    return BenchReport("generator", conditions, tuple(rows))


def _absent_devices(names: Iterable[str]) -> dict[str, str]:
    """Return the devices that this machine does not have, and what to say about them."""
    absent = {}
    for name in names:
        try:
            resolve_device(name)
        except DeviceError as error:
            absent[name] = error.what
    return absent


def _rows(
    name: str,
    backend: str,
    device: str,
    precision: str,
    settings: GeneratorBenchSettings,
    cost: NetworkCost,
    peaks: Callable[[torch.device, torch.dtype], DevicePeaks],
    absent: Mapping[str, str],
    repeat: int,
) -> Iterator[MeasuredRow]:
    """Yield a row for each batch of one backend, device and precision."""
    loaded, reason = None, absent.get(device)
    if reason is None:
        try:
            loaded = LOADERS[backend](name, device, precision)
        except UsageError as error:
            reason = error.what
    for batch in settings.chosen_batches:
        conditions = {
            "backend": backend, "device": device, "precision": precision, "batch": batch,
        }  # fmt: skip
        if loaded is not None:
            conditions["device"] = str(loaded.device)
            conditions["precision"] = str(loaded.dtype).removeprefix("torch.")
        title = "{backend} {device} {precision} batch {batch}".format(**conditions)
        if loaded is None:
            yield MeasuredRow(title, conditions, unavailable=reason)
            continue
        limits = peaks(loaded.device, loaded.dtype)
        figures = _measure(loaded, batch, settings.seconds, repeat, cost, limits)
        yield MeasuredRow(title, conditions, figures)


def _measure(
    loaded: LoadedGenerator,
    batch: int,
    seconds: float,
    repeat: int,
    cost: NetworkCost,
    limits: DevicePeaks,
) -> dict[str, Figure]:
    generator = FaceGenerator(loaded, batch)
    random = np.random.default_rng(0)
    crops = list(random.integers(0, 256, (batch, generator.side, generator.side, 3), np.uint8))
    times = time_calls(lambda: generator.restore(crops), repeat, seconds)
    rates = [batch / wall for wall in times.wall]
    traffic = cost.gbytes(loaded.dtype.itemsize, batch)
    figures = {
        "faces_per_second": rates,
        "cpu_ms_per_face": [1e3 * cpu / batch for cpu in times.cpu],
        "gmac_per_second": [cost.gmacs * rate for rate in rates],
        "peak_gmac_per_second": [limits.gmacs_per_second],
        "matrix_share": [cost.gmacs * rate / limits.gmacs_per_second for rate in rates],
        "peak_gbyte_per_second": [limits.gbytes_per_second],
        "bandwidth_share": [traffic * rate / limits.gbytes_per_second for rate in rates],
    }
    return {key: Figure.of(values) for key, values in figures.items()}
