"""How far landmarks found on a restored face lie from those found on the truth."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jdsr_cli.errors import WeightsCorruptError, WeightsMissingError
from jdsr_cli.weights.places import sha256_of

EYE_CORNERS = (36, 45)
"""iBUG indices of the outer corners of the eyes, whose distance is the unit of the error."""
INPUT_SIZE = 112
POINTS = 68


def normalised_mean_error(found: Tensor, wanted: Tensor) -> Tensor:
    """Mean distance of 68 points in per cent of the distance between the outer eye corners.

    Args:
        found: (B, 68, 2) iBUG points.
        wanted: The same on the truth, whose eyes give the unit.

    Returns:
        (B,); lower is better, NaN where both eye corners are in one place.

    """
    left, right = (wanted[:, index] for index in EYE_CORNERS)
    unit = (right - left).norm(dim=1)
    error = 100 * (found - wanted).norm(dim=2).mean(1) / unit
    return torch.where(unit > 0, error, torch.full_like(error, float("nan")))


class LandmarkJudge:
    """Normalised mean error in per cent between restored and true faces; lower is better.

    Args:
        path: ONNX file: (1, 3, 112, 112) RGB in [0, 1] to 136 numbers, x and y of 68 iBUG points
            in parts of the side. OpenCV's DNN runs it on the CPU.

    Raises:
        WeightsMissingError: No such file.
        WeightsCorruptError: OpenCV cannot run it, or it does not give 136 numbers.

    """

    figure = "landmark_error"

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise WeightsMissingError(
                "no landmark network", where=path, hint="Give --landmarks FILE"
            )
        self._path = path
        try:
            self._network = cv2.dnn.readNetFromONNX(str(path))
        except cv2.error as error:
            raise WeightsCorruptError(
                "not an ONNX network that OpenCV reads", where=path
            ) from error
        self.describe(torch.zeros(1, 3, 128, 128))

    @property
    def protocol(self) -> str:
        """How the figure is had."""
        return (
            f"mean distance of 68 points by {self._path.name} "
            f"(SHA-256 {sha256_of(self._path)}) on the whole 128x128 picture, restored against "
            "truth, in per cent of the distance between the outer eye corners of the truth"
        )

    def describe(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the points, (B, 68, 2) in parts of the side, of (B, 3, H, H) RGB in [0, 1]."""
        levels = (images.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
        return (torch.from_numpy(np.stack([self._points(face) for face in levels])),)

    def compare(self, found: tuple[Tensor, ...], wanted: tuple[Tensor, ...]) -> Tensor:
        """Return the error of each face, (B,)."""
        return normalised_mean_error(found[0], wanted[0])

    def _points(self, face: NDArray[np.uint8]) -> NDArray[np.float64]:
        small = cv2.resize(face, (INPUT_SIZE, INPUT_SIZE), interpolation=cv2.INTER_AREA)
        try:
            self._network.setInput(cv2.dnn.blobFromImage(small, 1 / 255.0))
            found = np.asarray(self._network.forward(), np.float64)
        except cv2.error as error:
            raise WeightsCorruptError(
                "the landmark network does not take (1, 3, 112, 112)", where=self._path
            ) from error
        if found.size != 2 * POINTS or not np.isfinite(found).all():
            raise WeightsCorruptError(
                f"the landmark network gives {found.size} numbers, not {2 * POINTS} finite ones",
                where=self._path,
            )
        return found.reshape(POINTS, 2)
