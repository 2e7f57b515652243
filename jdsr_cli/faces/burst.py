"""Fusion of several shots of one face, before it is restored.

What the camera saw is common to all shots; noise, compression and where the pixels of the sensor
fell differ. The mean of registered shots therefore holds more of the face than the best of them,
and is restored once. Each shot contributes what is visible in it: of a person who wears a mask in
some shots, the mouth comes from the others.

PSNR of luma over the face in dB, from `tests/benchmarks/fused_shots.py` (tracks of eight shots of
`synthesis.tracks`, restored by `lite-camera`); of masked faces that of the pixels under the mask,
which is off in two of the eight shots:

::

    native width, px                        16      24      36      56
    bare, one shot (20 faces)             22.70   23.92   26.24   28.96
    bare, eight shots fused               23.27   24.71   27.50   30.50
    masked, one shot (12 faces)           20.04   20.82   21.95   22.00
    masked, eight shots fused             21.62   23.92   26.30   27.62
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.errors import UsageError
from jdsr_cli.faces.regions import covered_region, face_region
from jdsr_cli.faces.registration import register
from jdsr_cli.faces.resampling import sample

TONE_SIDE = 32
"""Side in pixels to which shots are reduced to compare their tone."""
TONE_GAIN = (0.7, 1.4)
"""Limits of the contrast factor of a shot."""
COMPARED_DETAIL = 2.5
"""Standard deviation in pixels of the Gaussian below which shots are not compared: noise and
compression differ there, and are what the mean is for."""
FULL_WEIGHT = 10.0
"""Grey levels from the median of all shots within which a pixel has full weight (Huber)."""
MAX_DEVIATION = 60.0
"""Grey levels from the median above which a pixel has no weight."""
LEAST_VISIBILITY = 1e-3
"""Visibility of a fully covered pixel; counts only where the pixel is covered in every shot."""
MAX_OTHER_WEIGHT = 0.99
"""Weight of a shot as good as the reference, whose weight is 1 and the largest."""

Pixels = NDArray[np.float32]
Reader = Callable[[int, NDArray[np.float32]], Pixels]
"""Reads a shot (its index) at points (side, side, 2) of its crop, as RGB (side, side, 3)."""


@dataclass(frozen=True, eq=False)
class RegisteredShots:
    """The shots of a person that match the first one, as that one shows the face."""

    crops: Pixels
    """RGB (k, side, side, 3) in grey levels, 0 to 255 and not rounded; the reference first, with
    its own pixels, the others registered on it and matched in tone. Where they show nothing, they
    have the pixels of the reference."""
    visibility: Pixels
    """(k, side, side) in [0, 1]: 0 where the shot is covered, or shows nothing."""
    weights: NDArray[np.float64]
    """(k,): 1 of the reference; of the others their share of the largest weight given, at most
    `MAX_OTHER_WEIGHT`."""
    used: tuple[int, ...]
    """Indices of these shots among those given; 0 first, then ascending."""


@dataclass(frozen=True, eq=False)
class FusedInput:
    """One crop made of several shots."""

    image: NDArray[np.uint8]
    """RGB uint8 (side, side, 3)."""
    support: Pixels
    """(side, side): effective number of shots of which each pixel is made, 1 or more."""


def align_shots(
    crops: NDArray[np.uint8],
    weights: NDArray[np.floating] | Sequence[float],
    occlusions: NDArray[np.float32] | None = None,
    *,
    shown: NDArray[np.float32] | None = None,
    bare: Sequence[bool] | None = None,
    widths: Sequence[float] | None = None,
    read: Reader | None = None,
) -> RegisteredShots:
    """Register aligned crops of one face on the first one.

    Shots that do not match are left out, see `registration.register`. The slowly varying exposure
    and colour, and the contrast, of the others become those of the first, as far as the face is
    visible in both.

    Args:
        crops: RGB uint8 (n, side, side, 3), in the template, in canonical colours; the best first.
        weights: (n,), above 0: how good each shot is.
        occlusions: (n, 128, 128) in [0, 1]: what is covered; nothing by default.
        shown: (n, 128, 128) in [0, 1]: where the shots show something; everywhere by default.
            Elsewhere, such as beyond the border of the frame, a crop has pixels that nobody filmed,
            which do not count even where the face is covered in every other shot.
        bare: (n,): whether the person is known to wear no mask in the shot; by default in all. Any
            other shot shows nothing that the first one does not: where its occlusion map has a gap,
            there is a hand, or a mask that was not found.
        widths: (n,) native widths in pixels; see `registration.register`.
        read: Reads a shot where the registration found it, so that it is resampled from its frame
            once; by default the crop is resampled again.

    Raises:
        UsageError: Shapes do not match, or a weight is not above 0.

    """
    share = np.asarray(weights, dtype=np.float64)
    _check(crops, share, occlusions, shown, bare, widths)
    side = crops.shape[1]
    everything = np.ones((TEMPLATE_SIZE, TEMPLATE_SIZE), np.float32)
    present = [everything] * len(crops) if shown is None else [*np.clip(shown, 0.0, 1.0)]
    open_shares = [
        one if occlusions is None else one * (1.0 - covered_region(occlusions[index]))
        for index, one in enumerate(present)
    ]
    first, open_first = crops[0].astype(np.float32), _resized(open_shares[0], side)
    kept, visible, used = [first], [open_first], [0]
    for index in range(1, len(crops)):
        both = open_shares[0] * open_shares[index]
        width = TEMPLATE_SIZE if widths is None else min(widths[0], widths[index])
        found = register(crops[0], crops[index], weight=both, native_width=width)
        if found is None:
            continue
        points = found.coordinates(side)
        shot = read(index, points) if read else sample(crops[index].astype(np.float32), points)
        seen, own = (
            np.clip(sample(_resized(one, side), points, border=0.0), 0.0, 1.0)
            for one in (open_shares[index], present[index])
        )
        if bare is not None and not bare[index]:
            seen = seen * open_first
        matched = match_tone(shot, first, open_first * seen)
        kept.append(first + own[..., None] * (matched - first))
        visible.append(seen)
        used.append(index)
    trust = np.minimum(share[used] / share[used].max(), MAX_OTHER_WEIGHT)
    trust[0] = 1.0
    return RegisteredShots(np.stack(kept), np.stack(visible), trust, tuple(used))


def fuse(shots: RegisteredShots) -> FusedInput:
    """Fuse registered shots of one face to a single crop that a generator restores.

    Each pixel is the mean of the shots by weight and visibility; a covered pixel counts only where
    it is covered in every shot. Values far from the weighted median count less (Huber, and not at
    all beyond `MAX_DEVIATION`); they are compared without fine detail. The order of all shots but
    the first does not matter, and a single shot keeps its pixels.
    """
    weight = shots.weights[:, None, None] * np.maximum(shots.visibility, LEAST_VISIBILITY)
    detail = COMPARED_DETAIL * shots.crops.shape[1] / TEMPLATE_SIZE
    smooth = np.stack([cv2.GaussianBlur(one, (0, 0), detail) for one in shots.crops])
    deviation = np.abs(smooth - _weighted_median(smooth, weight)).max(axis=3)
    belief = np.minimum(1.0, FULL_WEIGHT / np.maximum(deviation, FULL_WEIGHT))
    counted = weight * belief * (deviation < MAX_DEVIATION)
    # If no shot is near the median of every channel, the plain weights are used.
    counted = np.where(_total(counted) > 1e-6 * _total(weight), counted, weight)
    total = _total(counted)
    mean = _total(counted[..., None] * shots.crops) / total[..., None]
    support = total**2 / _total(counted**2)
    pixels = np.clip(np.rint(mean), 0.0, 255.0).astype(np.uint8)
    return FusedInput(pixels, np.asarray(support, np.float32))


def _check(
    crops: NDArray[np.uint8],
    weights: NDArray[np.float64],
    occlusions: NDArray[np.float32] | None,
    shown: NDArray[np.float32] | None,
    bare: Sequence[bool] | None,
    widths: Sequence[float] | None,
) -> None:
    count = len(crops)
    square = crops.ndim == 4 and crops.shape[1] == crops.shape[2] and crops.shape[3] == 3
    if not square or not crops.size or crops.dtype != np.uint8:
        raise UsageError(
            f"shots to fuse are RGB uint8 (n, side, side, 3), not {crops.dtype} {crops.shape}",
            hint="Give aligned crops of one size.",
        )
    if weights.shape != (count,) or not np.isfinite(weights).all() or weights.min() <= 0.0:
        raise UsageError(
            f"{count} shots cannot be weighted by {weights.tolist()}",
            hint="Give one number above 0 for each.",
        )
    expected = (count, TEMPLATE_SIZE, TEMPLATE_SIZE)
    for name, maps in (("occlusion maps", occlusions), ("maps of what they show", shown)):
        if maps is not None and maps.shape != expected:
            raise UsageError(
                f"{count} shots do not go with {name} of shape {maps.shape}",
                hint="Give one map (128, 128) for each.",
            )
    for name, values in (("widths", widths), ("mask decisions", bare)):
        if values is not None and len(values) != count:
            raise UsageError(
                f"{count} shots do not go with {len(values)} {name}", hint="Give one for each."
            )


def _resized(field: Pixels, side: int) -> Pixels:
    if len(field) == side:
        return np.asarray(field, np.float32)
    return np.asarray(cv2.resize(field, (side, side)), np.float32)


def match_tone(shot: Pixels, reference: Pixels, seen: Pixels) -> Pixels:
    """Give a shot the contrast, exposure and colour of the reference.

    The difference is a linear function of the position, whose few numbers do not follow the noise
    of the reference: a locally matched tone would copy that noise into every shot, and their mean
    would be no better than the reference (0.4 dB less at 16 and 36 px on tracks of eight shots).

    Args:
        shot: RGB (side, side, 3).
        reference: Likewise.
        seen: (side, side) in [0, 1]: what is visible in both. Elsewhere the difference is
            extrapolated, so that the colour of a mask does not pass to what it covers.

    """
    side = len(shot)
    trust = cv2.resize(
        _resized(face_region(), side) * seen, (TONE_SIDE, TONE_SIDE), interpolation=cv2.INTER_AREA
    )
    small, fixed = (
        cv2.resize(field, (TONE_SIDE, TONE_SIDE), interpolation=cv2.INTER_AREA)
        for field in (shot, reference)
    )
    weight = np.asarray(trust, np.float64).reshape(-1) + 1e-6
    ramp = np.linspace(-1.0, 1.0, TONE_SIDE)
    x, y = (one.reshape(-1) for one in np.meshgrid(ramp, ramp))
    basis = np.stack([np.ones_like(x), x, y], axis=1)
    inverse = np.linalg.inv((basis * weight[:, None]).T @ basis) @ (basis * weight[:, None]).T

    def contrast(field: NDArray[Any]) -> float:
        luma = np.asarray(field, np.float64).mean(axis=2).reshape(-1)
        rest = luma - basis @ (inverse @ luma)
        return float(np.sqrt((weight * rest**2).sum() / weight.sum()))

    gain = float(np.clip((contrast(fixed) + 1.0) / (contrast(small) + 1.0), *TONE_GAIN))
    slopes = inverse @ (fixed - gain * small).reshape(-1, 3)
    ramp = np.linspace(-1.0, 1.0, side, dtype=np.float32)
    plane = (
        slopes[0]
        + ramp[None, :, None] * slopes[1].astype(np.float32)
        + ramp[:, None, None] * slopes[2].astype(np.float32)
    )
    return np.asarray(gain * shot + plane, np.float32)


def _weighted_median(values: Pixels, weight: NDArray[np.floating]) -> Pixels:
    """Return the weighted median over the first axis, (side, side, 3).

    Weights are counted in integers, whose sums do not depend on their order.
    """
    order = np.argsort(values, axis=0, kind="stable")
    counts = np.rint(weight * 65536.0).astype(np.int64)
    spread = np.broadcast_to(counts[..., None], values.shape)
    reached = np.cumsum(np.take_along_axis(spread, order, axis=0), axis=0)
    middle = (2 * reached >= reached[-1:]).argmax(axis=0)[None]
    found = np.take_along_axis(np.take_along_axis(values, order, axis=0), middle, axis=0)
    return np.asarray(found[0], np.float32)


def _total(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the sum over the first axis, which does not depend on the order of the values."""
    return np.asarray(np.sort(values, axis=0).sum(axis=0, dtype=np.float64))
