"""Following faces: detections of single frames become people with a number and smooth points."""

from __future__ import annotations

from jdsr_cli.faces.tracking.results import TrackedFace, TrackedFrame
from jdsr_cli.faces.tracking.tracker import Tracker

__all__ = ["TrackedFace", "TrackedFrame", "Tracker"]
