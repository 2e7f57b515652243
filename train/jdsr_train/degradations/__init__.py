"""Degradations: the paper's, and what a surveillance camera does."""

from jdsr_train.degradations.camera import CameraSettings, degrade_camera
from jdsr_train.degradations.paper import degrade_paper, resize_bicubic
from jdsr_train.degradations.sample import Pair

__all__ = ["CameraSettings", "Pair", "degrade_camera", "degrade_paper", "resize_bicubic"]
