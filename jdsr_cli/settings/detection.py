"""Options of detection and tracking, which `jdsr restore` and `crop-faces` share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import reduce
from operator import getitem
from typing import Annotated, Any, Literal

from jdsr_cli.errors import UsageError
from jdsr_cli.settings.options import Option, Settings, declared
from jdsr_cli.settings.privacy import PrivacySettings
from jdsr_cli.settings.reading import ReadSettings

AUTO = "auto"
DetectorName = Literal["auto", "centerface", "retinaface-mobile", "retinaface-r50"]
BackendName = Literal["auto", "torch", "openvino", "onnx"]
MAX_LAG = 240
"""Largest delay of the tracker's decisions, in frames, so that its memory is bounded: the longest
time that it needs, at 192 frames/s."""
MAX_EVERY = 32
"""Most frames from one that is searched for faces to the next."""
MAX_MIN_TRACK = 0.9
"""Largest minimum time of a track, in seconds: frames wait for as long."""
MIN_SHARPNESS = 0.05
"""Sharpness below which a face is too blurred to be restored.

Faces of 64 pixels blurred by 4 native pixels have 0.08 to 0.13 and their restored faces still
follow the input; blurred by 6, 0.01 to 0.06, and by 8, 0.01 to 0.04, and the restored faces show
an average face of the training data.
"""
SEGMENT_STEP = 8
"""Segments are multiples of this many frames, so that no group of frames is in two of them."""


def parse_interval(text: str) -> int | None:
    """Read a number of frames, or auto."""
    return None if text == AUTO else int(text)


def parse_rectangle(given: str | Sequence[int]) -> tuple[int, int, int, int]:
    """Read a rectangle of at least 16x16 pixels: left, top, width, height."""
    parts = given.split(",") if isinstance(given, str) else given
    left, top, width, height = (int(str(part)) for part in parts)
    if min(left, top) < 0 or min(width, height) < 16:
        raise ValueError(given)
    return left, top, width, height


Detector = Annotated[
    DetectorName,
    Option(
        "Face detector. auto selects the installed one with the highest measured recall.",
        group="faces",
    ),
]
Threshold = Annotated[
    float | None,
    Option(
        "Lowest detector score of a face.",
        group="faces", above=0.0, high=1.0, unset="the detector's own",
    ),
]  # fmt: skip
MinFace = Annotated[
    float,
    Option(
        "Refuse faces narrower than this in the frame.",
        group="faces", metavar="PX", unit="px", low=0.0,
    ),
]  # fmt: skip
DetectionScale = Annotated[
    float | None,
    Option(
        "Factor by which frames are resized for detection only.",
        group="faces", name="detection-scale", low=0.05, high=8.0, unset="automatic",
    ),
]  # fmt: skip
MinTrack = Annotated[
    float,
    Option(
        "Refuse faces of people seen for less time than this. A face seen in all frames of a still "
        "image or of a shorter clip is not refused.",
        group="faces", metavar="S", unit="s", low=0.0, high=MAX_MIN_TRACK,
        note="It is a duration: two frames of a video with 25 frames/s last 0.08 s.",
    ),
]  # fmt: skip
Smoothing = Annotated[
    float,
    Option(
        "Standard deviation of the temporal smoothing of landmarks along a track; 0 turns it off.",
        group="faces", metavar="S", unit="s", low=0.0, high=10.0,
    ),
]  # fmt: skip
Device = Annotated[
    str, Option("Device of the networks: auto, cpu, cuda, cuda:N or mps.", affects_result=False)
]
Backend = Annotated[
    BackendName,
    Option(
        "Software that runs the networks on a CPU. auto: openvino or onnx (ONNX Runtime) where it "
        "is installed and the network has an exported form, otherwise torch.",
        affects_result=False,
    ),
]
Force = Annotated[
    bool,
    Option("Replace earlier results and discard interrupted runs.", affects_result=False),
]


def _tracker_seconds(help: str) -> Option:
    return Option(help, unit="s", low=0.0, high=3600.0, on_command_line=False)


@dataclass(frozen=True)
class DetectorSettings(Settings):
    """How a detector searches for faces.

    The automatic scale is chosen for faces of `min_face` pixels. Narrower faces that are found
    are returned as well; the caller decides about them.
    """

    threshold: Threshold = None
    min_face: MinFace = 10.0
    scale: DetectionScale = None
    device: Device = AUTO
    backend: Backend = "auto"


@dataclass(frozen=True)
class TrackerSettings(Settings):
    """How detections are associated with tracks."""

    min_track: MinTrack = 0.06
    bridge: Annotated[
        float,
        _tracker_seconds(
            "Longest gap between two detections of a track that is interpolated; 0 interpolates "
            "nothing."
        ),
    ] = 0.25
    lost: Annotated[
        float,
        _tracker_seconds("How long a track without detections continues by its predicted motion."),
    ] = 1.0
    smoothing: Smoothing = 0.1
    reidentify_within: Annotated[
        float,
        _tracker_seconds(
            "How long after its last detection a person is re-identified by appearance, where "
            "embeddings are given."
        ),
    ] = 30.0


@dataclass(frozen=True)
class DetectionSettings(Settings):
    """What is read, how faces are detected and tracked, and which are refused."""

    reading: ReadSettings = field(default_factory=ReadSettings)
    privacy: PrivacySettings = field(default_factory=PrivacySettings)
    detector: Detector = "auto"
    threshold: Threshold = DetectorSettings.threshold
    min_face: MinFace = DetectorSettings.min_face
    min_sharpness: Annotated[
        float,
        Option(
            "Refuse faces that are less sharp than this in the frame.",
            group="faces", metavar="X", low=0.0, high=1.0,
        ),
    ] = MIN_SHARPNESS  # fmt: skip
    detection_scale: DetectionScale = DetectorSettings.scale
    rotated_faces: Annotated[
        bool,
        Option(
            "Search whole frames turned by 90, 180 and 270 degrees as well. Without it, only "
            "doubtful detections are checked in rotated crops.",
            group="faces",
        ),
    ] = False
    detect_every: Annotated[
        int | None,
        Option(
            "Search each N-th frame for faces. auto: key frames up to 0.34 s apart, and the frames "
            "between them near the faces of their neighbours.",
            group="faces", metavar="auto|N", unit="frames", low=1, high=MAX_EVERY,
            unset="auto", parse=parse_interval, form="auto or a whole number",
        ),
    ] = None  # fmt: skip
    roi: Annotated[
        tuple[int, int, int, int] | None,
        Option(
            "Detect faces in this part of the frame only: left, top, width and height.",
            group="faces", metavar="X,Y,W,H", unit="px",
            parse=parse_rectangle, form="LEFT,TOP,WIDTH,HEIGHT of at least 16x16 pixels",
        ),
    ] = None  # fmt: skip
    min_track: MinTrack = TrackerSettings.min_track
    smoothing: Smoothing = TrackerSettings.smoothing
    identity: Annotated[
        str | None,
        Option(
            "Face embedding network for re-identification: ONNX, or TorchScript, which can read "
            "and write your files: only from a source you trust.",
            group="faces", metavar="FILE",
        ),
    ] = None  # fmt: skip
    segment: Annotated[
        int,
        Option(
            "Frames between the points at which an interrupted run can be resumed.",
            metavar="N", unit="frames", low=SEGMENT_STEP, step=SEGMENT_STEP,
        ),
    ] = 240  # fmt: skip
    device: Device = DetectorSettings.device
    backend: Backend = DetectorSettings.backend
    force: Force = False
    resume: Annotated[
        bool,
        Option("Continue interrupted runs and skip finished inputs.", affects_result=False),
    ] = False
    verify: Annotated[
        bool,
        Option(
            "With --resume, compare finished results by their hashes, not only by their sizes, and "
            "make those that differ again.",
            affects_result=False, recorded=False,
        ),
    ] = False  # fmt: skip

    @property
    def tracker(self) -> TrackerSettings:
        """Settings of the tracker."""
        return TrackerSettings(min_track=self.min_track, smoothing=self.smoothing)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.privacy.reference is not None and self.identity is None:
            raise UsageError(
                "faces cannot be compared without a face embedding network",
                where="--reference",
                hint="Add --identity FILE.",
            )
        if not self.privacy.blur_others:
            return
        for option, unseen in (
            ("--roi", self.roi is not None),
            ("--min-face", self.min_face > DetectorSettings.min_face),
        ):
            if unseen:
                raise UsageError(
                    "faces that are not searched would stay recognisable (--blur-others)",
                    where=option,
                    hint="Leave it out, or choose who is restored by --only-track alone.",
                )

    def deciding(self) -> dict[str, Any]:
        """Return the settings that can change a byte of a result.

        What is read from a file is not among them: the hash of the file is part of the request.
        """
        deciding = asdict(self)
        for one in declared(type(self)):
            if not one.option.affects_result:
                *parents, name = one.path
                del reduce(getitem, parents, deciding)[name]
        return deciding
