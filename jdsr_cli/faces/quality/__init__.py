"""How good a shot of a face is: its size, sharpness, pose and cover, and one score of them."""

from __future__ import annotations

from jdsr_cli.faces.quality.covering import covered_share, face_ellipse
from jdsr_cli.faces.quality.pose import MOST_RESIDUAL, Pose, pose
from jdsr_cli.faces.quality.score import FaceQuality
from jdsr_cli.faces.quality.sharpness import crop_sharpness, sharpness

__all__ = [
    "MOST_RESIDUAL",
    "FaceQuality",
    "Pose",
    "covered_share",
    "crop_sharpness",
    "face_ellipse",
    "pose",
    "sharpness",
]
