"""Passing frames to the sinks of an input, and making their segments durable."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jdsr_cli.media import sdr_header
from jdsr_cli.restoration.annotations import draw_overlay
from jdsr_cli.restoration.comparison import plan_comparison
from jdsr_cli.restoration.crop_sink import CropSink
from jdsr_cli.restoration.filmed import FilmedSink
from jdsr_cli.restoration.frame import FrameItem, OpenInput
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
    StillSink,
    VideoSink,
    comparison_frame,
    composited_frame,
)
from jdsr_cli.restoration.snapshots import Snapshot
from jdsr_cli.restoration.stored_detections import detections_file
from jdsr_cli.restoration.summary import TrackPictures
from jdsr_cli.settings import CropSettings, DetectionSettings, RestoreSettings


class SegmentedSinks:
    """The sinks of one input, and the journal of its segments.

    Args:
        opened: The input, whose sinks continue from its snapshot.
        settings: Settings of the run.
        models: Networks of the run.

    Attributes:
        sinks: What writes the results.
        frames: Number of frames that were written, those of an interrupted run included.

    """

    def __init__(self, opened: OpenInput, settings: DetectionSettings, models: Models) -> None:
        self._input = opened
        self._state = opened.state
        self._journal = opened.workspace.journal
        self.frames = self._journal.frames
        self.sinks = open_sinks(opened, settings, models)
        if opened.snapshot is not None:
            for sink in self.sinks:
                sink.restore(opened.snapshot.part(sink.name))

    def add(self, item: FrameItem) -> None:
        """Write a frame, and close the segment that ends with it."""
        for sink in self.sinks:
            self._state.attempt(sink.stage, sink.write, item)
        self._end_tracks(item.ended_tracks)
        self._state.attempt("write", self._end_frame, item)

    def end(self) -> set[Path]:
        """Close the last segment, and return the files of all, which are as they were written.

        Raises:
            OutputError: A file of a finished segment is not.

        """
        self._journal.check_files()
        return self._journal.files() | set(self._end_sinks())

    def abandon(self) -> None:
        """Close what is open without finishing it."""
        for sink in self.sinks:
            sink.abandon()

    def check_input(self) -> None:
        """Check that the frames are from the bytes that were hashed.

        Raises:
            InputError: They are not.

        """
        if self._state.bytes is not None:
            self._state.bytes.check()

    def _end_sinks(self) -> list[Path]:
        return [path for sink in self.sinks for path in sink.end_segment()]

    def _end_tracks(self, tracks: Sequence[int]) -> None:
        for track in tracks:
            pictures = TrackPictures()
            for sink in self.sinks:
                self._state.attempt(sink.stage, sink.end_track, track, pictures)

    def _end_frame(self, item: FrameItem) -> None:
        """Count a frame; store the segment that ends with it."""
        self.frames += 1
        if not item.ends_segment:
            return
        self.check_input()
        number, workspace = len(self._journal.segments), self._input.workspace
        files = self._end_sinks()
        snapshot = Snapshot.join(
            detect=Snapshot({"time": float(item.time)}, {"thumbnail": item.thumbnail}),
            composite=item.snapshot or Snapshot(),
            **{sink.name: sink.snapshot() for sink in self.sinks},
        )
        state = workspace.segments.snapshot(number)
        snapshot.write(state, self._input.request.run)
        # Stored before the frames of the segment were passed on.
        files.append(detections_file(workspace, number))
        self._journal.add(self.frames, item.index + 1, files, state)
        workspace.segments.drop_snapshots(number)


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
