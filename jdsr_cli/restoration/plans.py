"""How a run detects, tracks and aligns faces, from its settings and networks."""

from __future__ import annotations

from collections.abc import Callable

from jdsr_cli.faces.detection.near_tracks import search_interval
from jdsr_cli.restoration.models import Models
from jdsr_cli.restoration.scene_search import DetectionPlan
from jdsr_cli.restoration.stages.alignment import AlignmentLimits, Bridged
from jdsr_cli.settings import DetectionSettings, RestoreSettings


def plan_detection(settings: DetectionSettings, models: Models) -> DetectionPlan:
    """Return how faces are searched."""
    # A person who is to be made unrecognisable may be seen in a few frames only.
    sparse = isinstance(settings, RestoreSettings) and settings.selects_shots
    return DetectionPlan(
        models.detector,
        settings.detect_every,
        models.near_tracks,
        sparse and not settings.privacy.blur_others,
        settings.segment,
        settings.roi,
        models.embedder,
    )


def plan_intervals(settings: DetectionSettings, plan: DetectionPlan) -> Callable[[float], int]:
    """Return what gives, for a frame rate, how many frames lie between two that are searched."""

    def interval(frame_rate: float) -> int:
        if settings.detect_every is not None:
            return settings.detect_every
        return search_interval(frame_rate, sparse=plan.sparse and plan.near_tracks is not None)

    return interval


def limit_alignment(settings: DetectionSettings) -> AlignmentLimits:
    """Return which faces are refused."""
    return AlignmentLimits(settings.min_face, settings.min_sharpness, settings.min_track)


def plan_bridged(settings: DetectionSettings) -> Bridged:
    """Return what becomes of faces that the detector missed: only detected ones give pictures."""
    if not isinstance(settings, RestoreSettings):
        return "drop"
    return "refuse" if settings.selects_shots else "align"
