"""Means of temporal figures over all pairs of frames, and their intervals.

Pairs of one track are not independent, so that whole tracks are drawn with replacement (cluster
bootstrap). Of a single track pairs are drawn; since neighbouring ones resemble each other, its
intervals are too narrow, as are those of a few tracks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.evaluation.statistics import CONFIDENCE, RESAMPLES, SEED, resampled_ratios


@dataclass(frozen=True)
class RatioInterval:
    """A ratio of sums over pairs of frames, and its 95 % interval."""

    value: float
    low: float | None
    """Lower end; None if there is only one unit to draw from."""
    high: float | None
    """Upper end."""


@dataclass(frozen=True)
class VideoFigure:
    """A temporal figure of one video."""

    mean: RatioInterval
    """Over all pairs of frames that have a value."""
    relative: RatioInterval | None
    """The mean divided by that of the reference; None for the reference itself, for figures that
    the reference does not have, and where that of the reference is 0."""
    pairs: int
    """Number of pairs with a value."""


def unit_name(tracks: int) -> str:
    """Return over what intervals are bootstrapped."""
    return "tracks" if tracks > 1 else "pairs of frames"


def interval_protocol(tracks: int) -> str:
    """Describe means and intervals for a number of tracks."""
    caution = (
        "intervals of a few tracks are too narrow"
        if tracks > 1
        else "there is one track; neighbouring pairs resemble each other, so that it is too narrow"
    )
    return (
        "means over all pairs of consecutive frames of a track; relative: divided by the mean of "
        f"the reference; {CONFIDENCE:.0%} percentile bootstrap over {unit_name(tracks)}, "
        f"{RESAMPLES:,} resamples, seed {SEED}, the same for every video and figure; {caution}"
    )


def summarise(tracks: Sequence[NDArray[np.float64]]) -> list[list[VideoFigure | None]]:
    """Return the figures of each video, the reference first; None where there is no value.

    Args:
        tracks: (pairs, videos, figures) of each track, NaN where a figure is not defined; each has
            a pair at least.

    """
    units = list(tracks) if len(tracks) > 1 else [one[None] for one in tracks[0]]
    sums = np.stack([np.nansum(one, axis=0) for one in units])
    counts = np.stack([(~np.isnan(one)).sum(axis=0) for one in units])
    videos, figures = sums.shape[1:]
    return [
        [
            _figure(sums[:, video, one], counts[:, video, one], sums[:, 0, one], video > 0)
            for one in range(figures)
        ]
        for video in range(videos)
    ]


def _figure(
    sums: NDArray[np.float64],
    counts: NDArray[np.int64],
    reference: NDArray[np.float64],
    compared: bool,
) -> VideoFigure | None:
    pairs = int(counts.sum())
    if not pairs:
        return None
    relative = None
    if compared and reference.sum() > 0:
        relative = _ratio(sums, reference)
    return VideoFigure(_ratio(sums, counts), relative, pairs)


def _ratio(numerators: NDArray[np.float64], denominators: NDArray[np.generic]) -> RatioInterval:
    value = float(numerators.sum() / denominators.sum())
    if len(numerators) < 2:
        return RatioInterval(value, None, None)
    tail = 50 * (1 - CONFIDENCE)
    drawn = resampled_ratios([numerators], [denominators])[0]
    low, high = (float(end) for end in np.nanpercentile(drawn, [tail, 100 - tail]))
    return RatioInterval(value, low, high)
