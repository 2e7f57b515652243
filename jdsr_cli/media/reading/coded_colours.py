"""Colours that a still picture states by code points of ITU-T H.273."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple


class ColourCodes(NamedTuple):
    """Code points of ITU-T H.273.

    Attributes:
        primaries: Table 2.
        transfer: Table 3.
        matrix: Table 4; 0 for RGB.
        full_range: Whether the stored values have the full range.

    """

    primaries: int
    transfer: int
    matrix: int
    full_range: bool

    @classmethod
    def of(cls, codes: Iterable[int], *, full_range: bool) -> ColourCodes:
        """Return the codes of primaries, transfer and matrix, in this order."""
        primaries, transfer, matrix = codes
        return cls(primaries, transfer, matrix, full_range)


@dataclass(frozen=True)
class CodedColours:
    """Colour codes and HDR metadata of a file.

    Attributes:
        codes: The codes; None if the file states none.
        mastering_display: As in `hdr_metadata`, None if none is stated.
        content_light: As in `hdr_metadata`, None if none is stated.

    """

    codes: ColourCodes | None = None
    mastering_display: str | None = None
    content_light: str | None = None
