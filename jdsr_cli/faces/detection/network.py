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
from jdsr_cli.faces.boxes import suppress
from jdsr_cli.faces.detection.base import Detection, DetectorSettings

STRIDE = 32
"""Sides of a network's input are multiples of this."""


@dataclass(frozen=True)
class Letterbox:
    """A frame resized without distortion, and padded at its right and lower edge.

    Networks count pixels from the outer corner of the first one, frames from its centre.
    """

    width: int
    """Of the frame, as `height`."""
    height: int
    inner_width: int
    """Of the resized frame, as `inner_height`."""
    inner_height: int

    @classmethod
    def of(cls, width: int, height: int, scale: float) -> Letterbox:
        """Plan the input for frames of `width` x `height`, resized by about `scale`."""
        return cls(width, height, max(1, round(width * scale)), max(1, round(height * scale)))

    @property
    def outer_width(self) -> int:
        """Of the network's input, padding included."""
        return -(-self.inner_width // STRIDE) * STRIDE

    @property
    def outer_height(self) -> int:
        """Of the network's input, padding included."""
        return -(-self.inner_height // STRIDE) * STRIDE

    @property
    def pixels(self) -> int:
        """Of the network's input, padding included."""
        return self.outer_width * self.outer_height

    def fit(
        self, images: Sequence[NDArray[np.uint8]], padding: Sequence[float]
    ) -> NDArray[np.uint8]:
        """Return the frames as input, RGB uint8 (n, outer height, outer width, 3).

        Args:
            images: Each RGB uint8 (height, width, 3).
            padding: Colour, RGB, of what the resized frames leave free.

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


def collect(
    boxes: NDArray[np.float32],
    points: NDArray[np.float32],
    scores: NDArray[np.float32],
    letterbox: Letterbox,
    overlap: float,
) -> list[Detection]:
    """Keep the best of boxes that overlap and give them in pixels of the frame.

    Args:
        boxes: (n, 4) left, top, right, bottom in pixels of the network's input.
        points: (n, 10) five points x, y likewise, in the order of `Detection.points`.
        scores: (n,) in [0, 1].
        letterbox: How the frame lies in the input.
        overlap: Largest intersection over union of two faces.

    Returns:
        The faces, best score first; those that lie in the padding are left out.

    """
    chosen = suppress(boxes, scores, overlap)
    marks = letterbox.to_frame(points[chosen]).reshape(-1, 5, 2)
    limits = np.array([letterbox.width - 1, letterbox.height - 1] * 2, dtype=np.float32)
    framed = np.clip(letterbox.to_frame(boxes[chosen]), 0.0, limits)
    good = (framed[:, 2:] > framed[:, :2]).all(axis=1) & np.isfinite(marks).all(axis=(1, 2))
    return [
        Detection(_as_box(framed[i]), marks[i].copy(), float(scores[chosen[i]]))
        for i in np.flatnonzero(good)
    ]


def merge(fine: list[Detection], coarse: list[Detection], border: float) -> list[Detection]:
    """Join what two passes found in one frame: small faces of one, large ones of the other.

    On a fine scale a network takes parts of a large face for faces; they are dropped where the
    coarse pass sees the whole face.

    Args:
        fine: Found on the fine scale, where faces much wider than `border` are not seen whole.
        coarse: Found on the coarse scale.
        border: Width of a face in pixels that both passes find well.

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
    chosen = suppress(boxes, np.array([face.score for face in found]), SAME_FACE)
    return [found[index] for index in chosen]


SAME_FACE = 0.3
"""Intersection over union above which two passes saw the same face."""
PART = 0.7
"""Share of a box inside another above which it is a part of that face."""


def _is_part(face: Detection, other: Detection) -> bool:
    (a, b, c, d), (e, f, g, h) = face.box, other.box
    shared = max(0.0, min(c, g) - max(a, e)) * max(0.0, min(d, h) - max(b, f))
    return shared > PART * face.width * face.height


def _as_box(edges: NDArray[np.float32]) -> tuple[float, float, float, float]:
    left, top, right, bottom = (float(edge) for edge in edges)
    return left, top, right, bottom


ENLARGED_PIXELS = 1_000_000
"""Frames are enlarged for detection up to this many pixels; more costs time, finds little."""
MOST_PIXELS = 16_000_000
"""Frames are shrunk for detection above this many pixels, to keep memory bounded."""
WIDEST_FACE = 256.0
"""Pixels of the input up to which the networks see a face reliably; from 400 they fail."""
COARSE_SIDE = 480
"""Longer side in pixels of the second look, at which even a face that fills it is found."""
SINGLE_SIDE = 640
"""Longer side in pixels up to which one look finds faces of every size."""


class FaceNetwork(Protocol):
    """A network that finds faces in frames of one size, resized once."""

    name: str
    threshold: float
    """Least score of a face unless another is asked for."""
    least_width: float
    """Width in pixels that a face should have in the network's input."""
    batch_pixels: int
    """Pixels of input that the network is given at once, at least one frame."""

    def find(
        self, images: Sequence[NDArray[np.uint8]], letterbox: Letterbox, threshold: float
    ) -> list[list[Detection]]:
        """Return the faces of each image with at least `threshold`, in pixels of the image."""


@dataclass(frozen=True)
class Looks:
    """The scales at which frames of one size are looked at."""

    fine: float
    coarse: float | None
    """For large faces, where the fine scale would not show them whole."""

    @property
    def border(self) -> float:
        """Width in pixels of the frame of faces that both looks find."""
        return WIDEST_FACE / self.fine


def choose_looks(width: int, height: int, least_width: float, settings: DetectorSettings) -> Looks:
    """Choose the scales for frames of `width` x `height`.

    A scale that was asked for is used alone. Otherwise frames are resized so that the smallest
    face of interest is `least_width` px wide, within limits of time and memory, and a second,
    coarse look finds the faces that are too large then.
    """
    if settings.scale is not None:
        return Looks(settings.scale, None)
    pixels, longer = width * height, max(width, height)
    wanted = least_width / max(settings.min_face, 1.0)
    if wanted > 1.0:
        wanted = max(1.0, min(wanted, math.sqrt(ENLARGED_PIXELS / pixels)))
    else:
        wanted = max(wanted, min(1.0, COARSE_SIDE / longer))
    fine = min(wanted, math.sqrt(MOST_PIXELS / pixels))
    return Looks(fine, COARSE_SIDE / longer if fine * longer > SINGLE_SIDE else None)


class NetworkDetector:
    """Finds faces with a `FaceNetwork`; a `Detector`."""

    def __init__(self, network: FaceNetwork, settings: DetectorSettings) -> None:
        self.name = network.name
        self._network = network
        self._settings = settings
        chosen = settings.threshold
        self._threshold = network.threshold if chosen is None else chosen

    @property
    def threshold_ratio(self) -> float:
        """The least score of a face as a multiple of the network's own."""
        return self._threshold / self._network.threshold

    def at_scale(self, scale: float, threshold: float | None = None) -> NetworkDetector:
        """Return a detector with the same network that looks once, at this scale.

        Args:
            scale: By which images are resized.
            threshold: Least score of a face; None: as before.

        """
        least = self._threshold if threshold is None else threshold
        settings = replace(self._settings, scale=scale, threshold=least)
        return NetworkDetector(self._network, settings)

    def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[list[Detection]]:
        """Find the faces of each image, best score first; see `Detector.detect`."""
        _check(images)
        found: list[list[Detection]] = [[] for _ in images]
        for (height, width), indices in _by_size(images).items():
            looks = choose_looks(width, height, self._network.least_width, self._settings)
            group = [images[index] for index in indices]
            faces = self._look(group, Letterbox.of(width, height, looks.fine))
            if looks.coarse is not None:
                large = self._look(group, Letterbox.of(width, height, looks.coarse))
                pairs = zip(faces, large, strict=True)
                faces = [merge(one, other, looks.border) for one, other in pairs]
            for index, result in zip(indices, faces, strict=True):
                found[index] = result
        return found

    def _look(
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
                f"faces are looked for in RGB uint8 (H, W, 3), not {image.dtype} {image.shape}",
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
