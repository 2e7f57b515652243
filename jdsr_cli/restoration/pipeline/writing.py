"""Last stage: frames encoded, records appended, segments made safe, results published."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jdsr_cli.atomic import output_error
from jdsr_cli.errors import JdsrError
from jdsr_cli.evidence import FileDigest, Manifest, digest_file
from jdsr_cli.progress import Progress
from jdsr_cli.restoration.journal import Segment
from jdsr_cli.restoration.journal.facts import FrameFacts, write_facts
from jdsr_cli.restoration.journal.files import facts_file, segment_file, state_file
from jdsr_cli.restoration.journal.workplace import MANIFEST
from jdsr_cli.restoration.pipeline.described import describe_media, expected_frames
from jdsr_cli.restoration.pipeline.elements import Begun, Ended, Finished, Lines
from jdsr_cli.restoration.pipeline.job import Job
from jdsr_cli.restoration.pipeline.work import Task
from jdsr_cli.restoration.summary import InputResult


def write(
    stream: Iterable[Begun | Finished | Ended], task: Task, progress: Progress
) -> Iterator[InputResult]:
    """Write what comes and yield what became of each input; stage `write`."""
    writing: _Writing | None = None
    try:
        for element in stream:
            job = element.job
            if isinstance(element, Begun):
                writing = _Writing(job, task, progress)
            elif isinstance(element, Finished):
                assert writing is not None
                job.attempt(writing.add, element)
            else:
                yield _conclude(job, writing, element.lines, progress)
                writing = None
    finally:
        if writing is not None:
            kept = writing.abandon()
            if kept:
                progress.note(f"{writing.job.source}: {kept} frames are kept for --resume")


def _conclude(job: Job, writing: _Writing | None, lines: Lines, progress: Progress) -> InputResult:
    if job.finished_before:
        note = "an earlier run has done this already"
        progress.note(f"{job.source}: {note}")
        job.close()
        return InputResult(job.source, output=job.workplace.final, notes=(note,))
    result = None
    if writing is not None:
        result = job.attempt(writing.conclude, lines)
    if result is None:
        assert job.error is not None
        spoilt = job.workplace.is_finished_part(job.error.where)
        kept = job.close() if writing is None else writing.abandon()
        return InputResult(job.source, error=_with_kept(job.error, kept, spoilt=spoilt))
    for note in result.notes:
        progress.note(f"{job.source}: {note}")
    return result


def _with_kept(error: JdsrError, frames: int, *, spoilt: bool) -> JdsrError:
    """Say that a failed run can go on, where it can; not where what was kept is the fault."""
    if not frames:
        return error
    hint = f"{frames} frames are kept: put this right and repeat the command with --resume."
    if spoilt:
        hint = "Start anew with --force."
    told = type(error)(error.what, where=error.where, hint=hint)
    told.__cause__ = error.__cause__
    return told


class _Writing:
    """The open results of one input."""

    def __init__(self, job: Job, task: Task, progress: Progress) -> None:
        self.job = job
        self._task = task
        self._progress = progress
        self._name = job.source.name
        self._lines: dict[str, list[str]] = {}
        self._facts: list[FrameFacts] = []
        self._open = self._ended = False
        self._journal = job.workplace.journal
        self._frames = self._journal.frames
        progress.begin(self._name, expected_frames(job.info, task.settings.reading))
        if self._frames:
            progress.advance(self._name, self._frames)

    def add(self, done: Finished) -> None:
        """Store a frame, and close the segment where one ends with it."""
        with self.job.clock.stage("write"):
            self._begin()
            for name, image in done.images.items():
                self.job.products[name].write(image, done.pts)
            self._append(done.lines)
            self._facts.append(done.facts)
            self._frames += 1
            if done.border is not None:
                work, number = self.job.workplace.work, len(self._journal.segments)
                files = self._close_segment()
                done.border.write(state_file(work, number))
                write_facts(facts_file(work, number), self._facts)
                files.append(facts_file(work, number))
                sizes = {path.name: path.stat().st_size for path in files}
                self._journal.add(Segment(number, self._frames, done.index + 1, sizes))
                if number:
                    state_file(work, number - 1).unlink(missing_ok=True)
                self._facts = []
        self._progress.advance(self._name)

    def conclude(self, lines: Lines) -> InputResult:
        """Make whole results of the segments and give them their name."""
        job = self.job
        results = job.workplace.results
        with job.clock.stage("write"):
            self._append(lines)
            finished = len(self._journal.segments)
            segments = finished + self._open
            self._close_segment()
            joined = {name: one.join(segments) for name, one in job.products.items()}
            texts = [_joined_text(job, name, finished + 1) for name in self._task.texts]
        main = joined.get("restored")
        counts = job.finisher.counts(job.frames_read, None if main is None else main.frames)
        counts.check(job.source)
        with job.clock.stage("hash"):
            files = [one.path for one in joined.values()] + texts
            outputs = tuple(digest_file(path, path.name) for path in files)
        notes = (
            *job.plan_notes,
            *(note for one in joined.values() for note in one.notes),
            *job.read_notes,
            *job.seen_notes,
        )
        notes = tuple(dict.fromkeys(notes))
        figures, seconds = dict(job.finisher.figures()), job.clock.report()
        self._manifest(outputs, asdict(counts), figures, notes, seconds).write(results / MANIFEST)
        job.workplace.publish()
        job.close()
        self._end()
        return InputResult(
            job.source,
            output=job.workplace.final,
            counts=counts,
            figures=figures,
            notes=notes,
            seconds=seconds,
        )

    def abandon(self) -> int:
        """Let go of everything that is open; return the frames kept for `--resume`."""
        for product in self.job.products.values():
            product.abandon()
        self._end()
        return self.job.close()

    def _begin(self) -> None:
        if not self._open:
            for product in self.job.products.values():
                product.begin(len(self._journal.segments))
            self._open = True

    def _append(self, lines: Lines) -> None:
        for name, texts in lines.items():
            self._lines.setdefault(name, []).extend(texts)

    def _close_segment(self) -> list[Path]:
        """Close products and texts of the open segment; return their files, on the disk."""
        work, number = self.job.workplace.work, len(self._journal.segments)
        products = self.job.products.values() if self._open else ()
        files = [path for one in products for path in one.end()]
        self._open = False
        for name in self._task.texts:
            path = segment_file(work, number, f".{name}")
            _write_durably(path, self._lines.get(name, []))
            files.append(path)
        self._lines = {}
        return files

    def _manifest(
        self,
        outputs: tuple[FileDigest, ...],
        counts: dict[str, Any],
        figures: dict[str, Any],
        notes: tuple[str, ...],
        seconds: dict[str, float],
    ) -> Manifest:
        job, tools = self.job, self._task.tools
        return Manifest(
            command=self._task.command,
            request=job.request.digest,
            input=job.mark,
            media=describe_media(job.info),
            outputs=outputs,
            settings=self._task.describe(job),
            detector=tools.detector_entry,
            weights=tools.weights,
            device=tools.device,
            counts=counts,
            figures=figures,
            seconds=seconds,
            notes=notes,
        )

    def _end(self) -> None:
        if not self._ended:
            self._progress.end(self._name)
            self._ended = True


def _write_durably(path: Path, lines: Iterable[str]) -> None:
    try:
        with path.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(f"{line}\n" for line in lines)
            file.flush()
            os.fsync(file.fileno())
    except OSError as fault:
        raise output_error(fault, path) from fault


def _joined_text(job: Job, name: str, segments: int) -> Path:
    """Join the parts of a text file of results."""
    path = job.workplace.results / name
    try:
        with path.open("wb") as whole:
            for number in range(segments):
                whole.write(segment_file(job.workplace.work, number, f".{name}").read_bytes())
    except OSError as fault:
        raise output_error(fault, path) from fault
    return path
