"""Measure detectors: time of a frame by its size, and recall on labelled pictures."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from jdsr_cli.benchmarking.labelled_faces import (
    MAX_FALSE,
    MIN_SCORE,
    MIN_WIDTH,
    LabelledBox,
    count_faces,
    evenly_spaced,
    measure_recall,
    read_boxes,
)
from jdsr_cli.benchmarking.report import BenchReport, Figure, MeasuredRow
from jdsr_cli.benchmarking.timing import time_calls
from jdsr_cli.errors import DeviceError, UsageError, WeightsMissingError
from jdsr_cli.faces import Detector, create_detector
from jdsr_cli.inference.backends import resolve_device_name
from jdsr_cli.media import Image
from jdsr_cli.progress import Progress
from jdsr_cli.settings import (
    DETECTOR_BACKENDS,
    DetectorBenchSettings,
    DetectorName,
    DetectorSettings,
)

BLOB_PX = 24
"""Size of the structures of the frames on which detectors are timed, in pixels."""


def bench_detector(
    settings: DetectorBenchSettings, progress: Progress, *, repeat: int = 3
) -> BenchReport:
    """Time detectors on frames of several sizes; with labelled boxes, measure their recall.

    Measured is the detector alone, one frame at a time, at the scales that `restore` chooses. What
    this machine does not have gives a row that says so.

    Args:
        settings: What is varied.
        progress: Receives the progress by rows.
        repeat: Measurements of each row.

    Raises:
        UsageError: There is no such device.
        InputError: The table of boxes or one of its pictures cannot be used.

    """
    with suppress(DeviceError):
        resolve_device_name(settings.device)
    labelled = None
    conditions = {"device": settings.device, "seconds": settings.seconds, "repeat": repeat}
    if settings.boxes is not None:
        labelled = read_boxes(settings.boxes)
        if settings.pictures is not None:
            labelled = evenly_spaced(labelled, settings.pictures)
        conditions |= {
            "boxes": settings.boxes.name, "pictures": len(labelled),
            "faces": count_faces(labelled), "false_per_picture": MAX_FALSE,
        }  # fmt: skip
    rows = []
    pairs = settings.chosen_pairs
    progress.begin("bench", len(pairs))
    for name, backend in pairs:
        rows += _time_rows(name, backend, settings, repeat)
        if labelled is not None:
            rows.append(_recall_row(name, backend, settings, labelled))
        progress.advance("bench")
    progress.end("bench")
    return BenchReport("detector", conditions, tuple(rows))


def open_detector(name: DetectorName, backend: str, settings: DetectorSettings) -> Detector | str:
    """Return a detector, or why this machine does not have it."""
    if backend not in DETECTOR_BACKENDS[name]:
        return f"{name} does not run on {backend}"
    chosen = replace(settings, backend="openvino" if backend == "openvino" else "torch")
    try:
        return create_detector(name, chosen)
    except (UsageError, WeightsMissingError) as error:
        return error.what


def draw_frame(width: int, height: int) -> Image:
    """Return a frame of random smooth structures, RGB uint8 (height, width, 3)."""
    random = np.random.default_rng(0)
    shape = (-(-height // BLOB_PX) + 1, -(-width // BLOB_PX) + 1, 3)
    coarse = random.integers(0, 256, shape, np.uint8)
    frame = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(frame, np.uint8)


def _time_rows(
    name: DetectorName, backend: str, settings: DetectorBenchSettings, repeat: int
) -> list[MeasuredRow]:
    detector = open_detector(name, backend, DetectorSettings(device=settings.device))
    rows = []
    for size in settings.chosen_sizes:
        width, height = (int(side) for side in size.split("x"))
        conditions = {
            "detector": name, "backend": backend, "size": size,
            "megapixels": round(width * height / 1e6, 4),
        }  # fmt: skip
        title = f"{name} {backend} {size}"
        if isinstance(detector, str):
            rows.append(MeasuredRow(title, conditions, unavailable=detector))
            continue
        rows.append(
            MeasuredRow(
                title, conditions, _measure(detector, width, height, settings.seconds, repeat)
            )
        )
    return rows


def _measure(
    detector: Detector, width: int, height: int, seconds: float, repeat: int
) -> dict[str, Figure]:
    frame = draw_frame(width, height)
    times = time_calls(lambda: detector.detect([frame]), repeat, seconds)
    figures = {
        "ms_per_frame": [1e3 * wall for wall in times.wall],
        "cpu_ms_per_frame": [1e3 * cpu for cpu in times.cpu],
        "frames_per_second": [1 / wall for wall in times.wall],
    }
    return {key: Figure.of(values) for key, values in figures.items()}


def _recall_row(
    name: DetectorName,
    backend: str,
    settings: DetectorBenchSettings,
    labelled: dict[str, list[LabelledBox]],
) -> MeasuredRow:
    conditions = {"detector": name, "backend": backend}
    title = f"{name} {backend} recall"
    searching = DetectorSettings(threshold=MIN_SCORE, min_face=MIN_WIDTH, device=settings.device)
    detector = open_detector(name, backend, searching)
    if isinstance(detector, str):
        return MeasuredRow(title, conditions, unavailable=detector)
    assert settings.boxes is not None
    found = measure_recall(detector, Path(settings.boxes).parent, labelled)
    figures = {"recall": found.recall, "threshold": found.threshold}
    return MeasuredRow(title, conditions, {key: Figure.of([one]) for key, one in figures.items()})
