"""One figure for how good a shot of a face is."""

from __future__ import annotations

import math
from dataclasses import dataclass

from jdsr_cli.errors import UsageError
from jdsr_cli.faces.quality.pose import Pose

EYES_SCALE = 18.0
"""Pixels between the eyes by which the size curve, 1 - exp(-d / scale), has risen to 0.63."""
SHARPNESS_SCALE = 0.5
"""The same of the sharpness curve, 1 - exp(-s / scale)."""
FLOOR = 0.02
"""Least value of a curve, so that shots that fail in one respect can still be ranked."""
SIZE_WEIGHT = 0.35
SHARPNESS_WEIGHT = 0.25
OPEN_WEIGHT = 0.20
FRONTAL_WEIGHT = 0.15
DETECTOR_WEIGHT = 0.05
"""Exponents of the curves; they add up to 1.

Size, sharpness and cover were fitted to the identity cosine (MobileFaceNet) between the face
restored by `lite-camera` and the sharp original: 70 faces of `faces128` test, each degraded 12
times (native width 14 to 128, blur, motion, noise, JPEG, 4 of 10 covered). Pose was not in it;
its weight comes from 4,083 pairs of one person, one of them frontal: the median cosine is 0.68
below 15 degrees of yaw, 0.64 at 26, 0.56 at 38, 0.48 beyond 46, and does not depend on pitch
up to 15 degrees.

::

    ranked by               rank correlation    cosine of the shot picked
                            within a face       (best possible 0.778, mean 0.299)
    score                        0.85                 0.756
    eye distance                 0.75                 0.620
    sharpness                    0.35                 0.457
    distance times sharpness     0.83                 0.705
"""


@dataclass(frozen=True)
class FaceQuality:
    """What makes one shot of a face better than another.

    Raises:
        UsageError: a value is out of its range or not finite.

    """

    eye_distance: float
    """Pixels of the frame from eye to eye, 0 or more."""
    sharpness: float
    """As `quality.sharpness` gives it, 0 to 1."""
    pose: Pose
    """Which way the head is turned."""
    covered: float
    """Share of the face that is covered, 0 to 1; 0 where it is not known."""
    detector: float
    """The detector's score, 0 to 1."""

    def __post_init__(self) -> None:
        shares = (self.sharpness, self.covered, self.detector)
        angles = (self.pose.yaw, self.pose.pitch, self.pose.roll)
        if (
            not all(0.0 <= share <= 1.0 for share in shares)
            or not all(math.isfinite(angle) for angle in angles)
            or not 0.0 <= self.eye_distance < math.inf
        ):
            raise UsageError(
                f"no quality follows from {self}",
                hint="Sharpness, cover and score lie in 0 to 1, the distance is 0 or more.",
            )

    @property
    def score(self) -> float:
        """How good the shot is, 0 to 1; only for ranking shots with each other.

        A weighted geometric mean: what is bad in one respect is not made good by others. Of::

            size       1 - exp(-eye_distance / 18)       weight 0.35
            sharpness  1 - exp(-sharpness / 0.5)         weight 0.25
            open       1 - covered                       weight 0.20
            frontal    (cos yaw * cos pitch) ** 2        weight 0.15
            detector   the score                         weight 0.05

        Each curve is at least 0.02. Roll does not matter: the aligned crop is upright.
        """
        yaw, pitch = math.radians(self.pose.yaw), math.radians(self.pose.pitch)
        curves = (
            (1.0 - math.exp(-self.eye_distance / EYES_SCALE), SIZE_WEIGHT),
            (1.0 - math.exp(-self.sharpness / SHARPNESS_SCALE), SHARPNESS_WEIGHT),
            (1.0 - self.covered, OPEN_WEIGHT),
            (max(0.0, math.cos(yaw) * math.cos(pitch)) ** 2, FRONTAL_WEIGHT),
            (self.detector, DETECTOR_WEIGHT),
        )
        return math.exp(sum(weight * math.log(max(FLOOR, curve)) for curve, weight in curves))
