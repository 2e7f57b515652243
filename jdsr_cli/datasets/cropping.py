"""Crop aligned 128-px faces from images, and the settings of the `prepare` stage.

A face is a fixed window of an aligned CelebA image, or is aligned by its five landmarks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.datasets.sources import SourceFace
from jdsr_cli.errors import InputError, UsageError
from jdsr_cli.faces import Detection, Detector, crop, estimate_alignment
from jdsr_cli.faces.resampling import chain, invert, resample

CROPS = ("138", "138-left", "178", "aligned")
LANDMARKS = ("five", "fan")


class PartLabeller(Protocol):
    """Labels the parts of faces."""

    def label(self, faces: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return (N, 64, 64) classes of the 11 for faces (N, 128, 128, 3)."""


class LabelSource(Protocol):
    """Opens a part labeller; picklable, since it is passed to worker processes.

    The labelling networks belong to training (`jdsr_train.data.part_labellers`).
    """

    @property
    def fingerprint(self) -> str:
        """Identify the network and its weights, for the hash of a prepared folder."""

    def open(self) -> PartLabeller:
        """Load the network.

        Raises:
            WeightsError: Its weights are missing or damaged.

        """


def check_choice_or_file(value: str, known: Sequence[str], where: str) -> None:
    """Check that a value is one of the known names or an existing file.

    Raises:
        UsageError: It is neither of them.

    """
    if value not in known and not Path(value).is_file():
        raise UsageError(
            f"{value!r} is neither {' nor '.join(known)} nor a file",
            where=where,
            hint="Check the path",
        )


@dataclass(frozen=True)
class PrepareSettings:
    """How `prepare` crops 128-px faces from pictures.

    Raises:
        UsageError: A value is invalid.

    """

    crop: str = "138"
    """Window of a CelebA picture (SPEC 4.2): `138` is 138x138 at (20, 40), `138-left` the same at
    x 30, `178` the middle 178x178, `aligned` the least-squares similarity from its five points to
    the template. Other pictures are aligned by their points to the template, in the same window.
    """
    landmarks: str = "five"
    """`five`: those of the source (68 if it has them); `fan`: facexlib's FAN, whose 98 points are
    converted to 68; otherwise the path of an ONNX file that takes 112x112 RGB in [0, 1] and
    returns 136 numbers, x and y in [0, 1]."""
    labels: LabelSource | None = None
    """Source of the labels of face parts; None for no labels."""
    workers: int = 0
    """Worker processes; 0 prepares in the calling process."""
    least_width: float = 64.0
    """Minimum width of a detected face in pixels of the image; images with a narrower face are
    skipped, since an enlarged face is not a ground truth."""

    def __post_init__(self) -> None:
        if self.crop not in CROPS:
            raise UsageError(
                f"unknown crop {self.crop!r}", where="crop", hint=f"Use {', '.join(CROPS)}"
            )
        check_choice_or_file(self.landmarks, LANDMARKS, "landmarks")
        if self.workers < 0:
            raise UsageError(f"the number of workers is {self.workers}, below 0", where="workers")
        if not (math.isfinite(self.least_width) and self.least_width >= 0):
            raise UsageError(f"{self.least_width} is not a valid face width", where="least_width")

    @property
    def keeps_aligned_faces(self) -> bool:
        """Whether already aligned faces are used unchanged."""
        return self.landmarks == "five" and self.labels is None


CELEBA_SIZE = (178, 218)
"""Width and height of CelebA's aligned pictures."""
WINDOWS = {"138": (20, 40, 138), "138-left": (30, 40, 138), "178": (0, 20, 178)}
"""Left, top and side in an aligned CelebA picture (SPEC 4.2)."""
TEMPLATE_WINDOW = WINDOWS["138"]
"""The window of the alignment template."""
MIN_OVERLAP = 0.3
"""Minimum intersection over union of a detected face with its annotated box."""


@dataclass(frozen=True, eq=False)
class FaceCrop:
    """An aligned face and its source picture."""

    image: NDArray[np.uint8]
    """(128, 128, 3) RGB."""
    picture: NDArray[np.uint8]
    """(H, W, 3) RGB: the picture from which it was cropped."""
    to_template: NDArray[np.float64]
    """(2, 3) from pixels of the picture to those of the alignment template."""
    to_face: NDArray[np.float64]
    """(2, 3) from pixels of the picture to those of the face."""
    five: NDArray[np.float32] | None
    """(5, 2) in pixels of the face; None if only dense points are known."""


def window_map(window: tuple[int, int, int]) -> NDArray[np.float64]:
    """Return (2, 3) from pixels of an aligned CelebA picture to those of its window at 128 px."""
    left, top, side = window
    scale = TEMPLATE_SIZE / side
    shift = [(0.5 - edge) * scale - 0.5 for edge in (left, top)]
    return np.array([[scale, 0.0, shift[0]], [0.0, scale, shift[1]]])


def read_picture(path: Path) -> NDArray[np.uint8]:
    """Read an upright RGB picture (H, W, 3).

    Raises:
        InputError: It is not a picture, or it is damaged.

    """
    # Imported here since the package imports PyAV, which already aligned faces do not need.
    from jdsr_cli.media.reading.picture_files import open_picture
    from jdsr_cli.media.reading.picture_pixels import render
    from jdsr_cli.media.reading.pictures import aperture_of

    picture = open_picture(path)
    if picture is None:
        raise InputError("not a readable picture", where=path)
    with picture:
        return render(picture, path, aperture_of(picture, path)).image


class FaceCropper:
    """Crops faces from pictures according to a crop setting."""

    def __init__(self, crop: str, least_width: float, detector: Detector | None) -> None:
        self.window = None if crop == "aligned" else WINDOWS[crop]
        self.least_width = least_width
        self.detector = detector

    def crop(self, face: SourceFace) -> FaceCrop | str:
        """Return the cropped face, or the reason why there is none."""
        if face.fault is not None:
            return face.fault
        if face.row is not None:
            return self._read_raw(face)
        try:
            picture = read_picture(face.path)
        except InputError as error:
            return error.what
        if face.celeba_aligned and picture.shape[:2] != CELEBA_SIZE[::-1]:
            return f"{picture.shape[1]}x{picture.shape[0]}, not 178x218"
        if face.celeba_aligned and self.window is not None:
            return self._window(picture, face)
        five = face.five
        if five is None:
            detection = self._detect(picture, face)
            if isinstance(detection, str):
                return detection
            five = detection.points
        try:
            return self._aligned(picture, five, check_width=face.five is None)
        except UsageError as error:
            return error.what

    def _read_raw(self, face: SourceFace) -> FaceCrop:
        side = (TEMPLATE_SIZE, TEMPLATE_SIZE, 3)
        raw = np.memmap(face.path, np.uint8, "r", int(np.prod(side)) * (face.row or 0), side)
        image = np.array(raw)
        identity = np.eye(2, 3)
        heat = face.heat_points
        five = heat if heat is not None and len(heat) == 5 else None
        return FaceCrop(image, image, identity, identity, five)

    def _window(self, picture: NDArray[np.uint8], face: SourceFace) -> FaceCrop:
        assert self.window is not None
        left, top, side = self.window
        part = Image.fromarray(picture).crop((left, top, left + side, top + side))
        image = part.resize((TEMPLATE_SIZE, TEMPLATE_SIZE), Image.Resampling.BICUBIC)
        to_face = window_map(self.window)
        five = None if face.five is None else map_points(face.five, to_face)
        return FaceCrop(np.asarray(image), picture, window_map(TEMPLATE_WINDOW), to_face, five)

    def _aligned(
        self, picture: NDArray[np.uint8], five: NDArray[np.float32], *, check_width: bool
    ) -> FaceCrop | str:
        alignment = estimate_alignment(five)
        to_face = alignment.matrix
        if self.window in (None, TEMPLATE_WINDOW):
            image = crop(picture, alignment)
        else:
            to_window = chain(window_map(self.window), invert(window_map(TEMPLATE_WINDOW)))
            to_face = chain(to_window, to_face)
            image = resample(picture, invert(to_face), TEMPLATE_SIZE)
        if check_width and alignment.native_width < self.least_width:
            return f"the face is {alignment.native_width:.0f} px wide, below {self.least_width:g}"
        return FaceCrop(image, picture, alignment.matrix, to_face, map_points(five, to_face))

    def _detect(self, picture: NDArray[np.uint8], face: SourceFace) -> Detection | str:
        assert self.detector is not None
        (detections,) = self.detector.detect([picture])
        if not detections:
            return "no face detected"
        if face.box is None:
            return max(detections, key=lambda one: one.width * one.height)
        box = face.box
        best = max(detections, key=lambda one: overlap(one.box, box))
        return best if overlap(best.box, box) >= MIN_OVERLAP else "no face detected in its box"


def overlap(
    first: tuple[float, float, float, float], second: tuple[float, float, float, float]
) -> float:
    """Return the intersection over union of two boxes (left, top, right, bottom)."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    shared = max(0.0, width) * max(0.0, height)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (first, second))
    return shared / (areas - shared) if shared else 0.0


def map_points(points: NDArray[np.floating], matrix: NDArray[np.float64]) -> NDArray[np.float32]:
    """Map (..., 2) points by an affine map (2, 3)."""
    return np.asarray(points @ matrix[:, :2].T + matrix[:, 2], np.float32)
