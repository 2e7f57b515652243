"""Stage `write`: pass frames to the sinks, make segments durable, publish the results."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from jdsr_cli.errors import JdsrError
from jdsr_cli.evidence import (
    MANIFEST,
    FileDigest,
    Manifest,
    describe_media,
    digest_file,
    write_sums,
)
from jdsr_cli.file_names import as_text
from jdsr_cli.progress import Progress
from jdsr_cli.reporting import write_report
from jdsr_cli.restoration.frame import (
    Element,
    FrameItem,
    InputFinished,
    InputStarted,
    OpenInput,
)
from jdsr_cli.restoration.hashed_frames import HashedFrames
from jdsr_cli.restoration.kept_files import clear_unlisted
from jdsr_cli.restoration.models import Models
from jdsr_cli.restoration.sinks import (
    RESTORED,
    SinkResult,
)
from jdsr_cli.restoration.stages.reading import command_name, expected_frames
from jdsr_cli.restoration.stages.segments import SegmentedSinks
from jdsr_cli.restoration.summary import Counts, InputResult
from jdsr_cli.settings import DetectionSettings, RestoreSettings


def write(
    stream: Iterable[Element],
    settings: DetectionSettings,
    models: Models,
    progress: Progress,
    limit: int | None = None,
) -> Iterator[InputResult]:
    """Write the results of each input and yield its summary.

    Args:
        stream: Frames with everything that is known about them.
        settings: Settings of the run.
        models: Networks of the run, for the manifest.
        progress: Receives the progress of each input.
        limit: Number of frames of each input that are processed, as a sample whose frames are not
            hashed; None for all.

    """
    writer: _InputWriter | None = None
    try:
        for element in stream:
            state = element.state
            if isinstance(element, InputStarted):
                arguments = (element.input, settings, models, progress, limit)
                writer = state.attempt("write", _InputWriter, *arguments)
            elif isinstance(element, FrameItem):
                if writer is not None and not state.failed:
                    writer.add(element)
            else:
                yield _conclude(element, writer, progress)
                writer = None
    finally:
        if writer is not None:
            kept = writer.abandon()
            if kept:
                progress.note(f"{writer.state.source}: {kept} frames are kept for --resume")


def _conclude(
    element: InputFinished, writer: _InputWriter | None, progress: Progress
) -> InputResult:
    state = element.state
    if state.already_done:
        notes = ("an earlier run has done this already", *state.unread)
        for note in notes:
            progress.note(f"{state.source}: {note}")
        state.close()
        final = state.workspace.final
        return InputResult(state.source, output=final, notes=notes, unread=state.unread)
    result = None if writer is None else writer.finish()
    if result is None:
        assert state.error is not None
        kept = state.close() if writer is None else writer.abandon()
        if state.workspace.waits_for_name or (state.bytes is not None and state.bytes.changed):
            return InputResult(state.source, error=state.error)
        return InputResult(state.source, error=_with_hint(state.error, kept))
    for note in result.notes:
        progress.note(f"{state.source}: {note}")
    return result


def _with_hint(error: JdsrError, frames: int) -> JdsrError:
    """Return the error of a run with the hint to resume it, if something was kept."""
    if not frames:
        return error
    hint = f"{frames} frames are kept: put this right and repeat the command with --resume."
    hinted = type(error)(error.what, where=error.where, hint=hint)
    hinted.__cause__ = error.__cause__
    return hinted


class _InputWriter:
    """Writes the results of one input and publishes them."""

    def __init__(
        self,
        opened: OpenInput,
        settings: DetectionSettings,
        models: Models,
        progress: Progress,
        limit: int | None,
    ) -> None:
        self.state = opened.state
        self._input = opened
        self._settings = settings
        self._models = models
        self._progress = progress
        self._name = opened.state.source.name
        self._ended = False
        self._hashed_frames = (
            HashedFrames(opened, progress, settings.reading.max_pixels) if limit is None else None
        )
        self._segments = SegmentedSinks(opened, settings, models)
        self._foreign: list[str] = []
        """Files that something else has put into the folder of results."""
        progress.begin(self._name, expected_frames(opened.info, settings.reading))
        if self._segments.frames:
            progress.advance(self._name, self._segments.frames)

    def add(self, item: FrameItem) -> None:
        """Write a frame, and close the segment that ends with it."""
        self._segments.add(item)
        self._progress.advance(self._name)

    def finish(self) -> InputResult | None:
        """Complete the results and publish them; None if the input has failed."""
        results = self.state.attempt("write", self._join_results) or []
        outputs = self.state.attempt("hash", self._hash_outputs, results) or ()
        return self.state.attempt("write", self._publish, results, outputs)

    def abandon(self) -> int:
        """Close everything that is open; return the number of frames kept for `--resume`."""
        self._segments.abandon()
        self._end_progress()
        return self.state.close()

    def _join_results(self) -> list[SinkResult]:
        self._segments.check_input()
        listed = self._segments.end()
        hashes, results = self._hashed_frames, self._input.workspace.results
        spares = (lambda _: False) if hashes is None else hashes.unfinished
        self._foreign = clear_unlisted(results, listed, spares)
        return [sink.finish() for sink in self._segments.sinks]

    def _hash_outputs(self, results: Sequence[SinkResult]) -> tuple[FileDigest, ...]:
        files = [path for one in results for path in one.files]
        if self._hashed_frames is not None:
            videos = (path for path in files if path.stem == RESTORED and path.suffix != ".png")
            self._hashed_frames.finish(next(videos, None), self._segments.frames)
            files += self._hashed_frames.files
        return tuple(digest_file(path, path.name) for path in files)

    def _publish(
        self, results: Sequence[SinkResult], outputs: tuple[FileDigest, ...]
    ) -> InputResult:
        """Write the manifest and give the results their final name."""
        # The sound was read after the frames.
        self._segments.check_input()
        state, workspace = self.state, self._input.workspace
        counted = {name: count for one in results for name, count in one.counts.items()}
        counts = Counts(frames_read=state.frames_read, **counted)
        counts.check(state.source)
        notes = (
            *self._input.notes,
            *self._models.notes,
            *(note for one in results for note in one.notes),
            *state.reader_notes,
            *state.detection_notes,
            *(() if state.bytes is None else state.bytes.notes),
            *(() if self._hashed_frames is None else self._hashed_frames.notes),
            *(f"{as_text(name)} is not of this run, and was removed" for name in self._foreign),
        )
        notes = tuple(dict.fromkeys(notes))
        figures = {name: figure for one in results for name, figure in one.figures.items()}
        seconds = state.clock.report()
        Manifest(
            command=command_name(self._settings),
            request=self._input.request.digest,
            input=self._input.digest,
            media=describe_media(self._input.info),
            outputs=outputs,
            settings=self._described_settings(),
            detector=self._models.detector_entry,
            weights=self._models.weights,
            device=self._models.device,
            counts=asdict(counts),
            figures=figures,
            seconds=seconds,
            notes=notes,
            unread=state.unread,
            credentials=next((one.credentials for one in results if one.credentials), None),
        ).write(workspace.results / MANIFEST)
        if isinstance(self._settings, RestoreSettings) and self._settings.report:
            write_report(workspace.results)
        write_sums(workspace.results, {one.file: one.sha256 for one in outputs})
        workspace.publish()
        state.close()
        self._end_progress()
        return InputResult(
            state.source,
            output=workspace.final,
            counts=counts,
            figures=figures,
            notes=notes,
            unread=state.unread,
            seconds=seconds,
        )

    def _described_settings(self) -> dict[str, Any]:
        """Return the settings and the factor by which frames are enlarged."""
        described = self._settings.recorded()
        if self._input.frame_plan is not None:
            described["frame_scale_used"] = self._input.frame_plan.scale
        return described

    def _end_progress(self) -> None:
        if not self._ended:
            self._progress.end(self._name)
            self._ended = True
