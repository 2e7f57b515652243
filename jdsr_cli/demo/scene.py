"""The scene of the demo: a corridor, its camera, and the walks of two people towards it.

Lengths are metres: x to the right, height above the floor, z away from the camera. People are flat
and face the camera, so that a similarity takes their photograph to the frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.demo.people import COLLINS, HOPPER, Person

HALF_WIDTH = 1.5
CEILING = 2.7
END = 13.0
"""Metres: from the middle to a wall, floor to ceiling, camera to the end wall."""

_FLOOR = (142.0, 138.0, 130.0)
_PAINT = (176.0, 180.0, 172.0)
_DADO = (104.0, 122.0, 122.0)
_DOOR = (112.0, 88.0, 66.0)
_LIGHTS = np.arange(2.0, END, 3.0)


def draw_corridor(camera: Camera, factor: int) -> NDArray[np.float32]:
    """Render the empty corridor as seen by `camera`, by casting a ray per pixel.

    Args:
        camera: The camera.
        factor: Rendered pixels for each pixel of the frame, along each side.

    Returns:
        RGB in [0, 255], float32 (factor * height, factor * width, 3).

    """
    left, top = camera.vanishing_point
    columns = (np.arange(camera.width * factor) + 0.5) / factor - 0.5 - left
    rows = (np.arange(camera.height * factor) + 0.5) / factor - 0.5 - top
    dx, dy = np.meshgrid(columns / camera.focal, rows / camera.focal)
    with np.errstate(divide="ignore"):
        to_wall = HALF_WIDTH / np.abs(dx)
        down, up = camera.above_floor, CEILING - camera.above_floor
        to_level = np.where(dy > 0, down, up) / np.abs(dy)
    z = np.minimum(np.minimum(to_wall, to_level), END)
    x, height = dx * z, camera.above_floor - dy * z

    wall, end = (to_wall <= to_level) & (to_wall < END), z >= END
    floor = ~wall & ~end & (dy > 0)
    colour = np.full((*z.shape, 3), 214.0)
    colour[floor] = np.array(_FLOOR) * _tiles(x[floor], z[floor])[:, None]
    colour[wall | end] = np.where(height[wall | end, None] < 1.05, _DADO, _PAINT)
    colour[(wall | end) & (height < 0.12)] = (62.0, 60.0, 58.0)
    colour[wall & (np.abs(height - 1.05) < 0.03)] = (84.0, 92.0, 92.0)
    _doors(colour, wall, end, x, z, height)
    colour *= _light(z, height, floor)[..., None]
    return np.asarray(np.clip(cv2.GaussianBlur(colour, (0, 0), 0.5 * factor), 0, 255), np.float32)


def _tiles(x: NDArray[np.float64], z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the brightness of the floor: tiles of 60 cm that differ slightly, and their joints."""
    across, along = np.floor(x / 0.6), np.floor(z / 0.6)
    tone = 1.0 + 0.07 * np.sin(12.9898 * across + 78.233 * along + 0.5)
    joint = np.maximum(np.abs(x / 0.6 - across - 0.5), np.abs(z / 0.6 - along - 0.5))
    return np.asarray(np.where(joint > 0.485, 0.72, tone), np.float64)


def _doors(
    colour: NDArray[np.float64],
    wall: NDArray[np.bool_],
    end: NDArray[np.bool_],
    x: NDArray[np.float64],
    z: NDArray[np.float64],
    height: NDArray[np.float64],
) -> None:
    """Paint a double door in the end wall, and a door and a notice board in the side walls."""
    leaf = end & (np.abs(x) < 0.9) & (height < 2.1)
    colour[leaf] = _DOOR
    colour[leaf & ((np.abs(x) < 0.02) | (np.abs(x) > 0.84) | (height > 2.04))] = (70.0, 58.0, 48.0)
    colour[leaf & (np.abs(np.abs(x) - 0.42) < 0.16) & (np.abs(height - 1.5) < 0.28)] = 196.0
    side = wall & (x > 0) & (z > 7.6) & (z < 8.6) & (height < 2.1)
    colour[side] = (96.0, 104.0, 116.0)
    board = wall & (x < 0) & (z > 5.4) & (z < 7.4) & (np.abs(height - 1.65) < 0.35)
    colour[board] = (150.0, 122.0, 84.0)


def _light(
    z: NDArray[np.float64], height: NDArray[np.float64], floor: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return the brightness: brighter below the ceiling lights, darker in the distance."""
    spots = np.exp(-(((z[..., None] - _LIGHTS) / 0.9) ** 2)).sum(axis=-1)
    spots = (0.13 * spots) * np.where(floor, 1.2, 0.5 + 0.5 * height / CEILING)
    return np.asarray((0.78 + spots) * (1.06 - 0.014 * z), np.float64)


FACE = 0.15
"""Width of a face in metres."""
HEAD_HEIGHT = 1.58
"""Height of the eyes of both people above the floor."""
_STEPS = 1.7
"""Steps in a second."""


@dataclass(frozen=True)
class Camera:
    """A level pinhole camera under the ceiling of a corridor."""

    width: int = 480
    """Width of the frame in pixels."""
    height: int = 270

    @property
    def focal(self) -> float:
        """Focal length in pixels: a field of view of 30 degrees."""
        return 1.875 * self.width

    @property
    def vanishing_point(self) -> tuple[float, float]:
        """Point of the frame in which lines along the corridor meet."""
        return 0.5 * self.width - 0.5, 0.17 * self.height

    above_floor: float = 1.86
    """Height of the lens in metres."""


@dataclass(frozen=True)
class Walk:
    """The path of one person towards the camera; times are shares of the clip, 0 to 1."""

    person: Person
    face: tuple[float, float]
    """Width of the face, in pixels of a frame of 480, at the start and at the end."""
    aside: tuple[float, float]
    """x in metres at the start and at the end."""
    tilt: float
    """Amplitude of the slow rotation of head and body, in degrees."""
    phase: float
    """Phase of steps and rotation in radians, so that the two people move independently."""
    masked_from: float
    """Share of the clip from which the mask is on."""

    def masked(self, share: float) -> bool:
        """Whether the mask is on at `share` of the clip."""
        return share >= self.masked_from

    def matrix(self, camera: Camera, share: float, seconds: float) -> NDArray[np.float64]:
        """Return the similarity (2, 3) from pixels of the photograph to those of the frame.

        Args:
            camera: The camera.
            share: Elapsed share of the clip, 0 to 1.
            seconds: Time since the start.

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
"""The two people, the farther one first: one is masked from the middle on, one throughout."""
