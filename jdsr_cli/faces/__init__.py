"""Faces in frames: detection, alignment, tracking, quality, and compositing."""

from __future__ import annotations

from jdsr_cli.faces.alignment import TEMPLATE, Alignment, crop, estimate_alignment
from jdsr_cli.faces.compositing import Composite, CompositeSettings, compose
from jdsr_cli.faces.detection import create_detector
from jdsr_cli.faces.detection.base import Detection, Detector

__all__ = [
    "TEMPLATE",
    "Alignment",
    "Composite",
    "CompositeSettings",
    "Detection",
    "Detector",
    "compose",
    "create_detector",
    "crop",
    "estimate_alignment",
]
