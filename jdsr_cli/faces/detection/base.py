"""What a face detector takes and gives, whichever network it runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.errors import UsageError


@dataclass(frozen=True, eq=False)
class Detection:
    """A face found in a frame.

    Coordinates are pixels of the frame; the centre of its top-left pixel is (0, 0).
    """

    box: tuple[float, float, float, float]
    """Left, top, right and bottom edge, cut at the frame's outermost pixel centres."""
    points: NDArray[np.float32]
    """(5, 2): eyes, nose, mouth corners; of each pair first the one further left as seen when the
    picture is turned so that the face is upright.

    So a similarity without a reflection takes the points to the template whichever way the face
    is turned: of a face upside down the first eye is the one further right in the frame. Points of
    a face that leaves the frame may lie outside it.
    """
    score: float
    """The detector's confidence, 0 to 1; not comparable between detectors."""
    turn: float = 0.0
    """Degrees, clockwise as seen, by which something upright in the detector's picture is turned
    in the frame: 0 where the face was found in the frame as it is, 180 in the frame upside down."""
    spread: float = 0.0
    """How far from their middle the eyes lie that several looks show, at most, in eye distances:
    0 where one look was enough, inf where no two looks show the face."""
    confirmed: bool = True
    """False where closer looks of the detector contradict it, see `faces.verification`."""

    @property
    def width(self) -> float:
        """Of the box, in pixels."""
        return self.box[2] - self.box[0]

    @property
    def height(self) -> float:
        """Of the box, in pixels."""
        return self.box[3] - self.box[1]

    @property
    def eye_distance(self) -> float:
        """From eye to eye, in pixels."""
        return float(np.hypot(*(self.points[1] - self.points[0])))


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


class Detector(Protocol):
    """Finds faces in images."""

    name: str
    """Which detector this is, for people and records."""

    def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[list[Detection]]:
        """Find the faces of each image, best score first.

        Args:
            images: RGB uint8 (H, W, 3). Sizes may differ; equal ones run as a batch.

        Returns:
            One list for each image, in their order.

        Raises:
            UsageError: an image is not RGB uint8 (H, W, 3).

        """
