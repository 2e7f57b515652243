"""The discriminators of FSRGAN and DICGAN (SPEC 6.5 and 6.6).

Both take (B, 3, size, size) RGB faces in [0, 1] and return logits; `adversary` has their losses.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.errors import UsageError
from jdsr_cli.networks.layers import conv
from jdsr_train.recipe import PUBLISHED_WIDTHS

SLOPE = 0.2
"""Slope of the leaky ReLUs below zero."""


class PatchDiscriminator(nn.Module):
    """Judges patches of a face, as in a public FSRGAN: 4.7 M parameters.

    For each width two convolutions, the second of which halves the resolution, with batch
    normalisation (but after the first) and leaky ReLU; then a convolution to one channel. Inside,
    colours are in [-1, 1]. Weights have the initial values of torch.

    Args:
        widths: Channels of each halving.

    Raises:
        UsageError: There is no width.

    """

    def __init__(self, widths: Sequence[int] = PUBLISHED_WIDTHS["patches"]) -> None:
        super().__init__()
        if not widths:
            raise UsageError("a patch discriminator has at least one width")
        layers: list[nn.Module] = []
        for inputs, width in pairwise((3, *widths)):
            for start, stride in ((inputs, 1), (width, 2)):
                layers.append(conv(start, width, stride=stride))
                if len(layers) > 1:
                    layers.append(nn.BatchNorm2d(width))
                layers.append(nn.LeakyReLU(SLOPE, inplace=True))
        self.body = nn.Sequential(*layers, conv(widths[-1], 1))

    def forward(self, *images: Tensor) -> Tensor:
        """Return logits, (B, 1, size / 16, size / 16) float32 for four widths.

        Several batches are normalised separately and their logits concatenated: with statistics
        of true and restored faces together, the logits of restored faces alone mean nothing.
        """
        return torch.cat([self.body(one * 2.0 - 1.0).float() for one in images])


class MaxFeatureMap(nn.Module):
    """The maximum of the two halves of a layer's channels (max-feature-map of LightCNN)."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        """Return half as many channels as the layer gives."""
        one, other = self.layer(x).chunk(2, dim=1)
        return torch.maximum(one, other)


def _max_feature_conv(inputs: int, outputs: int, kernel: int) -> MaxFeatureMap:
    return MaxFeatureMap(conv(inputs, 2 * outputs, kernel))


class LightCNNDiscriminator(nn.Module):
    """LightCNN-9 (arXiv 1511.02683) with a logit instead of classes, of DICGAN: 5.5 M parameters.

    For each width a convolution, after the first two (1x1 and 3x3), each with the maximum of two
    halves, and a maximum over 2x2 pixels; the last width has two such pairs. A linear layer and the
    logit follow. Initial weights have the variance 1 / fan-in, which keeps the mean square of
    features, since that of the maximum of two normal values is theirs.

    Args:
        widths: Channels of each resolution, at least two.
        features: Length of the feature vector before the logit.
        size: Side of the images, divisible by 2 for each width.

    Raises:
        UsageError: There are fewer than two widths, or the size is not divisible.

    """

    def __init__(
        self,
        widths: Sequence[int] = PUBLISHED_WIDTHS["light_cnn"],
        features: int = 256,
        size: int = TEMPLATE_SIZE,
    ) -> None:
        super().__init__()
        if len(widths) < 2 or size % 2 ** len(widths):
            raise UsageError(
                f"a LightCNN of widths {tuple(widths)} cannot take images of {size} px",
                hint="Give at least two widths, and a side divisible by two for each",
            )
        layers: list[nn.Module] = [_max_feature_conv(3, widths[0], 5), nn.MaxPool2d(2)]
        for inputs, width in pairwise(widths):
            layers += [_max_feature_conv(inputs, inputs, 1), _max_feature_conv(inputs, width, 3)]
            layers.append(nn.MaxPool2d(2))
        last = widths[-1]
        layers[-1:-1] = [_max_feature_conv(last, last, 1), _max_feature_conv(last, last, 3)]
        self.body = nn.Sequential(*layers)
        area = (size >> len(widths)) ** 2
        self.head = nn.Sequential(
            MaxFeatureMap(nn.Linear(last * area, 2 * features)),
            nn.LeakyReLU(SLOPE, inplace=True),
            nn.Linear(features, 1),
        )
        for part in self.modules():
            if isinstance(part, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(part.weight, nonlinearity="linear")
                nn.init.zeros_(part.bias)  # type: ignore[arg-type]

    def forward(self, *images: Tensor) -> Tensor:
        """Return the logits of all batches, (B,) float32."""
        logits: Tensor = self.head(self.body(torch.cat(images)).flatten(1)).float().squeeze(1)
        return logits
