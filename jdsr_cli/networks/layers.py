"""Layers of the generators: convolutions, channel attention, residual blocks, enlargement."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class ChannelAttention(nn.Module):
    """Scale each channel by a learned function of the means of all channels (as in RCAN).

    Global average pool, 1x1 convolution to ``channels // reduction``, ReLU, 1x1 convolution
    back, sigmoid, multiply. (B, C, H, W) in and out.
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.squeeze = nn.Conv2d(channels, channels // reduction, 1)
        self.excite = nn.Conv2d(channels // reduction, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` with its channels rescaled."""
        weights: Tensor = self.excite(self.squeeze(self.pool(x)).relu()).sigmoid()
        return x * weights


class ResidualBlock(nn.Module):
    """conv 3x3, ReLU, conv 3x3, channel attention, plus identity; no normalisation.

    The residual block of the paper's super-resolver (PAPER section 3.2): that of FSRNet with the
    attention of RCAN before the addition. (B, C, H, W) in and out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.attention = ChannelAttention(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` plus the residual."""
        residual: Tensor = self.attention(self.conv2(self.conv1(x).relu()))
        return x + residual


def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    """Create a convolution with bias and zero padding of half its kernel."""
    return nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2)


def conv_bn_relu(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Create the paper's main-stream "Conv": convolution, batch normalisation, ReLU (figure 3)."""
    return nn.Sequential(
        conv(inputs, outputs, kernel, stride), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


def residual_blocks(width: int, count: int) -> nn.Sequential:
    """Create a sequence of `count` residual blocks with channel attention."""
    return nn.Sequential(*(ResidualBlock(width) for _ in range(count)))


def enlarge(image: Tensor, side: int) -> Tensor:
    """Enlarge (B, C, h, w) images to `side` x `side` by the bicubic kernel of Pillow.

    The kernel has a = -0.5; the bicubic mode of torch without antialiasing has -0.75. Computes in
    float32.
    """
    return F.interpolate(image.float(), size=(side, side), mode="bicubic", antialias=True)
