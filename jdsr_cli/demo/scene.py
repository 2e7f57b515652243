"""Where the camera stands, how the two people walk towards it, and when they are masked.

Lengths in the scene are metres: x to the right, height above the floor, z away from the camera.
People are flat and face the camera, so that a similarity takes their photograph to the frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.demo.people import COLLINS, HOPPER, Person

FACE = 0.15
"""Width of a face in metres."""
HEAD_HEIGHT = 1.58
"""Of the eyes of both people above the floor."""
_STEPS = 1.7
"""Steps in a second."""


@dataclass(frozen=True)
class Camera:
    """A level pinhole camera under the ceiling of a corridor."""

    width: int = 480
    """Of the frame in pixels, as `height`."""
    height: int = 270

    @property
    def focal(self) -> float:
        """Focal length in pixels: a field of view of 30 degrees."""
        return 1.875 * self.width

    @property
    def vanishing_point(self) -> tuple[float, float]:
        """Where lines along the corridor meet in the frame."""
        return 0.5 * self.width - 0.5, 0.17 * self.height

    above_floor: float = 1.86
    """Of the lens, in metres."""


@dataclass(frozen=True)
class Walk:
    """How one person comes nearer; shares of the clip's length go from 0 to 1."""

    person: Person
    face: tuple[float, float]
    """Width of the face, in pixels of a frame of 480, at the start and at the end."""
    aside: tuple[float, float]
    """x in metres at the start and at the end."""
    tilt: float
    """Largest turn of the slow movement of head and body, in degrees."""
    phase: float
    """Of step and turn, in radians, so that the two do not walk in step."""
    masked_from: float
    """Share of the clip from which the mask is on."""

    def masked(self, share: float) -> bool:
        """Whether the mask is on at `share` of the clip."""
        return share >= self.masked_from

    def matrix(self, camera: Camera, share: float, seconds: float) -> NDArray[np.float64]:
        """Return the similarity (2, 3) from pixels of the photograph to those of the frame.

        Args:
            camera: That films.
            share: Of the clip's length that has passed, 0 to 1.
            seconds: Since the start.

        """
        far, near = (FACE * camera.focal * 480 / (face * camera.width) for face in self.face)
        metre = camera.focal / (far + (near - far) * share)
        step = 2.0 * np.pi * _STEPS * seconds + self.phase
        x = self.aside[0] + (self.aside[1] - self.aside[0]) * share + 0.02 * np.sin(0.5 * step)
        rise = 0.015 * np.cos(step)
        turn = self.tilt * np.sin(2.6 * seconds + self.phase) + 0.8 * np.sin(0.5 * step)
        left, top = camera.vanishing_point
        place = np.array(
            [left + x * metre, top + (camera.above_floor - HEAD_HEIGHT - rise) * metre]
        )
        factor, angle = metre * FACE / self.person.face_width, np.deg2rad(turn)
        cosine, sine = factor * np.cos(angle), factor * np.sin(angle)
        linear = np.array([[cosine, -sine], [sine, cosine]])
        eyes = self.person.points[:2].mean(axis=0)
        return np.column_stack([linear, place - linear @ eyes])


WALKS = (
    Walk(COLLINS, face=(24.0, 46.0), aside=(0.62, 0.36), tilt=5.0, phase=2.0, masked_from=0.5),
    Walk(HOPPER, face=(23.0, 42.0), aside=(-0.55, -0.38), tilt=6.0, phase=0.4, masked_from=0.0),
)
"""The two people, the one further away first: one masks in the middle, one is masked throughout."""
