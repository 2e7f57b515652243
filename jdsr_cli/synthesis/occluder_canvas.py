"""A drawing surface of twice the image size, in the coordinates of the drawn object."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.synthesis.occluder_scene import Colour, FaceFrame, Layer, apply_light

CANVAS_SIZE = 2 * TEMPLATE_SIZE
"""Side of the surface. Together with the blur of a layer, two samples per pixel give smooth
outlines, and drawing without antialiasing takes a third of the time."""
_MAX_COORDINATE = 8.0 * CANVAS_SIZE * 16
"""Limit of coordinates, in steps of a sixteenth, far outside the image."""
GRID_Y, GRID_X = np.mgrid[0:TEMPLATE_SIZE, 0:TEMPLATE_SIZE].astype(np.float32)

Coordinates = tuple[float, float]
"""x, y."""


class Canvas:
    """Draws the colour and the coverage of an object."""

    def __init__(self, matrix: NDArray[np.float64], ground: Colour) -> None:
        """Create an empty canvas.

        Args:
            matrix: (2, 3) from object coordinates to image pixels.
            ground: Colour that soft edges blend into.

        """
        self.matrix = matrix
        self.scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
        """Image pixels per unit of the object."""
        self.drawn = np.empty((CANVAS_SIZE, CANVAS_SIZE, 4), np.uint8)
        """RGB and coverage."""
        cv2.rectangle(
            self.drawn, (0, 0), (CANVAS_SIZE, CANVAS_SIZE), (*_clipped_rgb(ground), 0.0), -1
        )
        # Two surface pixels per image pixel, with OpenCV's 16 steps each.
        self._linear = matrix[:, :2].T * 32.0
        self._offset = matrix[:, 2] * 32.0 + 8.0

    def polygon(
        self, corners: Sequence[Coordinates] | NDArray[np.floating], colour: Colour
    ) -> None:
        """Fill a polygon."""
        scalar = (*_clipped_rgb(colour), 255.0)
        cv2.fillPoly(self.drawn, [self._fixed(corners)], scalar, cv2.LINE_8, shift=4)

    def capsule(
        self, path: Sequence[Coordinates] | NDArray[np.floating], radius: float, colour: Colour
    ) -> None:
        """Draw a line with round ends through two or more points."""
        thick = min(max(round(4 * radius * self.scale), 1), 30000)
        scalar = (*_clipped_rgb(colour), 255.0)
        cv2.polylines(self.drawn, [self._fixed(path)], False, scalar, thick, cv2.LINE_8, shift=4)

    def ellipse(
        self,
        centre: Coordinates,
        axes: tuple[float, float],
        colour: Colour,
        arc: tuple[float, float] = (0, 360),
    ) -> None:
        """Fill an ellipse, or the part between two angles in degrees."""
        self.polygon(ellipse(centre, axes, arc), colour)

    def erase(self, corners: NDArray[np.floating]) -> None:
        """Set the coverage inside a polygon to 0 and keep the colour."""
        cover = np.ascontiguousarray(self.drawn[..., 3])
        cv2.fillPoly(cover, [self._fixed(corners)], 0, cv2.LINE_8, shift=4)
        cv2.insertChannel(cover, self.drawn, 3)

    def alpha(self, soft: float = 0.6) -> NDArray[np.float32]:
        """Return the coverage, (128, 128) in [0, 1], with edges blurred by `soft` pixels."""
        cover = cv2.resize(
            cv2.extractChannel(self.drawn, 3),
            (TEMPLATE_SIZE, TEMPLATE_SIZE),
            interpolation=cv2.INTER_AREA,
        )
        cover = cv2.GaussianBlur(cover, (0, 0), soft)
        return np.asarray(cover * np.float32(1 / 255), np.float32)

    def layer(
        self,
        light: NDArray[np.float32] | float = 1.0,
        opacity: float = 1.0,
        shadow: float = 0.0,
        soft: float = 0.6,
    ) -> Layer:
        """Reduce the drawing to a layer.

        Args:
            light: Factor on the colour, (128, 128) or a scalar.
            opacity: Share of the background that the object hides.
            shadow: Darkness of the shadow that the object casts around itself.
            soft: Standard deviation of the blur of its edges and details, in pixels.

        """
        drawn = cv2.resize(self.drawn, (TEMPLATE_SIZE, TEMPLATE_SIZE), interpolation=cv2.INTER_AREA)
        drawn = cv2.GaussianBlur(drawn, (3, 3), soft)
        cover = cv2.extractChannel(drawn, 3)
        shade = None
        if shadow:
            reach = max(1, round(0.05 * self.scale))
            small = cv2.resize(
                cover, (TEMPLATE_SIZE // 2, TEMPLATE_SIZE // 2), interpolation=cv2.INTER_AREA
            )
            cast = cv2.blur(small, (2 * reach + 1, 2 * reach + 1))
            cast[reach:] = cast[:-reach].copy()
            cast = cv2.resize(cast, (TEMPLATE_SIZE, TEMPLATE_SIZE))
            shade = np.float32(1.0) - cast * np.float32(shadow / 255.0)
        alpha = np.asarray(cover * np.float32(opacity / 255.0), np.float32)
        colour = np.asarray(cv2.cvtColor(drawn, cv2.COLOR_RGBA2RGB), np.uint8)
        return Layer(apply_light(colour, np.asarray(alpha * light, np.float32)), alpha, shade)

    def local(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return x and y of every image pixel in object coordinates."""
        return to_local(self.matrix)

    def relief(self, reach: float, strength: float, side: float) -> NDArray[np.float32]:
        """Return the shading of the drawing as a convex surface, about 1.

        Args:
            reach: Width of the rounded edge, in units of the object.
            strength: Darkness of the edges.
            side: Direction of the light: -1 left, 1 right, in between from above.

        """
        cover = cv2.extractChannel(self.drawn, 3)
        small = cv2.resize(
            cover, (TEMPLATE_SIZE // 2, TEMPLATE_SIZE // 2), interpolation=cv2.INTER_AREA
        )
        sigma = max(0.8, 0.5 * reach * self.scale)
        side_of_box = 2 * round(sigma) + 1
        box = (side_of_box, side_of_box)
        blurred = cv2.blur(cv2.blur(small.astype(np.float32), box), box)
        height = np.asarray(blurred * np.float32(1 / 255), np.float32)
        light = 1.0 - strength * 2.0 * (1.0 - height)
        slope = side * _gradient(height, 1) - _gradient(height, 0) * (1 - abs(side))
        light += strength * sigma * slope
        return np.asarray(
            np.clip(
                cv2.resize(np.asarray(light, np.float32), (TEMPLATE_SIZE, TEMPLATE_SIZE)), 0.4, 1.25
            ),
            np.float32,
        )

    def _fixed(self, points: Sequence[Coordinates] | NDArray[np.floating]) -> NDArray[np.int32]:
        """Return pixels of the surface in OpenCV's fixed point form with four fractional bits."""
        steps = np.asarray(points, np.float64) @ self._linear + self._offset
        return np.asarray(
            np.minimum(np.maximum(steps, -_MAX_COORDINATE), _MAX_COORDINATE), np.int32
        )[:, None]


def to_local(
    matrix: NDArray[np.float64],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return x and y of every pixel in the coordinates that `matrix` maps to pixels."""
    (a, b, c), (d, e, f) = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))[:2].astype(np.float32)
    return a * GRID_X + b * GRID_Y + c, d * GRID_X + e * GRID_Y + f


def face_coordinates(frame: FaceFrame) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return x and y of every pixel in face coordinates."""
    return to_local(face_matrix(frame))


def face_matrix(frame: FaceFrame) -> NDArray[np.float64]:
    """Return the (2, 3) matrix from face coordinates to pixels."""
    return np.column_stack([frame.across, frame.drop, frame.eyes])


def ellipse(
    centre: Coordinates, axes: tuple[float, float], arc: tuple[float, float] = (0, 360)
) -> NDArray[np.float64]:
    """Return the outline of an ellipse between two angles in degrees, clockwise from the right."""
    angle = np.radians(np.linspace(*arc, 28))
    return np.column_stack(
        [centre[0] + axes[0] * np.cos(angle), centre[1] + axes[1] * np.sin(angle)]
    )


def rounded_rectangle(half_width: float, half_height: float, corner: float) -> NDArray[np.float64]:
    """Return the outline of a rounded rectangle around the origin."""
    angle = np.radians(np.linspace(0, 90, 7))
    turn = np.column_stack([np.cos(angle), np.sin(angle)]) * corner
    inner = np.array([half_width - corner, half_height - corner])
    quarter = turn + inner
    return np.concatenate([quarter, quarter[::-1] * (-1, 1), -quarter, quarter[::-1] * (1, -1)])


def uniform_image(colour: Colour) -> NDArray[np.uint8]:
    """Return an image of one colour."""
    picture = np.empty((TEMPLATE_SIZE, TEMPLATE_SIZE, 3), np.uint8)
    cv2.rectangle(picture, (0, 0), (TEMPLATE_SIZE, TEMPLATE_SIZE), _clipped_rgb(colour), -1)
    return picture


def noise(rng: np.random.Generator, cells: int, strength: float) -> NDArray[np.float32]:
    """Return (128, 128) smooth zero-mean noise with `cells` cells along a side."""
    coarse = rng.standard_normal((cells, cells), dtype=np.float32) * np.float32(strength)
    return np.asarray(
        cv2.resize(coarse, (TEMPLATE_SIZE, TEMPLATE_SIZE), interpolation=cv2.INTER_CUBIC),
        np.float32,
    )


def _gradient(height: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    return np.asarray(np.roll(height, 1, axis) - np.roll(height, -1, axis), np.float32)


def _clipped_rgb(colour: Colour) -> tuple[float, float, float]:
    red, green, blue = (min(max(share, 0.0), 255.0) for share in colour.tolist())
    return red, green, blue
