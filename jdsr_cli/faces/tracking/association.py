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
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.faces.boxes import Boxes, box_overlaps, box_sizes, centre_distances, enlarge_boxes
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
SHORT_STEP, LONG_STEP = 0.19, 1.1
"""Seconds between two frames from which and up to which limits grow with the time between them:
below, the others allow for it; above, anybody can be anywhere."""
APPEARANCE_SHARE = 0.3
"""Weight of the cosine of embeddings beside the overlap: enough to decide between overlaps that
differ by less than about a tenth, not to send a track across the picture."""
FOREIGN = 0.05
"""Cosine at or below which two faces are different people: half of all pairs of different
people, and hardly any pair of the same, are there."""
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
    spread: NDArray[np.float64]
    """(n,) standard deviation of the centre along an axis, in pixels."""
    hidden: NDArray[np.float64]
    """(n,) seconds for which the face has not been detected; 0 where it was detected last time."""
    similarity: NDArray[np.float64]
    """(n, m) cosine of the track's and each detection's embedding; NaN where unknown."""
    step: float = 0.0
    """Seconds since the last frame on which detection ran."""


def associate(predicted: PredictedTracks, found: Boxes) -> list[tuple[int, int]]:
    """Assign detections to tracks.

    Args:
        predicted: State of n tracks.
        found: (m, 4) boxes of the detections.

    Returns:
        Pairs of a track and its detection, in the order of the tracks; each occurs at most once.

    """
    familiar = ~(predicted.similarity <= FOREIGN)  # NaN is not foreign.
    step = predicted.step if SHORT_STEP <= predicted.step <= LONG_STEP else 0.0
    recent = max(RECENT, (1.0 + 1e-6) * step)
    overlap = box_overlaps(predicted.boxes, found)
    first = (overlap >= MIN_OVERLAP) & (predicted.hidden <= recent)[:, None] & familiar
    pairs = _assign(overlap, first, predicted.similarity)
    here, there = box_sizes(predicted.boxes)[:, None], box_sizes(found)[None, :]
    hidden = predicted.hidden[:, None] > 0.0
    limit = np.where(hidden, FARTHEST_HIDDEN, FARTHEST)
    growth = np.where(hidden, MAX_GROWTH_HIDDEN, MAX_GROWTH)
    reach = np.minimum(REACH * predicted.spread[:, None], limit * np.minimum(here, there))
    second = (
        (centre_distances(predicted.boxes, found) <= reach)
        & (np.maximum(here, there) <= growth * np.minimum(here, there))
        & familiar
    )
    for row, column in pairs:
        second[row, :] = second[:, column] = False
    near = box_overlaps(enlarge_boxes(predicted.boxes, MARGIN), enlarge_boxes(found, MARGIN))
    pairs += _assign(near, second & (near > 0.0), predicted.similarity)
    return sorted(pairs + _associate_far(predicted, found, familiar, step, pairs))


def _associate_far(
    predicted: PredictedTracks,
    found: Boxes,
    familiar: NDArray[np.bool_],
    step: float,
    pairs: list[tuple[int, int]],
) -> list[tuple[int, int]]:
    """Return the pairs of the third round, after those of the first two."""
    farthest = FASTEST * step
    if farthest <= FARTHEST:
        return []
    here, there = box_sizes(predicted.boxes)[:, None], box_sizes(found)[None, :]
    smaller, larger = np.minimum(here, there), np.maximum(here, there)
    growth = max(MAX_GROWTH, math.exp(FAR_GROWTH * step))
    reach = np.minimum(REACH * predicted.spread[:, None], farthest * smaller)
    far = (centre_distances(predicted.boxes, found) <= reach) & (larger <= growth * smaller)
    for row, column in pairs:
        far[row, :] = far[:, column] = False
    alone = (far.sum(axis=1) == 1)[:, None] & (far.sum(axis=0) == 1)[None, :]
    visible = (predicted.hidden == 0.0)[:, None]
    rows, columns = np.nonzero(far & alone & visible & familiar)
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
    return sorted(_assign(known, allowed, np.full_like(known, np.nan)))


def _assign(
    benefit: NDArray[np.float64], allowed: NDArray[np.bool_], similarity: NDArray[np.float64]
) -> list[tuple[int, int]]:
    """Return the allowed pairs of greatest total benefit.

    Forbidden pairs and unmatched rows have no benefit: two poor pairs never displace a good one
    of greater benefit.
    """
    if not allowed.any():
        return []
    bonus = np.nan_to_num(APPEARANCE_SHARE * similarity, nan=0.0)
    benefits = np.where(allowed, np.maximum(benefit + bonus, 1e-3), 0.0)
    return assign(benefits)
