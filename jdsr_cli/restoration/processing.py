"""The stages that process frames, from reading to compositing; what writes them comes after."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from jdsr_cli.parallel import ParallelStages
from jdsr_cli.progress import Progress
from jdsr_cli.restoration.frame import Element, InputState
from jdsr_cli.restoration.models import Models
from jdsr_cli.restoration.plans import (
    limit_alignment,
    plan_bridged,
    plan_detection,
    plan_intervals,
)
from jdsr_cli.restoration.stages.alignment import align
from jdsr_cli.restoration.stages.compositing import composite
from jdsr_cli.restoration.stages.detection import detect
from jdsr_cli.restoration.stages.generation import generate
from jdsr_cli.restoration.stages.privacy import protect, survey
from jdsr_cli.restoration.stages.reading import read
from jdsr_cli.restoration.stages.selection import select
from jdsr_cli.restoration.stages.tracking import track
from jdsr_cli.restoration.stages.windows import window
from jdsr_cli.settings import CropSettings, DetectionSettings, RestoreSettings

STEADY_QUEUE_BYTES = 16 << 20
"""Maximum bytes of frames between stages whose reader collects a group of frames anyway."""


def process(
    states: Sequence[InputState],
    settings: DetectionSettings,
    models: Models,
    progress: Progress,
    stages: ParallelStages,
    limit: int | None = None,
) -> Iterator[Element]:
    """Yield the frames of inputs with all that is known about them.

    Args:
        states: The inputs, with the folders of their results.
        settings: `RestoreSettings` or `CropSettings`.
        models: Open networks.
        progress: Receives the progress of each input.
        stages: Run the stages; entered before, and left when no more frames are needed.
        limit: Number of frames of each input that are processed; None for all.

    """
    plan, limits = plan_detection(settings, models), limit_alignment(settings)
    stream: Iterator[Element]
    stream = stages.add(read(states, settings, models, limit), "read", STEADY_QUEUE_BYTES)
    if settings.privacy.surveys:
        surveyed = survey(
            stream, settings, plan, models.reference, progress,
            lambda: stages.stopped, limit,
        )  # fmt: skip
        stream = stages.add_inline(surveyed, "survey")
    stream = stages.add(detect(stream, plan), "detect", STEADY_QUEUE_BYTES)
    tracked = track(stream, settings.tracker, plan_intervals(settings, plan))
    stream = stages.add_inline(tracked, "track")
    if settings.privacy.selects:
        stream = stages.add_inline(protect(stream, settings), "protect")
    if isinstance(settings, RestoreSettings):
        assert models.generator is not None
        side, calibration = models.generator.side, models.generator.calibration
        aligned = align(stream, side, limits, plan_bridged(settings))
        stream = stages.add(aligned, "align", STEADY_QUEUE_BYTES)
        if settings.selects_shots:
            stream = stages.add_inline(select(stream, settings.kept_shots), "select")
        if settings.window > 1:
            stream = stages.add_inline(window(stream, settings.window), "window")
        stream = stages.add(generate(stream, models.generator), "generate")
        stream = stages.add(composite(stream, settings, calibration), "composite")
    else:
        assert isinstance(settings, CropSettings)
        aligned = align(stream, settings.size, limits, plan_bridged(settings))
        stream = stages.add(aligned, "align")
    return stream
