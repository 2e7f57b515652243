"""Which detection belongs to which track.

Each round is an assignment of greatest total benefit (Hungarian algorithm). In the first, tracks
seen a moment ago take what overlaps their foretold box. The second is for what is left: faces
that were hidden for a while, and fast small ones whose boxes of two frames do not even touch.
There, boxes are compared after enlarging them (the buffered overlap of Yang et al., "Hard to
track objects with irregular motions and similar appearances", WACV 2023), and a track reaches no
further than its filter thinks likely.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from jdsr_cli.faces.boxes import Numbers, distances, enlarged, overlaps, sizes

RECENT = 0.15
"""Seconds for which a face missed by looks still counts as seen a moment ago."""
LEAST_OVERLAP = 0.3
"""Of the foretold and the found box in the first round."""
MARGIN = 0.5
"""By which boxes are enlarged on each side in the second round, as a share of their sides."""
REACH = 3.0
"""Standard deviations of the filter within which the centre is looked for."""
FARTHEST = 2.0
"""Face sizes beyond which it is not, however little the filter knows."""
FARTHEST_HIDDEN = 0.75
"""The same for a face that the last look missed: in a crowd, others are soon as near."""
MOST_GROWTH = 1.5
"""Largest ratio of the foretold and the found size in the second round."""
MOST_GROWTH_HIDDEN = 1.25
"""The same for a face that the last look missed."""
APPEARANCE_SHARE = 0.3
"""Weight of the cosine of embeddings beside the overlap: enough to decide between overlaps that
differ by less than about a tenth, not to send a track across the picture."""
FOREIGN = 0.05
"""Cosine at or below which two faces are different people: half of all pairs of different
people, and hardly any pair of the same, are there."""
SAME = 0.65
"""Cosine at or above which a lost person may be found again."""
LEAD = 0.1
"""By which that cosine must exceed the one to any other known person: blurred faces of about
40 pixels all look alike to a network, with cosines of 0.8 between different people."""


@dataclass(frozen=True, eq=False)
class Expected:
    """Where n tracks are foretold to be."""

    boxes: Numbers
    """(n, 4)."""
    spread: Numbers
    """(n,) standard deviation of the centre along an axis, in pixels."""
    hidden: Numbers
    """(n,) seconds since a look first missed the track; 0 where the last look found it."""
    likeness: Numbers
    """(n, m) cosine of the track's and each detection's embedding; NaN where unknown."""


def associate(expected: Expected, found: Numbers) -> list[tuple[int, int]]:
    """Give detections to tracks.

    Args:
        expected: Of n tracks.
        found: (m, 4) boxes of the detections.

    Returns:
        Pairs of a track and its detection, in the order of the tracks; none occurs twice.

    """
    familiar = ~(expected.likeness <= FOREIGN)  # NaN is not foreign.
    overlap = overlaps(expected.boxes, found)
    first = (overlap >= LEAST_OVERLAP) & (expected.hidden <= RECENT)[:, None] & familiar
    pairs = _assign(overlap, first, expected.likeness)
    here, there = sizes(expected.boxes)[:, None], sizes(found)[None, :]
    hidden = expected.hidden[:, None] > 0.0
    limit = np.where(hidden, FARTHEST_HIDDEN, FARTHEST)
    growth = np.where(hidden, MOST_GROWTH_HIDDEN, MOST_GROWTH)
    reach = np.minimum(REACH * expected.spread[:, None], limit * np.minimum(here, there))
    second = (
        (distances(expected.boxes, found) <= reach)
        & (np.maximum(here, there) <= growth * np.minimum(here, there))
        & familiar
    )
    for row, column in pairs:
        second[row, :] = second[:, column] = False
    near = overlaps(enlarged(expected.boxes, MARGIN), enlarged(found, MARGIN))
    return sorted(pairs + _assign(near, second & (near > 0.0), expected.likeness))


def find_again(likeness: Numbers, lost: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Pair lost people with new faces by appearance alone.

    Args:
        likeness: (n, m) cosines of everybody known and each new face; NaN where unknown.
        lost: (n,) who of them is lost.

    Returns:
        Pairs of a lost person and a face, in the order of the people; none occurs twice.

    """
    known = np.nan_to_num(likeness, nan=-1.0)
    allowed = (known >= SAME) & lost[:, None]
    for row in range(len(known)):
        others = np.delete(known, row, axis=0).max(axis=0, initial=-1.0)
        allowed[row] &= known[row] >= others + LEAD
    return sorted(_assign(known, allowed, np.full_like(known, np.nan)))


def _assign(
    benefit: Numbers, allowed: NDArray[np.bool_], likeness: Numbers
) -> list[tuple[int, int]]:
    """Return the allowed pairs of greatest total benefit.

    A forbidden pair counts nothing, as does staying alone: two poor pairs never displace a
    good one of greater benefit.
    """
    if not allowed.any():
        return []
    bonus = np.nan_to_num(APPEARANCE_SHARE * likeness, nan=0.0)
    worth = np.where(allowed, np.maximum(benefit + bonus, 1e-3), 0.0)
    rows, columns = linear_sum_assignment(worth, maximize=True)
    return [
        (int(row), int(column))
        for row, column in zip(rows, columns, strict=True)
        if allowed[row, column]
    ]
