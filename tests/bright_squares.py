"""Frames with bright squares, and a face network that finds them."""

from collections.abc import Sequence

import cv2
import numpy as np

from jdsr_cli.faces import Detection
from jdsr_cli.faces.detection.network import Letterbox

WIDTH, HEIGHT, SIDE = 480, 320, 40


class Squares:
    """A face network that finds bright squares, and counts how often it searched whole frames."""

    name, backend = "squares", "opencv"
    threshold, least_width, batch_pixels = 0.5, 15.0, 10**7

    def __init__(self) -> None:
        self.whole = self.windows = 0
        self.sides: set[int] = set()

    def find(
        self, images: Sequence[np.ndarray], letterbox: Letterbox, threshold: float
    ) -> list[list[Detection]]:
        if letterbox.width == WIDTH:
            self.whole += len(images)
        else:
            self.windows += len(images)
            self.sides.add(letterbox.width)
        return [self._find(image) for image in images]

    def _find(self, image: np.ndarray) -> list[Detection]:
        bright = (image[..., 0] > 150).astype(np.uint8)
        count, _, stats, _ = cv2.connectedComponentsWithStats(bright)
        found = []
        for left, top, width, height, area in stats[1:count]:
            if area > 50:
                x, y, w, h = map(float, (left, top, width - 1, height - 1))
                points = np.array(
                    [[0.3, 0.35], [0.7, 0.35], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]], np.float32
                ) * np.float32([w, h]) + np.float32([x, y])
                found.append(Detection((x, y, x + w, y + h), points.astype(np.float32), 0.9))
        return found


def frame(*corners: tuple[int, int], side: int = SIDE) -> np.ndarray:
    """Return a dark frame with bright squares at the given left upper corners."""
    image = np.full((HEIGHT, WIDTH, 3), 40, np.uint8)
    for x, y in corners:
        image[max(0, y) : y + side, max(0, x) : x + side] = 220
    return image
