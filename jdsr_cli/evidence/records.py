"""Records of faces and tracks, and the table of exported faces."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.faces.occlusion import MaskState

Status = Literal["restored", "exported", "refused"]


@dataclass(frozen=True)
class FaceRecord:
    """One face of one frame: detection, measures and result.

    Coordinates are pixels of the input frame as it is displayed, upright and with square pixels;
    (0, 0) is the centre of its first pixel.
    """

    frame: int
    """Number of the frame, from 0."""
    pts: int
    """Presentation time of the frame in units of the input's time base."""
    seconds: float
    """The same in seconds, rounded to the microsecond."""
    face: int
    """Number of the face within its frame, from 1."""
    track: int
    """Number of the track that it belongs to, from 1."""
    bridged: bool
    """Whether the detector missed it and it was interpolated along its track."""
    box: tuple[float, float, float, float]
    """Left, top, right, bottom; smoothed along the track, as are the points."""
    points: tuple[tuple[float, float], ...]
    """Eyes, nose and mouth corners; the left one of the picture first."""
    score: float
    """Confidence of the detector, 0 to 1; of a bridged face that of a neighbouring frame."""
    eye_distance: float
    """Distance between the eyes in pixels."""
    status: Status
    native_width: float | None = None
    """Width of the aligned region in the frame, in pixels; if stored pixels are not square, in
    their longer side."""
    sharpness: float | None = None
    """Sharpness of the face as filmed, 0 to 1, see `faces.quality.sharpness`."""
    yaw: float | None = None
    """Head rotation to the side in degrees, estimated from the five points."""
    pitch: float | None = None
    """Head rotation up or down in degrees."""
    roll: float | None = None
    """In-plane rotation in degrees."""
    residual: float | None = None
    """Distance of the five points from a mean head in that pose, relative to their spread."""
    window: int | None = None
    """Number of frames that the picture which the generator received was made of."""
    covered: float | None = None
    """Share of the face that is occluded according to the generator, 0 to 1."""
    replaced: float | None = None
    """Share of the face whose pixels are the generator's, 0 to 1; the rest stays as filmed."""
    mask: MaskState | None = None
    """`masked`, `bare`, or `unsure`; only occluded parts of masked faces are replaced."""
    mask_probability: float | None = None
    """Calibrated probability of a mask, 0 to 1, from this frame and earlier ones of its track."""
    masked: bool | None = None
    """Whether `mask` is `masked`; null if unsure."""
    quality: float | None = None
    """0 to 1: how good a shot of the person this is, see `faces.quality.FaceQuality`."""
    reason: str | None = None
    """Why the face was refused."""
    file: str | None = None
    """Picture of the face, relative to the folder of results."""
    sha256: str | None = None
    """Hash of that picture."""
    occlusion: dict[str, str] | None = None
    """Occlusion map of that picture: file and sha256."""
    redone_in_float32: bool = False
    """Whether the selected precision gave values that are not finite."""

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
    """Return an exact time in seconds, rounded to the microsecond."""
    return round(float(time), 6)


@dataclass
class TrackRecord:
    """A track of a person from its first to its last frame, by their index in the input."""

    track: int
    """Number of the track, from 1; the same in `faces.jsonl` and in file names."""
    first_frame: int
    last_frame: int
    first_seconds: float
    last_seconds: float
    seen: int = 0
    """Number of frames in which the detector found the face."""
    bridged: int = 0
    """Number of frames in which the face was interpolated."""
    restored: int = 0
    """Number of faces restored, or exported by `crop-faces`."""
    refused: dict[str, int] = field(default_factory=dict)
    """Number of refused faces by kind of reason."""
    masked: int = 0
    """Number of restored faces with a mask."""
    unsure: int = 0
    """Number of restored faces that may have a mask."""
    filmed: dict[str, Any] | None = None
    """The best picture as filmed; of the bare face if the person is bare in any frame."""
    timeline: dict[str, Any] | None = None
    """Thumbnails of filmed faces along the track."""
    best: tuple[dict[str, Any], ...] = ()
    """Restored pictures of the best single frames, best first; of frames in which the face is not
    masked if the person is bare in any."""
    fused: dict[str, Any] | None = None
    """Picture made of several frames that agree, restored together or from their mean."""
    unreliable: int = 0
    """Number of shots that were not written since no pixel of them is reliable."""

    @classmethod
    def begin(cls, face: FaceRecord) -> TrackRecord:
        """Return the record of the track that begins with a face, which is not counted yet."""
        return cls(face.track, face.frame, face.frame, face.seconds, face.seconds)

    def add(self, face: FaceRecord, refused: str | None) -> None:
        """Count a face of the track; `refused` is the kind of its refusal."""
        self.last_frame, self.last_seconds = face.frame, face.seconds
        self.bridged += face.bridged
        self.seen += not face.bridged
        self.restored += refused is None
        self.masked += face.mask == "masked"
        self.unsure += face.mask == "unsure"
        if refused is not None:
            self.refused[refused] = self.refused.get(refused, 0) + 1

    def to_json(self) -> str:
        """Return the record as one line of JSON without its newline."""
        return json.dumps(asdict(self), ensure_ascii=False, allow_nan=False)


POINTS = ("leye", "reye", "nose", "lmouth", "rmouth")
COLUMNS = (
    *("key", "frame", "seconds", "face", "track", "score", "native_width", "eye_distance"),
    *("sharpness", *(f"{point}_{axis}" for point in POINTS for axis in "xy")),
)


def table_header() -> str:
    """Return the line of column names, without its newline."""
    return _line(COLUMNS)


def table_row(key: str, record: FaceRecord, points: NDArray[np.float64]) -> str:
    """Return the line of one face, without its newline.

    Args:
        key: Name of its picture without suffix.
        record: Record of the face.
        points: (5, 2), eyes, nose and mouth corners in pixels of the picture.

    """
    return _line(
        [
            *(key, record.frame, record.seconds, record.face, record.track, record.score),
            *(record.native_width, record.eye_distance, record.sharpness),
            *(round(float(value), 2) for value in points.ravel()),
        ]
    )


def _line(cells: Iterable[object]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(cells)
    return text.getvalue()
