"""Distance between landmarks located on a restored face and on the ground truth."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from jdsr_cli.faces.landmarks import OnnxLandmarks
from jdsr_cli.weights.locations import sha256_of

EYE_CORNERS = (36, 45)
"""iBUG indices of the outer eye corners, whose distance is the unit of the error."""


def normalised_mean_error(restored: Tensor, truth: Tensor) -> Tensor:
    """Return the mean distance of 68 points in per cent of the outer eye corner distance.

    Args:
        restored: (B, 68, 2) iBUG points.
        truth: Points of the ground truth, whose eyes define the unit.

    Returns:
        (B,); lower is better, NaN if both eye corners coincide.

    """
    left, right = (truth[:, index] for index in EYE_CORNERS)
    unit = (right - left).norm(dim=1)
    error = 100 * (restored - truth).norm(dim=2).mean(1) / unit
    return torch.where(unit > 0, error, torch.full_like(error, float("nan")))


class LandmarkMetric:
    """Normalised mean error in per cent between restored and ground-truth faces; lower is better.

    Args:
        path: ONNX file: (1, 3, 112, 112) RGB in [0, 1] to 136 numbers, x and y of 68 iBUG points
            as fractions of the side. OpenCV's DNN runs it on the CPU.

    Raises:
        WeightsMissingError: The file does not exist.
        WeightsCorruptError: OpenCV cannot run it, or it does not return 136 numbers.

    """

    figure = "landmark_error"

    def __init__(self, path: Path) -> None:
        self._network = OnnxLandmarks(path)
        self.features(torch.zeros(1, 3, 128, 128))

    @property
    def protocol(self) -> str:
        """Description of the metric."""
        return (
            f"mean distance of 68 points by {self._network.path.name} "
            f"(SHA-256 {sha256_of(self._network.path)}) in the window of the face, restored "
            "against truth, in per cent of the distance between the outer eye corners of the truth"
        )

    def features(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the points, (B, 68, 2) in pixels, of (B, 3, 128, 128) RGB in [0, 1]."""
        levels = (images.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
        return (torch.from_numpy(self._network.locate_in_template(levels)),)

    def compare(self, restored: tuple[Tensor, ...], truth: tuple[Tensor, ...]) -> Tensor:
        """Return the error of each face, (B,)."""
        return normalised_mean_error(restored[0], truth[0])
