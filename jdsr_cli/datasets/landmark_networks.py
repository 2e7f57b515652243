"""Networks that locate 68 landmarks on aligned faces."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from jdsr_cli.datasets.cropping import FaceCrop, map_points
from jdsr_cli.errors import WeightsCorruptError
from jdsr_cli.faces.landmarks import OnnxLandmarks, window_to_template
from jdsr_cli.faces.resampling import chain, invert, resample
from jdsr_cli.weights import auxiliary, read_state_dict, resolve_device

FAN_FILE = "landmarks-wflw"
_FAN_SIZE, _FAN_MAP = 256, 64

_WFLW_BROWS = (
    (33, 33), (34, 41), (35, 40), (36, 39), (37, 38), (42, 50), (43, 49), (44, 48), (45, 47),
    (46, 46),
)  # fmt: skip
"""An iBUG brow is a line: each point is the midpoint of WFLW's upper and lower brow edge."""
_WFLW_OTHERS = (*range(51, 60), 60, 61, 63, 64, 65, 67, 68, 69, 71, 72, 73, 75, *range(76, 96))
WFLW_TO_IBUG = np.array(
    [(point, point) for point in range(0, 33, 2)]
    + list(_WFLW_BROWS)
    + [(point, point) for point in _WFLW_OTHERS]
)
"""(68, 2): for each iBUG point the indices of the two WFLW points of which it is the midpoint."""


class LandmarkNetwork(Protocol):
    """Locates points on faces in square crops of one size."""

    size: int
    """Side of the square in pixels."""
    window: tuple[float, float, float]
    """Left, top and side of the required square, in pixels of the template."""

    def locate(self, squares: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return (N, 68, 2) in pixels of RGB squares (N, size, size, 3)."""


def locate_landmarks(network: LandmarkNetwork, crops: Sequence[FaceCrop]) -> NDArray[np.float32]:
    """Locate the points of faces in the pictures from which they were cropped.

    Returns:
        (N, 68, 2) iBUG points in pixels of the faces.

    """
    to_template = window_to_template(network.window, network.size)
    to_picture = [chain(invert(crop.to_template), to_template) for crop in crops]
    squares = [
        resample(crop.picture, matrix, network.size)
        for crop, matrix in zip(crops, to_picture, strict=True)
    ]
    located = network.locate(np.stack(squares))
    return np.stack(
        [
            map_points(points, chain(crop.to_face, matrix))
            for points, crop, matrix in zip(located, crops, to_picture, strict=True)
        ]
    )


class FanLandmarks:
    """facexlib's FAN for WFLW's 98 points, as iBUG's 68.

    Raises:
        WeightsMissingError: The weights are not on this machine.
        WeightsCorruptError: The weights are damaged or of another network.
        WeightsError: facexlib cannot be imported.

    """

    size = _FAN_SIZE
    window = (-18.6, -18.6, 165.1)
    """CelebA's middle 178x178: FAN was trained on boxes with a margin around the face."""

    def __init__(self, device: str = "auto") -> None:
        path = auxiliary(FAN_FILE)
        from facexlib.alignment.awing_arch import FAN

        network: nn.Module = FAN(num_modules=4, num_landmarks=98, device="cpu")
        try:
            network.load_state_dict(read_state_dict(path).tensors)
        except RuntimeError as error:  # includes WeightsCorruptError
            raise WeightsCorruptError("is not facexlib's FAN", where=path) from error
        self._device = resolve_device(device)
        self._network = network.eval().to(self._device)

    def locate(self, squares: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return (N, 68, 2) in pixels of RGB squares (N, 256, 256, 3)."""
        images = torch.from_numpy(squares).permute(0, 3, 1, 2).to(self._device).float() / 255.0
        with torch.inference_mode():
            maps = self._network(images)[0][-1][:, :-1]
        return to_ibug(peaks(maps.float().cpu().numpy()) * (_FAN_SIZE / _FAN_MAP) - 0.5)


def peaks(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the maxima of heat maps, shifted a quarter pixel towards the higher neighbours.

    At the border, where a neighbour is missing, the centre of the pixel is returned.

    Args:
        maps: (N, P, S, S).

    Returns:
        (N, P, 2) x, y; the corner of the map is at 0.

    """
    count, points, side = maps.shape[:3]
    flat = maps.reshape(count, points, -1).argmax(axis=2)
    rows, columns = np.divmod(flat, side)
    padded = np.pad(maps, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="reflect")
    first, second = np.indices((count, points))

    def neighbours(down: int, right: int) -> NDArray[np.float32]:
        return np.asarray(padded[first, second, rows + 1 + down, columns + 1 + right])

    shift = np.stack(
        [
            np.sign(neighbours(0, 1) - neighbours(0, -1)),
            np.sign(neighbours(1, 0) - neighbours(-1, 0)),
        ],
        axis=2,
    )
    return (np.stack([columns, rows], axis=2) + 0.5 + 0.25 * shift).astype(np.float32)


def to_ibug(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Convert WFLW's 98 points (N, 98, 2) to iBUG's 68 (N, 68, 2)."""
    return np.asarray(points[:, WFLW_TO_IBUG].mean(axis=2), np.float32)


def open_landmarks(setting: str) -> LandmarkNetwork | None:
    """Return the network of a `landmarks` setting, None for `five`."""
    if setting == "five":
        return None
    return FanLandmarks() if setting == "fan" else OnnxLandmarks(Path(setting))
