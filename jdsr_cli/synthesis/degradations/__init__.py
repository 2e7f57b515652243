"""Degradations: the paper's, and what a surveillance camera does."""

from jdsr_cli.synthesis.degradations.camera import Filmed, film, to_pair
from jdsr_cli.synthesis.degradations.conditions import CONDITIONS, condition, cut_off
from jdsr_cli.synthesis.degradations.paper import degrade_paper, resize_bicubic
from jdsr_cli.synthesis.degradations.sample import Pair
from jdsr_cli.synthesis.degradations.settings import CameraSettings

__all__ = [
    "CONDITIONS",
    "CameraSettings",
    "Filmed",
    "Pair",
    "condition",
    "cut_off",
    "degrade_paper",
    "film",
    "resize_bicubic",
    "to_pair",
]
