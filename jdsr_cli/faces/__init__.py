"""Faces in frames: detection, alignment, tracking, quality, and compositing."""

from __future__ import annotations

from jdsr_cli.faces.alignment import TEMPLATE, TEMPLATE_SIZE, Alignment, crop, estimate_alignment
from jdsr_cli.faces.compose import ComposeSettings, Composite, compose
from jdsr_cli.faces.detection import DetectorName, create_detector
from jdsr_cli.faces.detection.base import Detection, Detector, DetectorSettings

__all__ = [
    "TEMPLATE",
    "TEMPLATE_SIZE",
    "Alignment",
    "ComposeSettings",
    "Composite",
    "Detection",
    "Detector",
    "DetectorName",
    "DetectorSettings",
    "compose",
    "create_detector",
    "crop",
    "estimate_alignment",
]
