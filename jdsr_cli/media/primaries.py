"""Chromaticities of the primaries and the white of colour spaces (ITU-T H.273, table 2)."""

from __future__ import annotations

Point = tuple[float, float]
"""Chromaticity (x, y)."""

D65: Point = (0.3127, 0.3290)
SRGB_PRIMARIES: tuple[Point, Point, Point] = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
_SMPTE_C: tuple[Point, Point, Point] = ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070))
_P3: tuple[Point, Point, Point] = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))

CHROMATICITIES: dict[int, tuple[str, Point, tuple[Point, Point, Point]]] = {
    1: ("BT.709", D65, SRGB_PRIMARIES),
    4: ("BT.470 M", (0.310, 0.316), ((0.67, 0.33), (0.21, 0.71), (0.14, 0.08))),
    5: ("BT.470 BG", D65, ((0.64, 0.33), (0.29, 0.60), (0.15, 0.06))),
    6: ("BT.601", D65, _SMPTE_C),
    7: ("SMPTE 240M", D65, _SMPTE_C),
    9: ("BT.2020", D65, ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046))),
    11: ("DCI-P3", (0.314, 0.351), _P3),
    12: ("Display P3", D65, _P3),
    22: ("EBU 3213", D65, ((0.630, 0.340), (0.295, 0.605), (0.155, 0.077))),
}
"""Name, white point and primaries by the code of H.273."""
