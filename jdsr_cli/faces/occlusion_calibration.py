"""Calibration of the occlusion map: from the generator's output to a probability.

The generator is trained to give the covered share of each pixel, but gives too much of it: of the
pixels that `lite-camera` gives as half covered, 37 % are. Beta calibration makes the value the
probability that a mask covers the pixel. Compositing, the covered share and the mask classification
use the map as it is: they were fitted to that, and where a mask is, its edges are nearer to the
truth at 0.5 of the map than at 0.5 of the probability (IoU 0.84 and 0.82).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.errors import UsageError, WeightsCorruptError
from jdsr_cli.weights import WeightEntry

LEVELS = 256.0
"""Levels of the map; values of 0 and 1 count as half a level from the end."""


@dataclass(frozen=True)
class OcclusionCalibration:
    """Beta calibration of the occlusion maps of one generator.

    p = 1 / (1 + exp(-(a ln s - b ln(1 - s) + c))), where s is the occlusion. Kull, Silva Filho and
    Flach, Beta calibration, AISTATS 2017.
    """

    a: float
    """Coefficient of ln s, at least 0."""
    b: float
    """Coefficient of -ln(1 - s), at least 0."""
    c: float
    """Intercept."""

    @classmethod
    def of(cls, entry: WeightEntry | None) -> OcclusionCalibration:
        """Return the calibration of a manifest entry, `UNCALIBRATED` where it has none.

        Raises:
            WeightsCorruptError: The entry is not three numbers, or the curve would fall.

        """
        table = {} if entry is None else entry.occlusion_calibration
        if not table:
            return UNCALIBRATED
        numbers = {
            name: float(value)
            for name, value in table.items()
            if isinstance(value, int | float) and not isinstance(value, bool)
        }
        whole = set(table) == set(numbers) == {"a", "b", "c"}
        rises = whole and min(numbers["a"], numbers["b"]) >= 0.0
        if not rises or not all(map(math.isfinite, numbers.values())):
            raise WeightsCorruptError(
                "its occlusion_calibration is not three numbers a, b and c, with a and b at least "
                "0",
                where=entry.name if entry else None,
                hint="Print it again with tests/benchmarks/occlusion_calibration.py.",
            )
        return cls(**numbers)


UNCALIBRATED = OcclusionCalibration(1.0, 1.0, 0.0)
"""Leaves a map as it is, to within half a level."""


def calibrated_occlusion(
    occlusion: NDArray[np.float32], calibration: OcclusionCalibration
) -> NDArray[np.float32]:
    """Return the probability that a mask covers each pixel, float32 (side, side) in [0, 1].

    Hands and objects in front of a face do not count as covering: they stay as filmed.

    Args:
        occlusion: (side, side) in [0, 1], as the generator gives it, or resized.
        calibration: That of the generator, see `OcclusionCalibration.of`.

    Raises:
        UsageError: The map is not two-dimensional, or a value is not in [0, 1].

    """
    if occlusion.ndim != 2 or not bool(((occlusion >= 0.0) & (occlusion <= 1.0)).all()):
        raise UsageError(
            f"an occlusion map of shape {occlusion.shape} is not a plane of values from 0 to 1",
            hint="Give the map of one face, and clip it after resizing.",
        )
    share = ((LEVELS - 1.0) * occlusion.astype(np.float64) + 0.5) / LEVELS
    odds = calibration.a * np.log(share) - calibration.b * np.log1p(-share) + calibration.c
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * odds)), np.float32)
