"""One record for each face in each frame."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any, Literal

from jdsr_cli.faces.occlusion import MaskState

Status = Literal["restored", "exported", "refused"]


@dataclass(frozen=True)
class FaceRecord:
    """What was found at one place of one frame, and what was done about it.

    Coordinates are pixels of the input frame as it is displayed, upright and with square pixels;
    (0, 0) is the centre of its first pixel.
    """

    frame: int
    """Number of the frame, from 0."""
    pts: int
    """Time stamp of the frame in units of the input's time base."""
    seconds: float
    """The same in seconds, rounded to the microsecond."""
    face: int
    """Number of the face within its frame, from 1."""
    track: int
    """Number of the track that it belongs to, from 1."""
    bridged: bool
    """Whether the detector missed it and its place follows from the frames around."""
    box: tuple[float, float, float, float]
    """Left, top, right, bottom; smoothed along the track, as are the points."""
    points: tuple[tuple[float, float], ...]
    """Eye, eye, nose, mouth corner, mouth corner; the left one of the picture first."""
    score: float
    """The detector's confidence, 0 to 1; of a bridged face that of a frame beside it."""
    eye_distance: float
    """Pixels between the eyes."""
    status: Status
    native_width: float | None = None
    """Width in the frame of the region that was aligned, in pixels; where stored pixels are not
    square, in their longer side."""
    sharpness: float | None = None
    """Of the face as it was filmed, 0 to 1, see `faces.quality.sharpness`."""
    yaw: float | None = None
    """Turn of the head to the side in degrees, estimated from the five points."""
    pitch: float | None = None
    """Turn up or down in degrees."""
    roll: float | None = None
    """Tilt in degrees."""
    residual: float | None = None
    """How far the five points lie from a mean head in that pose, as a share of their spread."""
    covered: float | None = None
    """Share of the face that the generator found covered, 0 to 1."""
    mask: MaskState | None = None
    """`masked`, `bare`, or `unsure`: then what seems covered is left as it was filmed."""
    mask_probability: float | None = None
    """Calibrated probability of a mask, 0 to 1, by this frame and those of its track before."""
    masked: bool | None = None
    """Whether `mask` is `masked`; null where that is unsure."""
    quality: float | None = None
    """0 to 1: how good a shot of the person this is, see `faces.quality.FaceQuality`."""
    reason: str | None = None
    """Why the face was refused."""
    file: str | None = None
    """Picture of the face, relative to the folder of results."""
    sha256: str | None = None
    """Hash of that picture."""
    redone_in_float32: bool = False
    """Whether the chosen precision gave numbers that are not finite."""

    def to_json(self) -> str:
        """Return the record as one line of JSON without its newline; NaN and infinity as null."""
        return json.dumps(_finite(asdict(self)), ensure_ascii=False, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, (list, tuple)) else value


def round_seconds(time: Fraction) -> float:
    """Return an exact time in seconds as a number to the microsecond."""
    return round(float(time), 6)
