"""Hourglass networks and the pre-activation bottleneck of which most consist."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F

from jdsr_cli.networks.layers import ChannelAttention, conv

DEPTH = 4
"""Number of times the paper's hourglass halves its resolution: 64, 32, 16, 8 and 4 pixels."""


def _bn_relu(channels: int) -> tuple[nn.Module, nn.Module]:
    return nn.BatchNorm2d(channels), nn.ReLU(inplace=True)


class Bottleneck(nn.Module):
    """Three times batch normalisation, ReLU and convolution (1x1, 3x3, 1x1), plus identity.

    Half of the channels in the middle. (B, inputs, H, W) to (B, channels, H, W).

    Args:
        channels: Channels of the output.
        attention: Whether channel attention comes before the addition.
        inputs: Channels of the input; None for `channels`. If they differ, a 1x1 convolution takes
            the place of the identity.

    """

    def __init__(self, channels: int, attention: bool = False, inputs: int | None = None) -> None:
        super().__init__()
        inputs = inputs or channels
        half = channels // 2
        self.body = nn.Sequential(
            *_bn_relu(inputs),
            conv(inputs, half, 1),
            *_bn_relu(half),
            conv(half, half),
            *_bn_relu(half),
        )
        self.last = conv(half, channels, 1)
        self.attention = ChannelAttention(channels) if attention else nn.Identity()
        self.skip = nn.Identity() if inputs == channels else conv(inputs, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` plus the residual."""
        skip: Tensor = self.skip(x)
        residual: Tensor = self.attention(self.last(self.body(x)))
        return skip + residual


def bottlenecks(channels: int, count: int, attention: bool = False) -> nn.Sequential:
    """Create a sequence of `count` bottlenecks."""
    return nn.Sequential(*(Bottleneck(channels, attention) for _ in range(count)))


class Hourglass(nn.Module):
    """One hourglass: down by max pooling, up by interpolation, a branch added at each level.

    Every level has three positions (branch, down, up) and the smallest grid one more.
    (B, C, H, W) in and out, H and W divisible by 2 to the power of `depth`.

    Args:
        position: Creates the layers of one position, which keep the shape.
        depth: Number of times the resolution is halved, at least 1.
        bilinear: Whether features are enlarged bilinearly with aligned corners; otherwise by
            nearest neighbour.

    """

    def __init__(
        self, position: Callable[[], nn.Module], depth: int = DEPTH, *, bilinear: bool = False
    ) -> None:
        super().__init__()
        self.branch, self.down, self.up = (
            nn.ModuleList(position() for _ in range(depth)) for _ in range(3)
        )
        self.bottom = position()
        self.bilinear = bilinear

    def forward(self, x: Tensor) -> Tensor:
        """Return features of all scales."""
        branches: list[Tensor] = []
        for branch, down in zip(self.branch, self.down, strict=True):
            branches.append(branch(x))
            x = down(F.max_pool2d(x, 2))
        x = self.bottom(x)
        for up in reversed(self.up):
            x = self._enlarge(up(x)) + branches.pop()
        return x

    def _enlarge(self, x: Tensor) -> Tensor:
        if self.bilinear:
            return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
        return F.interpolate(x, scale_factor=2, mode="nearest")
