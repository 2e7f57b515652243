"""Faces in frames: finding them, aligning them, and putting restored ones back."""

from __future__ import annotations

from jdsr_cli.faces.alignment import TEMPLATE, TEMPLATE_SIZE, Alignment, crop, estimate
from jdsr_cli.faces.compositing import Composite, CompositeSettings, compose
from jdsr_cli.faces.detection import Detection, Detector
from jdsr_cli.faces.detectors import create_detector

__all__ = [
    "TEMPLATE",
    "TEMPLATE_SIZE",
    "Alignment",
    "Composite",
    "CompositeSettings",
    "Detection",
    "Detector",
    "compose",
    "create_detector",
    "crop",
    "estimate",
]
