"""How far the shots of a track can be trusted: their doubt maps, and their identity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.faces import crop
from jdsr_cli.faces.canonical_colours import canonical_map
from jdsr_cli.faces.identity_check import CheckedShot, IdentityCheck, IdentityFigures
from jdsr_cli.faces.occlusion_calibration import (
    UNCALIBRATED,
    OcclusionCalibration,
    calibrated_occlusion,
)
from jdsr_cli.media import Image
from jdsr_cli.restoration.best_shots import Shot
from jdsr_cli.restoration.doubt import Doubt, DoubtEstimator
from jdsr_cli.restoration.finishing import finish_face


@dataclass(frozen=True, eq=False)
class ExaminedShot:
    """A shot and what is known about its trustworthiness."""

    shot: Shot
    """With the mean of the repeated restorations as its face, where there are repeats."""
    doubt: Doubt | None = None


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

    def examine(self, shot: Shot) -> ExaminedShot:
        """Return a shot with its doubt map, and with the mean of the repeats as its face."""
        if self._doubt is None:
            return ExaminedShot(shot)
        alignment = shot.patch.alignment
        filmed = crop(shot.patch.pixels, alignment)
        colours = canonical_map(filmed, monochrome=shot.monochrome)
        doubt = self._doubt.estimate(
            colours.apply(filmed),
            native_width=alignment.native_width,
            mask=shot.mask,
            gain=colours.gain,
        )
        if doubt is None:
            return ExaminedShot(shot)
        face = finish_face(doubt.face, filmed, colours, shot.mask, shot.face.part)
        return ExaminedShot(replace(shot, face=face), doubt)

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


def _checked(shot: Shot) -> CheckedShot:
    before, after = shot.render(TEMPLATE_SIZE)
    width = shot.patch.alignment.native_width
    return CheckedShot(before, after, shot.face.occlusion, shot.mask, width)
