"""Run a face network on frames of any size: scales, letterboxing, and the faces of each frame."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.errors import UsageError
from jdsr_cli.faces.boxes import suppress_overlaps
from jdsr_cli.faces.detection.base import Detection
from jdsr_cli.settings import DetectorSettings

STRIDE = 32
"""Sides of a network's input are multiples of this."""


@dataclass(frozen=True)
class Letterbox:
    """A frame resized without distortion, and padded at its right and lower edge.

    Networks count pixels from the outer corner of the first one, frames from its centre.
    """

    width: int
    """Width of the frame."""
    height: int
    inner_width: int
    """Width of the resized frame."""
    inner_height: int

    @classmethod
    def of(cls, width: int, height: int, scale: float) -> Letterbox:
        """Return the letterbox of frames of `width` x `height`, resized by about `scale`."""
        return cls(width, height, max(1, round(width * scale)), max(1, round(height * scale)))

    @property
    def outer_width(self) -> int:
        """Width of the network's input, padding included."""
        return -(-self.inner_width // STRIDE) * STRIDE

    @property
    def outer_height(self) -> int:
        """Height of the network's input, padding included."""
        return -(-self.inner_height // STRIDE) * STRIDE

    @property
    def pixels(self) -> int:
        """Number of pixels of the network's input, padding included."""
        return self.outer_width * self.outer_height

    def fit(
        self, images: Sequence[NDArray[np.uint8]], padding: Sequence[float]
    ) -> NDArray[np.uint8]:
        """Return frames as a batch for the network, RGB uint8 (n, outer height, outer width, 3).

        Args:
            images: Each RGB uint8 (height, width, 3).
            padding: RGB colour of the padding.

        """
        shape = (len(images), self.outer_height, self.outer_width, 3)
        batch = np.empty(shape, dtype=np.uint8)
        batch[:] = np.asarray(padding, dtype=np.uint8)
        size = (self.inner_width, self.inner_height)
        method = cv2.INTER_AREA if self.inner_width < self.width else cv2.INTER_CUBIC
        for target, image in zip(batch, images, strict=True):
            same = size == (self.width, self.height)
            resized = image if same else cv2.resize(image, size, interpolation=method)
            target[: self.inner_height, : self.inner_width] = resized
        return batch

    def to_frame(self, coordinates: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map (n, 2k) coordinates x, y, x, y, ... of the input to those of the frame."""
        factors = (self.width / self.inner_width, self.height / self.inner_height)
        count, length = coordinates.shape
        pairs = coordinates.reshape(count, length // 2, 2) * np.array(factors, dtype=np.float32)
        return np.asarray(pairs.reshape(count, length) - np.float32(0.5), dtype=np.float32)


def decode_detections(
    boxes: NDArray[np.float32],
    points: NDArray[np.float32],
    scores: NDArray[np.float32],
    letterbox: Letterbox,
    overlap: float,
) -> list[Detection]:
    """Suppress overlapping boxes and return detections in pixels of the frame.

    Args:
        boxes: (n, 4) left, top, right, bottom in pixels of the network's input.
        points: (n, 10) five points x, y likewise, in the order of `Detection.points`.
        scores: (n,) in [0, 1].
        letterbox: Placement of the frame in the input.
        overlap: Largest intersection over union of two faces.

    Returns:
        The faces, best score first, without those in the padding.

    """
    chosen = suppress_overlaps(boxes, scores, overlap)
    marks = letterbox.to_frame(points[chosen]).reshape(-1, 5, 2)
    limits = np.array([letterbox.width - 1, letterbox.height - 1] * 2, dtype=np.float32)
    framed = np.clip(letterbox.to_frame(boxes[chosen]), 0.0, limits)
    good = (framed[:, 2:] > framed[:, :2]).all(axis=1) & np.isfinite(marks).all(axis=(1, 2))
    return [
        Detection(_as_box(framed[i]), marks[i].copy(), float(scores[chosen[i]]))
        for i in np.flatnonzero(good)
    ]


def merge_scales(fine: list[Detection], coarse: list[Detection], border: float) -> list[Detection]:
    """Join the detections at two scales: small faces of the fine, large faces of the coarse scale.

    On a fine scale a network takes parts of a large face for faces; they are dropped where the
    coarse scale shows the whole face.

    Args:
        fine: Faces at the fine scale, where those much wider than `border` are not found whole.
        coarse: Faces at the coarse scale.
        border: Width in pixels of faces that are found well at both scales.

    Returns:
        The faces, best score first.

    """
    large = [face for face in coarse if face.width >= 0.8 * border]
    whole = [face for face in large if face.width >= 1.25 * border]
    small = [
        face
        for face in fine
        if face.width <= 1.25 * border and not any(_is_part(face, other) for other in whole)
    ]
    found = small + large
    if not found:
        return []
    boxes = np.array([face.box for face in found])
    chosen = suppress_overlaps(boxes, np.array([face.score for face in found]), SAME_FACE)
    return [found[index] for index in chosen]


SAME_FACE = 0.3
"""Intersection over union above which detections at two scales are the same face."""
PART = 0.7
"""Share of a box inside another above which it is part of that face."""


def _is_part(face: Detection, other: Detection) -> bool:
    (a, b, c, d), (e, f, g, h) = face.box, other.box
    shared = max(0.0, min(c, g) - max(a, e)) * max(0.0, min(d, h) - max(b, f))
    return shared > PART * face.width * face.height


def _as_box(edges: NDArray[np.float32]) -> tuple[float, float, float, float]:
    left, top, right, bottom = (float(edge) for edge in edges)
    return left, top, right, bottom


ENLARGED_PIXELS = 1_000_000
"""Frames are enlarged for detection up to this many pixels; more costs time and finds little."""
MAX_PIXELS = 16_000_000
"""Frames are shrunk for detection above this many pixels, to keep memory bounded."""
WIDEST_FACE = 256.0
"""Width in pixels of the input up to which detection of a face is reliable; from 400 it fails."""
COARSE_SIDE = 480
"""Longer side in pixels at the coarse scale, at which even a face that fills the frame is found."""
SINGLE_SIDE = 640
"""Longer side in pixels up to which one scale finds faces of every size."""


class FaceNetwork(Protocol):
    """A network that detects faces in frames of one size, resized once."""

    name: str
    backend: str
    """``opencv``, ``openvino`` or ``torch``."""
    threshold: float
    """Least score of a face unless another is set."""
    least_width: float
    """Width in pixels that the smallest faces should have in the network's input."""
    batch_pixels: int
    """Pixels of a batch; a batch has at least one frame."""

    def find(
        self, images: Sequence[NDArray[np.uint8]], letterbox: Letterbox, threshold: float
    ) -> list[list[Detection]]:
        """Return the faces of each image with at least `threshold`, in pixels of the image."""


@dataclass(frozen=True)
class DetectionScales:
    """The scales at which frames of one size are searched."""

    fine: float
    coarse: float | None
    """Scale for large faces; None where the fine scale suffices."""

    @property
    def border(self) -> float:
        """Width in pixels of the frame of faces that are found at both scales."""
        return WIDEST_FACE / self.fine


def choose_scales(
    width: int, height: int, least_width: float, settings: DetectorSettings
) -> DetectionScales:
    """Choose the scales for frames of `width` x `height`.

    A scale in the settings is used alone. Otherwise frames are resized so that the smallest face
    of interest is `least_width` px wide, within limits of time and memory, and a second, coarse
    scale finds the faces that are too large then.
    """
    if settings.scale is not None:
        return DetectionScales(settings.scale, None)
    pixels, longer = width * height, max(width, height)
    wanted = least_width / max(settings.min_face, 1.0)
    if wanted > 1.0:
        wanted = max(1.0, min(wanted, math.sqrt(ENLARGED_PIXELS / pixels)))
    else:
        wanted = max(wanted, min(1.0, COARSE_SIDE / longer))
    fine = min(wanted, math.sqrt(MAX_PIXELS / pixels))
    return DetectionScales(fine, COARSE_SIDE / longer if fine * longer > SINGLE_SIDE else None)


class NetworkDetector:
    """A `Detector` that runs a `FaceNetwork` at one or two scales."""

    def __init__(self, network: FaceNetwork, settings: DetectorSettings) -> None:
        self.name = network.name
        self.backend = network.backend
        self._network = network
        self._settings = settings
        chosen = settings.threshold
        self._threshold = network.threshold if chosen is None else chosen

    @property
    def threshold(self) -> float:
        """The least score of a face."""
        return self._threshold

    def with_threshold(self, threshold: float) -> NetworkDetector:
        """Return a detector with the same network and scales and this threshold."""
        return NetworkDetector(self._network, replace(self._settings, threshold=threshold))

    @property
    def threshold_ratio(self) -> float:
        """The score threshold as a multiple of the network's default."""
        return self._threshold / self._network.threshold

    def fine_scale(self, image: NDArray[np.uint8]) -> float:
        """Return the factor by which an image is resized to find its smallest faces."""
        height, width = image.shape[:2]
        return choose_scales(width, height, self._network.least_width, self._settings).fine

    def at_scale(self, scale: float, threshold: float | None = None) -> NetworkDetector:
        """Return a detector with the same network at this scale only.

        Args:
            scale: Factor by which images are resized.
            threshold: Least score of a face; None keeps the present one.

        """
        least = self._threshold if threshold is None else threshold
        settings = replace(self._settings, scale=scale, threshold=least)
        return NetworkDetector(self._network, settings)

    def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[list[Detection]]:
        """Detect the faces of each image, best score first; see `Detector.detect`."""
        _check(images)
        found: list[list[Detection]] = [[] for _ in images]
        for (height, width), indices in _by_size(images).items():
            scales = choose_scales(width, height, self._network.least_width, self._settings)
            group = [images[index] for index in indices]
            faces = self._detect_at(group, Letterbox.of(width, height, scales.fine))
            if scales.coarse is not None:
                large = self._detect_at(group, Letterbox.of(width, height, scales.coarse))
                pairs = zip(faces, large, strict=True)
                faces = [merge_scales(one, other, scales.border) for one, other in pairs]
            for index, result in zip(indices, faces, strict=True):
                found[index] = result
        return found

    def _detect_at(
        self, images: Sequence[NDArray[np.uint8]], letterbox: Letterbox
    ) -> list[list[Detection]]:
        found: list[list[Detection]] = []
        step = max(1, self._network.batch_pixels // letterbox.pixels)
        for part in _parts(images, step):
            found += self._network.find(part, letterbox, self._threshold)
        return found


def _check(images: Sequence[NDArray[np.uint8]]) -> None:
    for image in images:
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
            raise UsageError(
                f"faces are detected in RGB uint8 (H, W, 3), not {image.dtype} {image.shape}",
                hint="Convert the image first.",
            )


def _by_size(images: Sequence[NDArray[np.uint8]]) -> dict[tuple[int, int], list[int]]:
    groups: dict[tuple[int, int], list[int]] = defaultdict(list)
    for index, image in enumerate(images):
        groups[image.shape[0], image.shape[1]].append(index)
    return groups


def _parts(images: Sequence[NDArray[np.uint8]], step: int) -> Iterator[Sequence[NDArray[np.uint8]]]:
    for start in range(0, len(images), step):
        yield images[start : start + step]
