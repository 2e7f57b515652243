"""Repeats of one aligned crop: small changes that a restoration should not depend on.

A face is mirrored, shifted by half a pixel, and given noise of the level that was measured on it.
The restored repeats are mapped back before they are compared; where they disagree, the result
depends on what the camera did not record.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.conventions import LUMA_WEIGHTS, TEMPLATE_SIZE
from jdsr_cli.errors import UsageError
from jdsr_cli.faces.resampling import resample

SMOOTHING = 1.0
"""Standard deviation in template pixels of the Gaussian by which pictures are smoothed before they
are compared: a shift of a fraction of a pixel, and the noise of the photograph itself, are no error
of a face."""
MIN_NOISE = 0.5
"""Least standard deviation of the added noise in grey levels."""
MIN_GRID = 8
"""Least side in pixels of the grid on which noise is drawn."""
_IMMERKAER = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)


@dataclass(frozen=True)
class Repeat:
    """How a crop is changed before it is restored again."""

    mirrored: bool = False
    """Whether left and right are exchanged, after the shift."""
    shift: tuple[float, float] = (0.0, 0.0)
    """Pixels of the crop by which it is moved to the left and up."""
    noisy: bool = False
    """Whether noise of the measured level is added."""


REPEATS = (
    Repeat(),
    Repeat(mirrored=True),
    Repeat(shift=(0.5, 0.5)),
    Repeat(shift=(-0.5, -0.5), mirrored=True),
    Repeat(shift=(0.5, -0.5), mirrored=True),
    Repeat(shift=(-0.5, 0.5)),
    Repeat(noisy=True),
    Repeat(noisy=True, mirrored=True),
)
"""The repeats of a face; the first is the crop as it is."""


@dataclass(frozen=True, eq=False)
class Agreement:
    """What the repeats of a face agree on."""

    image: NDArray[np.uint8]
    """RGB (128, 128, 3): mean of the restored repeats."""
    occlusion: NDArray[np.float32]
    """(128, 128) in [0, 1]: mean of their occlusion maps, in steps of 1/255."""
    spread: NDArray[np.float32]
    """(128, 128): standard deviation of their smoothed luma, in grey levels."""


def luma(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return luma of BT.601 in grey levels, full range, float32 (H, W), of RGB uint8 (H, W, 3)."""
    return np.asarray(picture.astype(np.float32) @ np.array(LUMA_WEIGHTS, np.float32), np.float32)


def smoothed_luma(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the luma of RGB uint8 (128, 128, 3), smoothed by `SMOOTHING`, float32 (128, 128)."""
    return np.asarray(cv2.GaussianBlur(luma(picture), (0, 0), SMOOTHING), np.float32)


def noise_level(picture: NDArray[np.uint8]) -> float:
    """Return the standard deviation of the noise of a picture in grey levels of luma.

    The median of the absolute response of Immerkaer's operator (1996), which lines and slopes do
    not excite, scaled to the standard deviation of Gaussian noise; the median instead of his mean
    is not raised by the few pixels of texture.

    Args:
        picture: RGB uint8 (H, W, 3), at least 3 pixels high and wide, as it was sampled: enlarged
            pictures have less noise from pixel to pixel.

    Raises:
        UsageError: The picture is smaller.

    """
    if picture.ndim != 3 or min(picture.shape[:2]) < 3:
        raise UsageError(
            f"noise is measured on at least 3 x 3 RGB pixels, not on {picture.shape}",
            hint="Give the aligned crop.",
        )
    response = cv2.filter2D(luma(picture), -1, _IMMERKAER)[1:-1, 1:-1]
    return float(np.median(np.abs(response))) / (0.6745 * float(np.sqrt((_IMMERKAER**2).sum())))


def native_noise(crop: NDArray[np.uint8], native_width: float) -> float:
    """Return the noise level of a crop at the resolution at which it was filmed, in grey levels.

    Args:
        crop: RGB uint8 (side, side, 3).
        native_width: Width of its region in the frame in pixels.

    """
    grid = _native_grid(crop.shape[0], native_width)
    if grid < crop.shape[0]:
        # Sampled, not averaged: enlarging has interpolated between the values of the sensor.
        crop = np.asarray(cv2.resize(crop, (grid, grid), interpolation=cv2.INTER_CUBIC), np.uint8)
    return noise_level(crop)


def repeated(crop: NDArray[np.uint8], native_width: float) -> list[NDArray[np.uint8]]:
    """Return the crop changed by each of `REPEATS`.

    Noise is Gaussian, of the level that `native_noise` measures, equal in R, G and B, drawn at the
    resolution at which the face was filmed and enlarged with it. It is seeded by the crop's bytes:
    the same crop always gives the same repeats.

    Args:
        crop: RGB uint8 (side, side, 3), in canonical colours.
        native_width: Width of its region in the frame in pixels.

    Raises:
        UsageError: The crop is not a square RGB picture of at least 8 pixels.

    """
    if crop.ndim != 3 or crop.shape[0] != crop.shape[1] or min(crop.shape) != 3 or len(crop) < 8:
        raise UsageError(
            f"repeats are those of a square RGB crop of at least 8 pixels, not of {crop.shape}",
            hint="Align the face first.",
        )
    seed = hashlib.sha256(np.ascontiguousarray(crop).tobytes()).digest()[:8]
    rng = np.random.default_rng(int.from_bytes(seed, "little"))
    level = max(native_noise(crop, native_width), MIN_NOISE)
    crops = []
    for repeat in REPEATS:
        changed = _shifted(crop, repeat.shift)
        if repeat.noisy:
            changed = _with_noise(changed, level, _native_grid(len(crop), native_width), rng)
        crops.append(_mirrored(changed) if repeat.mirrored else changed)
    return crops


def agree(
    images: Sequence[NDArray[np.uint8]], occlusions: Sequence[NDArray[np.float32]], side: int
) -> Agreement:
    """Map the restored repeats of a face back and compare them.

    Args:
        images: The results of `REPEATS` in their order, each RGB uint8 (128, 128, 3).
        occlusions: Their occlusion maps, each (128, 128) in [0, 1].
        side: Side of the crop that was restored, in whose pixels the shifts are.

    """
    back = [
        _mapped_back(image, repeat, side) for image, repeat in zip(images, REPEATS, strict=True)
    ]
    maps = [
        _mapped_back(np.repeat(_bytes(255.0 * one)[..., None], 3, axis=2), repeat, side)[..., 0]
        for one, repeat in zip(occlusions, REPEATS, strict=True)
    ]
    smoothed = np.stack([smoothed_luma(one) for one in back])
    return Agreement(
        _bytes(np.mean(back, axis=0, dtype=np.float32)),
        _bytes(np.mean(maps, axis=0, dtype=np.float32)).astype(np.float32) / np.float32(255),
        np.asarray(smoothed.std(axis=0, ddof=1), np.float32),
    )


def _native_grid(side: int, native_width: float) -> int:
    return side if native_width >= side else max(MIN_GRID, round(native_width))


def _with_noise(
    crop: NDArray[np.uint8], level: float, grid: int, rng: np.random.Generator
) -> NDArray[np.uint8]:
    side = crop.shape[0]
    noise = rng.normal(0.0, level, (grid, grid)).astype(np.float32)
    if grid < side:
        noise = np.asarray(cv2.resize(noise, (side, side), interpolation=cv2.INTER_CUBIC))
    return _bytes(crop + noise[..., None])


def _shifted(picture: NDArray[np.uint8], shift: tuple[float, float]) -> NDArray[np.uint8]:
    if shift == (0.0, 0.0):
        return picture
    matrix = np.array([[1.0, 0.0, shift[0]], [0.0, 1.0, shift[1]]])
    return resample(picture, matrix, picture.shape[0])


def _mapped_back(picture: NDArray[np.uint8], repeat: Repeat, side: int) -> NDArray[np.uint8]:
    factor = TEMPLATE_SIZE / side
    upright = _mirrored(picture) if repeat.mirrored else picture
    return _shifted(upright, (-factor * repeat.shift[0], -factor * repeat.shift[1]))


def _mirrored(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(picture[:, ::-1])


def _bytes(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.asarray(np.rint(values).clip(0.0, 255.0), np.uint8)
