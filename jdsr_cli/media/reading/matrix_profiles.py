"""ICC profiles of RGB spaces that a file states by primaries and transfer instead of a profile.

Sources: ICC.1:2022 (profiles, `mluc`, `para`, `XYZ ` types), ITU-T H.273 (codes of primaries and
transfer), CIE 15 (XYZ of chromaticities), Bradford adaptation as in ICC.1:2022, annex E.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.media.primaries import CHROMATICITIES, D65, SRGB_PRIMARIES, Point

ADOBE_PRIMARIES: tuple[Point, Point, Point] = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
ADOBE_GAMMA = 563 / 256
_SRGB_LIKE = frozenset({1, 2, 6, 13, 14, 15})
"""Transfers that are shown with the curve of sRGB: sRGB, none, and those of camera standards."""
_GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0}

_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
_D50 = np.array([0.9642, 1.0, 0.8249])
_SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
"""Parameters g, a, b, c, d of a parametric curve of type 3."""


@dataclass(frozen=True)
class RgbSpace:
    """An RGB colour space.

    Attributes:
        name: Name for the user.
        white: Chromaticity of white.
        primaries: Chromaticities of red, green and blue.
        gamma: Exponent of the transfer; None for the curve of sRGB.

    """

    name: str
    white: Point
    primaries: tuple[Point, Point, Point]
    gamma: float | None

    @property
    def is_srgb(self) -> bool:
        """Whether it is sRGB, within the rounding of files."""
        stated, wanted = np.array([self.white, *self.primaries]), [D65, *SRGB_PRIMARIES]
        return self.gamma is None and bool(np.abs(stated - wanted).max() < 0.002)

    def profile(self) -> bytes:
        """Return the space as an ICC profile of version 4.

        Raises:
            ValueError: The primaries or the exponent describe no colour space.

        """
        matrix = self._to_d50()
        gamma = self.gamma
        if gamma is not None and not 0.1 <= gamma <= 10:
            raise ValueError(f"an exponent of {gamma:g}")
        numbers = _SRGB_CURVE if gamma is None else (gamma,)
        kind = 3 if gamma is None else 0
        curve = b"para" + struct.pack(">IHH", 0, kind, 0) + b"".join(map(_fixed, numbers))
        text = self.name.encode("utf-16-be")
        description = b"mluc" + struct.pack(">III4sII", 0, 1, 12, b"enUS", len(text), 28) + text
        tags = {
            b"desc": description,
            b"wtpt": _xyz(_D50),
            **{name: _xyz(matrix[:, column]) for column, name in enumerate(_COLUMNS)},
            **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve),
        }
        table, data, start = b"", b"", 128 + 4 + 12 * len(tags)
        for name, content in tags.items():
            table += struct.pack(">4sII", name, start + len(data), len(content))
            data += content + bytes(-len(content) % 4)
        size = start + len(data)
        header = struct.pack(
            ">I4sI4s4s4s12s4s28s12s48s",
            *(size, b"", 0x04300000, b"mntr", b"RGB ", b"XYZ ", bytes(12), b"acsp", bytes(28)),
            *(b"".join(map(_fixed, _D50)), bytes(48)),
        )
        return header + struct.pack(">I", len(tags)) + table + data

    def _to_d50(self) -> NDArray[np.float64]:
        """Return the matrix from linear RGB to XYZ relative to D50, one column per primary."""
        points = np.array([*self.primaries, self.white], np.float64)
        if points[:, 1].min() <= 0 or not np.isfinite(points).all():
            raise ValueError("primaries outside the plane of colours")
        unscaled = np.stack([points[:, 0], points[:, 1], 1 - points.sum(axis=1)]) / points[:, 1]
        try:
            scale = np.linalg.solve(unscaled[:, :3], unscaled[:, 3])
        except np.linalg.LinAlgError as exc:
            raise ValueError("primaries on one line") from exc
        cones = (_BRADFORD @ _D50) / (_BRADFORD @ unscaled[:, 3])
        adapted = np.linalg.inv(_BRADFORD) @ np.diag(cones) @ _BRADFORD
        return np.asarray(adapted @ (unscaled[:, :3] * scale))


_COLUMNS = (b"rXYZ", b"gXYZ", b"bXYZ")


def coded_space(primaries: int, transfer: int) -> RgbSpace | None:
    """Return the space of two codes of H.273; None if they state none or one of high range."""
    known = primaries in CHROMATICITIES and (transfer in _SRGB_LIKE or transfer in _GAMMAS)
    if not known:
        return None
    name, white, points = CHROMATICITIES[primaries]
    return RgbSpace(name, white, points, _GAMMAS.get(transfer))


def _fixed(value: float) -> bytes:
    """Return a number as `s15Fixed16Number`."""
    return struct.pack(">i", round(float(value) * 65536))


def _xyz(values: NDArray[np.float64]) -> bytes:
    return b"XYZ " + bytes(4) + b"".join(map(_fixed, values))
