"""The face super-resolution module of the paper: FSRNet with channel attention (PAPER section 3.2).

A coarse network cleans the enlarged face. From its output, an encoder extracts features and a prior
network (stacked hourglasses of pre-activation bottlenecks) predicts where the parts of the face
are. A decoder computes the fine face from both (eq. 3-6).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from jdsr_cli.networks.layers import ChannelAttention, conv, conv_bn_relu, residual_blocks

DEPTH = 4
"""Number of times an hourglass halves its resolution: 64, 32, 16, 8 and 4 pixels."""


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
        """Return `x` plus the residual."""
        residual: Tensor = self.attention(self.last(self.body(x)))
        return x + residual


def _position(channels: int, blocks: int, attention: bool) -> nn.Sequential:
    return nn.Sequential(*(Bottleneck(channels, attention) for _ in range(blocks)))


class Hourglass(nn.Module):
    """One hourglass: down by max pooling, up by nearest neighbour, a branch added at each level.

    Every level has three positions of `blocks` bottlenecks (branch, down, up) and the
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
        """Return features of all scales."""
        branches: list[Tensor] = []
        for branch, down in zip(self.branch, self.down, strict=True):
            branches.append(branch(x))
            x = down(F.max_pool2d(x, 2))
        x = self.bottom(x)
        for up in reversed(self.up):
            x = F.interpolate(up(x), scale_factor=2, mode="nearest") + branches.pop()
        return x


FACE_PARTS = 11
"""Background, skin, two brows, two eyes, nose, upper lip, inner mouth, lower lip and hair."""
STACKS = 2
"""Number of hourglasses."""


class PriorNetwork(nn.Module):
    """Landmark heat maps and parsing logits at half resolution, from a coarse face.

    (B, 3, 128, 128) in; (B, landmarks, 64, 64) in (0, 1) and (B, 11, 64, 64) logits out.
    """

    def __init__(
        self, landmarks: int, stem_width: int, width: int, blocks: int, attention: bool
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            conv_bn_relu(3, stem_width, kernel=7, stride=2),
            conv_bn_relu(stem_width, width),
            residual_blocks(width, 3),
        )
        self.hourglasses = nn.Sequential(
            *(Hourglass(width, blocks, attention) for _ in range(STACKS))
        )
        self.features = conv(width, width // 2, 1)
        self.landmarks = conv(width // 2, landmarks, 1)
        self.parsing = conv(width // 2, FACE_PARTS, 1)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return landmark maps and parsing logits, both float32."""
        features = self.features(self.hourglasses(self.stem(image)))
        return self.landmarks(features).float().sigmoid(), self.parsing(features).float()


class CoarseNetwork(nn.Module):
    """I_C from I_D (eq. 3): three residual blocks at full resolution, (B, 3, H, W) in and out."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(conv_bn_relu(3, width), residual_blocks(width, 3))
        self.output = conv(width, 3)

    def forward(self, image: Tensor) -> Tensor:
        """Return the coarse face, float32."""
        coarse: Tensor = self.output(self.body(image)).float()
        return coarse


class Encoder(nn.Module):
    """Image features at half resolution: (B, 3, H, W) in, (B, width, H/2, W/2) out (eq. 4)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv_bn_relu(3, width, stride=2), residual_blocks(width, 12), conv(width, width)
        )

    def forward(self, image: Tensor) -> Tensor:
        """Return the features."""
        features: Tensor = self.body(image)
        return features


class Decoder(nn.Module):
    """I_SR from features and prior maps (eq. 6): (B, C, H, W) in, (B, 3, 2H, 2W) out."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.enter = conv_bn_relu(inputs, width)
        self.normalise = nn.BatchNorm2d(width)
        self.body = residual_blocks(width, 3)
        self.output = conv(width, 3)

    def forward(self, mix: Tensor) -> Tensor:
        """Return the fine face, float32."""
        features = F.interpolate(self.enter(mix), scale_factor=2, mode="nearest")
        fine: Tensor = self.output(self.body(self.normalise(features).relu())).float()
        return fine


class SuperResolver(nn.Module):
    """Coarse network, prior network, encoder and decoder over a face at full resolution."""

    def __init__(
        self, landmarks: int, width: int, prior_width: int, blocks: int, attention: bool
    ) -> None:
        super().__init__()
        self.coarse = CoarseNetwork(width)
        self.encoder = Encoder(width)
        self.prior = PriorNetwork(landmarks, width, prior_width, blocks, attention)
        self.decoder = Decoder(width + landmarks + FACE_PARTS, width)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return I_SR, I_C, landmark maps and parsing logits, all float32.

        The input of the decoder contains the predicted maps (eq. 5): landmarks unchanged, parsing
        as probabilities.
        """
        coarse = self.coarse(image)
        landmarks, parsing = self.prior(coarse)
        features = self.encoder(coarse)
        mix = torch.cat([features, landmarks, parsing.softmax(dim=1)], dim=1)
        return self.decoder(mix), coarse, landmarks, parsing
