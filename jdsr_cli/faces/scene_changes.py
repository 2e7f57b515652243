"""Detection of cuts between scenes, and of the shift of the picture by a moving camera.

Tracks end at a cut. Two frames are compared in two steps. The first is the difference of their
coarse thumbnails after matching brightness and contrast. It is small as long as little of the
picture moves: at high frame rates, or for a camera that does not move.

Where it is large, blocks of the first frame are searched in the second by normalised
cross-correlation, which does not depend on exposure. What two frames of one scene have in common
moves alike, by the motion of the camera; the best matches of blocks of another scene are scattered.
The share of blocks that move alike therefore decides. At low frame rates people cover most of the
background from one frame to the next; there a smaller share is enough if the colours agree as well.
The search radius grows with the time between the frames, as the camera can move farther.

A decision depends on two consecutive frames alone: searching a segment by itself, or in a resumed
run, gives the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.conventions import LUMA_WEIGHTS
from jdsr_cli.errors import UsageError
from jdsr_cli.faces.scene import COLUMNS, ROWS, coarse

MIN_DIFFERENCE = 0.6
"""Mean luma difference of two coarse thumbnails of matched brightness and contrast, in standard
deviations, up to which they show the same scene.

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

BLOCK, STRIDE = 10, 5
"""Side and distance of the blocks that are searched, in pixels of a thumbnail."""
BORDER = 3
"""Pixels of a thumbnail along each edge without blocks: recorders write date and camera there."""
BAR, MIN_INSIDE = 16, BLOCK + 2 * BORDER
"""Largest level of the rows and columns along an edge that are bars and not picture, and the least
number of those between bars: fewer have no blocks."""
MIN_TEXTURE = 2.0
"""Standard deviation of luma in grey levels below which a block is not searched."""
MIN_BLOCKS = 6
"""Least number of searched blocks from which they can show that a scene continues."""
MIN_CORRELATION = 0.7
"""Least normalised cross-correlation of a block and its match."""
TOLERANCE = 1
"""Pixels of a thumbnail by which blocks that move alike may differ along an axis."""
STILL_SHARE = 0.5
"""Number of unmoved blocks, as a share of those that move alike, from which the camera is at rest
and the others belong to a person who fills much of the picture."""
SHORT_STEP_AGREEMENT, SURE_AGREEMENT, MIN_AGREEMENT = 0.5, 0.35, 0.1
"""Share of the blocks that move alike from which a scene continues: after less than `LONG_STEP`,
after that or more, and the same where colours agree as well.

Share of pairs that count as cuts, a second or 0.04 s apart; the pans are windows on 140 street
scenes, shifted by a share of their width, and portraits are of two people in the same place:

::

    pairs                        1 s    0.04 s    by MIN_DIFFERENCE alone
    street_crowd, 1 frame/s     0.03                0.97
    street_crowd, 2 frames/s    0.02                0.24
    pan by 0.1                  0.00                0.77
    pan by 0.25                 0.00                0.97
    the same, other exposure    0.04                0.98
    pan by 0.4                  0.03                0.99
    exposure                    0.00    0.00        0.07
    168 joints between clips    1.00    1.00        1.00
    840 of two street scenes    0.998   0.998       0.998
    450 of two portraits        0.996   0.998       0.998

One pair of the 840 shows the same wall.
"""
LONG_STEP = 0.19
"""Seconds between two frames from which people can cover most of the background."""
MIN_COLOUR_AGREEMENT = 0.84
"""Least overlap of the histograms of colours that agree, see `_colour_agreement`.

99 % of pairs at joints between clips are below 0.80, of different street scenes below 0.85; 95 % of
those that differ within street_crowd, at 1 frame/s, are above 0.85.
"""
LEVELS = 6
"""Bins of such a histogram along each of the three colours, over two standard deviations of luma on
each side of the mean."""
THIRDS = 3
"""Parts of the picture, side by side, that have a histogram each."""
CAMERA_SPEED = 2.0
"""Fastest motion of a camera, in widths of the picture per second."""
MAX_SHIFT = 0.7, 0.25
"""Largest shift that is searched, as a share of width and of height."""
LEAST_RADIUS = 2
"""Least search radius in pixels of a thumbnail."""

_WEIGHTS = np.array(LUMA_WEIGHTS)


@dataclass(frozen=True)
class SceneChange:
    """What changes from one frame to the next."""

    cut: bool = False
    """Whether another scene begins."""
    shift: tuple[float, float] | None = None
    """How far the picture moves to the right and down, as shares of its width and height; None if
    that is not known."""


def compare_scenes(
    before: NDArray[np.uint8], after: NDArray[np.uint8], seconds: float
) -> SceneChange:
    """Compare two consecutive frames.

    Neither a lamp that is switched on nor a change of exposure counts as a cut, nor does a frame
    whitened by a flash. Crossfades and cuts between similar views are not detected. The shift is
    measured only where it matters to tracking: after `LONG_STEP` or more, or where much changes.

    Args:
        before: Thumbnail of the first frame, see `jdsr_cli.faces.scene.thumbnail`.
        after: Thumbnail of the next frame.
        seconds: Time from one to the other, above 0.

    Raises:
        UsageError: They are not thumbnails, or the time is not positive.

    """
    for one in (before, after):
        if one.shape != (ROWS, COLUMNS, 3):
            raise UsageError(
                f"scenes are compared by thumbnails, not by pictures of shape {one.shape}",
                hint="Use jdsr_cli.faces.scene.thumbnail.",
            )
    if not seconds > 0.0:
        raise UsageError(
            f"{seconds} s from one frame to the next", hint="Give frames in order of time."
        )
    before, after = _without_bars(before, after)
    first, second = (coarse(one).astype(np.float64) for one in (before, after))
    small = np.abs(second - first).mean() < MIN_CHANGE
    if small and seconds < LONG_STEP:
        return SceneChange()
    lumas = [one @ _WEIGHTS for one in (first, second)]
    if any(one.std() < FLAT and one.mean() > WHITE for one in lumas):
        return SceneChange()
    differs = not small and _differs(*lumas)
    if not differs and seconds < LONG_STEP:
        return SceneChange()
    agreement, shift = _common_motion(before, after, seconds)
    long = seconds >= LONG_STEP
    sure = agreement >= (SURE_AGREEMENT if long else SHORT_STEP_AGREEMENT)
    if differs and not sure:
        similar = long and agreement >= MIN_AGREEMENT
        if not (similar and _colour_agreement(first, second) >= MIN_COLOUR_AGREEMENT):
            return SceneChange(cut=True)
    return SceneChange(shift=shift if sure else None)


def _differs(first: NDArray[np.float64], second: NDArray[np.float64]) -> bool:
    """Return whether two lumas differ after brightness and contrast are matched."""
    if min(first.std(), second.std()) < FLAT:
        return True
    gain = min(MAX_GAIN, float(second.std() / first.std()))
    matched = gain * (first - first.mean())
    difference = float(np.abs(second - second.mean() - matched).mean() / second.std())
    return difference > MIN_DIFFERENCE


def _common_motion(
    before: NDArray[np.uint8], after: NDArray[np.uint8], seconds: float
) -> tuple[float, tuple[float, float]]:
    """Return the share of blocks that move alike, and how far, as in `SceneChange.shift`."""
    weights = _WEIGHTS.astype(np.float32)
    first, second = (one.astype(np.float32) @ weights for one in (before, after))
    height, width = first.shape
    reach = max(LEAST_RADIUS, int(CAMERA_SPEED * seconds * COLUMNS))
    across, down = (
        min(reach, int(share * side))
        for share, side in zip(MAX_SHIFT, (width, height), strict=True)
    )
    searched, moves = 0, []
    for top in range(BORDER, height - BLOCK - BORDER + 1, STRIDE):
        for left in range(BORDER, width - BLOCK - BORDER + 1, STRIDE):
            block = first[top : top + BLOCK, left : left + BLOCK]
            if block.std() < MIN_TEXTURE:
                continue
            searched += 1
            y, x = max(0, top - down), max(0, left - across)
            window = second[y : top + BLOCK + down, x : left + BLOCK + across]
            found = cv2.matchTemplate(window, block, cv2.TM_CCOEFF_NORMED)
            _, correlation, _, (column, row) = cv2.minMaxLoc(found)
            if correlation >= MIN_CORRELATION:
                moves.append((x + column - left, y + row - top))
    if searched < MIN_BLOCKS or not moves:
        return 0.0, (0.0, 0.0)
    points = np.array(moves)
    still = np.abs(points).max(axis=1) <= TOLERANCE
    near = np.abs(points[:, None] - points[None]).max(axis=2) <= TOLERANCE
    alike = near[near.sum(axis=1).argmax()]
    if still.sum() >= STILL_SHARE * alike.sum():
        return float(still.sum() / searched), (0.0, 0.0)
    right, downward = points[alike].mean(axis=0)
    return float(alike.sum() / searched), (float(right / COLUMNS), float(downward / ROWS))


def _without_bars(
    first: NDArray[np.uint8], second: NDArray[np.uint8]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return two thumbnails without the black bars that both have along an edge."""
    corners = np.maximum(first[:: ROWS - 1, :: COLUMNS - 1], second[:: ROWS - 1, :: COLUMNS - 1])
    if corners.max(axis=2).min() > BAR:
        return first, second
    lightest = np.maximum(first, second).max(axis=2)
    parts = []
    for axis in (1, 0):
        lines = np.flatnonzero(lightest.max(axis=axis) > BAR)
        inside = len(lines) and lines[-1] - lines[0] + 1 >= MIN_INSIDE
        parts.append(slice(lines[0], lines[-1] + 1) if inside else slice(None))
    rows, columns = parts
    return first[rows, columns], second[rows, columns]


def _colour_agreement(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Return the overlap of the histograms of two pictures of matched brightness and contrast.

    It is the mean of the Bhattacharyya coefficients of the left, middle and right third: colours
    agree at the same place, and not only in the mirror.
    """
    histograms = (_histograms(picture) for picture in (first, second))
    overlaps = [float(np.sqrt(one * other).sum()) for one, other in zip(*histograms, strict=True)]
    return sum(overlaps) / len(overlaps)


def _histograms(picture: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Return the histogram of each third of a picture (H, W, 3), with a sum of 1."""
    deviation = max(FLAT, float((picture @ _WEIGHTS).std()))
    levels = ((picture - picture.mean(axis=(0, 1))) / deviation + 2.0) * (LEVELS / 4)
    bins = np.clip(levels, 0, LEVELS - 1).astype(np.intp) @ (LEVELS**2, LEVELS, 1)
    return [
        np.bincount(part.ravel(), minlength=LEVELS**3) / max(1, part.size)
        for part in np.array_split(bins, THIRDS, axis=1)
    ]
