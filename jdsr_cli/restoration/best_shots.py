"""The best shots of each person while frames pass, in bounded memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.faces import Alignment, compose, crop
from jdsr_cli.faces.occlusion import MaskState
from jdsr_cli.media import Image
from jdsr_cli.restoration.face_folder import picture_side
from jdsr_cli.restoration.frame import FacePatch, RestoredFace
from jdsr_cli.restoration.shots import ShotRanking, spaced
from jdsr_cli.restoration.snapshots import Snapshot
from jdsr_cli.settings import MAX_FUSED_SHOTS


@dataclass(frozen=True, eq=False)
class Shot:
    """A restored face and the part of its frame that it was made of."""

    frame: int
    """Index of the frame in the input."""
    seconds: float
    """Time of the frame."""
    quality: float
    """0 to 1, see `faces.quality`."""
    mask: MaskState
    covered: float
    """Share of the face that is covered, 0 to 1."""
    patch: FacePatch
    face: RestoredFace
    """The restored face; its occlusion is 0 where nothing is replaced."""
    occlusion: NDArray[np.float32]
    """(128, 128) in [0, 1]: what the generator takes for covered."""
    monochrome: bool = False
    """Whether the track shows no colours but a tint."""
    seen: Image | None = None
    """What the face was restored from where that is the mean of several frames: RGB uint8
    (128, 128, 3), aligned, in the colours of the frame; None where it is the filmed face."""

    @property
    def generated(self) -> RestoredFace:
        """Its face with what the generator takes for covered, whatever the mask decision is."""
        return replace(self.face, occlusion=self.occlusion)

    def side(self, scale: int) -> int:
        """Return the side in pixels of the face's picture, `scale` times as large as filmed."""
        return picture_side(self.patch.alignment.native_width, scale)

    def render(self, side: int) -> tuple[Image, Image]:
        """Return the face as filmed and as restored, each RGB uint8 (side, side, 3), aligned."""
        alignment = self.patch.alignment
        before = crop(self.patch.pixels, alignment, side)
        after = before.copy()
        compose(
            after,
            self.face.image,
            self.face.occlusion,
            template_to_canvas(side),
            alignment.native_width,
            self.face.compositing,
        )
        return before, after


def template_to_canvas(side: int) -> NDArray[np.float64]:
    """Return (2, 3) from 128-pixel template coordinates to a canvas of `side` pixels."""
    factor = side / TEMPLATE_SIZE
    shift = 0.5 * factor - 0.5
    return np.array([[factor, 0.0, shift], [0.0, factor, shift]])


@dataclass(frozen=True, eq=False)
class TrackShots:
    """The shots of a track that has ended."""

    best: list[Shot]
    """The best first, to be exported. Of a person who is bare in some frame, those in which the
    face is bare come first, and none from which a mask was removed is among them."""
    fusible: list[Shot]
    """What may be fused, the best first; it does not depend on how many are exported. After those
    like the exported ones come masked shots of a person seen bare, which show what the mask does
    not cover."""


class BestShots:
    """The best shots of every open track, by their mask decision.

    Args:
        limit: Maximum number of shots of a track with each decision.

    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._shots = {mask: ShotRanking[Shot](limit) for mask in get_args(MaskState)}

    def accepts(self, track: int, seconds: float, quality: float, mask: MaskState) -> bool:
        """Return whether such a shot would be kept."""
        return self._shots[mask].accepts(track, seconds, quality)

    def add(self, track: int, shot: Shot) -> None:
        """Keep a shot that `accepts` allows."""
        self._shots[shot.mask].add(track, shot)

    def pop(self, track: int, *, seen_bare: bool) -> TrackShots:
        """Remove and return the shots of a track.

        Args:
            track: Number of the track.
            seen_bare: Whether the person is bare in some frame; otherwise decisions that the face
                is bare are wrong, and their shots are left out.

        """
        ranked = [self._shots[mask].pop(track) for mask in ("bare", "unsure", "masked")]
        bare, unsure, masked = (shots[:MAX_FUSED_SHOTS] for shots in ranked)
        if not seen_bare:
            best = spaced([*ranked[1], *ranked[2]])
            return TrackShots(best[: self._limit], spaced([*unsure, *masked])[:MAX_FUSED_SHOTS])
        best, fusible = spaced(ranked[0], ranked[1]), spaced(bare, unsure)[:MAX_FUSED_SHOTS]
        covered = [shot for shot in spaced(fusible, masked) if shot.mask == "masked"]
        return TrackShots(best[: self._limit], [*fusible, *covered])

    def snapshot(self) -> Snapshot:
        """Return all shots."""
        values: list[dict[str, Any]] = []
        arrays: dict[str, NDArray[Any]] = {}
        for track, shot in (one for shots in self._shots.values() for one in shots.items()):
            name, face = str(len(values)), shot.face
            values.append(
                {
                    "track": track,
                    "frame": shot.frame,
                    "seconds": shot.seconds,
                    "quality": shot.quality,
                    "mask": shot.mask,
                    "covered": shot.covered,
                    "redone": face.redone,
                    "side": face.side,
                    "part": face.part,
                    "monochrome": shot.monochrome,
                }
            )
            arrays[f"{name}.patch"] = shot.patch.pixels
            arrays[f"{name}.matrix"] = shot.patch.alignment.matrix
            arrays[f"{name}.image"] = face.image
            arrays[f"{name}.replaced"] = face.occlusion
            arrays[f"{name}.occlusion"] = shot.occlusion
            if shot.seen is not None:
                arrays[f"{name}.seen"] = shot.seen
        return Snapshot({"shots": values}, arrays)

    def restore(self, snapshot: Snapshot) -> None:
        """Continue from a snapshot."""
        for shots in self._shots.values():
            shots.clear()
        for number, value in enumerate(snapshot.values["shots"]):
            names = ("patch", "matrix", "image", "replaced", "occlusion")
            patch, matrix, image, replaced, occlusion = (
                snapshot.arrays[f"{number}.{name}"] for name in names
            )
            shot = Shot(
                *(value["frame"], value["seconds"], value["quality"], value["mask"]),
                value["covered"],
                FacePatch(patch, Alignment(matrix)),
                RestoredFace(image, replaced, value["redone"], value["side"], value["part"]),
                occlusion,
                value["monochrome"],
                snapshot.arrays.get(f"{number}.seen"),
            )
            self.add(value["track"], shot)


def frames_of(shots: Sequence[Shot]) -> dict[str, Any]:
    """Return the fields of the record of a picture that say which frames it was made of."""
    return {
        "frames": tuple(shot.frame for shot in shots),
        "seconds": tuple(shot.seconds for shot in shots),
    }
