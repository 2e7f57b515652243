"""How far the shots of a track can be trusted: their doubt maps, and their identity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.faces import crop
from jdsr_cli.faces.canonical_colours import canonical_map
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

    def covered(self, shot: Shot) -> NDArray[np.float32]:
        """Return the probability that each pixel of a shot is covered, (128, 128) in [0, 1]."""
        return calibrated_occlusion(shot.occlusion, self._occlusion)

    def repeats(self, shot: Shot) -> bool:
        """Return whether a shot is restored again when it is examined.

        Not if the picture shows nothing of the restored face, or nothing that is calibrated.
        """
        return self._doubt is not None and bool(shown(shot.generated, _conditions(shot, 1.0)).any())

    def examine(self, shot: Shot) -> ExaminedShot:
        """Return a shot with its doubt map, and with the mean of the repeats as its face.

        A shot of which no pixel could be relied on, whatever the repeats, is not restored again.
        """
        if self._doubt is None or not self.repeats(shot):
            return ExaminedShot(shot)
        filmed = crop(shot.patch.pixels, shot.patch.alignment)
        colours = canonical_map(filmed, monochrome=shot.monochrome)
        conditions, part = _conditions(shot, colours.gain), shot.face.part
        if not self._doubt.can_keep(conditions, part):
            return ExaminedShot(shot, unreliable=True)
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

    def compare_fused(
        self, fused: Image, best: Shot, shots: Sequence[Shot], bare: Image | None
    ) -> IdentityFigures | None:
        """Return the identity figures of a fused face; None without a network.

        Args:
            fused: RGB uint8 (128, 128, 3), in the template.
            best: The best of the shots that it was made of.
            shots: These shots.
            bare: See `compare`.

        """
        if self._identity is None:
            return None
        checked = replace(_checked(best), restored=fused)
        return self._identity.check_one(checked, [_checked(shot) for shot in shots], bare)


def _conditions(shot: Shot, gain: float) -> FaceConditions:
    return FaceConditions(shot.mask, shot.patch.alignment.native_width, gain)


def _checked(shot: Shot) -> CheckedShot:
    before, after = shot.render(TEMPLATE_SIZE)
    width = shot.patch.alignment.native_width
    return CheckedShot(before, after, shot.face.occlusion, shot.mask, width)
