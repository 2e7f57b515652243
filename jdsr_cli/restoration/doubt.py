"""Doubt maps of best shots: the face is restored several times, and the repeats are compared.

Levels belong to pixels that the picture takes from the restored face. Others show what was filmed:
with `--restore` what is not to be restored, in wide faces what the camera saw better, and the
border of the face.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.errors import UsageError
from jdsr_cli.faces.doubt import FaceConditions, gather_evidence
from jdsr_cli.faces.error_bounds import NONE, DoubtCalibration
from jdsr_cli.faces.occlusion import face_ellipse
from jdsr_cli.faces.regions import covered_region
from jdsr_cli.faces.repeats import agree, repeated
from jdsr_cli.restoration.frame import RestoredFace
from jdsr_cli.restoration.stages.generation import FaceGenerator
from jdsr_cli.settings import RestoredPart, RestoreSettings

LEAST_WEIGHT = 0.5
"""Weight in the picture from which a pixel of the restored face has a level."""


class RestoresFaces(Protocol):
    """What restores crops, such as `stages.generation.FaceGenerator`."""

    @property
    def side(self) -> int:
        """Side of its input in pixels."""

    def restore(self, crops: Sequence[NDArray[np.uint8]]) -> list[RestoredFace | None]:
        """Restore crops, each RGB uint8 (side, side, 3); None where the result is not finite."""


@dataclass(frozen=True, eq=False)
class Doubt:
    """How far each pixel of a restored face can be trusted."""

    face: RestoredFace
    """The mean of the repeats, in canonical colours, as the generator would return it.

    Its PSNR and SSIM are higher than those of the first repeat, bare and masked, at every width
    (docs/evaluation.md); its pixels are those whose errors are bounded.
    """
    spread: NDArray[np.float32]
    """(128, 128): standard deviation of the smoothed luma of the repeats, in grey levels."""
    levels: NDArray[np.uint8]
    """(128, 128): smallest error bound in grey levels that the pixel keeps with `probability`;
    255 where it keeps none, and where the picture does not show the restored face (`shown`)."""
    bound: int
    """Stated error bound in grey levels."""
    probability: float
    """Stated probability."""
    reliable: float
    """Share of the `shown` pixels that keep `bound`, 0 to 1."""

    @property
    def nothing_reliable(self) -> bool:
        """Whether no pixel of the face keeps the bound."""
        return self.reliable == 0.0


class DoubtEstimator:
    """Estimates how far restored faces can be trusted.

    Args:
        generator: Restores the repeats. Its input must be the template, 128 pixels wide.
        calibration: Thresholds fitted to its weights.
        bound: Error bound in grey levels, one of those of the calibration.
        probability: Probability, one of those of the calibration.

    Raises:
        UsageError: The bound or the probability is not one of them.

    """

    def __init__(
        self,
        generator: RestoresFaces,
        calibration: DoubtCalibration,
        *,
        bound: int,
        probability: float,
    ) -> None:
        known = (bound, calibration.bounds), (probability, calibration.probabilities)
        for value, values in known:
            if value not in values:
                raise UsageError(
                    f"the weights are not calibrated for an error bound of {bound} grey levels "
                    f"with probability {probability:g}",
                    where="--error-bound, --confidence",
                    hint=f"Give one of {', '.join(f'{one:g}' for one in values)} in place of "
                    f"{value:g}, or --no-doubt.",
                )
        self._generator = generator
        self._calibration = calibration
        self._bound, self._probability = bound, probability

    @classmethod
    def of(cls, generator: FaceGenerator, settings: RestoreSettings) -> DoubtEstimator | None:
        """Return the estimator that the settings ask for.

        Returns:
            None with ``--no-doubt``, and where the weights have no calibration.

        Raises:
            WeightsCorruptError: The manifest entry of the weights has an invalid calibration.
            UsageError: The weights are not calibrated for the bound or the probability.

        """
        if not settings.doubt:
            return None
        calibration = DoubtCalibration.of(generator.network.entry)
        if calibration is None:
            return None
        probability = settings.confidence / 100
        return cls(generator, calibration, bound=settings.error_bound, probability=probability)

    def estimate(
        self,
        crop: NDArray[np.uint8],
        conditions: FaceConditions,
        part: RestoredPart = "all",
        *,
        seen: NDArray[np.uint8] | None = None,
    ) -> Doubt | None:
        """Restore the repeats of a crop and return what can be trusted.

        The result depends on the arguments alone.

        Args:
            crop: The aligned face in canonical colours, RGB uint8 (128, 128, 3).
            conditions: Of the face. Covered pixels of faces that are not masked are those of the
                crop.
            part: Which part of the restored face is shown; the other pixels have no level.
            seen: What is restored instead of the crop, such as its mean with those of neighbouring
                frames, likewise; default: the crop.

        Returns:
            None if a repeat gives values that are not finite, and if no pixel of the restored face
            is shown.

        Raises:
            UsageError: The crop is not a square RGB picture of 128 pixels.
            MemoryError: The device has too little memory for one face.

        """
        faces = self._generator.restore(
            repeated(crop if seen is None else seen, conditions.native_width)
        )
        finite = [face for face in faces if face is not None]
        if len(finite) < len(faces):
            return None
        agreement = agree(
            [face.image for face in finite],
            [face.occlusion for face in finite],
            self._generator.side,
        )
        redone = any(face.redone for face in finite)
        mean = RestoredFace(
            agreement.image, agreement.occlusion, redone, self._generator.side, part
        )
        visible = shown(mean, conditions)
        if not visible.any():
            return None
        evidence = gather_evidence(agreement, crop, conditions)
        levels = np.full(agreement.spread.shape, NONE, np.uint8)
        levels[face_ellipse()] = self._calibration.levels(evidence, self._probability)
        levels[~visible] = NONE
        return Doubt(
            mean,
            agreement.spread,
            levels,
            self._bound,
            self._probability,
            float((levels[visible] <= self._bound).mean()),
        )

    def can_keep(self, conditions: FaceConditions, part: RestoredPart) -> bool:
        """Return whether any pixel that is shown of such a face could keep the bound.

        It is known before the face is restored again: no pixel can where no threshold of its group
        is certified.

        Args:
            conditions: Of the face.
            part: Which part of the restored face is shown.

        """
        kinds = {"all": (False, True), "uncovered": (False,), "covered": (True,)}[part]
        return any(
            self._calibration.can_keep(conditions, covered, self._bound, self._probability)
            for covered in kinds
        )


def shown(generated: RestoredFace, conditions: FaceConditions) -> NDArray[np.bool_]:
    """Return which pixels of the face's ellipse the picture takes from the restored face.

    Covered pixels of a face that is not masked are counted with those around them: they show the
    crop in the place of the restored face, and have levels of their own.

    Args:
        generated: Output of the generator, with the part of it that is shown.
        conditions: Of the face.

    Returns:
        (128, 128): weight in the picture of at least `LEAST_WEIGHT`; none for faces wider than
        those of calibrations, which fill the template.

    """
    if conditions.native_width > TEMPLATE_SIZE:
        return np.zeros((TEMPLATE_SIZE, TEMPLATE_SIZE), np.bool_)
    occlusion = generated.occlusion
    if conditions.mask != "masked" and generated.part != "uncovered":
        occlusion = np.zeros_like(occlusion)
    weights = generated.compositing.weights(covered_region(occlusion), conditions.native_width)
    return np.asarray(face_ellipse() & (weights >= LEAST_WEIGHT))
