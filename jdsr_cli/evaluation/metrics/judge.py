"""What the measures that need a network of their own have in common."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class Judge(Protocol):
    """Compares restored pictures with the truth by what a network sees in them.

    Describing and comparing are apart, so that the truth is described once for many methods.
    """

    figure: str
    """Name of the figure, such as `lpips`."""

    @property
    def protocol(self) -> str:
        """How the figure is had, in a sentence that names the files."""

    def describe(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return what the network sees in (B, 3, 128, 128) RGB in [0, 1]."""

    def compare(self, found: tuple[Tensor, ...], wanted: tuple[Tensor, ...]) -> Tensor:
        """Return the figure of each picture, (B,) on the CPU; NaN where there is none."""
