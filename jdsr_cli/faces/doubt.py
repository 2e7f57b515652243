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

from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.errors import UsageError
from jdsr_cli.faces.occlusion import MaskState, face_ellipse, filmed_where_covered
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
FEATURES = ("spread", "contrast", "occlusion", "gain", "width")
"""Features of a pixel in the order of the coefficients: logarithms of the spread of the repeats and
of the local contrast (mean length of the gradient), the occlusion, the powers of 2 by which the
exposure was raised, and the logarithm of the width in the frame.

Noise and the change by the restoration add nothing to them: on 200 training faces, the share of
seen pixels within 16 grey levels with probability 0.9 is 0.64 by the spread alone, 0.72 with these
features, and 0.72 with those two as well; of invented pixels 0.07, 0.17 and 0.17."""


MAX_STOPS = 5.0
"""Powers of 2 of the exposure from which darker faces are predicted alike."""
LEAST_WIDTH = 12.0
"""Width in pixels of the narrowest faces of calibrations; the widest fill the template."""


@dataclass(frozen=True, eq=False)
class FaceConditions:
    """What is known about a face before it is restored again."""

    mask: MaskState
    native_width: float
    """Width of the face's region in the frame, in pixels."""
    gain: float
    """Factor of the exposure for the generator, see `ColourMap.gain`."""

    @property
    def kinds(self) -> tuple[PixelKind, PixelKind]:
        """What its uncovered and its covered pixels show."""
        return "seen", "invented" if self.mask == "masked" else "filmed"


@dataclass(frozen=True, eq=False)
class FaceEvidence(FaceConditions):
    """What is known at run time about the error of a restored face."""

    features: NDArray[np.float32]
    """(p, 5) of the pixels of the face's ellipse, row by row, see `FEATURES`."""
    covered: NDArray[np.bool_]
    """(p,): pixels that are not ``seen``."""


def gather_evidence(
    agreement: Agreement, crop: NDArray[np.uint8], conditions: FaceConditions
) -> FaceEvidence:
    """Return what is known about the error of the mean of the repeats.

    Args:
        agreement: The repeats of the face.
        crop: The aligned crop as filmed, in canonical colours, RGB uint8 (128, 128, 3).
        conditions: Of the face; covered pixels of faces that are not masked show the crop.

    Raises:
        UsageError: The crop has another shape.

    """
    if crop.shape != agreement.image.shape:
        raise UsageError(
            f"a crop {crop.shape} does not belong to a face {agreement.image.shape}",
            hint="Enlarge the crop to 128 x 128 pixels.",
        )
    image = agreement.image
    mask, width, gain = conditions.mask, conditions.native_width, conditions.gain
    if mask != "masked":
        image = filmed_where_covered(image, crop, agreement.occlusion)
    ellipse = face_ellipse()
    features = np.empty((np.count_nonzero(ellipse), len(FEATURES)), np.float32)
    features[:, 0] = np.log(_averaged(agreement.spread)[ellipse] + 0.5)
    features[:, 1] = np.log(_averaged(_slope(smoothed_luma(image)))[ellipse] + 0.5)
    features[:, 2] = agreement.occlusion[ellipse]
    features[:, 3] = min(max(math.log2(max(gain, 1e-6)), 0.0), MAX_STOPS)
    features[:, 4] = math.log2(min(max(width, LEAST_WIDTH), TEMPLATE_SIZE))
    covered = np.asarray(covered_region(agreement.occlusion)[ellipse] > COVERED_ABOVE)
    return FaceEvidence(mask, width, gain, features, covered)


def _averaged(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(cv2.GaussianBlur(values, (0, 0), NEIGHBOURHOOD), np.float32)


def _slope(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the length of the gradient in grey levels per pixel (Sobel)."""
    across, down = (cv2.Sobel(picture, -1, *axis, scale=0.125) for axis in ((1, 0), (0, 1)))
    return np.asarray(cv2.magnitude(across, down), np.float32)
