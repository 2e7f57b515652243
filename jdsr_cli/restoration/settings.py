"""What a person can choose about a run, checked when it is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from jdsr_cli.errors import UsageError
from jdsr_cli.faces import DetectorName

MODES = ("both", "paste", "crops")
DETECTORS = get_args(DetectorName)
PRECISIONS = ("auto", "float32", "bfloat16", "float16")
SCALES = (4, 8)
LARGEST_FRAME_SCALE = 8
AUTO = "auto"
DEFAULT_WEIGHTS = "lite-camera"
"""Footage holds faces of many sizes and camera faults: the one that was trained for both."""


def _require(condition: bool, what: str, option: str) -> None:
    if not condition:
        raise UsageError(what, where=option)


def _require_one_of(value: str, known: tuple[str, ...], option: str) -> None:
    _require(value in known, f"'{value}' is none of {', '.join(known)}", option)


@dataclass(frozen=True)
class DetectionSettings:
    """How faces are looked for and which are too small."""

    detector: str = AUTO
    """RetinaFace where its weights are on this machine, CenterFace otherwise."""
    threshold: float | None = None
    """Least score of a face, 0 to 1; None: the detector's own."""
    min_face: float = 10.0
    """Faces narrower than this many pixels of the frame are refused, with a reason."""
    detection_scale: float | None = None
    """Factor by which frames are resized for detection only; None: the detector's choice."""
    device: str = AUTO
    """`auto`, `cpu`, `cuda`, `cuda:1`, `mps`, ..."""

    def __post_init__(self) -> None:
        _require_one_of(self.detector, DETECTORS, "--detector")
        _require(
            self.threshold is None or 0.0 < self.threshold <= 1.0,
            f"{self.threshold} is not a score between 0 and 1",
            "--threshold",
        )
        _require(self.min_face >= 0.0, f"{self.min_face} is less than 0 pixels", "--min-face")
        _require(
            self.detection_scale is None or 0.05 <= self.detection_scale <= 8.0,
            f"{self.detection_scale} is not a factor between 0.05 and 8",
            "--detection-scale",
        )


@dataclass(frozen=True)
class RestoreSettings(DetectionSettings):
    """Everything `restore` can be told."""

    scale: int = 4
    """How many times larger restored crops (and, where it fits, frames) are: 4 or 8."""
    mode: str = "both"
    """`paste`: enlarged frames with restored faces; `crops`: single faces; `both`."""
    weights: str = AUTO
    """Name in the registry or path of a weight file; `auto` is `lite-camera`."""
    frame_scale: int | None = None
    """Factor for whole frames, 1 to 8; None: `scale`, less for frames that would pass 4096 px."""
    batch: int = 32
    """Faces that go through the generator at once."""
    precision: str = AUTO
    """Of the generator's arithmetic: `auto`, `float32`, `bfloat16` or `float16`."""
    codec: str = "h264"
    """`h264`, `hevc`, `ffv1` (lossless) or `source` for that of the input."""
    crf: int = 18
    """Constant rate factor of the encoder, 0 (best) to 51."""
    label: bool = True
    """Print a small label on restored frames."""
    force: bool = False
    """Replace an earlier result of the same name."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(self.scale in SCALES, f"scale is {self.scale}, it can be 4 or 8", "--scale")
        _require_one_of(self.mode, MODES, "--mode")
        _require_one_of(self.precision, PRECISIONS, "--precision")
        _require(
            self.frame_scale is None or 1 <= self.frame_scale <= LARGEST_FRAME_SCALE,
            f"{self.frame_scale} is not between 1 and {LARGEST_FRAME_SCALE}",
            "--frame-scale",
        )
        _require(self.batch >= 1, f"{self.batch} faces is not a batch", "--batch")
        _require(0 <= self.crf <= 51, f"{self.crf} is not between 0 and 51", "--crf")

    @property
    def pastes(self) -> bool:
        """Whether restored frames are written."""
        return self.mode != "crops"

    @property
    def exports_crops(self) -> bool:
        """Whether single faces are written."""
        return self.mode != "paste"


@dataclass(frozen=True)
class CropSettings(DetectionSettings):
    """Everything `crop_faces` can be told."""

    size: int = 128
    """Side of the crops in pixels; the template of the training set at 128."""
    every: int = 1
    """Look at each n-th frame only, starting with the first."""
    force: bool = False
    """Replace an earlier result of the same name."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(16 <= self.size <= 1024, f"{self.size} is not between 16 and 1024", "--size")
        _require(self.every >= 1, f"each {self.every}th frame cannot be taken", "--every")
