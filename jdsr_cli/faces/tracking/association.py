"""Associate detections with the predicted boxes of tracks, and with lost people by appearance.

Detections are associated in rounds, each an assignment of greatest total benefit (Hungarian
algorithm). In the first, tracks that were detected recently are matched by the overlap of detected
and predicted box. The second is for the rest: faces that were hidden for a while, and fast small
ones whose boxes in two frames do not even touch. There, boxes are compared after enlarging them
(the buffered overlap of Yang et al., "Hard to track objects with irregular motions and similar
appearances", WACV 2023), and the search radius of a track is limited by the uncertainty of its
motion filter. The third is for low frame rates, at which a new face whose velocity is not known yet
moves by several times its size from one frame to the next. The nearest box is then often that of
somebody else, so a track and a detection are associated only if neither has another candidate.

After a long step boxes alone are weak evidence in a crowd. There, small pictures of the heads are
compared as well: visibly different people are never associated, and where boxes hardly overlap and
others are in reach the heads must be alike. A head that is alike near its last box is associated
although the motion filter expects it elsewhere: walkers go up and down twice a second, which looks
like any velocity at a few frames a second.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.faces.boxes import Boxes, box_overlaps, box_sizes, centre_distances, enlarge_boxes
from jdsr_cli.faces.scene_changes import LONG_STEP
from jdsr_cli.faces.tracking.assignment import assign

RECENT = 0.15
"""Seconds for which a face that is not detected still takes part in the first round; at least one
frame without a detection, whatever the frame rate."""
MIN_OVERLAP = 0.3
"""Least overlap of the predicted and the detected box in the first round."""
MARGIN = 0.5
"""By which boxes are enlarged on each side in the second round, as a share of their sides."""
REACH = 3.0
"""Search radius in standard deviations of the predicted centre."""
FARTHEST = 2.0
"""Largest search radius in face sizes, whatever the uncertainty of the filter."""
FARTHEST_HIDDEN = 0.75
"""The same for a face that was not detected last time: in a crowd, others are soon as near."""
MAX_GROWTH = 1.5
"""Largest ratio of the predicted and the detected size in the second round."""
MAX_GROWTH_HIDDEN = 1.25
"""The same for a face that was not detected last time."""
FASTEST = 9.0
"""Velocity of walkers who pass near the camera, in sizes per second: the search radius of the third
round, where it exceeds that of the second."""
FAR_GROWTH = 0.8
"""Logarithmic growth per second of people who walk towards a near camera: the ratio of sizes in the
third round, where it exceeds that of the second."""
LONGEST_STEP = 1.1
"""Seconds between two frames up to which, from `LONG_STEP` on, limits grow with the time between
them: below `LONG_STEP`, the others allow for it; above this, anybody can be anywhere."""
APPEARANCE_SHARE = 0.3
"""Weight of the cosine of embeddings beside the overlap: enough to decide between overlaps that
differ by less than about a tenth, not to send a track across the picture."""
FOREIGN = 0.05
"""Cosine at or below which two faces are different people: half of all pairs of different
people, and hardly any pair of the same, are there."""
UNLIKE, ALIKE = 0.15, 0.1
"""Difference of heads above which two faces are different people, and up to which they can be the
same although their boxes hardly overlap and others are in reach; between the two, boxes decide.

Percentiles of `head_differences` over pairs of faces in two frames 0.2 to 1 s apart. Different
people are in reach of each other: within four widths, of similar size. The limits were chosen on
the first clip:

::

    clip                     same, 50    90    95    99    different, 5    25    50    75
    street_crowd                 0.05  0.08  0.10  0.15            0.07  0.10  0.13  0.18
    street_arcade                0.05  0.09  0.11  0.14            0.10  0.11  0.13  0.16
    office_cctv                  0.04  0.08  0.09  0.14            0.11  0.13  0.15  0.17
    street_crowd, in gray        0.06  0.10  0.11  0.15            0.07  0.10  0.12  0.14
    street_arcade, in gray       0.08  0.12  0.14  0.16            0.13  0.14  0.15  0.17
    office_cctv, in gray         0.06  0.09  0.11  0.13            0.11  0.12  0.13  0.15
"""
FAR_ALIKE = 0.08
"""The same in the third round, where nothing else speaks for a pair: 90 of 100 pairs of the same
person differ less."""
SURE_OVERLAP = 0.6
"""Overlap of the predicted and the detected box from which heads need not be alike."""
UNMOVED_OVERLAP = 0.2
"""Least overlap of the enlarged last and detected box of heads that are alike."""
HEAD_SHARE = 2.0
"""Weight of the difference of heads beside the overlap: 0.05 counts as much as a tenth of it."""
SAME = 0.65
"""Cosine at or above which a lost person can be re-identified."""
LEAD = 0.1
"""Least lead of that cosine over the one to any other known person: blurred faces of about 40
pixels all look alike to a network, with cosines of 0.8 between different people."""


@dataclass(frozen=True, eq=False)
class PredictedTracks:
    """The predicted state of n tracks."""

    boxes: Boxes
    """(n, 4) predicted boxes."""
    last_boxes: Boxes
    """(n, 4) boxes of the last detections."""
    spread: NDArray[np.float64]
    """(n,) standard deviation of the centre along an axis, in pixels."""
    hidden: NDArray[np.float64]
    """(n,) seconds for which the face has not been detected; 0 where it was detected last time."""
    similarity: NDArray[np.float64]
    """(n, m) cosine of the track's and each detection's embedding; NaN where unknown."""
    difference: NDArray[np.float64]
    """(n, m) difference of the track's and each detection's head, see `faces.head_appearance`; NaN
    where unknown."""
    step: float
    """Seconds since the last frame on which detection ran."""


def associate(predicted: PredictedTracks, found: Boxes) -> list[tuple[int, int]]:
    """Assign detections to tracks.

    Args:
        predicted: State of n tracks.
        found: (m, 4) boxes of the detections.

    Returns:
        Pairs of a track and its detection, in the order of the tracks; each occurs at most once.

    """
    # Comparisons with NaN, where appearance is unknown, are false.
    familiar = ~((predicted.similarity <= FOREIGN) | (predicted.difference > UNLIKE))
    alike = familiar & (~(predicted.difference > ALIKE) | _single(predicted, found))
    bonus = _bonus(predicted)
    step = predicted.step if LONG_STEP <= predicted.step <= LONGEST_STEP else 0.0
    recent = max(RECENT, (1.0 + 1e-6) * step)
    overlap = box_overlaps(predicted.boxes, found)
    first = (overlap >= MIN_OVERLAP) & (predicted.hidden <= recent)[:, None]
    first &= np.where(overlap >= SURE_OVERLAP, familiar, alike)
    pairs = _assign(overlap + bonus, first)
    second, near = _second_round(predicted, found, alike)
    for row, column in pairs:
        second[row, :] = second[:, column] = False
    pairs += _assign(near + bonus, second)
    return sorted(pairs + _associate_far(predicted, found, alike, step, pairs))


def _single(predicted: PredictedTracks, found: Boxes) -> NDArray[np.bool_]:
    """Return which pairs (n, m) are single: neither has another candidate of any appearance."""
    farthest = max(FARTHEST, FASTEST * predicted.step)
    return _alone(_in_reach(predicted, found, farthest, np.inf, predicted.step))


def _in_reach(
    predicted: PredictedTracks, found: Boxes, farthest: float, deviations: float, step: float
) -> NDArray[np.bool_]:
    """Return the pairs (n, m) of similar size that lie at most so far from each other.

    Args:
        predicted: State of n tracks.
        found: (m, 4) boxes of the detections.
        farthest: Largest distance in face sizes.
        deviations: The same in standard deviations of the predicted centre.
        step: Seconds in which the size can change.

    """
    here, there = box_sizes(predicted.boxes)[:, None], box_sizes(found)[None, :]
    smaller, larger = np.minimum(here, there), np.maximum(here, there)
    growth = max(MAX_GROWTH, math.exp(FAR_GROWTH * min(step, LONGEST_STEP)))
    reach = np.minimum(deviations * predicted.spread[:, None], farthest * smaller)
    near = centre_distances(predicted.boxes, found) <= reach
    return np.asarray(near & (larger <= growth * smaller))


def _alone(candidates: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the candidate pairs (n, m) of which neither part has another candidate."""
    rows, columns = candidates.sum(axis=1) == 1, candidates.sum(axis=0) == 1
    return np.asarray(candidates & rows[:, None] & columns[None, :])


def _second_round(
    predicted: PredictedTracks, found: Boxes, alike: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Return which pairs (n, m) the second round allows, and the overlap of enlarged boxes."""
    here, there = box_sizes(predicted.boxes)[:, None], box_sizes(found)[None, :]
    hidden = predicted.hidden[:, None] > 0.0
    limit = np.where(hidden, FARTHEST_HIDDEN, FARTHEST)
    growth = np.where(hidden, MAX_GROWTH_HIDDEN, MAX_GROWTH)
    reach = np.minimum(REACH * predicted.spread[:, None], limit * np.minimum(here, there))
    enlarged = enlarge_boxes(found, MARGIN)
    near = box_overlaps(enlarge_boxes(predicted.boxes, MARGIN), enlarged)
    allowed = (
        (centre_distances(predicted.boxes, found) <= reach)
        & (np.maximum(here, there) <= growth * np.minimum(here, there))
        & alike
        & (near > 0.0)
    )
    before = box_sizes(predicted.last_boxes)[:, None]
    still = box_overlaps(enlarge_boxes(predicted.last_boxes, MARGIN), enlarged)
    unmoved = (
        (predicted.difference <= ALIKE)
        & alike
        & ~hidden
        & (still >= UNMOVED_OVERLAP)
        & (np.maximum(before, there) <= growth * np.minimum(before, there))
    )
    return allowed | unmoved, np.where(unmoved, np.maximum(near, still), near)


def _associate_far(
    predicted: PredictedTracks,
    found: Boxes,
    alike: NDArray[np.bool_],
    step: float,
    pairs: list[tuple[int, int]],
) -> list[tuple[int, int]]:
    """Return the pairs of the third round, after those of the first two."""
    farthest = FASTEST * step
    if farthest <= FARTHEST:
        return []
    far = _in_reach(predicted, found, farthest, REACH, step)
    for row, column in pairs:
        far[row, :] = far[:, column] = False
    far &= alike & ~(predicted.difference > FAR_ALIKE)
    visible = (predicted.hidden == 0.0)[:, None]
    rows, columns = np.nonzero(_alone(far) & visible)
    return list(zip(rows.tolist(), columns.tolist(), strict=True))


def reidentify(similarity: NDArray[np.float64], lost: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Match lost people with new faces by appearance alone.

    Args:
        similarity: (n, m) cosines of all known people and each new face; NaN where unknown.
        lost: (n,) whether each of them is lost.

    Returns:
        Pairs of a lost person and a face, in the order of the people; each occurs at most once.

    """
    known = np.nan_to_num(similarity, nan=-1.0)
    allowed = (known >= SAME) & lost[:, None]
    for row in range(len(known)):
        others = np.delete(known, row, axis=0).max(axis=0, initial=-1.0)
        allowed[row] &= known[row] >= others + LEAD
    return sorted(_assign(known, allowed))


def _bonus(predicted: PredictedTracks) -> NDArray[np.float64]:
    """Return what appearance adds to the benefit of each pair; 0 where it is unknown."""
    embedding = np.nan_to_num(APPEARANCE_SHARE * predicted.similarity, nan=0.0)
    head = np.nan_to_num(HEAD_SHARE * (ALIKE - predicted.difference), nan=0.0)
    return np.asarray(embedding + head, np.float64)


def _assign(benefit: NDArray[np.float64], allowed: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the allowed pairs of greatest total benefit.

    Forbidden pairs and unmatched rows have no benefit: two poor pairs never displace a good one
    of greater benefit.
    """
    if not allowed.any():
        return []
    return assign(np.where(allowed, np.maximum(benefit, 1e-3), 0.0))
