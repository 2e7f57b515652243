"""Degradations: the paper's, and what a surveillance camera does."""

from jdsr_train.degradations.camera import Filmed, degrade_camera, film
from jdsr_train.degradations.conditions import CONDITIONS, condition, cut_off
from jdsr_train.degradations.paper import degrade_paper, resize_bicubic
from jdsr_train.degradations.sample import Pair
from jdsr_train.degradations.settings import CameraSettings

__all__ = [
    "CONDITIONS",
    "CameraSettings",
    "Filmed",
    "Pair",
    "condition",
    "cut_off",
    "degrade_camera",
    "degrade_paper",
    "film",
    "resize_bicubic",
]
