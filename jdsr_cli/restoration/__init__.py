"""The way of a frame through `restore` and `crop-faces`: stages, journal, results."""

from jdsr_cli.restoration.cropping import crop_faces
from jdsr_cli.restoration.plan import PlannedInput, RunPlan, plan_crops, plan_restore
from jdsr_cli.restoration.restoring import restore
from jdsr_cli.restoration.summary import Counts, InputResult, RunSummary

__all__ = [
    "Counts",
    "InputResult",
    "PlannedInput",
    "RunPlan",
    "RunSummary",
    "crop_faces",
    "plan_crops",
    "plan_restore",
    "restore",
]
