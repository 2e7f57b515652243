"""Thumbnails of frames, and the detection of cuts between scenes, at which tracks end."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.conventions import LUMA_WEIGHTS
from jdsr_cli.errors import UsageError

ROWS, COLUMNS = 18, 32
"""Size of a thumbnail: enough to distinguish scenes, too coarse to show people moving."""
MIN_DIFFERENCE = 0.6
"""Mean luma difference of two thumbnails of matched brightness and contrast, in standard
deviations, above which they show different scenes.

Largest within clips, smallest of 336 joints between clips of the development data:

::

    clip, frames        1 frame apart   5 apart
    corridor, 41            0.06          0.20
    mask_on, 234            0.18          0.40
    masked_dancer, 530      0.11          0.28
    office_cctv, 600        0.02          0.03
    street_arcade, 105      0.12          0.34
    street_crowd, 600       0.20          0.55
    two_people, 56          0.04          0.16
    joints                         0.68
"""
MIN_CHANGE = 10.0
"""Minimum mean change of a cut in grey levels, over all pixels and channels.

Joints between clips change 33 or more.
"""
FLAT = 4.0
"""Standard deviation of luma in grey levels below which a thumbnail is uniform."""
WHITE = 200.0
"""Mean luma above which a uniform thumbnail is a flash and not a scene."""
MAX_GAIN = 4.0
"""Maximum factor by which contrast is matched; nearly uniform pictures stay different."""


def thumbnail(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Reduce a frame to area means, RGB uint8 (18, 32, 3); a thumbnail is returned as it is.

    Args:
        image: RGB uint8 (H, W, 3).

    Raises:
        UsageError: It is not an RGB picture, or is empty.

    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise UsageError(
            f"a thumbnail is made of RGB uint8 (H, W, 3), not {image.dtype} {image.shape}",
            hint="Decode the frame to RGB.",
        )
    if image.shape[:2] == (ROWS, COLUMNS):
        return image
    small = cv2.resize(image, (COLUMNS, ROWS), interpolation=cv2.INTER_AREA)
    return np.asarray(small, dtype=np.uint8)


def is_cut(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> bool:
    """Return whether another scene begins between two frames.

    Brightness and contrast are matched first, so that neither a lamp that is switched on nor a
    change of exposure counts as a cut. A frame whitened by a flash does not count either.
    Crossfades and cuts between similar views are not detected.

    Args:
        before: Thumbnail of the first frame, see `thumbnail`.
        after: Thumbnail of the next frame.

    Raises:
        UsageError: They are not thumbnails.

    """
    for one in (before, after):
        if one.shape != (ROWS, COLUMNS, 3):
            raise UsageError(
                f"cuts are detected in thumbnails, not in pictures of shape {one.shape}",
                hint="Use jdsr_cli.faces.scene.thumbnail.",
            )
    if np.abs(after.astype(np.float64) - before).mean() < MIN_CHANGE:
        return False
    first, second = (_luma(one) for one in (before, after))
    flat = [one.std() < FLAT for one in (first, second)]
    if any(flat):
        return not any(
            uniform and one.mean() > WHITE
            for uniform, one in zip(flat, (first, second), strict=True)
        )
    gain = min(MAX_GAIN, float(second.std() / first.std()))
    matched = gain * (first - first.mean())
    difference = float(np.abs(second - second.mean() - matched).mean() / second.std())
    return difference > MIN_DIFFERENCE


def _luma(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    luma: NDArray[np.float64] = picture.astype(np.float64) @ np.array(LUMA_WEIGHTS)
    return luma
