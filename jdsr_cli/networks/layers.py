"""Layers that several parts of the paper's generator share, and how they start."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from jdsr_cli.networks.attention import ResidualBlock


def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    """Make a convolution with bias and zero padding of half its kernel."""
    return nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2)


def conv_bn_relu(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Make the paper's main-stream "Conv": convolution, batch normalisation, ReLU (figure 3)."""
    return nn.Sequential(
        conv(inputs, outputs, kernel, stride), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


def residual_blocks(width: int, count: int) -> nn.Sequential:
    """Make `count` residual blocks with channel attention, one after the other."""
    return nn.Sequential(*(ResidualBlock(width) for _ in range(count)))


def enlarge(image: Tensor, side: int) -> Tensor:
    """Enlarge (B, C, h, w) images to `side` x `side` by the bicubic kernel that Pillow uses.

    The kernel has a = -0.5; torch's plain bicubic mode has -0.75. Works in float32.
    """
    return F.interpolate(image.float(), size=(side, side), mode="bicubic", antialias=True)


def initialise(module: nn.Module, outputs: tuple[nn.Conv2d, ...]) -> None:
    """Start convolutions as He normal with zero bias (PAPER section 3.1, CBDNet).

    The last convolution of every residual block and those in `outputs` start at a tenth of
    that, so that a deep stack starts near the identity and images near zero.
    """
    last = list(outputs)
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(part.weight)
            nn.init.zeros_(part.bias)  # type: ignore[arg-type]
        if isinstance(part, ResidualBlock):
            last.append(part.conv2)
    with torch.no_grad():
        for part in last:
            part.weight.mul_(0.1)
