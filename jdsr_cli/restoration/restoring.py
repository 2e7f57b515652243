"""`restore`: masks off, faces enlarged, in videos and images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jdsr_cli.progress import Progress, Silent
from jdsr_cli.restoration.engine import open_tools
from jdsr_cli.restoration.finishers import RestoreFinisher
from jdsr_cli.restoration.framing import FramePlan, plan_frames
from jdsr_cli.restoration.pipeline.job import Job
from jdsr_cli.restoration.pipeline.work import Product, Tools
from jdsr_cli.restoration.places import OVERLAY, RECORDS, RESULT, TRACKS
from jdsr_cli.restoration.products import StillProduct, VideoProduct
from jdsr_cli.restoration.run import run_inputs
from jdsr_cli.restoration.summary import RunSummary
from jdsr_cli.settings import RestoreSettings


def restore(
    inputs: Sequence[str | Path],
    out: str | Path,
    settings: RestoreSettings | None = None,
    progress: Progress | None = None,
) -> RunSummary:
    """Restore the faces in videos and images.

    Each input gets the folder `out/<stem>/` with `restored.mp4` or `restored.png` (faces pasted
    into enlarged frames), `faces/*.png` (the best pictures of each person, input on the left,
    restored on the right, and one fused of several frames), `tracks.jsonl` (a record for each
    person who was followed), `faces.jsonl` (a record for each face in each frame) and
    `manifest.json`. The folder appears when it is complete; inputs are never changed. A run that
    is interrupted goes on with `resume`.

    Args:
        inputs: Videos, images, image sequences, folders of them, and globs.
        out: Folder for the results.
        settings: Default: enlargement by 4, frames and crops, the device's default weights.
        progress: Told of what is done.

    Returns:
        What became of each input. An input that fails does not stop the others.

    Raises:
        UsageError: A setting cannot work; `DeviceError` where the device is not there.
        OutputError: Nothing can be written in `out`.
        WeightsError: A weight file is missing or altered.

    >>> from jdsr_cli import RestoreSettings, restore
    >>> summary = restore(["photo.png"], "results", RestoreSettings(device="cpu"))
    >>> sorted(path.name for path in summary.results[0].output.iterdir())
    ['faces', 'faces.jsonl', 'manifest.json', 'restored.png', 'tracks.jsonl']
    """
    chosen, told = settings or RestoreSettings(), progress or Silent()
    return run_inputs(
        inputs, Path(out), lambda: RestoreTask(chosen, open_tools(chosen, told)), told
    )


class RestoreTask:
    """What `restore` makes of an input; a `Task`."""

    command = "restore"
    texts = (RECORDS, TRACKS)

    def __init__(self, settings: RestoreSettings, tools: Tools) -> None:
        self.settings = settings
        self.tools = tools
        assert tools.generator is not None, "restoring needs a generator"
        self.side = tools.generator.side
        self._calibration = tools.generator.calibration

    def prepare(self, job: Job) -> None:
        """Plan the frames and open what they are written to."""
        plan = self._plan(job)
        if plan.note is not None and self.settings.pastes:
            job.plan_notes = (plan.note,)
        job.finisher = RestoreFinisher(
            job.workplace.results, plan, self.settings, job.clock, self._calibration
        )
        sizes = {}
        if self.settings.pastes:
            sizes[RESULT] = (plan.width, plan.height)
        if self.settings.overlay:
            sizes[OVERLAY] = (job.info.width, job.info.height)
        job.products = {name: self._product(job, name, size) for name, size in sizes.items()}

    def describe(self, job: Job) -> dict[str, Any]:
        """Return the settings and the factor that frames were enlarged by."""
        return asdict(self.settings) | {"frame_scale_used": self._plan(job).scale}

    def _plan(self, job: Job) -> FramePlan:
        return plan_frames(job.info.width, job.info.height, self.settings)

    def _product(self, job: Job, name: str, size: tuple[int, int]) -> Product:
        if job.info.kind == "image":
            return StillProduct(name, job.workplace)
        return VideoProduct(name, job.workplace, job.info, size, self.settings)
