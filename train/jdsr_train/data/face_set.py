"""Aligned faces with everything that is known of them, as the rest of the package sees them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def _not_given() -> NDArray[np.float32]:
    return np.zeros((0, 68, 2), np.float32)


@dataclass(frozen=True)
class FaceSet:
    """Aligned faces with their landmarks, in the order of their keys in the source."""

    keys: tuple[str, ...]
    images: NDArray[np.uint8]
    """(N, 128, 128, 3) RGB; a memory map of the cache."""
    landmarks: NDArray[np.float32]
    """(N, 68, 2) iBUG points in 128-px coordinates, by which masks are worn; where only five
    points are known, those of `landmarks_from_five`."""
    heat_points: NDArray[np.float32] = field(default_factory=_not_given)
    """(N, P, 2) points that the prior network learns: the 68 where they were found, else the
    five (eyes, nose, mouth corners, image left first). Where not given, `landmarks`."""
    identities: tuple[str, ...] | None = None
    """Name of each face's person where the source tells them; empty for a person unknown."""
    parsing: NDArray[np.uint8] | None = None
    """(N, 64, 64) labels of the 11 classes (`PARSING_CLASSES`), where known; a memory map."""
    files: tuple[Path, ...] = ()
    """Those that hold exactly this set, its index first; none for a set in memory."""

    def __post_init__(self) -> None:
        if not len(self.heat_points):
            object.__setattr__(self, "heat_points", self.landmarks)

    def __len__(self) -> int:
        """Return the number of faces."""
        return len(self.keys)

    @cached_property
    def people(self) -> tuple[str, ...]:
        """The known persons in order of name; empty where identities are unknown."""
        return tuple(sorted(set(self.identities or ()) - {""}))

    @cached_property
    def person_of(self) -> NDArray[np.int64] | None:
        """(N,) place in `people` of each face, -1 for an unknown person; None without names."""
        if self.identities is None:
            return None
        places = {name: place for place, name in enumerate(self.people)}
        return np.array([places.get(name, -1) for name in self.identities], np.int64)
