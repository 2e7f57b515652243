"""Settings of every command, checked when they are made."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from typing import Any, Literal, get_args

from jdsr_cli.errors import UsageError

DetectorName = Literal["auto", "centerface", "retinaface-mobile", "retinaface-r50"]
"""`auto` is the one of `MEASURED_RECALL` with the highest recall whose weights are here."""
MOST_LAG = 32
"""Frames that the tracker delays its decisions at most, so that memory is bounded."""
LEAST_SHARPNESS = 0.05
"""Sharpness below which a face is too blurred to be restored.

Faces of 64 pixels blurred by 4 native pixels have 0.08 to 0.13 and their restored faces still
follow what was there; by 6, 0.01 to 0.06, and by 8, 0.01 to 0.04, and the restored faces are
looks that the generator gives to anybody.
"""
Deinterlacing = Literal["auto", "on", "off"]

_HIGHEST_RATE = 1000
"""Frames per second above which a rate is taken for a slip of the pen."""


@dataclass(frozen=True)
class ReadSettings:
    """How an input is to be read; the defaults read everything as the file says it is.

    Attributes:
        frame_rate: Frames per second of an input that holds no timestamps (raw .h264, a sequence
            of pictures), where its own guess is wrong. Files with timestamps keep theirs, and
            a warning says so.
        stream: Which of several video streams is read, from 1; None for the first.
        start: Seconds after the first frame from which on frames are delivered, None for all.
        end: Seconds after the first frame before which delivery ends, None for all: the
            window is half open, so that windows that meet share no frame.
        aspect: Width of the whole displayed picture over its height, where the file does not
            tell or tells it wrongly; None for what the file says.
        deinterlace: "auto" deinterlaces the frames that are flagged as interlaced, "on" all
            frames, "off" none. Pictures and animations are never deinterlaced.

    Raises:
        UsageError: A value that cannot be.

    """

    frame_rate: Fraction | None = None
    stream: int | None = None
    start: Fraction | None = None
    end: Fraction | None = None
    deinterlace: Deinterlacing = "auto"
    aspect: Fraction | None = None

    def __post_init__(self) -> None:
        if self.frame_rate is not None and not 0 < self.frame_rate <= _HIGHEST_RATE:
            raise UsageError(
                f"a frame rate of {_number(self.frame_rate)} cannot be",
                where="--fps",
                hint=f"Give frames per second, up to {_HIGHEST_RATE}.",
            )
        if self.stream is not None and self.stream < 1:
            raise UsageError(
                f"there is no video stream {self.stream}",
                where="--stream",
                hint="Streams are counted from 1.",
            )
        if self.start is not None and self.start < 0:
            raise UsageError(
                f"a start {_number(-self.start)} s before the first frame cannot be",
                where="--start",
                hint="Give seconds after the first frame.",
            )
        if self.end is not None and self.end <= (self.start or 0):
            raise UsageError(
                f"an end at {_number(self.end)} s leaves nothing",
                where="--end",
                hint="It must lie after the start.",
            )
        if self.deinterlace not in get_args(Deinterlacing):
            raise UsageError(
                f"{self.deinterlace!r} is no way to deinterlace",
                where="--deinterlace",
                hint="Use auto, on or off.",
            )

        if self.aspect is not None and not Fraction(1, 8) <= self.aspect <= 8:
            raise UsageError(
                f"a picture {_number(self.aspect)} times as wide as high cannot be",
                where="--aspect",
                hint="Give width and height of the displayed picture, such as 16:9.",
            )

    @property
    def trims(self) -> bool:
        """Whether a part of the input is left out."""
        return bool(self.start) or self.end is not None


def _number(value: Fraction) -> str:
    return f"{float(value):g}"


@dataclass(frozen=True)
class DetectorSettings:
    """How faces are looked for.

    Raises:
        UsageError: a value is out of its range.

    """

    threshold: float | None = None
    """Least score of a face, 0 to 1; None takes the detector's own."""
    min_face: float = 10.0
    """Width in pixels of the smallest faces of interest.

    The automatic scale is chosen for faces of this size. Narrower ones that are found are
    returned as well: it is for the caller to refuse them.
    """
    scale: float | None = None
    """Factor by which frames are resized for detection only; None chooses it by frame."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda`, `cuda:1`, `mps`; CenterFace runs on the CPU whatever this says."""

    def __post_init__(self) -> None:
        if self.threshold is not None and not 0.0 < self.threshold <= 1.0:
            raise UsageError(
                f"the detection threshold {self.threshold} is not above 0 and at most 1",
                hint="Give a score such as 0.5, or none for the detector's own.",
            )
        if not 0.0 <= self.min_face < float("inf"):
            raise UsageError(
                f"the smallest face cannot be {self.min_face} pixels wide",
                hint="Give a width of 0 or more.",
            )
        if self.scale is not None and not 0.05 <= self.scale <= 8.0:
            raise UsageError(
                f"the detection scale {self.scale} is not between 0.05 and 8",
                hint="Give a factor such as 1 or 2, or none to have it chosen.",
            )


LONGEST_SECONDS = 3600.0
"""An hour: longer times are slips of the keyboard."""
MOST_DETECTIONS = 32
"""Largest `min_track`: a track is judged within the tracker's delay, and that is bounded."""


@dataclass(frozen=True)
class TrackerSettings:
    """How faces are followed.

    Raises:
        UsageError: a value is out of its range.

    """

    min_track: int = 2
    """Detections that make a track, 1 to 32; the faces of shorter ones are marked `too_short`."""
    bridge: float = 0.25
    """Seconds for which looks may have missed a face and it is filled in; 0 fills nothing in.

    Counted from the first look that missed it to the next that found it.
    """
    lost: float = 1.0
    """Seconds for which a track goes on unseen, carried by its motion."""
    smoothing: float = 0.1
    """Standard deviation in seconds of the smoothing of boxes and points; 0 is none."""
    find_again: float = 30.0
    """Seconds in which a lost person is found again by appearance, where embeddings are given."""

    def __post_init__(self) -> None:
        if not 1 <= self.min_track <= MOST_DETECTIONS:
            raise UsageError(
                f"a track cannot need {self.min_track} detections",
                hint=f"Give a number from 1 to {MOST_DETECTIONS}.",
            )
        for name in ("bridge", "lost", "smoothing", "find_again"):
            value = getattr(self, name)
            if not (math.isfinite(value) and 0.0 <= value <= LONGEST_SECONDS):
                raise UsageError(
                    f"{name} of the tracker cannot be {value} seconds",
                    hint=f"Give seconds from 0 to {LONGEST_SECONDS:.0f}.",
                )


MODES = ("both", "paste", "crops")
CROPS = ("best", "all")
DETECTORS = get_args(DetectorName)
PRECISIONS = ("auto", "float32", "bfloat16", "float16")
SCALES = (4, 8)
LARGEST_FRAME_SCALE = 8
AUTO = "auto"
SEGMENT_STEP = 8
"""Segments are multiples of this many frames, so that groups of frames never span two."""
_UNDECIDING = ("force", "resume", "batch", "device", "precision", "weights")
"""Settings that change no byte of a result, or whose outcome is told by the device and by the
weights that were opened."""


def _require(condition: bool, what: str, option: str) -> None:
    if not condition:
        raise UsageError(what, where=option)


def _require_one_of(value: str, known: tuple[str, ...], option: str) -> None:
    _require(value in known, f"'{value}' is none of {', '.join(known)}", option)


@dataclass(frozen=True)
class DetectionSettings:
    """What is read, how faces are looked for and followed, and which are refused."""

    reading: ReadSettings = field(default_factory=ReadSettings)
    """Part of the input, video stream, frame rate of inputs without times, deinterlacing."""
    detector: str = AUTO
    """The one with the best measured recall on this machine, see `faces.detectors`."""
    threshold: float | None = None
    """Least score of a face, 0 to 1; None: the detector's own."""
    min_face: float = 10.0
    """Faces narrower than this many pixels of the frame are refused, with a reason."""
    min_sharpness: float = LEAST_SHARPNESS
    """Faces that were filmed less sharply, 0 to 1, are refused, with a reason."""
    detection_scale: float | None = None
    """Factor by which frames are resized for detection only; None: the detector's choice."""
    rotated_faces: bool = False
    """Search whole frames at four turns for faces that are not upright; otherwise only what was
    found upright and is doubtful is looked at again in turned cut-outs."""
    detect_every: int = 1
    """Faces are looked for in each n-th frame, starting with the first."""
    roi: tuple[int, int, int, int] | None = None
    """Left, top, width and height in pixels of the part of the frame that is looked at."""
    min_track: int = 2
    """Faces of people seen in fewer frames are refused, with a reason; a still has one frame."""
    smoothing: float = 0.1
    """Seconds over which the points of a face are smoothed along its track; 0: not at all."""
    identity: str | None = None
    """TorchScript file of a face network that tells people apart while they are followed."""
    segment: int = 240
    """Frames between the points at which an interrupted run can go on; a multiple of 8."""
    device: str = AUTO
    """`auto`, `cpu`, `cuda`, `cuda:1`, `mps`, ..."""
    force: bool = False
    """Replace an earlier result of the same name, and forget an interrupted run."""
    resume: bool = False
    """Go on with interrupted runs, and leave out inputs that are done."""

    def __post_init__(self) -> None:
        _require_one_of(self.detector, DETECTORS, "--detector")
        _require(
            self.threshold is None or 0.0 < self.threshold <= 1.0,
            f"{self.threshold} is not a score between 0 and 1",
            "--threshold",
        )
        _require(self.min_face >= 0.0, f"{self.min_face} is less than 0 pixels", "--min-face")
        _require(
            0.0 <= self.min_sharpness <= 1.0,
            f"{self.min_sharpness} is not between 0 and 1",
            "--min-sharpness",
        )
        _require(
            self.detection_scale is None or 0.05 <= self.detection_scale <= 8.0,
            f"{self.detection_scale} is not a factor between 0.05 and 8",
            "--detection-scale",
        )
        _require(
            1 <= self.detect_every <= MOST_LAG,
            f"each {self.detect_every}th frame cannot be taken, n is 1 to {MOST_LAG}",
            "--detect-every",
        )
        _require(
            1 <= self.min_track <= MOST_LAG,
            f"{self.min_track} is not between 1 and {MOST_LAG}",
            "--min-track",
        )
        _require(0.0 <= self.smoothing <= 10.0, f"{self.smoothing} s is not 0 to 10", "--smoothing")
        _require(
            self.roi is None or (min(self.roi[:2]) >= 0 and min(self.roi[2:]) >= 16),
            f"{self.roi} is no part of a frame: left, top, and at least 16 pixels each way",
            "--roi",
        )
        _require(
            self.segment >= SEGMENT_STEP and self.segment % SEGMENT_STEP == 0,
            f"{self.segment} is not a multiple of {SEGMENT_STEP}",
            "--segment",
        )

    @property
    def tracker(self) -> TrackerSettings:
        """How faces are followed."""
        return TrackerSettings(min_track=self.min_track, smoothing=self.smoothing)

    def deciding(self) -> dict[str, Any]:
        """Return the settings that decide about the bytes of a result."""
        return {name: value for name, value in asdict(self).items() if name not in _UNDECIDING}


@dataclass(frozen=True)
class RestoreSettings(DetectionSettings):
    """Everything `restore` can be told."""

    scale: int = 4
    """How many times larger restored crops (and, where it fits, frames) are: 4 or 8."""
    mode: str = "both"
    """`paste`: enlarged frames with restored faces; `crops`: single faces; `both`."""
    crops: str = "best"
    """`best`: the best pictures of each person and a fused one; `all`: every face as well."""
    shots: int = 3
    """Best single pictures of each person."""
    weights: str = AUTO
    """Name in the registry or path of a weight file; `auto`: see `weights.default_weights`."""
    stabilise: bool = True
    """Blend restored faces along their track, so that they do not flicker."""
    frame_scale: int | None = None
    """Factor for whole frames, 1 to 8; None: `scale`, less for frames that would pass 4096 px."""
    batch: int = 32
    """Faces that go through the generator at once."""
    precision: str = AUTO
    """Of the generator's arithmetic: `auto`, `float32`, `bfloat16` or `float16`."""
    codec: str = "h264"
    """`h264`, `hevc`, `av1`, `ffv1` (lossless) or `source` for that of the input."""
    crf: int | None = None
    """Constant rate factor of the encoder, 0 is best; None: no loss to the eye, by codec."""
    label: bool = True
    """Print a small label on restored frames."""
    overlay: bool = False
    """Write a second video that shows what was found, followed and refused."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(self.scale in SCALES, f"scale is {self.scale}, it can be 4 or 8", "--scale")
        _require_one_of(self.mode, MODES, "--mode")
        _require_one_of(self.crops, CROPS, "--crops")
        _require(1 <= self.shots <= 100, f"{self.shots} is not between 1 and 100", "--shots")
        _require_one_of(self.precision, PRECISIONS, "--precision")
        _require(
            self.frame_scale is None or 1 <= self.frame_scale <= LARGEST_FRAME_SCALE,
            f"{self.frame_scale} is not between 1 and {LARGEST_FRAME_SCALE}",
            "--frame-scale",
        )
        _require(self.batch >= 1, f"{self.batch} faces is not a batch", "--batch")
        _require(
            self.crf is None or 0 <= self.crf <= 63, f"{self.crf} is not between 0 and 63", "--crf"
        )

    @property
    def pastes(self) -> bool:
        """Whether restored frames are written."""
        return self.mode != "crops"

    @property
    def exports_crops(self) -> bool:
        """Whether single faces are written."""
        return self.mode != "paste"

    @property
    def trims(self) -> bool:
        """Whether a part of the input is left out."""
        return self.reading.trims


@dataclass(frozen=True)
class CropSettings(DetectionSettings):
    """Everything `crop_faces` can be told."""

    min_track: int = 1
    """Faces of people seen in fewer frames are refused, with a reason."""
    size: int = 128
    """Side of the crops in pixels; the template of the training set at 128."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(16 <= self.size <= 1024, f"{self.size} is not between 16 and 1024", "--size")
