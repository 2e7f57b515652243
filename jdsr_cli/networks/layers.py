"""Layers that several parts of the paper's generator share."""

from __future__ import annotations

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
