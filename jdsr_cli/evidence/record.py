"""One record for each face in each frame, and the file that holds them."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal, Self

Status = Literal["restored", "exported", "refused"]


@dataclass(frozen=True)
class FaceRecord:
    """What was found at one place of one frame, and what was done about it.

    Coordinates are pixels of the upright input frame, (0, 0) the centre of its first pixel.
    """

    frame: int
    """Number of the frame, from 0."""
    pts: int
    """Time stamp of the frame in units of the input's time base."""
    seconds: float
    """The same in seconds, rounded to the microsecond."""
    face: int
    """Number of the face within its frame, from 1."""
    box: tuple[float, float, float, float]
    """Left, top, right, bottom."""
    points: tuple[tuple[float, float], ...]
    """Eye, eye, nose, mouth corner, mouth corner; the left one of the picture first."""
    score: float
    """The detector's confidence, 0 to 1."""
    eye_distance: float
    """Pixels between the eyes."""
    status: Status
    native_width: float | None = None
    """Width in the frame of the region that was aligned, in pixels."""
    sharpness: float | None = None
    """Variance of the Laplacian of the aligned crop's luma, (0-255)^2: larger is sharper."""
    covered: float | None = None
    """Share of the face that the generator found covered, 0 to 1."""
    masked: bool | None = None
    """Whether that share is taken for a mask."""
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


class RecordWriter:
    """Appends records to a JSON-lines file; a context manager."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[str] | None = None

    def __enter__(self) -> Self:
        self._file = self.path.open("w", encoding="utf-8", newline="\n")
        return self

    def write(self, record: FaceRecord) -> None:
        """Append one record; OSError where the disk is full."""
        assert self._file is not None, "RecordWriter is used outside its with block"
        self._file.write(record.to_json() + "\n")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
