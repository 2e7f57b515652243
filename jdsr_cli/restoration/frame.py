"""What passes from stage to stage: one `FrameItem` for each frame, enriched by every stage.

An input starts with `InputStarted`, its frames follow as `FrameItem`, and `InputFinished` ends
it, also if it failed. Only one stage holds an element at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import ParamSpec, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.errors import JdsrError
from jdsr_cli.evidence import FileDigest, round_seconds
from jdsr_cli.faces import Alignment, CompositeSettings, Detection
from jdsr_cli.faces.alignment import Pose
from jdsr_cli.faces.canonical_colours import ColourMap
from jdsr_cli.faces.compositing import FramePlan
from jdsr_cli.faces.display import Display
from jdsr_cli.faces.head_appearance import Thumbnails
from jdsr_cli.faces.occlusion import MaskState
from jdsr_cli.faces.tracking import TrackedFace
from jdsr_cli.faces.window import FaceWindow
from jdsr_cli.media import DeepImage, Image, LaterRecording, MediaInfo, Reader
from jdsr_cli.progress import StageClock
from jdsr_cli.restoration.failures import failure_of
from jdsr_cli.restoration.finished_segments import FinishedSegment
from jdsr_cli.restoration.input_bytes import InputBytes
from jdsr_cli.restoration.request import Request
from jdsr_cli.restoration.result_signer import ResultSigner
from jdsr_cli.restoration.snapshots import Snapshot
from jdsr_cli.restoration.workspace import Workspace
from jdsr_cli.settings import RestoredPart

P = ParamSpec("P")
T = TypeVar("T")

NO_IMAGE = np.zeros((0, 0, 3), np.uint8)


class InputState:
    """The state of one input during a run. Any stage may fail it; other inputs go on.

    Args:
        source: The input.
        workspace: Folder of its results.

    """

    def __init__(self, source: Path, workspace: Workspace) -> None:
        self.source = source
        self.workspace = workspace
        self.clock = StageClock()
        self.resources = ExitStack()
        """Closed when the input is concluded."""
        self.bytes: InputBytes | None = None
        """The bytes of the input; None before they are hashed."""
        self.error: JdsrError | None = None
        self.already_done = False
        """Whether an earlier run has finished the same request."""
        self.frames_read = 0
        """Number of frames that were read or skipped; complete at the end."""
        self.reader_notes: tuple[str, ...] = ()
        """Warnings of the reader; complete at the end."""
        self.later_recordings: tuple[LaterRecording, ...] = ()
        """The recordings after the first one in the file; complete at the end."""
        self.unread: tuple[str, ...] = ()
        """Those that name bytes of the input that were not read; complete at the end. If an earlier
        run has finished the input, they are those of that run."""
        self.detection_notes: tuple[str, ...] = ()
        """Warnings about the detected faces; complete at the end."""

    @property
    def failed(self) -> bool:
        """Whether a stage failed."""
        return self.error is not None

    def close(self) -> int:
        """Close input and workspace; return the number of frames kept for `--resume`."""
        self.resources.close()
        return self.workspace.close()

    def attempt(
        self, stage: str, work: Callable[P, T], *args: P.args, **named: P.kwargs
    ) -> T | None:
        """Return the result of `work`, timed as `stage`; None if the input has failed or fails."""
        if self.failed:
            return None
        try:
            with self.clock.stage(stage):
                return work(*args, **named)
        except Exception as fault:
            self.fail(fault)
            return None

    def fail(self, fault: Exception) -> None:
        """Set the error of the input; the first one counts.

        If the input was removed or changed, that is the error.
        """
        if self.error is not None:
            return
        if self.bytes is not None and not self.bytes.changed:
            try:
                self.bytes.check()
            except JdsrError as change:
                change.__cause__ = fault
                fault = change
        self.error = failure_of(fault, self.source, self.workspace.final)


@dataclass(frozen=True, eq=False)
class OpenInput:
    """An open input."""

    state: InputState
    reader: Reader
    digest: FileDigest
    request: Request
    display: Display
    """How its stored pixels are displayed."""
    frame_plan: FramePlan | None
    """How frames are enlarged; None for `crop-faces`."""
    snapshot: Snapshot | None
    """State at the end of the last finished segment if an interrupted run is resumed."""
    notes: tuple[str, ...]
    """What the user should know about how the input is processed."""
    restored: MediaInfo | None = None
    """Header with which restored frames are written; None if none are."""
    finished: tuple[FinishedSegment, ...] = ()
    """The segments that an interrupted run has finished."""
    signer: ResultSigner | None = None
    """Signs the files of the result; None if they are not signed."""

    @property
    def info(self) -> MediaInfo:
        """What the input declares about itself."""
        return self.reader.info

    @property
    def workspace(self) -> Workspace:
        """Folder of its results."""
        return self.state.workspace

    @property
    def writes_deep(self) -> bool:
        """Whether restored frames are written in the colours of the input, from 16 bits."""
        return self.restored is not None and self.restored.deep

    @property
    def finished_frames(self) -> int:
        """Number of frames in `finished`."""
        return self.finished[-1].frames if self.finished else 0


@dataclass(frozen=True, eq=False)
class FrameDetections:
    """The faces detected in a frame, and the measures of the frame that tracking needs."""

    time: float
    """Seconds."""
    searched: bool
    """Whether the detector was run on the frame."""
    cut: bool
    """Whether another scene begins with this frame."""
    shift: tuple[float, float] | None
    """Pixels of the displayed picture by which it moved to the right and down since the frame
    before, as the camera moved; None if that is not known."""
    colour: float
    """Colourfulness of the frame, see `faces.scene.colourfulness`."""
    detections: tuple[Detection, ...]
    face_colours: tuple[float, ...]
    """Colourfulness of each detection, see `faces.scene.face_colourfulness`."""
    heads: Thumbnails
    """Thumbnail of the head of each detection, RGB uint8 (n, 12, 12, 3)."""
    embeddings: NDArray[np.float32] | None = None
    """(n, D), of length 1, if a face embedding network is used."""


@dataclass(frozen=True)
class Refusal:
    """Why a face is not restored: a `kind` to count by and the full `reason`."""

    kind: str
    reason: str


@dataclass(frozen=True, eq=False)
class RestoredFace:
    """A restored face in the 128-pixel template."""

    image: Image
    """RGB uint8 (128, 128, 3)."""
    occlusion: NDArray[np.float32]
    """(128, 128) in [0, 1]: how much of each pixel was covered; in steps of 1/255."""
    redone: bool
    """Whether a second pass in float32 was needed."""
    side: int
    """Side in pixels of the crop that the generator received."""
    part: RestoredPart = "all"
    """Which part of it is shown; the rest stays as filmed."""

    @property
    def compositing(self) -> CompositeSettings:
        """How it is composited."""
        return CompositeSettings.of_input(self.side, self.part)


@dataclass(frozen=True, eq=False)
class FacePatch:
    """The part of a frame that shows one face, from which its pictures are made."""

    pixels: Image
    alignment: Alignment
    """From pixels of the patch to the template."""


@dataclass(eq=False)
class FaceItem:
    """One face of one frame. Every stage sets the fields below its comment."""

    # track
    tracked: TrackedFace
    monochrome: bool = False
    """Whether the track shows no colours but a tint."""
    # protect
    deselection: Refusal | None = None
    """Why the face is not to be restored, and no picture of it written, whatever it looks like;
    None if it may be."""
    # align
    refusal: Refusal | None = None
    """Why the face is not restored; None if it is."""
    pose: Pose | None = None
    """Head pose of the smoothed landmarks, with their residual."""
    alignment: Alignment | None = None
    """From stored pixels of the frame to the template."""
    sharpness: float | None = None
    """Sharpness of the face as filmed, 0 to 1."""
    crop: Image | None = None
    """Aligned face, RGB uint8 (side, side, 3), resampled once; None if refused."""
    # window
    window: FaceWindow | None = None
    """Its neighbours in time; None without any."""
    # generate
    colours: ColourMap | None = None
    """To the canonical colours that the generator receives."""
    frames: int = 1
    """Number of frames that the picture which the generator received was made of."""
    generated: RestoredFace | None = None
    """Output of the generator, in canonical colours; None if it is not finite."""
    # composite
    reference: Image | None = None
    """Aligned face at the size of the template, RGB uint8 (128, 128, 3)."""
    covered: float = 0.0
    """Share of the face that is occluded."""
    replaced: float = 0.0
    """Share of the face that the restored one replaces."""
    mask_probability: float = 0.0
    """Probability of a mask, from this and earlier frames of the track."""
    mask: MaskState | None = None
    restored: RestoredFace | None = None
    """In the colours of the frame; unless the face is masked, its occluded parts are not replaced:
    they are filmed there and count as open, or are not a shown `part`."""
    smoothed: RestoredFace | None = None
    """`restored` after temporal smoothing along the track; None if only shots are restored."""
    quality: float | None = None
    """How good a shot of the person this is, 0 to 1, see `faces.quality.FaceQuality`."""
    patch: FacePatch | None = None
    """Part of the frame around the face, if pictures of faces are written."""
    # sinks
    file: str | None = None
    """Picture of the face, relative to the folder of results."""
    sha256: str | None = None
    occlusion: dict[str, str] | None = None
    """File and hash of its occlusion map."""

    @property
    def track(self) -> int:
        """Number of the track."""
        return self.tracked.track

    @property
    def detection(self) -> Detection:
        """Box and landmarks used for the alignment, in pixels of the displayed picture."""
        return self.tracked.detection

    @property
    def bridged(self) -> bool:
        """Whether the detector missed the face and the tracker interpolated it."""
        return self.tracked.raw is None

    @property
    def nbytes(self) -> int:
        """Size in memory of its pictures."""
        faces = (self.generated, self.restored, self.smoothed)
        arrays = [a for face in faces if face is not None for a in (face.image, face.occlusion)]
        arrays += [array for array in (self.crop, self.reference) if array is not None]
        arrays += [] if self.patch is None else [self.patch.pixels]
        window = 0 if self.window is None else self.window.nbytes
        return sum(array.nbytes for array in arrays) + window


@dataclass(eq=False)
class FrameItem:
    """One frame and all that the stages find out about it."""

    # read
    input: OpenInput
    number: int
    """Number among the frames of the run, from 0; differs from `index` if the start is trimmed."""
    index: int
    """Number in the input, from 0."""
    pts: int
    """Time in units of the input's time base."""
    time: Fraction
    """Time in seconds."""
    image: Image
    """Stored pixels, RGB uint8 (H, W, 3); `NO_IMAGE` once only writing is left."""
    ends_segment: bool = False
    """Whether an interrupted run can resume after this frame."""
    deep: Callable[[], DeepImage] | None = None
    """Converts the frame to the colours of the input, see `media.Frame`; None once composited."""
    # detect
    detections: FrameDetections | None = None
    thumbnail: Image = field(default_factory=lambda: NO_IMAGE)
    # track
    faces: list[FaceItem] = field(default_factory=list)
    ended_tracks: tuple[int, ...] = ()
    """Tracks without a face in any later frame."""
    # protect
    covered_heads: int = 0
    """Number of places that are made unrecognisable in `image` and `deep`."""
    # composite
    composited: Image | DeepImage = field(default_factory=lambda: NO_IMAGE)
    """Enlarged frame with the restored faces; uint16 in the colours of the input if these are
    written."""
    comparison: Image = field(default_factory=lambda: NO_IMAGE)
    """The enlarged frame beside the one with the restored faces, if that is written."""
    snapshot: Snapshot | None = None
    """State of the composite stage after this frame, if a segment ends with it."""

    @property
    def state(self) -> InputState:
        """State of the input."""
        return self.input.state

    @property
    def seconds(self) -> float:
        """Time in seconds, rounded to the microsecond."""
        return round_seconds(self.time)

    @property
    def nbytes(self) -> int:
        """Size in memory of its pictures."""
        faces = sum(face.nbytes for face in self.faces)
        # A decoded frame of 16-bit samples, its colours at half size, is as large as the image.
        decoded = 0 if self.deep is None else self.image.nbytes
        written = self.composited.nbytes + self.comparison.nbytes
        return self.image.nbytes + decoded + written + faces


@dataclass(frozen=True, eq=False)
class InputStarted:
    """An input is open; its frames follow."""

    input: OpenInput
    nbytes: int = 0

    @property
    def state(self) -> InputState:
        """State of the input."""
        return self.input.state


@dataclass(frozen=True, eq=False)
class InputFinished:
    """No more frames of an input follow: it was read to its end, or it failed."""

    state: InputState
    nbytes: int = 0


Element: TypeAlias = InputStarted | FrameItem | InputFinished
"""What the stages receive and yield."""
