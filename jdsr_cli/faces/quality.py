"""Quality of one view of a face: its sharpness, and a score that ranks the views of a person.

Sharpness compares image gradients at a fine and at a coarse scale (as Zhuo and Sim 2011 do for
defocus), along the direction in which the face is blurred most. In a sharp face the fine gradients
are steeper; the more it is blurred, the more alike both are. The ratio depends neither on light nor
on contrast. Each pixel is weighted by its coarse gradient, so that edges decide, and the expected
contribution of noise is subtracted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.errors import UsageError
from jdsr_cli.faces.alignment import Alignment, Pose, crop
from jdsr_cli.faces.occlusion import face_ellipse

MIN_SIDE = 16
"""Pixels; smaller faces are enlarged to this size and so count as blurred."""
FINE, COARSE = 0.5, 1.5
"""Standard deviations in native pixels of the Gaussians whose gradients are compared."""
FULL_BASE, FULL_PER_SIDE = 0.36, 3.8
"""Gain of the fine over the coarse gradients at which sharpness is 1: base + per_side / side.

The fewer pixels a face has the more edges each of them holds. Fitted so that sharp faces have a
sharpness of about 0.8 whatever their size, see `sharpness`.
"""
QUIET = 0.33
"""Quantile of the responses of the noise filter that counts as noise; higher ones are edges."""
QUIET_NORMAL = 0.4261
"""The same quantile of the absolute value of a standard normal variable."""
MIN_SIGNAL = 0.25
"""Least signal in the coarse gradients, in multiples of the noise."""
MIN_SLOPE = 0.01
"""Least gradient in grey levels per pixel; below it sharpness is 0."""

_NOISE_KERNEL = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
_NOISE_GAIN = 6.0


def sharpness(image: NDArray[np.uint8], alignment: Alignment) -> float:
    """Return the sharpness of a face at its native resolution, 0 to 1.

    Calibrated on 400 faces of the development data (`faces128`, val), blurred by a Gaussian or by
    motion along a line (in native pixels) and reduced to a native width; median sharpness:

    ::

        side, picture                blur 0   0.5     1   1.5     2     3     4
        16  clean                      0.71  0.64  0.50  0.38  0.28  0.18  0.12
        16  noise 16                   0.71  0.64  0.48  0.31  0.22  0.00  0.00
        32  clean                      0.78  0.68  0.50  0.35  0.24  0.15  0.10
        32  noise 8, JPEG 50           0.77  0.68  0.50  0.36  0.27  0.20  0.17
        32  noise 16                   0.78  0.67  0.49  0.34  0.22  0.11  0.00
        32  contrast 0.3, noise 6      0.77  0.68  0.49  0.32  0.21  0.07  0.00
        64  clean                      0.80  0.70  0.51  0.35  0.25  0.14  0.09
        64  noise 8, JPEG 50           0.82  0.72  0.54  0.39  0.31  0.22  0.19
        128 clean                      0.72  0.65  0.48  0.33  0.24  0.13  0.08
        128 noise 8, JPEG 50           0.79  0.72  0.55  0.42  0.34  0.28  0.27
        128 noise 16                   0.72  0.66  0.48  0.34  0.23  0.12  0.06

        motion of native pixels           0     2     4     6     8    12
        32                             0.77  0.67  0.48  0.33  0.24  0.20
        64                             0.79  0.70  0.50  0.36  0.26  0.17
        128                            0.73  0.67  0.50  0.35  0.26  0.17

    Args:
        image: The frame, RGB uint8 (H, W, 3).
        alignment: Alignment of the face.

    Returns:
        About 0.8 for a sharp face, 0.5 at a blur of one native pixel, 0.2 at three; 0 where
        noise hides all detail, or the face has no contrast.

    Raises:
        UsageError: The image is not RGB, or the alignment cannot be inverted.

    """
    width = alignment.native_width
    side = TEMPLATE_SIZE if not math.isfinite(width) else round(width)
    side = min(TEMPLATE_SIZE, max(MIN_SIDE, side))
    return crop_sharpness(crop(image, alignment, side))


def crop_sharpness(face: NDArray[np.uint8]) -> float:
    """Return the sharpness of an aligned face at its native resolution.

    Args:
        face: RGB uint8 (side, side, 3), in the template.

    Raises:
        UsageError: The face is not a square RGB picture.

    """
    if face.ndim != 3 or face.shape[2] != 3 or face.shape[0] != face.shape[1] or not face.size:
        raise UsageError(
            f"an aligned face is square RGB, not of shape {face.shape}",
            hint="Crop it with jdsr_cli.faces.crop.",
        )
    side = face.shape[0]
    luma = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY).astype(np.float32)
    inside = face_ellipse(side)
    noise = _noise_power(luma, inside)
    fine, coarse = _gradients(luma, FINE), _gradients(luma, COARSE)
    own_noise = noise * _noise_energy(COARSE, COARSE)
    own = _products(coarse, coarse, inside) - 0.5 * own_noise * np.eye(2)
    seen, axes = np.linalg.eigh(own)
    if seen.sum() < max(MIN_SIGNAL * own_noise, MIN_SLOPE**2) or seen[0] <= 0.0:
        return 0.0
    both = _products(fine, coarse, inside) - 0.5 * noise * _noise_energy(FINE, COARSE) * np.eye(2)
    whiten = axes / np.sqrt(seen)
    gain = float(np.linalg.eigvalsh(whiten.T @ both @ whiten)[0]) - 1.0
    return float(np.clip(gain / (FULL_BASE + FULL_PER_SIDE / side), 0.0, 1.0))


def _products(
    one: NDArray[np.float32], other: NDArray[np.float32], inside: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return the mean products of two gradient fields (2, side, side) over the face, (2, 2)."""
    here, there = (field[:, inside].astype(np.float64) for field in (one, other))
    product = here @ there.T / here.shape[1]
    return np.asarray(0.5 * (product + product.T))


def _gradients(luma: NDArray[np.float32], deviation: float) -> NDArray[np.float32]:
    """Return derivatives of a Gaussian along x and y, (2, side, side)."""
    smooth, slope = _kernels(deviation)
    border = cv2.BORDER_REFLECT_101
    along = cv2.sepFilter2D(luma, cv2.CV_32F, slope, smooth, borderType=border)
    across = cv2.sepFilter2D(luma, cv2.CV_32F, smooth, slope, borderType=border)
    return np.stack([along, across])


@cache
def _kernels(deviation: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a Gaussian of sum 1 and its derivative, whose response to a slope of 1 is 1."""
    radius = math.ceil(3.5 * deviation) + 1
    x = np.arange(-radius, radius + 1, dtype=np.float64)
    smooth = np.exp(-0.5 * (x / deviation) ** 2)
    slope = x * smooth
    return smooth / smooth.sum(), slope / (x * slope).sum()


@cache
def _noise_energy(one: float, other: float) -> float:
    """Return the energy of white noise of power 1 in the gradients at two scales."""
    impulse = np.zeros((33, 33), np.float32)
    impulse[16, 16] = 1.0
    return float((_gradients(impulse, one) * _gradients(impulse, other)).sum())


def _noise_power(luma: NDArray[np.float32], inside: NDArray[np.bool_]) -> float:
    """Return the variance of the noise (Immerkær 1996), from the smoother parts of the face."""
    response = cv2.filter2D(luma, cv2.CV_32F, _NOISE_KERNEL, borderType=cv2.BORDER_REFLECT_101)
    quiet = float(np.quantile(np.abs(response[inside]), QUIET))
    return (quiet / (QUIET_NORMAL * _NOISE_GAIN)) ** 2


EYES_SCALE = 18.0
"""Eye distance in pixels at which the size curve, 1 - exp(-d / scale), is 0.63."""
SHARPNESS_SCALE = 0.5
"""Sharpness at which the sharpness curve, 1 - exp(-s / scale), is 0.63."""
FLOOR = 0.02
"""Least value of a curve, so that views that fail in one respect can still be ranked."""
SIZE_WEIGHT = 0.35
SHARPNESS_WEIGHT = 0.25
OPEN_WEIGHT = 0.20
FRONTAL_WEIGHT = 0.15
DETECTOR_WEIGHT = 0.05
"""Exponents of the curves; they add up to 1.

Size, sharpness and cover were fitted to the identity cosine (MobileFaceNet) between the face
restored by `lite-camera` and the sharp original: 70 faces of `faces128` test, each degraded 12
times (native width 14 to 128, blur, motion, noise, JPEG, 4 of 10 covered). Pose was not varied;
its weight comes from 4,083 pairs of one person, one of them frontal: the median cosine is 0.68
below 15 degrees of yaw, 0.64 at 26, 0.56 at 38, 0.48 beyond 46, and does not depend on pitch
up to 15 degrees.

::

    ranked by               rank correlation    cosine of the best view
                            within a face       (best possible 0.778, mean 0.299)
    score                        0.85                 0.756
    eye distance                 0.75                 0.620
    sharpness                    0.35                 0.457
    distance times sharpness     0.83                 0.705
"""
MIN_SHARPNESS = 0.05
"""Sharpness below which a face is too blurred to be restored.

Faces of 64 pixels blurred by 4 native pixels have 0.08 to 0.13 and their restored faces still
resemble the input; blurred by 6 they have 0.01 to 0.06 and by 8 0.01 to 0.04, and the restored
faces no longer depend on the person.
"""


@dataclass(frozen=True)
class FaceQuality:
    """Measures of the quality of one view of a face.

    Raises:
        UsageError: A value is out of its range or not finite.

    """

    eye_distance: float
    """Eye distance in pixels of the frame, 0 or more."""
    sharpness: float
    """See `sharpness`, 0 to 1."""
    pose: Pose
    """Pose of the head."""
    covered: float
    """Share of the face that is covered, 0 to 1; 0 where it is not known."""
    detector: float
    """The detector's score, 0 to 1."""

    def __post_init__(self) -> None:
        shares = (self.sharpness, self.covered, self.detector)
        angles = (self.pose.yaw, self.pose.pitch, self.pose.roll)
        if (
            not all(0.0 <= share <= 1.0 for share in shares)
            or not all(math.isfinite(angle) for angle in angles)
            or not 0.0 <= self.eye_distance < math.inf
        ):
            raise UsageError(
                f"the quality of a face is out of range: {self}",
                hint="Sharpness, cover and score lie in 0 to 1, the distance is 0 or more.",
            )

    @property
    def score(self) -> float:
        """Quality of the view, 0 to 1; only for ranking views.

        The weighted geometric mean, in which one bad measure is not compensated by others, of::

            size       1 - exp(-eye_distance / 18)       weight 0.35
            sharpness  1 - exp(-sharpness / 0.5)         weight 0.25
            open       1 - covered                       weight 0.20
            frontal    (cos yaw * cos pitch) ** 2        weight 0.15
            detector   the score                         weight 0.05

        Each curve is at least 0.02. Roll has no effect: the aligned crop is upright.
        """
        yaw, pitch = math.radians(self.pose.yaw), math.radians(self.pose.pitch)
        curves = (
            (1.0 - math.exp(-self.eye_distance / EYES_SCALE), SIZE_WEIGHT),
            (1.0 - math.exp(-self.sharpness / SHARPNESS_SCALE), SHARPNESS_WEIGHT),
            (1.0 - self.covered, OPEN_WEIGHT),
            (max(0.0, math.cos(yaw) * math.cos(pitch)) ** 2, FRONTAL_WEIGHT),
            (self.detector, DETECTOR_WEIGHT),
        )
        return math.exp(sum(weight * math.log(max(FLOOR, curve)) for curve, weight in curves))
