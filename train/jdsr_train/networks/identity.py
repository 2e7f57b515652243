"""The identity network of eq. 15 (PAPER Table 1) and the head it is trained with."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from jdsr_cli.errors import UsageError

WIDTHS = (64, 128, 256, 512)
BLOCKS = (2, 4, 8, 2)
RESIDUAL_START = 0.1
"""Share of the He normal start that the last convolution of a residual block begins with."""


def _conv(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, padding=1), nn.PReLU(outputs)]


class _ResidualBlock(nn.Module):
    """Twice convolution and PReLU, plus identity: (B, C, H, W) in and out."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*_conv(channels, channels))
        self.last = nn.Conv2d(channels, channels, 3, padding=1)
        self.activation = nn.PReLU(channels)

    def forward(self, x: Tensor) -> Tensor:
        residual: Tensor = self.activation(self.last(self.body(x)))
        return x + residual


class IdentityNetwork(nn.Module):
    """Features that tell people apart: (B, 3, size, size) RGB in [0, 1] to (B, features).

    For each stage a convolution, a 3 x 3 average pool of stride 2 and residual blocks, all with a
    PReLU per channel and no normalisation; then one linear layer. Inside, colours are moved to
    [-1, 1], as the parent networks do; the paper is silent there.

    Args:
        widths: Channels of the stages.
        blocks: Residual blocks of the stages, as many numbers as `widths`.
        features: Length of the feature vector.
        size: Side of the images; divisible by 2 for each stage.

    Raises:
        UsageError: `widths` and `blocks` differ in length, or the size cannot be halved that often.

    """

    def __init__(
        self,
        widths: Sequence[int] = WIDTHS,
        blocks: Sequence[int] = BLOCKS,
        features: int = 512,
        size: int = 128,
    ) -> None:
        super().__init__()
        if len(widths) != len(blocks) or size % 2 ** len(widths):
            raise UsageError(
                f"an identity network of widths {tuple(widths)} and blocks {tuple(blocks)} "
                f"cannot take images of {size} px",
                hint="Give as many blocks as widths, and a side divisible by two for each",
            )
        layers: list[nn.Module] = []
        for inputs, width, count in zip((3, *widths[:-1]), widths, blocks, strict=True):
            layers += [*_conv(inputs, width), nn.AvgPool2d(3, stride=2, padding=1)]
            layers += [_ResidualBlock(width) for _ in range(count)]
        self.body = nn.Sequential(*layers)
        self.output = nn.Linear(widths[-1] * (size >> len(widths)) ** 2, features)
        self._initialise()

    def _initialise(self) -> None:
        """Start as He normal, residual branches small: nothing normalises sixteen sums in a row."""
        slope = 0.25
        for part in self.modules():
            if isinstance(part, nn.Conv2d) and part.bias is not None:
                nn.init.kaiming_normal_(part.weight, a=slope)
                nn.init.zeros_(part.bias)
        with torch.no_grad():
            for part in self.modules():
                if isinstance(part, _ResidualBlock):
                    part.last.weight.mul_(RESIDUAL_START)

    def forward(self, images: Tensor) -> Tensor:
        """Return the features, (B, features) float32, not normalised."""
        found: Tensor = self.output(self.body(images * 2 - 1).flatten(1)).float()
        return found

    def normalised(self, images: Tensor) -> Tensor:
        """Return the features at length 1, (B, features) float32."""
        return F.normalize(self(images))


class MarginHead(nn.Module):
    """Classifies features by identity with an additive cosine margin (CosFace).

    The logit of the true identity is ``scale * (cosine - margin)``, others ``scale * cosine``;
    the paper does not say what its network was trained with (SPEC 3).

    Args:
        features: Length of the feature vectors.
        identities: Number of people.
        scale: Factor of the cosines.
        margin: What is taken off the true identity's cosine; may be changed between steps.

    Raises:
        UsageError: There are fewer than two people.

    """

    def __init__(
        self, features: int, identities: int, scale: float = 30.0, margin: float = 0.35
    ) -> None:
        super().__init__()
        if identities < 2:
            raise UsageError(
                f"{identities} identities cannot be told apart", hint="At least two are needed"
            )
        self.scale, self.margin = scale, margin
        self.weight = nn.Parameter(torch.empty(identities, features))
        nn.init.xavier_normal_(self.weight)

    def cosines(self, features: Tensor) -> Tensor:
        """Return the cosine of each feature vector to each person's, (B, identities) float32."""
        with torch.autocast(features.device.type, enabled=False):
            return F.linear(F.normalize(features.float()), F.normalize(self.weight.float()))

    def forward(self, features: Tensor, identities: Tensor) -> Tensor:
        """Return the logits, (B, identities) float32.

        Args:
            features: (B, features), not necessarily normalised.
            identities: (B,) int64, the true ones.

        """
        cosines = self.cosines(features)
        true = F.one_hot(identities, cosines.shape[1])
        return self.scale * (cosines - self.margin * true)

    def loss(self, features: Tensor, identities: Tensor) -> Tensor:
        """Return the mean cross-entropy of the logits."""
        return F.cross_entropy(self(features, identities), identities)
