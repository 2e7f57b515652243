"""How far the shots of a track can be trusted: their doubt maps, and their identity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.faces import crop
from jdsr_cli.faces.canonical_colours import ColourMap, canonical_map
from jdsr_cli.faces.doubt import FaceConditions
from jdsr_cli.faces.identity_check import CheckedShot, IdentityCheck, IdentityFigures
from jdsr_cli.faces.occlusion_calibration import (
    UNCALIBRATED,
    OcclusionCalibration,
    calibrated_occlusion,
)
from jdsr_cli.media import Image
from jdsr_cli.restoration.best_shots import Shot
from jdsr_cli.restoration.doubt import Doubt, DoubtEstimator, shown
from jdsr_cli.restoration.finishing import finish_face
from jdsr_cli.restoration.fused_faces import FusedFace


@dataclass(frozen=True, eq=False)
class ExaminedShot:
    """A shot and what is known about its trustworthiness."""

    shot: Shot
    """With the mean of the repeated restorations as its face, and the mean of their occlusion maps,
    where there are repeats; `covered` stays that of the frame's face in the records."""
    doubt: Doubt | None = None
    unreliable: bool = False
    """Whether no pixel of it can be relied on, so that it is not exported."""


class Examiner:
    """Examines shots before they are exported.

    Args:
        doubt: Estimates doubt; None if it is not wanted, or not known for the weights.
        identity: Compares faces; None without a recognition network.
        occlusion: Calibration of the generator's occlusion maps.

    """

    def __init__(
        self,
        doubt: DoubtEstimator | None = None,
        identity: IdentityCheck | None = None,
        occlusion: OcclusionCalibration = UNCALIBRATED,
    ) -> None:
        self._doubt = doubt
        self._identity = identity
        self._occlusion = occlusion

    def covered(self, occlusion: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the probability that each pixel is covered, (128, 128) in [0, 1].

        Args:
            occlusion: (128, 128) of the generator.

        """
        return calibrated_occlusion(occlusion, self._occlusion)

    def repeats(self, shot: Shot) -> bool:
        """Return whether a shot is restored again when it is examined.

        Not if the picture shows nothing of the restored face, or nothing that is calibrated.
        """
        return self._doubt is not None and bool(shown(shot.generated, _conditions(shot, 1.0)).any())

    def can_keep(self, shot: Shot) -> bool:
        """Return whether any pixel of a shot could be relied on.

        It is known before the shot is restored again. A shot that is not (`repeats`) is kept.
        """
        if self._doubt is None or not self.repeats(shot):
            return True
        _, colours = _filmed(shot)
        return self._doubt.can_keep(_conditions(shot, colours.gain), shot.face.part)

    def examine(self, shot: Shot) -> ExaminedShot:
        """Return a shot with its doubt map, and with the mean of the repeats as its face.

        A shot of which no pixel could be relied on, whatever the repeats, is not restored again.
        """
        if self._doubt is None or not self.repeats(shot):
            return ExaminedShot(shot)
        if not self.can_keep(shot):
            return ExaminedShot(shot, unreliable=True)
        filmed, colours = _filmed(shot)
        conditions, part = _conditions(shot, colours.gain), shot.face.part
        seen = filmed if shot.seen is None else shot.seen
        doubt = self._doubt.estimate(
            colours.apply(filmed), conditions, part, seen=colours.apply(seen)
        )
        if doubt is None:
            return ExaminedShot(shot)
        face = finish_face(doubt.face, filmed, colours, shot.mask, part)
        examined = replace(shot, face=face, occlusion=doubt.face.occlusion)
        return ExaminedShot(examined, doubt, doubt.nothing_reliable)

    def compare(self, shots: Sequence[Shot], bare: Image | None) -> list[IdentityFigures | None]:
        """Return the identity figures of the shots of a track; None without a network.

        Args:
            shots: The shots.
            bare: The filmed face of the person without a mask, RGB uint8 (128, 128, 3), aligned;
                None if there is none.

        """
        if self._identity is None:
            return [None] * len(shots)
        return [*self._identity.check([_checked(shot) for shot in shots], bare)]

    def examine_fused(self, fused: FusedFace) -> FusedFace | None:
        """Return a fused face; with the mean of the repeats as its face, as `examine` does.

        The repeats are those of the mean of the shots. A face that was restored from all shots
        stays as it is. It has no doubt map: calibrations are fitted to single shots.

        Returns:
            None if a single shot like it would not be exported, since no pixel could be relied on.

        """
        conditions = FaceConditions(fused.mask, fused.native_width, fused.colours.gain)
        if self._doubt is None or not shown(fused.generated, conditions).any():
            return fused
        part = fused.generated.part
        if not self._doubt.can_keep(conditions, part):
            return None
        doubt = self._doubt.estimate(fused.crop, conditions, part)
        if doubt is None:
            return fused
        if doubt.nothing_reliable:
            return None
        return fused if fused.jointly else replace(fused, generated=doubt.face)

    def compare_fused(self, fused: FusedFace, bare: Image | None) -> IdentityFigures | None:
        """Return the identity figures of a fused face; None without a network.

        Args:
            fused: The face.
            bare: See `compare`.

        """
        if self._identity is None:
            return None
        others = [_checked(shot) for shot in fused.shots]
        return self._identity.check_one(fused.checked(), others, bare)


def _filmed(shot: Shot) -> tuple[Image, ColourMap]:
    """Return the aligned crop of a shot as filmed, and its map to canonical colours."""
    filmed = crop(shot.patch.pixels, shot.patch.alignment)
    return filmed, canonical_map(filmed, monochrome=shot.monochrome)


def _conditions(shot: Shot, gain: float) -> FaceConditions:
    return FaceConditions(shot.mask, shot.patch.alignment.native_width, gain)


def _checked(shot: Shot) -> CheckedShot:
    before, after = shot.render(TEMPLATE_SIZE)
    width = shot.patch.alignment.native_width
    return CheckedShot(before, after, shot.face.occlusion, shot.mask, width)
