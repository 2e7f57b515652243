"""The paper's denoising module: CBDNet with channel attention (PAPER section 3.1, eq. 1-2).

A mask is treated as noise: one network estimates its level at every pixel, and another removes the
noise, given that level.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from jdsr_cli.networks.layers import ChannelAttention, conv


def _units(inputs: int, width: int, count: int) -> nn.Sequential:
    """Create `count` units of convolution, ReLU and channel attention."""
    layers: list[nn.Module] = []
    for index in range(count):
        layers += [
            conv(inputs if index == 0 else width, width),
            nn.ReLU(inplace=True),
            ChannelAttention(width),
        ]
    return nn.Sequential(*layers)


class NoiseEstimator(nn.Module):
    """CNN_E: the noise level of every pixel and channel, (B, 3, H, W) in and out.

    Four units and an output convolution. A softplus makes its values positive. Unlike
    the ReLU of CBDNet, which can end in an all-zero map, it always has a gradient.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.body = _units(3, width, 4)
        self.output = conv(width, 3)

    def forward(self, image: Tensor) -> Tensor:
        """Return gamma, the estimate of |masked - clean|, above zero and float32."""
        return F.softplus(self.output(self.body(image)).float(), beta=20.0)


class Denoiser(nn.Module):
    """CNN_E, then CNN_D: a U-Net of 2+3+6+3+2 units over [gamma, image], added to the image.

    (B, 3, H, W) in, H and W divisible by 4; twice (B, 3, H, W) out.
    """

    def __init__(
        self, noise_width: int = 32, widths: tuple[int, int, int] = (64, 128, 256)
    ) -> None:
        super().__init__()
        fine, middle, coarse = widths
        self.noise = NoiseEstimator(noise_width)
        self.enter = _units(6, fine, 2)
        self.down1 = _units(fine, middle, 3)
        self.down2 = _units(middle, coarse, 6)
        self.raise1 = nn.ConvTranspose2d(coarse, middle, 2, stride=2)
        self.up1 = _units(middle, middle, 3)
        self.raise2 = nn.ConvTranspose2d(middle, fine, 2, stride=2)
        self.up2 = _units(fine, fine, 2)
        self.output = conv(fine, 3, 1)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return I_D, the image without its mask, and gamma, both float32."""
        gamma = self.noise(image)
        fine = self.enter(torch.cat([gamma, image], dim=1))
        middle = self.down1(F.avg_pool2d(fine, 2))
        features = self.down2(F.avg_pool2d(middle, 2))
        features = self.up1(self.raise1(features) + middle)
        features = self.up2(self.raise2(features) + fine)
        return image + self.output(features).float(), gamma
