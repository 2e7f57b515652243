"""Simulated tracks for the evaluation of burst restoration: what each shot of a face shows.

The crops are aligned as landmarks align them and not registered: that is left to the methods.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.datasets.face_set import FaceSet
from jdsr_cli.datasets.samples import EvaluationSample
from jdsr_cli.synthesis.camera_settings import CameraSettings
from jdsr_cli.synthesis.compression import DegradedPair, resize_bicubic
from jdsr_cli.synthesis.masks import Sprite, rng_for
from jdsr_cli.synthesis.tracks import ALIGNED, RecordedTrack, record_track

TrackKind = Literal["plain", "masked", "uncovered"]
"""Tracks without a mask, with one in every shot, and with one that is off in some shots."""
WIDTHS = (16, 24, 36, 56)
"""Default widths of faces on the sensor, in pixels."""
BARE = 0.25
"""Share of shots of `uncovered` tracks in which the mask is off, never in the first one."""


def bare_shots(shots: int) -> int:
    """Return in how many of the shots of an `uncovered` track the mask is off."""
    return max(1, round(BARE * shots))


def describe_tracks(shots: int) -> str:
    """Describe the tracks of an evaluation with this number of shots."""
    hand = (
        f"a hand in front of the face in some shots after the first of {ALIGNED.hand:.0%} of the "
        "tracks; "
        if shots > 2
        else ""
    )
    uncovered = (
        f"; uncovered: the mask is off in {bare_shots(shots)} of {shots} shots, at random "
        "positions after the first"
        if shots > 1
        else ""
    )
    return (
        "the width of the face, the light and the shape of the pixels are those of the track, "
        "noise, focus, motion blur and compression those of a shot; misalignment, deformation, "
        "expression and light between shots as measured on clips, crops not registered; "
        f"{hand}masks are found in each shot by itself; the truth is the bare face as the first "
        f"shot shows it, and *_covered what the mask covers there{uncovered}"
    )


@dataclass(frozen=True)
class EvaluationTrack(EvaluationSample):
    """The shots of a face; `pair` is that of the first one alone."""

    track: RecordedTrack

    @property
    def inputs(self) -> NDArray[np.uint8]:
        """All shots, (n, s, s, 3)."""
        return self.track.frames


@dataclass(frozen=True)
class TrackScene:
    """What the tracks of one section of the results have in common."""

    kind: TrackKind
    width: int
    """Of the faces on the sensor, in pixels."""
    shots: int
    """Number of shots of a track."""
    lr_size: int
    """Side of the crops in pixels."""
    sprites: Sequence[Sprite]
    """Masks, of which one is drawn for each track."""

    @property
    def name(self) -> str:
        """Name of the section."""
        return f"{self.kind} {self.width} px"

    def samples(self, faces: FaceSet) -> Iterator[EvaluationTrack]:
        """Yield a track of each face; it depends only on the face's key and on this scene."""
        for index, key in enumerate(faces.keys):
            yield self._sample(key, np.asarray(faces.images[index]), faces.landmarks[index])

    def _sample(
        self, key: str, face: NDArray[np.uint8], landmarks: NDArray[np.float32]
    ) -> EvaluationTrack:
        track = record_track(
            face, landmarks, self._worn(key), self.sprites, self.lr_size, rng_for(key),
            CameraSettings(native_width=(self.width, self.width)), ALIGNED,
        )  # fmt: skip
        first, covered = track.frames[0], track.occlusions[0]
        pair = DegradedPair(
            first, resize_bicubic(track.truth, self.lr_size), track.truth, covered,
            round(track.native_width),
        )  # fmt: skip
        alpha = cv2.resize(covered, (TEMPLATE_SIZE, TEMPLATE_SIZE))
        return EvaluationTrack(key, pair, np.asarray(alpha, np.float32), track)

    def _worn(self, key: str) -> tuple[bool, ...]:
        """Return for each shot whether the person wears a mask."""
        if self.kind != "uncovered":
            return (self.kind == "masked",) * self.shots
        off = bare_shots(self.shots)
        bare = 1 + rng_for(f"{key} uncovered").permutation(self.shots - 1)[:off]
        return tuple(number not in bare for number in range(self.shots))


def scenes(
    widths: Sequence[int], shots: int, lr_size: int, sprites: Sequence[Sprite]
) -> list[TrackScene]:
    """Return the scenes of an evaluation; a single shot has no track that is uncovered later."""
    kinds: tuple[TrackKind, ...] = ("plain", "masked", "uncovered")
    return [
        TrackScene(kind, width, shots, lr_size, sprites)
        for kind in kinds
        if kind != "uncovered" or shots > 1
        for width in widths or WIDTHS
    ]
