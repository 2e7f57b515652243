"""Stage `read`: open the inputs one after another and yield their frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from jdsr_cli.evidence import FileDigest, package_versions
from jdsr_cli.evidence.credentials import Origin
from jdsr_cli.faces.compositing import plan_frames
from jdsr_cli.faces.display import Display
from jdsr_cli.media import Frame, MediaInfo, open_reader, plan_output, restored_header
from jdsr_cli.media.writing.formats import choose_encoding
from jdsr_cli.restoration.comparison import plan_comparison
from jdsr_cli.restoration.frame import (
    Element,
    FrameItem,
    InputFinished,
    InputStarted,
    InputState,
    OpenInput,
)
from jdsr_cli.restoration.input_bytes import InputBytes
from jdsr_cli.restoration.models import Models
from jdsr_cli.restoration.request import Request
from jdsr_cli.restoration.result_signer import ResultSigner
from jdsr_cli.restoration.sinks import RESTORED
from jdsr_cli.restoration.snapshots import Snapshot
from jdsr_cli.restoration.stored_detections import DETECTIONS_FORMAT
from jdsr_cli.restoration.workspace import Workspace
from jdsr_cli.settings import DetectionSettings, ReadSettings, RestoreSettings


def read(
    states: Iterable[InputState],
    settings: DetectionSettings,
    models: Models,
    limit: int | None = None,
) -> Iterator[Element]:
    """Open the inputs and yield their frames.

    Args:
        states: The inputs.
        settings: Settings of the run.
        models: Networks of the run, which are part of the request.
        limit: Number of frames of each input that are read; None for all.

    """
    for state in states:
        state.bytes = state.attempt("hash", InputBytes, state.source)
        opened = None
        if state.bytes is not None:
            request = make_request(settings, models, state.bytes.digest.sha256)
            arguments = (state, state.bytes.digest, request, settings, models)
            opened = state.attempt("read", _open, *arguments)
        if opened is not None:
            yield InputStarted(opened)
            yield from _read_frames(opened, settings.segment, limit)
        yield InputFinished(state)


def _open(
    state: InputState,
    digest: FileDigest,
    request: Request,
    settings: DetectionSettings,
    models: Models,
) -> OpenInput | None:
    """Open an input and its workspace; return None if an earlier run has finished it."""
    workspace = state.workspace
    if settings.resume:
        if not settings.force and workspace.is_finished(request, hashes=settings.verify):
            workspace.clear()
            state.already_done = True
        else:
            state.already_done = workspace.publish_waiting(request, force=settings.force)
        if state.already_done:
            state.unread = workspace.stated_unread()
            return None
    # The reader stays open until the input is concluded: sound may be copied from what it salvaged.
    reader = open_reader(state.source, settings.reading)
    state.resources.callback(reader.close)
    signer = None
    if models.signer is not None:
        origin = Origin(digest, models.weights, request.digest)
        signer = ResultSigner(models.signer, origin, workspace.results)
    workspace.open(request, force=settings.force, resume=settings.resume)
    info, plan, restored, snapshot, notes = reader.info, None, None, None, []
    if isinstance(settings, RestoreSettings):
        _check_video(workspace, info, settings)
        plan = plan_frames(info.width, info.height, settings.scale, settings.frame_scale)
        if settings.pastes:
            restored, written_notes = restored_header(settings.codec, info)
            notes += [plan.note] if plan.note is not None else []
            notes += written_notes
        if settings.compare:
            compared = plan_comparison(plan, still=info.kind == "image")
            notes += [compared.note] if compared.note is not None else []
    finished = tuple(workspace.journal.segments)
    found = (workspace.redone, workspace.mended, workspace.damage)
    notes += [one for one in found if one is not None]
    if finished:
        last = finished[-1]
        notes.append(f"resumed after {last.frames} frames of an interrupted run")
        reader.skip_to(last.next_index)
        snapshot = Snapshot.read(workspace.segments.snapshot(last.number), request.run)
    display = Display.of(info.sample_aspect_ratio)
    return OpenInput(
        state, reader, digest, request, display, plan, snapshot, tuple(notes), restored, finished,
        signer,
    )  # fmt: skip


def _check_video(workspace: Workspace, info: MediaInfo, settings: RestoreSettings) -> None:
    """Check that a video with the sound and subtitles of an input can be written, if one is.

    Raises:
        MediaError, OutputError, UsageError: It cannot.

    """
    if info.kind != "image" and (settings.pastes or settings.overlay or settings.compare):
        codec = choose_encoding(settings.codec, info, settings.crf)[0].codec
        plan_output(workspace.results / f"{RESTORED}.mp4", info, codec)


def _read_frames(opened: OpenInput, segment: int, limit: int | None) -> Iterator[FrameItem]:
    state, number = opened.state, opened.finished_frames
    while limit is None or number < limit:
        frame = state.attempt("read", next, opened.reader, None)
        if frame is None:
            break
        yield frame_item(opened, number, frame, segment)
        number += 1
    state.frames_read = number
    report = opened.reader.report
    state.reader_notes, state.unread = report.warnings, report.unread
    state.later_recordings = report.later


def frame_item(opened: OpenInput, number: int, frame: Frame, segment: int) -> FrameItem:
    """Return the item of a frame.

    Args:
        opened: Its input.
        number: Its number among the frames of the run, from 0.
        frame: The frame as it was read.
        segment: Frames of a segment.

    """
    return FrameItem(
        input=opened,
        number=number,
        index=frame.index,
        pts=frame.pts,
        time=frame.time,
        image=frame.image,
        deep=frame.deep if opened.writes_deep else None,
        ends_segment=(number + 1) % segment == 0,
    )


def command_name(settings: DetectionSettings) -> str:
    """Return the name of the command that has such settings."""
    return "restore" if isinstance(settings, RestoreSettings) else "crop-faces"


def make_request(settings: DetectionSettings, models: Models, sha256: str) -> Request:
    """Return the request to process the input that has this hash."""
    asked: dict[str, Any] = {
        "command": command_name(settings),
        "input": sha256,
        "settings": settings.deciding(),
        "detections": DETECTIONS_FORMAT,
        **models.identity(),
    }
    # Which of several equal devices is used changes nothing: another one can continue a run.
    device = {"kind": models.device["kind"].partition(":")[0], "name": models.device["name"]}
    return Request(asked, {"device": device, "versions": package_versions()})


def expected_frames(info: MediaInfo, reading: ReadSettings) -> int | None:
    """Return the number of frames that an input promises in the part read, None if unknown."""
    if not reading.trims and info.frames_promised is not None:
        return info.frames_promised
    if info.duration is None or info.frame_rate is None:
        return info.frames_promised
    end = info.duration if reading.end is None else min(info.duration, reading.end)
    return max(1, round((end - (reading.start or 0)) * info.frame_rate))
