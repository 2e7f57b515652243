"""Face tracking: association of detections, re-identification, and temporal smoothing."""

from __future__ import annotations

from jdsr_cli.faces.tracking.track import TrackedFace, TrackedFrame
from jdsr_cli.faces.tracking.tracker import Tracker

__all__ = ["TrackedFace", "TrackedFrame", "Tracker"]
