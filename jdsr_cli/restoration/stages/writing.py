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
from jdsr_cli.media import sdr_header
from jdsr_cli.progress import Progress
from jdsr_cli.reporting import write_report
from jdsr_cli.restoration.annotations import draw_overlay
from jdsr_cli.restoration.comparison import plan_comparison
from jdsr_cli.restoration.crop_sink import CropSink
from jdsr_cli.restoration.filmed import FilmedSink
from jdsr_cli.restoration.frame import (
    Element,
    FrameItem,
    InputFinished,
    InputStarted,
    OpenInput,
)
from jdsr_cli.restoration.hashed_frames import HashedFrames
from jdsr_cli.restoration.models import Models
from jdsr_cli.restoration.people_sink import PeopleSink
from jdsr_cli.restoration.pictures import BestShotSink
from jdsr_cli.restoration.signed_files import SignedFilesSink
from jdsr_cli.restoration.sinks import (
    COMPARISON,
    OVERLAY,
    RESTORED,
    FigureSink,
    RecordSink,
    Sink,
    SinkResult,
    StillSink,
    VideoSink,
    comparison_frame,
    composited_frame,
)
from jdsr_cli.restoration.snapshots import Snapshot
from jdsr_cli.restoration.stages.reading import command_name, expected_frames
from jdsr_cli.restoration.stored_detections import detections_file
from jdsr_cli.restoration.summary import Counts, InputResult, TrackPictures
from jdsr_cli.settings import CropSettings, DetectionSettings, RestoreSettings


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


def open_sinks(opened: OpenInput, settings: DetectionSettings, models: Models) -> list[Sink]:
    """Return the sinks of an input. Those that write files come before those that record them.

    Args:
        opened: The input.
        settings: `CropSettings` for `crop-faces`, otherwise `RestoreSettings`.
        models: Restore and examine the pictures of each person.

    """
    people = [PeopleSink(opened, settings)] if settings.privacy.selects else []
    if isinstance(settings, CropSettings):
        return [CropSink(opened, settings), RecordSink(opened), *people]
    assert isinstance(settings, RestoreSettings)
    assert opened.frame_plan is not None
    sinks: list[Sink] = []
    info, plan = opened.info, opened.frame_plan
    restored, sdr, still = opened.restored or info, sdr_header(info), info.kind == "image"
    compared = plan_comparison(plan, still=still).size
    exif = opened.reader.exif
    if exif is not None and settings.privacy.blur_others:
        exif = exif.without_pictures()
    for name, used, header, size, picture in (
        (RESTORED, settings.pastes, restored, (plan.width, plan.height), composited_frame),
        (OVERLAY, settings.overlay, sdr, (info.width, info.height), draw_overlay),
        (COMPARISON, settings.compare, sdr, compared, comparison_frame),
    ):
        if used and still:
            sinks.append(StillSink(name, opened, exif, picture))
        elif used:
            sinks.append(VideoSink(name, opened, header, size, settings, picture))
    if settings.exports_crops:
        assert models.generator is not None
        networks = models.generator, models.burst
        best = BestShotSink(opened, settings, models.examiner, *networks)
        sinks += [FilmedSink(opened, settings), best]
    sinks += [RecordSink(opened), FigureSink(settings), *people]
    if opened.signer is not None:
        sinks.append(SignedFilesSink(opened, opened.signer))
    return sinks


class _InputWriter:
    """The sinks of one input, and the journal of its segments."""

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
        self._journal = opened.workspace.journal
        self._frames = self._journal.frames
        self._ended = False
        self._hashed_frames = HashedFrames(opened, progress) if limit is None else None
        self._sinks = open_sinks(opened, settings, models)
        if opened.snapshot is not None:
            for sink in self._sinks:
                sink.restore(opened.snapshot.part(sink.name))
        progress.begin(self._name, expected_frames(opened.info, settings.reading))
        if self._frames:
            progress.advance(self._name, self._frames)

    def add(self, item: FrameItem) -> None:
        """Write a frame, and close the segment that ends with it."""
        for sink in self._sinks:
            self.state.attempt(sink.stage, sink.write, item)
        self._end_tracks(item.ended_tracks)
        self.state.attempt("write", self._end_frame, item)
        self._progress.advance(self._name)

    def finish(self) -> InputResult | None:
        """Complete the results and publish them; None if the input has failed."""
        results = self.state.attempt("write", self._join_results) or []
        outputs = self.state.attempt("hash", self._hash_outputs, results) or ()
        return self.state.attempt("write", self._publish, results, outputs)

    def abandon(self) -> int:
        """Close everything that is open; return the number of frames kept for `--resume`."""
        for sink in self._sinks:
            sink.abandon()
        self._end_progress()
        return self.state.close()

    def _end_tracks(self, tracks: Sequence[int]) -> None:
        for track in tracks:
            pictures = TrackPictures()
            for sink in self._sinks:
                self.state.attempt(sink.stage, sink.end_track, track, pictures)

    def _end_frame(self, item: FrameItem) -> None:
        """Count a frame; store the segment that ends with it."""
        self._frames += 1
        if not item.ends_segment:
            return
        self._check_input()
        number, workspace = len(self._journal.segments), self._input.workspace
        files = [path for sink in self._sinks for path in sink.end_segment()]
        snapshot = Snapshot.join(
            detect=Snapshot({"time": float(item.time)}, {"thumbnail": item.thumbnail}),
            composite=item.snapshot or Snapshot(),
            **{sink.name: sink.snapshot() for sink in self._sinks},
        )
        state = workspace.segments.snapshot(number)
        snapshot.write(state)
        # Stored before the frames of the segment were passed on.
        files.append(detections_file(workspace, number))
        self._journal.add(self._frames, item.index + 1, files, state)
        workspace.segments.drop_snapshots(number)

    def _check_input(self) -> None:
        """Check that the frames are from the bytes that were hashed."""
        if self.state.bytes is not None:
            self.state.bytes.check()

    def _join_results(self) -> list[SinkResult]:
        self._check_input()
        self._journal.check_files()
        for sink in self._sinks:
            sink.end_segment()
        return [sink.finish() for sink in self._sinks]

    def _hash_outputs(self, results: Sequence[SinkResult]) -> tuple[FileDigest, ...]:
        files = [path for one in results for path in one.files]
        if self._hashed_frames is not None:
            videos = (path for path in files if path.stem == RESTORED and path.suffix != ".png")
            self._hashed_frames.finish(next(videos, None), self._frames)
            files += self._hashed_frames.files
        return tuple(digest_file(path, path.name) for path in files)

    def _publish(
        self, results: Sequence[SinkResult], outputs: tuple[FileDigest, ...]
    ) -> InputResult:
        """Write the manifest and give the results their final name."""
        # The sound was read after the frames.
        self._check_input()
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
            *(() if self._hashed_frames is None else self._hashed_frames.notes),
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
