"""Stacked hourglass of pre-activation bottlenecks, the body of the prior network."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from jdsr_cli.networks.attention import ChannelAttention
from jdsr_cli.networks.layers import conv

DEPTH = 4
"""Times an hourglass halves its grid: 64, 32, 16, 8 and 4 pixels."""


def _bn_relu(channels: int) -> tuple[nn.Module, nn.Module]:
    return nn.BatchNorm2d(channels), nn.ReLU(inplace=True)


class Bottleneck(nn.Module):
    """Three times batch normalisation, ReLU and convolution (1x1, 3x3, 1x1), plus identity.

    Half of the channels in the middle. With `attention`, channel attention comes before the
    addition. (B, C, H, W) in and out.
    """

    def __init__(self, channels: int, attention: bool) -> None:
        super().__init__()
        half = channels // 2
        self.body = nn.Sequential(
            *_bn_relu(channels),
            conv(channels, half, 1),
            *_bn_relu(half),
            conv(half, half),
            *_bn_relu(half),
        )
        self.last = conv(half, channels, 1)
        self.attention = ChannelAttention(channels) if attention else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` plus what the block adds to it."""
        residual: Tensor = self.attention(self.last(self.body(x)))
        return x + residual


def _position(channels: int, blocks: int, attention: bool) -> nn.Sequential:
    return nn.Sequential(*(Bottleneck(channels, attention) for _ in range(blocks)))


class Hourglass(nn.Module):
    """One hourglass: down by max pooling, up by nearest neighbour, a branch added at each level.

    Every level has three positions of `blocks` bottlenecks (branch, way down, way up) and the
    smallest grid one more. (B, C, H, W) in and out, H and W divisible by 16.
    """

    def __init__(self, channels: int, blocks: int, attention: bool) -> None:
        super().__init__()
        self.branch, self.down, self.up = (
            nn.ModuleList(_position(channels, blocks, attention) for _ in range(DEPTH))
            for _ in range(3)
        )
        self.bottom = _position(channels, blocks, attention)

    def forward(self, x: Tensor) -> Tensor:
        """Return features that saw every scale."""
        branches: list[Tensor] = []
        for branch, down in zip(self.branch, self.down, strict=True):
            branches.append(branch(x))
            x = down(F.max_pool2d(x, 2))
        x = self.bottom(x)
        for up in reversed(self.up):
            x = F.interpolate(up(x), scale_factor=2, mode="nearest") + branches.pop()
        return x
