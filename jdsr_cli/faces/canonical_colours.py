"""Canonical colours of a face: what the generator receives, and the inverse map to the frame.

Exposure, white balance and, of monochrome footage, colour are mapped into the range of the
training faces by an affine map of colours. It is estimated on the eye band of the aligned crop,
which a face mask does not cover. A face inside that range is not changed at all. The inverse map is
applied to the restored face, so that it keeps light and tint of its frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.conventions import LUMA_WEIGHTS
from jdsr_cli.errors import UsageError

PixelT = TypeVar("PixelT", np.uint8, np.float32)

BAND_CENTRE, BAND_RADII = (63.5, 60.0), (36.0, 25.0)
"""Ellipse of the 128-px template on which the light is measured: forehead to cheekbones."""
BRIGHT = 0.75
"""Quantile of the band's luma that stands for lit skin: hair, brows and eyes are below it."""
EXPOSURE = (100.0, 235.0)
"""Grey levels between which that quantile lies in 99 % of 1,200 training faces (CelebA, LFW)."""
MEDIAN_EXPOSURE = 178.0
"""Median of that quantile over the same faces; the darker a face, the nearer it is mapped to it."""
MAX_GAIN = 32.0
"""Largest factor of the exposure; at 4 % of normal light lit skin has 4 to 9 grey levels."""
MIDDLE = (0.25, 0.95)
"""Quantiles of the band's luma between which pixels count as skin."""
RED_TO_GREEN, BLUE_TO_GREEN = (1.0, 1.85), (0.5, 1.1)
"""Ratios of the mean colour of skin; 99 % of the same faces lie inside."""
MAX_BALANCE = 2.5
"""Largest factor by which white balance changes red or blue against green, in either direction."""
CHROMA_REACH = 8.0
"""Standard deviation in template pixels of the residual colour of monochrome footage that is kept:
uneven light and colour noise of low frequency are kept, finer noise is removed."""
TINT_GRID = 32
"""Side of the reduced picture on which the tint is fitted."""
ROBUST_ROUNDS = 4
"""Rounds of the reweighted least squares that fits the tint of a monochrome picture."""


@dataclass(frozen=True, eq=False)
class ColourMap:
    """An affine map from the colours of a frame to canonical ones, and its inverse."""

    forward: NDArray[np.float32]
    """(3, 4): RGB in grey levels and 1 to canonical RGB."""
    backward: NDArray[np.float32]
    """(3, 4): canonical RGB and 1 to RGB of the frame."""
    monochrome: bool = False
    """Whether canonical pictures are luma, R = G = B."""

    @property
    def gain(self) -> float:
        """Factor by which gray of the frame's tint becomes brighter."""
        return float(self.forward[:, :3].sum(axis=1).mean())

    @property
    def is_identity(self) -> bool:
        """Whether the map changes nothing."""
        return not self.monochrome and bool((self.forward == _identity()).all())

    def apply(self, picture: NDArray[PixelT]) -> NDArray[PixelT]:
        """Return a picture in canonical colours, clipped to [0, 255]; uint8 is rounded.

        Args:
            picture: RGB (H, W, 3) in grey levels, uint8 or float32.

        """
        return picture if self.is_identity else _mapped(picture, self.forward)

    def invert(self, picture: NDArray[PixelT]) -> NDArray[PixelT]:
        """Return a canonical picture in the colours of the frame, clipped; uint8 is rounded.

        Args:
            picture: RGB (H, W, 3) in grey levels, uint8 or float32.

        """
        return picture if self.is_identity else _mapped(picture, self.backward)

    def restore(
        self,
        restored: NDArray[np.uint8],
        filmed: NDArray[np.uint8],
        occlusion: NDArray[np.float32],
    ) -> NDArray[np.uint8]:
        """Map a restored face back to the colours of its frame.

        What the map and its inverse lose of the filmed face (highlights beyond the range, slowly
        varying colour beside the tint) is added again where the face was not covered. A frame with
        R = G = B everywhere gets a face with R = G = B.

        Args:
            restored: RGB uint8 (side, side, 3), canonical, as the generator gave it.
            filmed: The aligned crop of the frame, RGB uint8 (side, side, 3).
            occlusion: (side, side) in [0, 1], the covered share of each pixel.

        Raises:
            UsageError: The shapes differ.

        """
        if restored.shape != filmed.shape or occlusion.shape != filmed.shape[:2]:
            raise UsageError(
                f"a face {restored.shape} with occlusion {occlusion.shape} does not belong to a "
                f"crop {filmed.shape}",
                hint="Give all three in the template, at one size.",
            )
        if self.is_identity:
            return restored
        back = _linear(restored, self.backward) + self.lost(filmed) * (1.0 - occlusion[..., None])
        return np.asarray(np.rint(back).clip(0.0, 255.0), np.uint8)

    def lost(self, filmed: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the difference that the map and its inverse lose, (side, side, 3).

        In grey levels of the frame, with sign; of monochrome footage only its slow variation.

        Args:
            filmed: The aligned crop of the frame, RGB uint8 (side, side, 3).

        """
        before = filmed.astype(np.float32)
        lost = before - self.invert(self.apply(before))
        if self.monochrome:
            reach = CHROMA_REACH * filmed.shape[0] / 128.0
            lost = np.asarray(cv2.GaussianBlur(lost, (0, 0), reach), np.float32)
        return lost


def canonical_map(crop: NDArray[np.uint8], *, monochrome: bool) -> ColourMap:
    """Estimate the map of an aligned face to canonical colours.

    Args:
        crop: RGB uint8 (side, side, 3), in the template, of any side.
        monochrome: Whether the footage has no colour but a tint, see `faces.monochrome`.

    Raises:
        UsageError: The crop is not a square RGB picture.

    """
    if crop.ndim != 3 or crop.shape[0] != crop.shape[1] or crop.shape[2] != 3 or not crop.size:
        raise UsageError(
            f"canonical colours are those of a square RGB crop, not of shape {crop.shape}",
            hint="Align the face first.",
        )
    pixels = crop[_band(crop.shape[0])].astype(np.float64)
    if monochrome:
        return _monochrome(crop, pixels)
    gain = _exposure(pixels @ np.array(LUMA_WEIGHTS)) * _balance(pixels)
    if (gain == 1.0).all():
        return _unchanged()
    return _map(np.diag(gain), np.diag(1.0 / gain), np.zeros(3))


def _exposure(luma: NDArray[np.float64]) -> float:
    """Return the factor that maps lit skin into `EXPOSURE`, at most `MAX_GAIN`.

    It is a continuous function of the light: 1 inside the range, and towards the median with
    growing darkness.
    """
    bright = max(float(np.quantile(luma, BRIGHT)), 1.0)
    least, most = EXPOSURE
    if bright >= least:
        return min(bright, most) / bright
    wanted = least + (MEDIAN_EXPOSURE - least) * (1.0 - bright / least)
    return min(wanted / bright, MAX_GAIN)


def _balance(pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return factors of R, G, B that map the colour of skin into range and keep its luma."""
    luma = pixels @ np.array(LUMA_WEIGHTS)
    low, high = np.quantile(luma, MIDDLE)
    red, green, blue = np.maximum(pixels[(luma >= low) & (luma <= high)].mean(axis=0), 0.5)
    wanted = np.array(
        [
            np.clip(red / green, *RED_TO_GREEN) / (red / green),
            1.0,
            np.clip(blue / green, *BLUE_TO_GREEN) / (blue / green),
        ]
    )
    if (wanted == 1.0).all():
        return wanted
    wanted = np.clip(wanted, 1.0 / MAX_BALANCE, MAX_BALANCE)
    before = np.array([red, green, blue])
    kept: NDArray[np.float64] = wanted * (
        (before @ LUMA_WEIGHTS) / ((before * wanted) @ LUMA_WEIGHTS)
    )
    return kept


def _monochrome(crop: NDArray[np.uint8], band: NDArray[np.float64]) -> ColourMap:
    """Return the map from the picture's tint to luma."""
    if (crop == crop[..., :1]).all():
        slope, offset = np.ones(3), np.zeros(3)
    else:
        small = cv2.resize(crop, (TINT_GRID, TINT_GRID), interpolation=cv2.INTER_AREA)
        slope, offset, _ = fit_tint(small.reshape(-1, 3).astype(np.float64))
    # The luma that explains the three channels best (least squares along the tint), in levels of
    # the brightest channel.
    towards = slope * slope.max() / (slope @ slope)
    gain = _exposure((band - offset) @ towards)
    forward = np.tile(gain * towards, (3, 1))
    backward = slope[:, None] * np.array(LUMA_WEIGHTS)[None] / (slope.max() * gain)
    return _map(forward, backward, offset, monochrome=True)


def fit_tint(
    pixels: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Fit each channel as slope times luma plus offset, robustly.

    Args:
        pixels: RGB (n, 3) in grey levels.

    Returns:
        Slopes (3,), none negative, and offsets (3,) of R, G, B; the pixels' luma (n,).

    """
    luma = pixels @ np.array(LUMA_WEIGHTS)
    design = np.stack([luma, np.ones_like(luma)], axis=1)
    weight = np.ones_like(luma)
    fit = np.zeros((2, 3))
    for _ in range(ROBUST_ROUNDS):
        weighted = design * weight[:, None]
        fit = np.linalg.lstsq(weighted.T @ design, weighted.T @ pixels, rcond=None)[0]
        error = np.abs(pixels - design @ fit).max(axis=1)
        weight = 1.0 / (1.0 + (error / (np.median(error) + 1.0)) ** 2)
    slope = np.maximum(fit[0], 0.0)
    if slope @ slope < 1e-6:
        return np.ones(3), np.zeros(3), luma
    return slope, fit[1], luma


def _map(
    forward: NDArray[np.float64],
    backward: NDArray[np.float64],
    offset: NDArray[np.float64],
    *,
    monochrome: bool = False,
) -> ColourMap:
    """Return the map y = F (x - o) with the inverse x = B y + o."""
    there = np.hstack([forward, -(forward @ offset)[:, None]])
    back = np.hstack([backward, offset[:, None]])
    return ColourMap(there.astype(np.float32), back.astype(np.float32), monochrome)


@cache
def _identity() -> NDArray[np.float32]:
    one = np.eye(3, 4, dtype=np.float32)
    one.setflags(write=False)
    return one


@cache
def _unchanged() -> ColourMap:
    return ColourMap(_identity(), _identity())


@cache
def _band(side: int) -> NDArray[np.bool_]:
    """Return the eye band, bool (side, side), read-only."""
    y, x = (np.mgrid[:side, :side] + 0.5) * (128.0 / side) - 0.5
    (left, top), (across, down) = BAND_CENTRE, BAND_RADII
    inside: NDArray[np.bool_] = ((x - left) / across) ** 2 + ((y - top) / down) ** 2 <= 1.0
    inside.setflags(write=False)
    return inside


def _linear(picture: NDArray[PixelT], matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(picture.astype(np.float32) @ matrix[:, :3].T + matrix[:, 3], np.float32)


def _mapped(picture: NDArray[PixelT], matrix: NDArray[np.float32]) -> NDArray[PixelT]:
    values = _linear(picture, matrix).clip(0.0, 255.0)
    if picture.dtype == np.uint8:
        return np.asarray(np.rint(values), np.uint8)
    return values
