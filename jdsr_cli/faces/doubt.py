"""The predicted error of every pixel of a restored face.

The error of a pixel is the absolute difference of its luma (BT.601, full range, in grey levels of
0 to 255) from that of the true photograph, both in canonical colours, as if the face were normally
lit, and both smoothed by `repeats.SMOOTHING`. It is not known at run time; here it is predicted
from what is known. The prediction only ranks pixels: the guarantee of the calibration
(`faces.error_bounds`) does not depend on its quality.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.errors import UsageError
from jdsr_cli.faces.occlusion import MaskState, filmed_where_covered
from jdsr_cli.faces.regions import covered_region
from jdsr_cli.faces.repeats import Agreement, smoothed_luma

PixelKind = Literal["seen", "filmed", "invented"]
"""What a pixel of the result shows: what the camera saw, restored (``seen``); something that
covers the face, left as it was filmed (``filmed``, of faces that are not certainly masked); or what
the generator put in place of a mask (``invented``)."""
KINDS: tuple[PixelKind, ...] = get_args(PixelKind)
COVERED_ABOVE = 0.05
"""Weight of replacement (`regions.covered_region`) from which a pixel is not counted as seen."""
NEIGHBOURHOOD = 2.0
"""Standard deviation in template pixels of the Gaussian that averages spread and contrast."""
FEATURES = ("spread", "change", "contrast", "occlusion", "gain", "width", "noise")
"""Names of the features of a pixel, in the order of the coefficients."""


@dataclass(frozen=True, eq=False)
class FaceEvidence:
    """What is known at run time about the error of a restored face."""

    features: NDArray[np.float32]
    """(128, 128, 7), see `FEATURES`."""
    covered: NDArray[np.bool_]
    """(128, 128): pixels that are not ``seen``."""
    mask: MaskState
    native_width: float
    """Width of the face's region in the frame, in pixels."""
    gain: float
    """Factor of the exposure for the generator, see `ColourMap.gain`."""

    @property
    def kinds(self) -> tuple[PixelKind, PixelKind]:
        """What its uncovered and its covered pixels show."""
        return "seen", "invented" if self.mask == "masked" else "filmed"


def gather_evidence(
    agreement: Agreement,
    crop: NDArray[np.uint8],
    *,
    mask: MaskState,
    native_width: float,
    gain: float,
    noise: float,
) -> FaceEvidence:
    """Return what is known about the error of the mean of the repeats.

    Args:
        agreement: The repeats of the face.
        crop: The aligned crop as filmed, in canonical colours, RGB uint8 (128, 128, 3).
        mask: Whether the face is masked; covered pixels of other faces show the crop.
        native_width: Width of the face's region in the frame, in pixels.
        gain: Factor of the exposure for the generator, see `ColourMap.gain`.
        noise: Noise of the crop in grey levels, see `repeats.native_noise`.

    Raises:
        UsageError: The crop has another shape.

    """
    if crop.shape != agreement.image.shape:
        raise UsageError(
            f"a crop {crop.shape} does not belong to a face {agreement.image.shape}",
            hint="Enlarge the crop to 128 x 128 pixels.",
        )
    image = agreement.image
    if mask != "masked":
        image = filmed_where_covered(image, crop, agreement.occlusion)
    after, before = smoothed_luma(image), smoothed_luma(crop)
    features = np.empty((*after.shape, len(FEATURES)), np.float32)
    features[..., 0] = np.log(_averaged(agreement.spread) + 0.5)
    features[..., 1] = np.log(np.abs(after - before) + 1.0)
    features[..., 2] = np.log(_averaged(_slope(after)) + 0.5)
    features[..., 3] = agreement.occlusion
    features[..., 4] = min(max(math.log2(max(gain, 1e-6)), 0.0), 5.0)
    features[..., 5] = math.log2(min(max(native_width, 12.0), 128.0))
    features[..., 6] = math.log2(noise + 1.0)
    covered = np.asarray(covered_region(agreement.occlusion) > COVERED_ABOVE)
    return FaceEvidence(features, covered, mask, native_width, gain)


def _averaged(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(cv2.GaussianBlur(values, (0, 0), NEIGHBOURHOOD), np.float32)


def _slope(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the length of the gradient in grey levels per pixel (Sobel)."""
    across, down = (cv2.Sobel(picture, -1, *axis, scale=0.125) for axis in ((1, 0), (0, 1)))
    return np.asarray(cv2.magnitude(across, down), np.float32)
