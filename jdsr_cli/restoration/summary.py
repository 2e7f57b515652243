"""Records and counts of faces, the results of a run, and the plan of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from jdsr_cli.errors import EXIT_OK, EXIT_PARTIAL, InputError, JdsrError
from jdsr_cli.evidence import FaceRecord, Status, TrackRecord
from jdsr_cli.media import Image
from jdsr_cli.parallel import StageTimes
from jdsr_cli.restoration.frame import FaceItem, FrameItem, Refusal
from jdsr_cli.restoration.stages.alignment import TOO_SHORT


@dataclass(frozen=True)
class Counts:
    """Counts of one input, which must add up.

    Examples:
        >>> from jdsr_cli import CropSettings, crop_faces
        >>> (result,) = crop_faces(["photo.png"], "crops", CropSettings(device="cpu")).results
        >>> counts = result.counts
        >>> counts.frames_read, counts.faces_found, counts.faces_restored, counts.faces_refused
        (1, 1, 1, 0)

    """

    frames_read: int = 0
    frames_written: int | None = None
    """None if no frames were to be written."""
    tracks: int = 0
    """Tracks of people, except those that were too short."""
    faces_found: int = 0
    """Faces found by the detector."""
    faces_bridged: int = 0
    """Faces missed by the detector and interpolated along their track."""
    faces_restored: int = 0
    """Faces restored, or exported by `crop_faces`."""
    faces_refused: int = 0
    faces_masked: int = 0
    """Restored faces with a mask."""
    faces_unsure: int = 0
    """Restored faces that may have a mask."""
    refusals: dict[str, int] = field(default_factory=dict)
    """Number of refused faces by kind of reason."""
    unreliable: int = 0
    """Best shots that were not written since no pixel of them is reliable, of all tracks."""

    def check(self, where: Path) -> None:
        """Raise `JdsrError` if a frame or a face is missing."""
        found, refused = self.faces_found + self.faces_bridged, self.faces_refused
        with_reason = sum(self.refusals.values())
        if self.frames_written not in (None, self.frames_read):
            what = f"{self.frames_read} frames were read but {self.frames_written} written"
        elif found != self.faces_restored + refused or refused != with_reason:
            what = (
                f"{self.faces_found} faces were found and {self.faces_bridged} bridged, but "
                f"{self.faces_restored} restored and {refused} refused, {with_reason} with a reason"
            )
        else:
            return
        raise JdsrError(what, where=where, hint="Nothing was kept. Please report this.")


@dataclass
class TrackPictures:
    """Pictures of a track that has ended, for its record."""

    bare: Image | None = None
    """The filmed face of a person who is bare in some frame, RGB uint8 (128, 128, 3), aligned; it
    is not recorded."""
    filmed: dict[str, Any] | None = None
    timeline: dict[str, Any] | None = None
    best: tuple[dict[str, Any], ...] = ()
    fused: dict[str, Any] | None = None
    unreliable: int = 0
    """Number of shots that were not written since no pixel of them is reliable."""

    @property
    def seen_bare(self) -> bool:
        """Whether the person is bare in some frame."""
        return self.bare is not None


def describe_face(item: FrameItem, number: int, face: FaceItem) -> FaceRecord:
    """Return the record of face `number` (from 1) of a frame."""
    detection, alignment = face.detection, face.alignment
    pose, restored = face.pose, face.restored
    x0, y0, x1, y1 = (round(float(edge), 2) for edge in detection.box)
    kept: Status = "exported" if restored is None else "restored"
    return FaceRecord(
        frame=item.index,
        pts=item.pts,
        seconds=item.seconds,
        face=number,
        track=face.track,
        bridged=face.bridged,
        box=(x0, y0, x1, y1),
        points=tuple((round(float(x), 2), round(float(y), 2)) for x, y in detection.points),
        score=round(float(detection.score), 4),
        eye_distance=round(float(detection.eye_distance), 2),
        status=kept if face.refusal is None else "refused",
        native_width=rounded(None if alignment is None else alignment.native_width, 2),
        sharpness=rounded(face.sharpness, 4),
        yaw=None if pose is None else round(pose.yaw, 1),
        pitch=None if pose is None else round(pose.pitch, 1),
        roll=None if pose is None else round(pose.roll, 1),
        residual=None if pose is None else round(pose.residual, 4),
        window=None if restored is None else face.frames,
        covered=None if restored is None else round(face.covered, 4),
        replaced=None if restored is None else round(face.replaced, 4),
        mask=face.mask,
        mask_probability=None if restored is None else round(face.mask_probability, 4),
        masked=None if face.mask in (None, "unsure") else face.mask == "masked",
        quality=face.quality,
        reason=None if face.refusal is None else face.refusal.reason,
        file=face.file,
        sha256=face.sha256,
        occlusion=face.occlusion,
        redone_in_float32=restored is not None and restored.redone,
    )


def rounded(value: float | None, digits: int) -> float | None:
    """Round a number; None stays None."""
    return None if value is None else round(float(value), digits)


class FaceCounter:
    """Running counts of one input, and the records of its open tracks."""

    def __init__(self) -> None:
        self._totals: Counter[str] = Counter()
        self._refusals: Counter[str] = Counter()
        self._tracks: dict[int, TrackRecord] = {}

    def add(self, record: FaceRecord, refusal: Refusal | None) -> None:
        """Count one face."""
        kind = None if refusal is None else refusal.kind
        if record.track not in self._tracks:
            self._tracks[record.track] = TrackRecord.begin(record)
            self._totals["tracks"] += kind != TOO_SHORT
        self._tracks[record.track].add(record, kind)
        self._totals["faces_bridged" if record.bridged else "faces_found"] += 1
        self._totals["faces_restored" if kind is None else "faces_refused"] += 1
        self._totals["faces_masked"] += record.mask == "masked"
        self._totals["faces_unsure"] += record.mask == "unsure"
        if kind is not None:
            self._refusals[kind] += 1

    def close(self, track: int, pictures: TrackPictures) -> TrackRecord | None:
        """Return the record of a track that has ended; None if it has no face."""
        record = self._tracks.pop(track, None)
        if record is not None:
            record.filmed, record.timeline = pictures.filmed, pictures.timeline
            record.best, record.fused = pictures.best, pictures.fused
            record.unreliable = pictures.unreliable
            self._totals["unreliable"] += pictures.unreliable
        return record

    def counts(self) -> dict[str, Any]:
        """Return the counts of faces and tracks by their names in `Counts`."""
        return {**self._totals, "refusals": dict(sorted(self._refusals.items()))}

    def state(self) -> dict[str, Any]:
        """Return all counts as JSON-compatible values."""
        tracks = [asdict(track) for track in self._tracks.values()]
        return {"totals": self._totals, "refusals": self._refusals, "tracks": tracks}

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue from a `state`."""
        self._totals = Counter(state["totals"])
        self._refusals = Counter(state["refusals"])
        self._tracks = {track["track"]: TrackRecord(**track) for track in state["tracks"]}


@dataclass(frozen=True)
class InputResult:
    """The result of one input.

    Examples:
        >>> from jdsr_cli import CropSettings, crop_faces
        >>> (result,) = crop_faces(["photo.png"], "crops", CropSettings(device="cpu")).results
        >>> result.failed, result.output.name
        (False, 'photo')

    """

    source: Path
    output: Path | None = None
    """Folder of the results; None if the input failed."""
    counts: Counts | None = None
    figures: Mapping[str, Any] = field(default_factory=dict)
    """Measures of the whole input, such as flicker."""
    error: JdsrError | None = None
    notes: tuple[str, ...] = ()
    """What the user should know: lowered scale, damaged input, ..."""
    unread: tuple[str, ...] = ()
    """Those notes that name bytes of the input which were not read."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Time by stage, and `total`; stages run in parallel."""

    @property
    def failed(self) -> bool:
        """Whether the input has no results."""
        return self.error is not None


@dataclass(frozen=True)
class RunSummary:
    """The results of all inputs, in their order.

    Examples:
        >>> from jdsr_cli import CropSettings, crop_faces
        >>> summary = crop_faces(["photo.png", "absent.png"], "crops", CropSettings(device="cpu"))
        >>> [result.source.name for result in summary.failed], summary.exit_code
        (['absent.png'], 4)

    """

    results: tuple[InputResult, ...]
    stages: tuple[StageTimes, ...] = ()
    """Time of each stage for all inputs together, in the order of the data."""

    @property
    def done(self) -> tuple[InputResult, ...]:
        """Inputs with results."""
        return tuple(result for result in self.results if not result.failed)

    @property
    def failed(self) -> tuple[InputResult, ...]:
        """Inputs without results."""
        return tuple(result for result in self.results if result.failed)

    @property
    def exit_code(self) -> int:
        """0 if all are done, 4 if some or parts of one, otherwise the code of the failures.

        It is 3 if the failures differ.
        """
        if self.done:
            partial = self.failed or any(result.unread for result in self.done)
            return EXIT_PARTIAL if partial else EXIT_OK
        if not self.failed:
            return EXIT_OK
        codes = {result.error.exit_code for result in self.failed if result.error is not None}
        return codes.pop() if len(codes) == 1 else InputError.exit_code


@dataclass(frozen=True)
class PlannedInput:
    """What a run would do with one input.

    Examples:
        >>> from jdsr_cli import CropSettings, plan_crops
        >>> (planned,) = plan_crops(["photo.png"], "crops", CropSettings(device="cpu")).inputs
        >>> planned.state, planned.frames, planned.size
        ('new', 1, (120, 120))

    """

    source: Path
    output: Path
    state: str = "new"
    """`new`, `resume` (an interrupted run continues), `done` (it is skipped) or `failed`."""
    frames_done: int = 0
    """Frames that the interrupted run has finished."""
    frames: int | None = None
    """Number of frames; None if the input does not declare it."""
    size: tuple[int, int] | None = None
    """Width and height of its frames in pixels."""
    seconds: float | None = None
    """Estimated time for the remaining frames; None if unknown."""
    bytes: int | None = None
    """Estimated size of the results."""
    error: JdsrError | None = None
    notes: tuple[str, ...] = ()
    """What the user should know, such as which file of a finished result is damaged."""


@dataclass(frozen=True)
class RunPlan:
    """What a run would do.

    Examples:
        >>> from jdsr_cli import CropSettings, plan_crops
        >>> plan_crops(["photo.png", "absent.png"], "crops", CropSettings(device="cpu")).exit_code
        4

    """

    inputs: tuple[PlannedInput, ...]

    @property
    def exit_code(self) -> int:
        """As that of the run: 0 if all inputs can be processed, 4 if some, 3 if none."""
        failed = [one for one in self.inputs if one.error is not None]
        if not failed:
            return EXIT_OK
        return EXIT_PARTIAL if len(failed) < len(self.inputs) else InputError.exit_code
