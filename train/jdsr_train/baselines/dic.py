"""DIC, deep iterative collaboration (CVPR 2020, arXiv 2003.13063; SPEC 6.6).

A feedback block restores the face in several steps. After each step landmarks are searched in the
restored face, and the next step treats the features of each component of the face separately, where
the landmarks show it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.errors import UsageError
from jdsr_cli.networks.generator import initialise
from jdsr_cli.networks.layers import GeneratorOutput, conv
from jdsr_train.baselines.feedback import FeedbackBlock, conv_prelu, up_projection
from jdsr_train.baselines.feedback_landmarks import (
    COMPONENTS,
    LANDMARKS,
    REDUCTION,
    FeedbackHourglass,
    PlainBottleneck,
    component_maps,
)
from jdsr_train.baselines.inputs import check_side, factor_of, subtract_mean
from jdsr_train.baselines.outputs import enlarged_only

CELEBA_MEAN = (0.509, 0.424, 0.378)
"""Mean of R, G and B over the training faces of CelebA, in [0, 1]."""
GRID = TEMPLATE_SIZE // REDUCTION
"""Side in pixels of the heat maps and of the feedback block's coarse grid."""
SLOPE = 0.2
"""Slope of the leaky ReLUs below zero."""
_MAX_DEPTH = GRID.bit_length() - 1


@dataclass(frozen=True)
class DICConfig:
    """Shape of a `DIC`; the defaults are the published ones, but for the factor."""

    lr_size: int = 32
    """Side of the input in pixels: 32 (x4) or 16 (x8, which is the published network)."""
    features: int = 48
    """Channels of the feedback blocks."""
    groups: int = 6
    """Pairs of projections in each feedback block."""
    feedback_steps: int = 4
    """Steps, each with a restored face and its landmarks; at least 2."""
    fusion_blocks: int = 7
    """Residual blocks of the features of the components."""
    landmarks: int = LANDMARKS
    """Landmark heat maps: 68, in the order of iBUG."""
    prior_width: int = 256
    """Channels of the landmark network; its hourglass has twice as many. A multiple of 8."""
    depth: int = 4
    """Number of times the hourglass halves its resolution, at most 5."""

    def __post_init__(self) -> None:
        check_side(self.lr_size, "dic")
        if min(self.features, self.groups, self.fusion_blocks) < 1 or self.feedback_steps < 2:
            raise UsageError(
                "features, groups and fusion_blocks are at least 1, feedback_steps at least 2",
                where="dic",
            )
        if self.landmarks != LANDMARKS:
            raise UsageError(
                f"landmarks is {self.landmarks}, the components are those of {LANDMARKS} iBUG "
                "points",
                where="dic",
            )
        if self.prior_width < 8 or self.prior_width % 8:
            raise UsageError(
                f"prior_width is {self.prior_width}, it must be a multiple of 8", where="dic"
            )
        if not 1 <= self.depth <= _MAX_DEPTH:
            raise UsageError(
                f"depth is {self.depth}, maps of {GRID} px can be halved 1 to {_MAX_DEPTH} times",
                where="dic",
            )


class GroupedBlock(nn.Module):
    """A residual block of convolutions with one group per component, (B, C, H, W) in and out."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, groups=groups),
            nn.LeakyReLU(SLOPE, inplace=True),
        )
        self.last = nn.Conv2d(channels, channels, 3, padding=1, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` plus the residual."""
        residual: Tensor = self.last(self.body(x))
        return x + residual


class AttentiveFusion(nn.Module):
    """Features of each component, weighted by where the component is, and summed."""

    def __init__(self, features: int, blocks: int) -> None:
        super().__init__()
        channels = len(COMPONENTS) * features
        self.body = nn.Sequential(
            conv(features, channels, 1),
            nn.LeakyReLU(SLOPE, inplace=True),
            *(GroupedBlock(channels, len(COMPONENTS)) for _ in range(blocks)),
        )

    def forward(self, features: Tensor, components: Tensor) -> Tensor:
        """Fuse (B, C, H, W) features by (B, 5, H, W) maps of the components; (B, C, H, W)."""
        separate = self.body(features).unflatten(1, (len(COMPONENTS), -1))
        weights = components.softmax(dim=1).unsqueeze(2)
        fused: Tensor = (weights * separate).sum(1)
        return fused


class DIC(nn.Module):
    """Restores faces and finds their landmarks in turn (17.4 M parameters at x4, 21.8 M at x8).

    The published network enlarges eightfold. At x4 a 1x1 convolution takes the place of the initial
    pixel shuffle, so that the heat maps still have the grid of the feedback block, and projections
    have the strides of a factor of 4.
    """

    def __init__(self, config: DICConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or DICConfig()
        self.lr_size = config.lr_size
        width, factor = config.features, factor_of(config.lr_size)
        to_grid = (
            conv_prelu(4 * width, width, 1)
            if config.lr_size == GRID
            else nn.PixelShuffle(GRID // config.lr_size)
        )
        self.enter = nn.Sequential(conv_prelu(3, 4 * width, 3), to_grid)
        self.first_compress = conv_prelu(width, width, 1)
        self.first_block = FeedbackBlock(width, config.groups, factor)
        self.compress = conv_prelu(2 * width, width, 1)
        self.fusion = AttentiveFusion(width, config.fusion_blocks)
        self.block = FeedbackBlock(width, config.groups, factor)
        self.expand = up_projection(width, REDUCTION)
        self.output = conv(width, 3)
        self.landmarks = FeedbackHourglass(config.prior_width, config.landmarks, config.depth)
        self._initialise()

    def _initialise(self) -> None:
        """Initialise as He normal, but residual branches and what follows hourglasses near zero.

        Published networks start from a trained landmark network. An untrained one without
        normalisation multiplies its features in every bottleneck and, since they are part of its
        next input, in every step; its maps would exceed 1e12.
        """
        blocks = (p for p in self.modules() if isinstance(p, PlainBottleneck | GroupedBlock))
        initialise(
            self,
            outputs=(
                self.landmarks.compress,
                self.landmarks.output,
                *(block.last for block in blocks),
            ),
        )

    def forward(self, lr: Tensor) -> GeneratorOutput:
        """Restore (B, 3, lr_size, lr_size) RGB faces in [0, 1].

        A step's face is a difference from the bilinear enlargement of the input. The output has
        `steps`, `landmark_steps` (B, 68, 32, 32) of the faces of the steps, not limited, and
        `landmarks`, the last of them.
        """
        size = (TEMPLATE_SIZE, TEMPLATE_SIZE)
        enlarged = F.interpolate(lr.float(), size=size, mode="bilinear", align_corners=False)
        features = self.enter(subtract_mean(lr, CELEBA_MEAN))
        result = self.first_block(self.first_compress(features))
        steps = [self._face(enlarged, result)]
        maps, hidden = self.landmarks(subtract_mean(steps[0], CELEBA_MEAN))
        landmark_steps = [maps]
        while len(steps) < self.config.feedback_steps:
            compressed = self.compress(torch.cat([features, result], dim=1))
            result = self.block(self.fusion(compressed, component_maps(maps)))
            steps.append(self._face(enlarged, result))
            maps, hidden = self.landmarks(subtract_mean(steps[-1], CELEBA_MEAN), hidden)
            landmark_steps.append(maps)
        return enlarged_only(
            lr,
            steps[-1],
            landmarks=maps,
            steps=tuple(steps),
            landmark_steps=tuple(landmark_steps),
        )

    def _face(self, enlarged: Tensor, result: Tensor) -> Tensor:
        """Return the face of a step, float32."""
        difference: Tensor = self.output(self.expand(result)).float()
        return enlarged + difference


NETWORK = (DICConfig, DIC)
"""What the entry point gives to `jdsr_cli.networks.build`."""
