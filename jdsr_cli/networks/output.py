"""The interface of generators: their output, and the `Generator` protocol."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from jdsr_cli.conventions import TEMPLATE_SIZE

SIDES = (16, 32, 64, TEMPLATE_SIZE)
"""Sides of the inputs of generators."""


@dataclass(frozen=True)
class GeneratorOutput:
    """The results of a forward pass; images are RGB, nominally in [0, 1], not clamped.

    `s` is the side of the images in the denoiser: the low-resolution side, or 128
    for the paper's generator on grid `hr`.
    """

    restored: Tensor
    """I_SR, (B, 3, 128, 128): the face without its mask, super-resolved."""
    denoised: Tensor
    """I_D_LR, (B, 3, s, s): the low-resolution face without its mask (eq. 1-2)."""
    noise_map: Tensor
    """gamma, (B, 3, s, s), not negative: estimated |masked - clean| per pixel and channel."""
    occlusion: Tensor
    """(B, 1, s, s) in [0, 1]: share of each pixel that was covered by the mask."""
    coarse: Tensor | None = None
    """I_C, (B, 3, 128, 128), of generators that have a coarse network (eq. 3)."""
    landmarks: Tensor | None = None
    """(B, N, 64, 64) in [0, 1]: a heat map for each landmark, of generators with a prior."""
    parsing: Tensor | None = None
    """(B, 11, 64, 64) logits of the face parts, of generators with a prior."""


class Generator(Protocol):
    """A network that turns (B, 3, lr_size, lr_size) RGB in [0, 1] into a `GeneratorOutput`."""

    lr_size: int
    """Side of the square low-resolution input, in pixels."""

    def __call__(self, lr: Tensor) -> GeneratorOutput:
        """Restore a batch of aligned low-resolution faces."""
