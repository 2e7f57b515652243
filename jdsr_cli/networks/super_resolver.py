"""The paper's face super-resolution module: FSRNet with channel attention (PAPER section 3.2).

A coarse network cleans the enlarged face; from that, an encoder takes features and a prior
network the places of the face's parts; a decoder makes the fine face of both (eq. 3-6).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from jdsr_cli.networks.layers import conv, conv_bn_relu, residual_blocks
from jdsr_cli.networks.prior import FACE_PARTS, PriorNetwork


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

        The decoder sees the predicted maps themselves (eq. 5): landmarks as they are, parsing
        as probabilities.
        """
        coarse = self.coarse(image)
        landmarks, parsing = self.prior(coarse)
        features = self.encoder(coarse)
        mix = torch.cat([features, landmarks, parsing.softmax(dim=1)], dim=1)
        return self.decoder(mix), coarse, landmarks, parsing
