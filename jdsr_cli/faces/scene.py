"""Thumbnails of frames, and detection of monochrome footage.

Monochrome footage is gray or of any tint: night vision, infrared, sodium lamps.

A picture is monochrome where all its colours lie on one line in RGB, whatever its direction: each
channel is luma times a factor, plus an offset. The distance of its points from that line is its
colourfulness. The decision is made for each track, with hysteresis: it must not change from frame
to frame, and the parts of a mosaic of cameras are independent.
"""

from __future__ import annotations

from collections import deque
from statistics import median

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.errors import UsageError
from jdsr_cli.faces.averaging import independent_share
from jdsr_cli.faces.canonical_colours import fit_tint

ROWS, COLUMNS = 36, 64
"""Size of a thumbnail: people are a few pixels wide in it."""


def thumbnail(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Reduce a frame to area means, RGB uint8 (36, 64, 3); a thumbnail is returned as it is.

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


def coarse(small: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return means of 2 x 2 pixels of a thumbnail or a part of it, uint8 (H / 2, W / 2, 3).

    People hardly show in it.
    """
    height, width = small.shape[:2]
    size = (max(1, width // 2), max(1, height // 2))
    return np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_AREA), np.uint8)


BECOMES, REMAINS = 6.0, 8.0
"""Colourfulness below which a track in colour becomes monochrome, and up to which a monochrome one
remains so. For a new track their mean is the limit.

Least, median and most of every 40th frame of the development clips (gif: every 15th) in colour, and
most of seven tints (gray, green, purple, cyan, amber, blue, red), each with colour noise of 8 grey
levels and JPEG 40; the same of `face_colourfulness`:

::

    clip              frame, colour      tinted   faces, colour      tinted
    corridor          16.0 16.0 16.2      3.0      3.4  6.4  8.4      4.0
    mask_on            5.3 22.4 25.5      3.6     11.5 12.0 12.4      2.4
    masked_dancer     35.7 38.2 41.1      3.5     32.1 33.3 36.3      2.9
    office_cctv       14.0 14.1 14.3      2.7      0.4  3.0  4.9      6.0
    street_arcade     25.9 26.4 29.5      2.1      0.9  6.3 18.0      4.9
    street_crowd      45.9 47.3 74.8      3.0      8.7 12.4 19.6      4.0
    two_people        20.3 20.5 20.8      3.0      7.9  9.7 10.3      2.5
"""
QUANTILE = 0.9
"""Quantile of the points' distances from the line that is the colourfulness; more is noise."""
LIT = 200.0
"""98th percentile of the brightest channel of a picture in normal light, in grey levels."""
MAX_TINT_GAIN = 4.0
"""Largest factor by which the colourfulness of a dark picture is raised to that in normal light."""
FACE_GRID = 8
"""Side of the picture of area means on which the colour of a face is measured."""
FACE_SHARE, SURE_WIDTH = 0.5, 32.0
"""Weight of a face's colourfulness, and the width in pixels from which it applies; narrower faces
count less, since each point is the mean of few noisy pixels."""
SHARE = 0.2
"""Weight of a frame's colourfulness when it is averaged into that of a track."""


def colourfulness(image: NDArray[np.uint8]) -> float:
    """Return the colourfulness of a frame, in grey levels in normal light; 0 for one tint.

    Args:
        image: RGB uint8 (H, W, 3), a frame or a thumbnail.

    Raises:
        UsageError: The image is not RGB, or is empty.

    """
    return _distance_from_tint(coarse(thumbnail(image)))


def face_colourfulness(image: NDArray[np.uint8], box: tuple[float, float, float, float]) -> float:
    """Return the weighted colourfulness of a face; 0 where no part of it lies in the frame.

    A frame with white walls may have almost no colour except that of skin.

    Args:
        image: The frame, RGB uint8 (H, W, 3).
        box: Left, top, right and bottom of the face in pixels; it is enlarged by a quarter on each
            side.

    """
    left, top, right, bottom = box
    aside, above = (right - left) / 4, (bottom - top) / 4
    rows = slice(max(0, round(top - above)), max(0, round(bottom + above)))
    part = image[rows, max(0, round(left - aside)) : max(0, round(right + aside))]
    if not part.size:
        return 0.0
    small = cv2.resize(part, (FACE_GRID, FACE_GRID), interpolation=cv2.INTER_AREA)
    share = FACE_SHARE * min(1.0, (right - left) / SURE_WIDTH)
    return share * _distance_from_tint(np.asarray(small, np.uint8))


class MonochromeClassifier:
    """Classifies the tracks of an input as monochrome or colour, frame by frame.

    Args:
        window: Number of frames over which the median of the colourfulness is taken, so that a
            flash or a coloured overlay has no effect.

    Raises:
        UsageError: The window is empty.

    """

    def __init__(self, window: int) -> None:
        if window < 1:
            raise UsageError(f"{window} frames are no window", hint="Give 1 or more.")
        self._frames: deque[float] = deque(maxlen=window)
        self._faces: dict[int, tuple[float, float]] = {}
        self._monochrome: dict[int, bool] = {}

    def add_frame(self, colour: float) -> None:
        """Add the colourfulness of the next frame; its tracks may be classified later."""
        self._frames.append(colour)

    def classify(self, track: int, seconds: float, colour: float | None) -> bool:
        """Return whether a track is monochrome in a frame.

        Args:
            track: Number of the track.
            seconds: Time of the frame.
            colour: Colourfulness of its face, see `face_colourfulness`; None where the frame has no
                detection of it.

        """
        if colour is not None:
            since, before = self._faces.get(track, (seconds, colour))
            share = independent_share(SHARE, seconds - since)
            self._faces[track] = seconds, (1.0 - share) * before + share * colour
        shown = max(median(self._frames or (0.0,)), self._faces.get(track, (0.0, 0.0))[1])
        if track not in self._monochrome:
            limit = (BECOMES + REMAINS) / 2
        else:
            limit = REMAINS if self._monochrome[track] else BECOMES
        self._monochrome[track] = shown < limit
        return self._monochrome[track]

    def drop(self, track: int) -> None:
        """Drop the state of a track that has ended."""
        self._faces.pop(track, None)
        self._monochrome.pop(track, None)


def _distance_from_tint(small: NDArray[np.uint8]) -> float:
    pixels = small.reshape(-1, 3).astype(np.float64)
    slope, offset, luma = fit_tint(pixels)
    distance = pixels - (luma[:, None] * slope + offset)
    # Differences along the line of the tint are luma and not colour.
    distance -= (distance @ slope)[:, None] * slope / max(float(slope @ slope), 1e-9)
    light = max(1.0, float(np.quantile(pixels.max(axis=1), 0.98)))
    gain = min(MAX_TINT_GAIN, max(1.0, LIT / light))
    return gain * float(np.quantile(np.linalg.norm(distance, axis=1), QUANTILE))
