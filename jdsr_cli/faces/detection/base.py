"""The interface of face detectors: detections, settings, and the `Detector` protocol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.faces.resampling import rotation


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
    in the frame: 0 where the face was detected in the frame itself, 180 in the inverted frame."""
    spread: float = 0.0
    """Largest distance of the eyes of several detections of the face from their mean, in eye
    distances: 0 where one detection was enough, inf where no two show the face."""
    confirmed: bool = True
    """False where verification failed, see `faces.detection.verification`."""

    @property
    def width(self) -> float:
        """Width of the box in pixels."""
        return self.box[2] - self.box[0]

    @property
    def height(self) -> float:
        """Height of the box in pixels."""
        return self.box[3] - self.box[1]

    @property
    def eye_distance(self) -> float:
        """Distance between the eyes in pixels."""
        return float(np.hypot(*(self.points[1] - self.points[0])))

    def transform(
        self, matrix: NDArray[np.float64], turn: float, image: NDArray[np.uint8]
    ) -> Detection:
        """Return a face found in a turned picture as a face of the frame.

        The box becomes the bounding box of its inscribed ellipse, so that turning does not enlarge
        it; the points keep their order.

        Args:
            matrix: (2, 3), from the turned picture to the frame.
            turn: Degrees by which the picture is turned, see `turn`.
            image: The frame (H, W, 3), to whose pixel centres the box is clipped.

        """
        left, top, right, bottom = self.box
        linear = matrix[:, :2]
        centre = linear @ [(left + right) / 2, (top + bottom) / 2] + matrix[:, 2]
        reach = np.hypot(*(linear * [(right - left) / 2, (bottom - top) / 2]).T)
        limits = np.array([image.shape[1] - 1, image.shape[0] - 1], np.float64)
        low, high = np.clip(centre - reach, 0.0, limits), np.clip(centre + reach, 0.0, limits)
        points = (self.points @ linear.T + matrix[:, 2]).astype(np.float32)
        box = (float(low[0]), float(low[1]), float(high[0]), float(high[1]))
        return Detection(box, points, self.score, turn % 360.0)


class Detector(Protocol):
    """Detects faces in images."""

    name: str
    """Name of the detector, for messages and records."""

    def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[list[Detection]]:
        """Detect the faces of each image, best score first.

        Args:
            images: RGB uint8 (H, W, 3). Sizes may differ; equal ones run as a batch.

        Returns:
            One list for each image, in their order.

        Raises:
            UsageError: an image is not RGB uint8 (H, W, 3).

        """


def cutout_map(face: Detection, turn: float, face_side: float, side: int) -> NDArray[np.float64]:
    """Return (2, 3), from a square cut-out around a face to the frame.

    Args:
        face: A face of the frame.
        turn: Degrees, clockwise, by which something upright in the cut-out is turned in the frame.
        face_side: Longer side of the face's box in the cut-out, in pixels.
        side: Of the cut-out in pixels.

    """
    left, top, right, bottom = face.box
    linear = max(right - left, bottom - top, 1.0) / face_side * rotation(turn)
    centre = np.array([(left + right) / 2, (top + bottom) / 2])
    return np.column_stack([linear, centre - linear @ np.full(2, (side - 1) / 2)])
