"""A Kalman filter that foretells where the box of a face will be.

The state is four pairs of a value and its rate per second: horizontal and vertical centre in
pixels, natural logarithm of width and of height. The rates are constant but for white noise of
acceleration (Bar-Shalom, Li and Kirubarajan 2001, section 6.2.2), which holds for any interval
between frames; while a face is hidden they decay, for people do not go on for ever, and after a
second it is found half as far from where it is foretold as without that. The pairs do not mix,
so four filters of two numbers do the work of one of eight, in closed form. The logarithm keeps
sizes positive and makes noise the same for small and large faces; all noise of the centre is
measured in face sizes, the root of width times height.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Box = tuple[float, float, float, float]

LEAST_SIDE = 1.0
"""Pixels; boxes cut at the border may have no width at all."""
CENTRE_NOISE = 0.04
"""Standard deviation of a detected centre, in sizes."""
SIDE_NOISE = 0.08
"""Standard deviation of the logarithm of a detected side."""
CENTRE_WANDER = 2.0
"""Standard deviation that the velocity gathers in a second, in sizes per second."""
SIDE_WANDER = 0.6
"""The same of the logarithmic growth, per second."""
FIRST_VELOCITY = 4.0
"""Standard deviation of the velocity of a new face, in sizes per second; walkers who pass near
the camera reach nine."""
FIRST_GROWTH = 0.5
"""Standard deviation of the logarithmic growth of a new face, per second."""
FASTEST_GROWTH = 1.5
"""Bound of that growth: nobody comes near more quickly, but boxes at the border shrink so."""
PERSISTENCE = 0.5
"""Seconds in which a velocity that is not seen any more falls to 1/e."""


class BoxFilter:
    """The motion of one face.

    Args:
        box: Where it was first seen: left, top, right, bottom in pixels.

    """

    def __init__(self, box: Box) -> None:
        self._value = _measure(box)
        self._rate = np.zeros(4)
        size = self.size
        noise, first = _noise(size), np.array([FIRST_VELOCITY * size] * 2 + [FIRST_GROWTH] * 2)
        self._value_variance = noise**2
        self._shared_variance = np.zeros(4)
        self._rate_variance = first**2
        self._hidden = False

    @property
    def size(self) -> float:
        """Root of width times height, in pixels."""
        return math.exp((self._value[2] + self._value[3]) / 2)

    @property
    def box(self) -> Box:
        """Left, top, right and bottom edge as now believed, in pixels."""
        x, y = self._value[:2]
        width, height = np.exp(self._value[2:]) / 2
        return float(x - width), float(y - height), float(x + width), float(y + height)

    @property
    def spread(self) -> float:
        """Standard deviation of the place of the next detection along an axis, in pixels."""
        variance = float(self._value_variance[:2].mean())
        return math.sqrt(variance + (CENTRE_NOISE * self.size) ** 2)

    def predict(self, seconds: float) -> None:
        """Go on by `seconds`, 0 or more."""
        wander = np.array([CENTRE_WANDER * self.size] * 2 + [SIDE_WANDER] * 2) ** 2
        kept = math.exp(-seconds / PERSISTENCE) if self._hidden else 1.0
        way = PERSISTENCE * (1.0 - kept) if self._hidden else seconds
        self._hidden = True
        self._value = self._value + way * self._rate
        # A shrinking face never becomes a point, a growing one never overflows.
        self._value[2:] = np.clip(self._value[2:], math.log(LEAST_SIDE), 20.0)
        self._rate = kept * self._rate
        self._value_variance = (
            self._value_variance
            + 2 * way * self._shared_variance
            + way**2 * self._rate_variance
            + wander * seconds**3 / 3
        )
        self._shared_variance = (
            kept * (self._shared_variance + way * self._rate_variance) + wander * seconds**2 / 2
        )
        self._rate_variance = kept**2 * self._rate_variance + wander * seconds

    def update(self, box: Box) -> None:
        """Take in where the face was found, at the time that was last predicted."""
        noise = _noise(self.size) ** 2
        total = self._value_variance + noise
        gain, rate_gain = self._value_variance / total, self._shared_variance / total
        surprise = _measure(box) - self._value
        self._value = self._value + gain * surprise
        self._rate = self._rate + rate_gain * surprise
        self._rate[2:] = np.clip(self._rate[2:], -FASTEST_GROWTH, FASTEST_GROWTH)
        self._hidden = False
        # Factors below 1 instead of differences: no variance can become negative by rounding.
        left = noise / total
        self._rate_variance = self._rate_variance - rate_gain * self._shared_variance
        self._rate_variance = np.maximum(self._rate_variance, 0.0)
        self._shared_variance = left * self._shared_variance
        self._value_variance = left * self._value_variance


def _measure(box: Box) -> NDArray[np.float64]:
    left, top, right, bottom = box
    width, height = max(right - left, LEAST_SIDE), max(bottom - top, LEAST_SIDE)
    return np.array([(left + right) / 2, (top + bottom) / 2, math.log(width), math.log(height)])


def _noise(size: float) -> NDArray[np.float64]:
    return np.array([CENTRE_NOISE * size] * 2 + [SIDE_NOISE] * 2)
