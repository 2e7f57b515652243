"""Many inputs through one pipeline: a failure of one never stops the rest.

The stages run beside each other, and batches are filled across frames and inputs:

    read -> detect -> track, align -> restore -> finish -> write
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from jdsr_cli.media import expand_inputs
from jdsr_cli.progress import Progress
from jdsr_cli.restoration.candidates import Limits
from jdsr_cli.restoration.journal import Workplace
from jdsr_cli.restoration.outputs import name_outputs, prepare_folder
from jdsr_cli.restoration.pipeline.ahead import Stages
from jdsr_cli.restoration.pipeline.aligning import align
from jdsr_cli.restoration.pipeline.detecting import Look, detect
from jdsr_cli.restoration.pipeline.finishing import finish
from jdsr_cli.restoration.pipeline.generating import generate, pass_by
from jdsr_cli.restoration.pipeline.job import Job
from jdsr_cli.restoration.pipeline.reading import read_inputs
from jdsr_cli.restoration.pipeline.tracking import track
from jdsr_cli.restoration.pipeline.work import Task
from jdsr_cli.restoration.pipeline.writing import write
from jdsr_cli.restoration.summary import InputResult, RunSummary


def run_inputs(
    inputs: Sequence[str | Path],
    out: Path,
    prepare: Callable[[], Task],
    progress: Progress,
    *,
    limit: int | None = None,
) -> RunSummary:
    """Do all inputs, each into a folder of its own in `out`.

    Args:
        inputs: Files, folders and globs.
        out: Folder for the results, made where it is missing.
        prepare: Opens what the work needs; called once, and only where there is an input.
        progress: Told of what is done.
        limit: Frames of each input that are done; None: all.

    Returns:
        What became of each input; those that could not be found come first.

    Raises:
        OutputError: Nothing can be written in `out`.
        WeightsError, DeviceError: From `prepare`.

    """
    paths, faults = expand_inputs([str(item) for item in inputs])
    results = [InputResult(Path(fault.where or ""), error=fault) for fault in faults]
    if paths:
        prepare_folder(out)
        task = prepare()
        names = name_outputs(paths)
        jobs = [
            Job(path, Workplace(out, name, path)) for path, name in zip(paths, names, strict=True)
        ]
        results += _run(jobs, task, progress, limit)
    return RunSummary(tuple(results))


def _run(
    jobs: Sequence[Job], task: Task, progress: Progress, limit: int | None
) -> list[InputResult]:
    settings, tools = task.settings, task.tools
    look = Look(tools.detector, settings.detect_every, settings.roi, tools.embedder)
    limits = Limits(settings.min_face, settings.min_sharpness, settings.min_track)
    try:
        with Stages() as stages:
            read = stages.add(read_inputs(jobs, task, limit), "read")
            seen = stages.add(detect(read, look), "detect")
            tracked = track(seen, settings.tracker, settings.detect_every)
            examined = stages.add(align(tracked, task.side, limits), "align")
            restored = (
                pass_by(examined)
                if tools.generator is None
                else stages.add(generate(examined, tools.generator), "restore")
            )
            finished = stages.add(finish(restored, settings.segment), "finish")
            return list(write(finished, task, progress))
    finally:
        for job in jobs:
            job.close()
