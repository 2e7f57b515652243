"""Choice of the best shots of each person while frames pass, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Generic, Protocol, TypeVar

SPACING = 0.2
"""Minimum seconds between two shots of a track; closer ones show the same."""


class RankedShot(Protocol):
    """What the choice between shots needs to know."""

    @property
    def frame(self) -> int:
        """Index of the frame in the input."""

    @property
    def seconds(self) -> float:
        """Time of the frame."""

    @property
    def quality(self) -> float:
        """0 to 1, see `faces.quality`."""


S = TypeVar("S", bound=RankedShot)


class ShotRanking(Generic[S]):
    """The best shots of every open track.

    Of shots closer to each other than `SPACING` the better one is kept, of equally good ones the
    earlier.

    Args:
        limit: Maximum number of shots of a track.

    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._shots: dict[int, list[S]] = {}

    def accepts(self, track: int, seconds: float, quality: float) -> bool:
        """Return whether a shot of that quality would be kept."""
        kept = self._shots.get(track, [])
        near = _nearest(kept, seconds)
        if near is not None:
            return quality > near.quality
        return len(kept) < self._limit or quality > kept[-1].quality

    def add(self, track: int, shot: S) -> None:
        """Keep a shot that `accepts` allows."""
        kept = self._shots.setdefault(track, [])
        near = _nearest(kept, shot.seconds)
        if near is not None:
            kept.remove(near)
        kept.append(shot)
        kept.sort(key=_rank)
        del kept[self._limit :]

    def pop(self, track: int) -> list[S]:
        """Remove and return the shots of a track, the best first."""
        return self._shots.pop(track, [])

    def items(self) -> Iterator[tuple[int, S]]:
        """Yield the tracks in their order with each of their shots, the best first."""
        for track, shots in sorted(self._shots.items()):
            for shot in shots:
                yield track, shot

    def clear(self) -> None:
        """Forget all shots."""
        self._shots.clear()


def spaced(*groups: Iterable[S]) -> list[S]:
    """Return shots without those that are closer than `SPACING` to one before.

    Args:
        groups: Shots of one track. Those of earlier groups come first, within a group by quality.

    """
    kept: list[S] = []
    for shot in (one for group in groups for one in sorted(group, key=_rank)):
        if _nearest(kept, shot.seconds) is None:
            kept.append(shot)
    return kept


def _rank(shot: RankedShot) -> tuple[float, int]:
    return -shot.quality, shot.frame


def _nearest(shots: list[S], seconds: float) -> S | None:
    """Return the shot nearest in time, None if none is within the spacing."""
    best = min(shots, key=lambda one: abs(one.seconds - seconds), default=None)
    return best if best is not None and abs(best.seconds - seconds) < SPACING else None
