"""Restoration of faces in videos and images: pipeline, stages, sinks and resumable runs."""

from jdsr_cli.restoration.api import crop_faces, plan_crops, plan_restore, restore
from jdsr_cli.restoration.summary import Counts, InputResult, PlannedInput, RunPlan, RunSummary

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
