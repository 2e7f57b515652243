"""First stage: inputs opened one after another, and their frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from jdsr_cli.evidence import package_versions
from jdsr_cli.faces.display import Display
from jdsr_cli.media import Frame, Reader, open_reader
from jdsr_cli.restoration.journal import Request, Snapshot
from jdsr_cli.restoration.journal.facts import DETECTIONS_FORMAT
from jdsr_cli.restoration.journal.files import state_file
from jdsr_cli.restoration.pipeline.described import mark_input
from jdsr_cli.restoration.pipeline.elements import Begun, Ended, Read
from jdsr_cli.restoration.pipeline.job import Job
from jdsr_cli.restoration.pipeline.work import Task


def read_inputs(
    jobs: Iterable[Job], task: Task, limit: int | None = None
) -> Iterator[Begun | Read | Ended]:
    """Open the inputs and yield their frames; stages `hash` and `read`.

    Args:
        jobs: The inputs.
        task: What is to be done with them.
        limit: Frames of each input after which it counts as read; None: all.

    """
    for job in jobs:
        reader = job.attempt(_open, job, task)
        if reader is not None:
            yield Begun(job)
            yield from _frames(job, reader, limit)
        yield Ended(job)


def _open(job: Job, task: Task) -> Reader | None:
    """Make a job ready for its frames; None where an earlier run has done it already."""
    settings = task.settings
    with job.clock.stage("hash"):
        job.mark = mark_input(job.source)
    job.request = make_request(task, job.mark.sha256)
    if settings.resume and not settings.force and job.workplace.is_finished(job.request):
        job.finished_before = True
        job.workplace.clear()
        return None
    # Open until the input is concluded: sound may be copied from what the reader salvaged.
    reader = job.reader = open_reader(job.source, settings.reading)
    job.info = reader.info
    job.display = Display.of(reader.info.sample_aspect_ratio)
    job.workplace.open(job.request, force=settings.force, resume=settings.resume)
    task.prepare(job)
    journal = job.workplace.journal
    if journal.segments:
        last = journal.segments[-1]
        note = f"went on after {last.frames} frames of an interrupted run"
        job.plan_notes = (*job.plan_notes, note)
        with job.clock.stage("read"):
            reader.skip_to(last.next_index)
        job.state = Snapshot.read(state_file(job.workplace.work, last.number))
        job.finisher.load(job.state.part("finisher"))
    return reader


def _frames(job: Job, reader: Reader, limit: int | None) -> Iterator[Read]:
    number = job.workplace.journal.frames
    while not job.failed and (limit is None or number < limit):
        with job.clock.stage("read"):
            frame: Frame | None = job.attempt(next, reader, None)
        if frame is None:
            break
        yield Read(job, frame, number)
        number += 1
    job.frames_read = number
    job.read_notes = tuple(reader.report.warnings)


def make_request(task: Task, sha256: str) -> Request:
    """Return what `task` is asked to do with the input that has this hash."""
    asked: dict[str, Any] = {
        "command": task.command,
        "input": sha256,
        "settings": task.settings.deciding(),
        "detections": DETECTIONS_FORMAT,
        **task.tools.deciding(),
    }
    device = {name: task.tools.device[name] for name in ("kind", "name")}
    return Request(asked, {"device": device, "versions": package_versions()})
