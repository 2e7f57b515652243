"""68 landmarks on aligned faces, by an ONNX network that OpenCV runs on the CPU."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.errors import WeightsCorruptError, WeightsMissingError
from jdsr_cli.faces.resampling import resample

POINTS = 68
_HINT = "Give a landmark network of 112x112 RGB with 136 outputs"


def window_to_template(window: tuple[float, float, float], size: int) -> NDArray[np.float64]:
    """Return the map (2, 3) from a square that shows a window of the template to the template.

    Args:
        window: Left, top and side in pixels of the template.
        size: Side of the square.

    """
    left, top, side = window
    scale = side / size
    middle = 0.5 * scale - 0.5
    return np.array([[scale, 0.0, left + middle], [0.0, scale, top + middle]])


class OnnxLandmarks:
    """A landmark network from an ONNX file: 112x112 RGB in [0, 1] to 136 numbers x, y in [0, 1].

    Raises:
        WeightsMissingError: The file does not exist.
        WeightsCorruptError: The file is not such a network.

    """

    size = 112
    window = (9.6, 21.6, 108.8)
    """Left, top and side, in pixels of the template, of the square that the network takes: the box
    of the 68 points of a frontal face, on which such networks are trained."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise WeightsMissingError("no landmark network", where=path, hint=_HINT)
        try:
            self._network = cv2.dnn.readNetFromONNX(str(path))
        except cv2.error as error:
            raise WeightsCorruptError(
                "is not an ONNX network that OpenCV can run", where=path, hint=_HINT
            ) from error

    def locate(self, squares: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return (N, 68, 2) in pixels of RGB squares (N, 112, 112, 3)."""
        return np.stack([self._points(square) for square in squares])

    def locate_in_template(self, faces: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return (N, 68, 2), in pixels of the template, of aligned faces (N, 128, 128, 3)."""
        to_face = window_to_template(self.window, self.size)
        squares = np.stack([resample(face, to_face, self.size) for face in faces])
        points = self.locate(squares).astype(np.float64)
        return np.asarray(points @ to_face[:, :2].T + to_face[:, 2], np.float64)

    def _points(self, square: NDArray[np.uint8]) -> NDArray[np.float32]:
        try:
            self._network.setInput(cv2.dnn.blobFromImage(square, 1.0 / 255.0))
            found = np.asarray(self._network.forward(), np.float32)
        except cv2.error as error:
            raise WeightsCorruptError("cannot run on 112x112 RGB", where=self.path) from error
        if found.size != 2 * POINTS or not np.isfinite(found).all():
            raise WeightsCorruptError(
                f"gives {found.size} numbers, not 136 finite ones", where=self.path, hint=_HINT
            )
        return found.reshape(POINTS, 2) * self.size - 0.5
