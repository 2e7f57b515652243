"""`restore`: masks off, faces enlarged, in videos and images."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from jdsr_cli.progress import Progress, Silent
from jdsr_cli.restoration.batch_run import Work, run_inputs
from jdsr_cli.restoration.engine import open_engine
from jdsr_cli.restoration.footage import restore_footage
from jdsr_cli.restoration.settings import RestoreSettings
from jdsr_cli.restoration.summary import RunSummary


def restore(
    inputs: Sequence[str | Path],
    out: str | Path,
    settings: RestoreSettings | None = None,
    progress: Progress | None = None,
) -> RunSummary:
    """Restore the faces in videos and images.

    Each input gets the folder `out/<stem>/` with `restored.mp4` or `restored.png` (faces pasted
    into enlarged frames), `faces/*.png` (input crop on the left, restored crop on the right),
    `faces.jsonl` (a record for each face in each frame) and `manifest.json`. The folder appears
    when it is complete; inputs are never changed.

    Args:
        inputs: Videos, images, folders of them, and globs.
        out: Folder for the results.
        settings: Default: enlargement by 4, frames and crops, weights `lite-camera`.
        progress: Told of what is done.

    Returns:
        What became of each input. An input that fails does not stop the others.

    Raises:
        UsageError: A setting cannot work; `DeviceError` where the device is not there.
        OutputError: Nothing can be written in `out`.
        WeightsError: A weight file is missing or altered.

    """
    chosen, told = settings or RestoreSettings(), progress or Silent()

    def prepare() -> Work:
        engine = open_engine(chosen, told)
        return partial(restore_footage, engine=engine, settings=chosen, progress=told)

    return run_inputs(inputs, Path(out), prepare, told, force=chosen.force)
