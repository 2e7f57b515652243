"""The inputs of the super-resolvers: their sides, and the ranges of the published networks.

A network takes and returns pictures in [0, 1]. Inside it they are in the range in which it was
published, with a mean of each channel subtracted; its initial weights, biases and learning rates
belong to that range.
"""

from __future__ import annotations

import torch
from torch import Tensor

from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.errors import UsageError

LR_SIDES = (16, 32)
"""Sides of their inputs in pixels: x8 and x4."""
PEAK = 255.0
"""Value of white inside networks that work on 8-bit levels."""
DIV2K_MEAN = (0.4488, 0.4371, 0.4040)
"""Mean of R, G and B over the training pictures of DIV2K, in [0, 1]."""


def check_side(lr_size: int, where: str) -> None:
    """Check the side of an input.

    Raises:
        UsageError: It is not one of `LR_SIDES`.

    """
    if lr_size not in LR_SIDES:
        known = " or ".join(map(str, LR_SIDES))
        raise UsageError(f"lr_size is {lr_size}, it can be {known}", where=where)


def factor_of(lr_size: int) -> int:
    """Return how many times larger than the input the result is."""
    return TEMPLATE_SIZE // lr_size


def subtract_mean(picture: Tensor, mean: tuple[float, float, float], peak: float = 1.0) -> Tensor:
    """Return (B, 3, H, W) in [0, 1], less its mean, times `peak`; float32."""
    channels = zip(picture.float().unbind(1), mean, strict=True)
    return torch.stack([(channel - value) * peak for channel, value in channels], dim=1)


def add_mean(picture: Tensor, mean: tuple[float, float, float], peak: float = 1.0) -> Tensor:
    """Invert `subtract_mean`."""
    channels = zip(picture.float().unbind(1), mean, strict=True)
    return torch.stack([channel / peak + value for channel, value in channels], dim=1)
