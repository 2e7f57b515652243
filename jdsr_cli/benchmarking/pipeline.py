"""Measure a run of the pipeline on a clip, stage by stage."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jdsr_cli.benchmarking.memory import PeakMemory
from jdsr_cli.benchmarking.report import BenchReport, Figure, MeasuredRow
from jdsr_cli.parallel import StageTimes
from jdsr_cli.progress import Progress, Silent
from jdsr_cli.restoration.models import Models, open_models
from jdsr_cli.restoration.pipeline import run_pipeline
from jdsr_cli.restoration.stages.reading import command_name
from jdsr_cli.restoration.summary import Counts
from jdsr_cli.settings import DetectionSettings
from jdsr_cli.temporary_folders import TemporaryFolder

WARM_UP_FRAMES = 48
"""Frames of the run that is not measured: caches, allocators and thread pools are filled in it."""
DECODE = "decode"
STAGE_NAMES = {"read": DECODE}
"""Names of stages in reports where they differ from those of the threads."""
WHOLE_RUN = "run"
ELSEWHERE = "not attributed"
"""Processor time outside of the stages' threads: pools of OpenCV and torch, encoder, queues."""


@dataclass(frozen=True)
class RunMeasurement:
    """One measured run."""

    stages: tuple[StageTimes, ...]
    frames: int
    faces: int
    """Restored or exported faces."""
    wall: float
    """Seconds."""
    cpu: float
    """Seconds of processor time of the process and its children."""
    first_frame: float
    """Seconds until the first frame was written."""
    peak_mib: float
    """Highest resident memory of the process tree in MiB; 0 where the system does not tell."""


class _FirstFrame(Silent):
    """Notes when the first frame has been written."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self.seconds = 0.0

    def advance(self, task: str, units: int = 1) -> None:
        """Note the time if this is the first frame."""
        if not self.seconds:
            self.seconds = time.perf_counter() - self._start


def bench_pipeline(
    clip: Path,
    settings: DetectionSettings,
    progress: Progress,
    *,
    repeat: int = 3,
    frames: int | None = None,
) -> BenchReport:
    """Run `restore` or `crop-faces` on a clip several times and measure every stage.

    The networks are opened once; a shorter run before the measured ones is not counted. Results
    are written into a temporary folder and removed.

    Args:
        clip: Video or image.
        settings: `RestoreSettings` or `CropSettings`.
        progress: Receives the progress by runs.
        repeat: Number of measured runs.
        frames: Number of frames; None for all.

    Raises:
        JdsrError: The clip cannot be processed, as `restore`.

    """
    models = open_models(settings, progress)
    warm_up = WARM_UP_FRAMES if frames is None else min(frames, WARM_UP_FRAMES)
    progress.begin("bench", repeat + 1)
    _measure(clip, settings, models, warm_up)
    progress.advance("bench")
    measured = []
    for _ in range(repeat):
        measured.append(_measure(clip, settings, models, frames))
        progress.advance("bench")
    progress.end("bench")
    conditions = {
        "command": command_name(settings),
        "clip": clip.name,
        "frames": measured[0].frames,
        "faces": measured[0].faces,
        "repeat": repeat,
        "detector": models.detector.name,
        "device": models.device["kind"],
        "weights": None if models.weights is None else models.weights["name"],
        "generator_backend": None if models.weights is None else models.weights["backend"],
        "precision": None if models.weights is None else models.weights["precision"],
        **_changed(settings),
    }
    return BenchReport("pipeline", conditions, tuple(_rows(measured)))


def _changed(settings: DetectionSettings) -> dict[str, Any]:
    """Return the settings that differ from their defaults."""
    defaults = type(settings)().recorded()
    return {
        name: value
        for name, value in settings.recorded().items()
        if value != defaults[name] and name not in _NAMED_OTHERWISE
    }


_NAMED_OTHERWISE = ("detector", "device", "weights", "precision")
"""Settings that may be `auto`, for which the report states what was used."""


def _measure(
    clip: Path, settings: DetectionSettings, models: Models, frames: int | None
) -> RunMeasurement:
    with TemporaryFolder() as folder, PeakMemory() as memory:
        seen = _FirstFrame()
        wall, cpu = time.perf_counter(), _process_cpu()
        summary = run_pipeline([clip], folder.path, settings, seen, models=models, limit=frames)
        wall, cpu = time.perf_counter() - wall, _process_cpu() - cpu
    (result,) = summary.results
    if result.error is not None:
        raise result.error
    counts = result.counts or Counts()
    return RunMeasurement(
        summary.stages, counts.frames_read, counts.faces_restored, wall, cpu, seen.seconds,
        memory.mib,
    )  # fmt: skip


def _process_cpu() -> float:
    """Return the processor time in seconds of this process and of its children that ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _rows(measured: Sequence[RunMeasurement]) -> Iterator[MeasuredRow]:
    frames, faces = measured[0].frames, measured[0].faces
    whole = {
        "frames_per_second": [one.frames / one.wall for one in measured],
        "wall_ms_per_frame": [1e3 * one.wall / one.frames for one in measured],
        "cpu_ms_per_frame": [1e3 * one.cpu / one.frames for one in measured],
        "cores_used": [one.cpu / one.wall for one in measured],
        "first_frame_s": [one.first_frame for one in measured],
    }
    if all(one.peak_mib for one in measured):
        whole["peak_memory_mib"] = [one.peak_mib for one in measured]
    if faces:
        whole["faces_per_second"] = [one.faces / one.wall for one in measured]
        whole["cpu_ms_per_face"] = [1e3 * one.cpu / one.faces for one in measured]
    yield _row(WHOLE_RUN, whole)
    for index, stage in enumerate(measured[0].stages):
        times = [one.stages[index] for one in measured]
        cpu, busy = [one.cpu for one in times], [one.busy for one in times]
        figures = {
            "cpu_ms_per_frame": [1e3 * value / frames for value in cpu],
            "busy_ms_per_frame": [1e3 * value / frames for value in busy],
            "cpu_share": [value / one.cpu for value, one in zip(cpu, measured, strict=True)],
            "busy_share": [value / one.wall for value, one in zip(busy, measured, strict=True)],
            "input_wait_ms_per_frame": [1e3 * one.input_wait / frames for one in times],
            "output_wait_ms_per_frame": [1e3 * one.output_wait / frames for one in times],
        }
        if faces:
            figures["cpu_ms_per_face"] = [1e3 * value / faces for value in cpu]
            figures["busy_ms_per_face"] = [1e3 * value / faces for value in busy]
        yield _row(STAGE_NAMES.get(stage.name, stage.name), figures)
    rest = [max(0.0, one.cpu - sum(stage.cpu for stage in one.stages)) for one in measured]
    shares = [value / one.cpu for value, one in zip(rest, measured, strict=True)]
    per_frame = [1e3 * value / frames for value in rest]
    yield _row(ELSEWHERE, {"cpu_ms_per_frame": per_frame, "cpu_share": shares})


def _row(name: str, figures: dict[str, list[float]]) -> MeasuredRow:
    return MeasuredRow(name, {}, {key: Figure.of(values) for key, values in figures.items()})
