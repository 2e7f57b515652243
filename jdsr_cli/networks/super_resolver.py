"""The face super-resolution module of the paper: FSRNet with channel attention (PAPER section 3.2).

A coarse network cleans the enlarged face. From its output, an encoder extracts features and a prior
network (stacked hourglasses of pre-activation bottlenecks) predicts where the parts of the face
are. A decoder computes the fine face from both (eq. 3-6).
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from jdsr_cli.networks.hourglass import Hourglass, bottlenecks
from jdsr_cli.networks.layers import conv, conv_bn_relu, residual_blocks

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
            *(Hourglass(partial(bottlenecks, width, blocks, attention)) for _ in range(STACKS))
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
