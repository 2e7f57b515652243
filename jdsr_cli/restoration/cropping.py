"""`crop_faces`: find, follow, align and export the faces of videos and images as they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jdsr_cli.progress import Progress, Silent
from jdsr_cli.restoration.engine import open_tools
from jdsr_cli.restoration.finishers import CropFinisher
from jdsr_cli.restoration.pipeline.job import Job
from jdsr_cli.restoration.pipeline.work import Tools
from jdsr_cli.restoration.places import RECORDS, TABLE, TRACKS
from jdsr_cli.restoration.run import run_inputs
from jdsr_cli.restoration.summary import RunSummary
from jdsr_cli.settings import CropSettings


def crop_faces(
    inputs: Sequence[str | Path],
    out: str | Path,
    settings: CropSettings | None = None,
    progress: Progress | None = None,
) -> RunSummary:
    """Export the aligned faces of videos and images.

    Each input gets the folder `out/<stem>/` with one PNG for each face, aligned to the training
    template, `faces.csv` (their landmarks, as the training code reads them), `faces.jsonl` (a
    record for each face found, refused ones included), `tracks.jsonl` (one for each person who
    was followed) and `manifest.json`. With crops of 128 pixels such a folder can be trained on.

    Args:
        inputs: Videos, images, image sequences, folders of them, and globs.
        out: Folder for the results.
        settings: Default: crops of 128 pixels of every frame.
        progress: Told of what is done.

    Returns:
        What became of each input; exported faces count as `faces_restored`.

    Raises:
        UsageError: A setting cannot work; `DeviceError` where the device is not there.
        OutputError: Nothing can be written in `out`.
        WeightsError: The detector's weights are missing or altered.

    >>> from jdsr_cli import CropSettings, crop_faces
    >>> summary = crop_faces(["photo.png"], "crops", CropSettings(size=256, device="cpu"))
    >>> summary.results[0].counts.faces_restored
    1
    """
    chosen, told = settings or CropSettings(), progress or Silent()
    return run_inputs(inputs, Path(out), lambda: CropTask(chosen, open_tools(chosen, told)), told)


class CropTask:
    """What `crop-faces` makes of an input; a `Task`."""

    command = "crop-faces"
    texts = (RECORDS, TRACKS, TABLE)

    def __init__(self, settings: CropSettings, tools: Tools) -> None:
        self.settings = settings
        self.tools = tools
        self.side = settings.size

    def prepare(self, job: Job) -> None:
        """Set what exports the faces; no frames are written."""
        stem = job.source.stem
        job.finisher = CropFinisher(job.workplace.results, stem, self.settings, job.clock)
        job.products = {}

    def describe(self, job: Job) -> dict[str, Any]:
        """Return the settings."""
        return asdict(self.settings)
