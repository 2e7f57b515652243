"""At which sizes a frame is looked at, and the detector that does so with any network."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.errors import UsageError
from jdsr_cli.faces.detection import Detection
from jdsr_cli.faces.letterbox import Letterbox
from jdsr_cli.faces.results import merge
from jdsr_cli.settings import DetectorSettings

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
