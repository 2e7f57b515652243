"""The landmark network of DIC (arXiv 2003.13063, SPEC 6.6), and maps of the face's components.

An hourglass whose features of one step are part of its input in the next: the landmarks get better
with the face in which they are searched.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from jdsr_cli.networks.hourglass import DEPTH, Hourglass
from jdsr_cli.networks.layers import conv

LANDMARKS = 68
"""iBUG points, in whose order the heat maps are."""
COMPONENTS = {
    "left eye": slice(36, 42),
    "right eye": slice(42, 48),
    "nose": slice(27, 36),
    "mouth": slice(48, 68),
    "outline": slice(0, 27),
}
"""iBUG points of each component, eyes as seen in the picture; the outline includes the brows."""
MIN_PEAK = 0.05
"""Least value that counts as the peak of a heat map, so that empty maps are not amplified."""
REDUCTION = 4
"""How many times smaller than the picture the heat maps are."""


def component_maps(maps: Tensor) -> Tensor:
    """Sum heat maps, each divided by its peak, over the landmarks of each component.

    Args:
        maps: (B, 68, H, W), nominally in [0, 1].

    Returns:
        (B, 5, H, W) in the order of `COMPONENTS`. Gradients reach the maps.

    """
    peaks = maps.amax(dim=(2, 3), keepdim=True).clamp_min(MIN_PEAK)
    scaled = maps / peaks
    return torch.stack([scaled[:, points].sum(1) for points in COMPONENTS.values()], dim=1)


class PlainBottleneck(nn.Module):
    """Convolutions 1x1, 3x3 and 1x1 without normalisation, a ReLU after the first; plus identity.

    Half of the output's channels in the middle; a 1x1 convolution takes the place of the identity
    where the number of channels changes. (B, inputs, H, W) to (B, outputs, H, W).
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        half = outputs // 2
        self.body = nn.Sequential(conv(inputs, half, 1), nn.ReLU(inplace=True), conv(half, half))
        self.last = conv(half, outputs, 1)
        self.skip = nn.Identity() if inputs == outputs else conv(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` plus the residual."""
        skip: Tensor = self.skip(x)
        residual: Tensor = self.last(self.body(x))
        return skip + residual


class FeedbackHourglass(nn.Module):
    """Landmark heat maps of a face, and features for the next step (12.0 M parameters).

    Args:
        width: Channels of the picture's features; the hourglass has twice as many. A multiple of 8.
        landmarks: Number of heat maps.
        depth: Number of times the hourglass halves its resolution.

    """

    def __init__(self, width: int, landmarks: int, depth: int = DEPTH) -> None:
        super().__init__()
        half = width // 2
        self.stem = nn.Sequential(
            conv(3, width // 4, 7, stride=2),
            nn.ReLU(inplace=True),
            PlainBottleneck(width // 4, half),
            nn.MaxPool2d(2),
            PlainBottleneck(half, half),
            PlainBottleneck(half, width),
        )
        self.compress = conv(2 * width, 2 * width, 1)
        self.hourglass = Hourglass(
            partial(PlainBottleneck, 2 * width, 2 * width), depth, bilinear=True
        )
        self.head = nn.Sequential(
            PlainBottleneck(width, width), conv(width, width, 1), nn.ReLU(inplace=True)
        )
        self.output = conv(width, landmarks, 1)

    def forward(self, picture: Tensor, hidden: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Search landmarks.

        Args:
            picture: (B, 3, S, S) RGB, each channel less its mean.
            hidden: The features that the last step returned; None in the first step, which takes
                those of the picture twice.

        Returns:
            (B, landmarks, S / 4, S / 4) float32 heat maps, not limited, and (B, width, S / 4,
            S / 4) features.

        """
        features = self.stem(picture)
        both = torch.cat([features, features if hidden is None else hidden], dim=1)
        of_landmarks, kept = self.hourglass(self.compress(both)).chunk(2, dim=1)
        maps: Tensor = self.output(self.head(of_landmarks)).float()
        return maps, kept
