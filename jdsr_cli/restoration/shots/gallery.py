"""The best shots of every track that is still open, in bounded memory."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from jdsr_cli.faces import Alignment
from jdsr_cli.restoration.generate import RestoredFace
from jdsr_cli.restoration.journal.snapshot import Snapshot
from jdsr_cli.restoration.shots.shot import Shot

SPACING = 0.2
"""Seconds between two shots of a track: nearer ones show the same."""


class Gallery:
    """Keeps the best shots of each track.

    Of shots nearer to each other than `SPACING` the better one stays; of two that are equally
    good the earlier.

    Args:
        most: Shots of a track at most.

    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._shots: dict[int, list[Shot]] = {}

    def wants(self, track: int, seconds: float, quality: float) -> bool:
        """Whether a shot of that quality would be kept."""
        kept = self._shots.get(track, [])
        near = _nearest(kept, seconds)
        if near is not None:
            return quality > near.quality
        return len(kept) < self._most or quality > kept[-1].quality

    def add(self, track: int, shot: Shot) -> None:
        """Keep a shot that was wanted."""
        kept = self._shots.setdefault(track, [])
        near = _nearest(kept, shot.seconds)
        if near is not None:
            kept.remove(near)
        kept.append(shot)
        kept.sort(key=lambda one: (-one.quality, one.frame))
        del kept[self._most :]

    def take(self, track: int) -> list[Shot]:
        """Return the shots of a track, the best first, and forget them."""
        return self._shots.pop(track, [])

    def state(self) -> Snapshot:
        """Return all shots."""
        values: list[dict[str, Any]] = []
        arrays: dict[str, NDArray[Any]] = {}
        for track, shots in sorted(self._shots.items()):
            for shot in shots:
                name = f"{len(values)}"
                values.append(
                    {
                        "track": track,
                        "frame": shot.frame,
                        "seconds": shot.seconds,
                        "quality": shot.quality,
                        "redone": shot.face.redone,
                        "side": shot.face.side,
                    }
                )
                arrays[f"{name}.patch"] = shot.patch
                arrays[f"{name}.matrix"] = shot.alignment.matrix
                arrays[f"{name}.image"] = shot.face.image
                arrays[f"{name}.occlusion"] = shot.face.occlusion
        return Snapshot({"shots": values}, arrays)

    def load(self, state: Snapshot) -> None:
        """Go on from where `state` was taken."""
        self._shots = {}
        for number, value in enumerate(state.values["shots"]):
            arrays = {
                name: state.arrays[f"{number}.{name}"]
                for name in ("patch", "matrix", "image", "occlusion")
            }
            face = RestoredFace(
                arrays["image"], arrays["occlusion"], value["redone"], value["side"]
            )
            shot = Shot(
                value["frame"],
                value["seconds"],
                value["quality"],
                arrays["patch"],
                Alignment(arrays["matrix"]),
                face,
            )
            self._shots.setdefault(value["track"], []).append(shot)


def _nearest(shots: list[Shot], seconds: float) -> Shot | None:
    """Return the shot nearest in time, None where none is within the spacing."""
    best = min(shots, key=lambda one: abs(one.seconds - seconds), default=None)
    return best if best is not None and abs(best.seconds - seconds) < SPACING else None
