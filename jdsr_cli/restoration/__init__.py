"""The way of a frame through `restore` and `crop-faces`: stages, windows, results."""

from jdsr_cli.restoration.cropping import crop_faces
from jdsr_cli.restoration.restoring import restore
from jdsr_cli.restoration.settings import CropSettings, DetectionSettings, RestoreSettings
from jdsr_cli.restoration.summary import Counts, InputResult, RunSummary

__all__ = [
    "Counts",
    "CropSettings",
    "DetectionSettings",
    "InputResult",
    "RestoreSettings",
    "RunSummary",
    "crop_faces",
    "restore",
]
