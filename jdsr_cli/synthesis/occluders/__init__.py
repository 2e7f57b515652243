"""Things between a face and the camera that are filmed and must be kept, drawn by our code."""

from jdsr_cli.synthesis.occluders.frame import FaceFrame, frame_of
from jdsr_cli.synthesis.occluders.occlude import OCCLUDER_SHARES, add, occlude
from jdsr_cli.synthesis.occluders.scene import Scene

__all__ = ["OCCLUDER_SHARES", "FaceFrame", "Scene", "add", "frame_of", "occlude"]
