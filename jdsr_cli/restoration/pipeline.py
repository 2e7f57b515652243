"""The pipeline: the stages of a run, most of them in threads of their own.

::

    read -> [survey] detect -> track, [protect] align -> generate -> composite -> write

A stage is a generator function from elements to elements. Batches are filled across frames and
inputs, and a failure of one input never stops the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from jdsr_cli.atomic import prepare_folder
from jdsr_cli.inference.backends import single_threads
from jdsr_cli.media import expand_inputs
from jdsr_cli.parallel import ParallelStages, StageTimes
from jdsr_cli.progress import Progress
from jdsr_cli.restoration.frame import InputState
from jdsr_cli.restoration.mending import mend
from jdsr_cli.restoration.models import Models, open_models
from jdsr_cli.restoration.processing import process
from jdsr_cli.restoration.result_names import ResultNames
from jdsr_cli.restoration.stages.writing import write
from jdsr_cli.restoration.summary import InputResult, RunSummary
from jdsr_cli.restoration.workspace import Workspace
from jdsr_cli.settings import DetectionSettings
from jdsr_cli.temporary_folders import sweep_temporary_folders


def run_pipeline(
    inputs: Sequence[str | Path],
    out: Path,
    settings: DetectionSettings,
    progress: Progress,
    *,
    models: Models | None = None,
    limit: int | None = None,
) -> RunSummary:
    """Process all inputs, each into a folder of its own in `out`.

    Args:
        inputs: Files, folders and globs.
        out: Folder for the results, created if it is missing.
        settings: `RestoreSettings` or `CropSettings`.
        progress: Receives the progress of each input.
        models: Open networks; None to open those that `settings` ask for.
        limit: Number of frames of each input that are processed; None for all.

    Returns:
        The result of each input; inputs that were not found come first.

    Raises:
        OutputError: Nothing can be written in `out`.
        WeightsError: A weight file is missing or altered.
        DeviceError: The device is not available.

    """
    paths, faults = expand_inputs([str(item) for item in inputs], progress.note, out)
    results = [InputResult(Path(fault.where or ""), error=fault) for fault in faults]
    times: tuple[StageTimes, ...] = ()
    sweep_temporary_folders()
    if paths:
        prepare_folder(out)
        models = models or open_models(settings, progress)
        states = [
            InputState(path, Workspace(out, name, path))
            for path, name in zip(paths, ResultNames(out).choose(paths), strict=True)
        ]
        stages = ParallelStages()
        results += run_stages(states, settings, models, progress, stages, limit)
        times = stages.times()
    return RunSummary(tuple(results), times)


def run_stages(
    states: Sequence[InputState],
    settings: DetectionSettings,
    models: Models,
    progress: Progress,
    stages: ParallelStages | None = None,
    limit: int | None = None,
) -> Iterator[InputResult]:
    """Process the inputs one after another and yield the result of each.

    Args:
        states: The inputs, with the folders of their results.
        settings: `RestoreSettings` or `CropSettings`.
        models: Open networks.
        progress: Receives the progress of each input.
        stages: Run the stages, and know their times afterwards; None for those of this call.
        limit: Number of frames of each input that are processed; None for all.

    """
    stages = stages or ParallelStages()
    for state in states:
        mend(state, settings, models, progress)
    try:
        with single_threads(), stages:
            stream = process(states, settings, models, progress, stages, limit)
            written = write(stream, settings, models, progress, limit)
            yield from stages.add_inline(written, "write")
    finally:
        for state in states:
            state.close()
