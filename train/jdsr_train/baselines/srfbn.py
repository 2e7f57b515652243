"""SRFBN, the super-resolution feedback network (arXiv 1903.09814, SPEC 6.2).

A feedback block refines features of the low-resolution face in several steps; each step takes the
result of the last one and gives a picture. Pictures are in levels of 0 to 255 inside.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.errors import UsageError
from jdsr_cli.networks.layers import GeneratorOutput, conv, he_normal
from jdsr_train.baselines.feedback import FeedbackBlock, conv_prelu, up_projection
from jdsr_train.baselines.inputs import (
    DIV2K_MEAN,
    PEAK,
    check_side,
    factor_of,
    subtract_mean,
)
from jdsr_train.baselines.outputs import enlarged_only


@dataclass(frozen=True)
class SRFBNConfig:
    """Shape of an `SRFBN`; the defaults are the published ones, SRFBN-S has 32 and 3."""

    lr_size: int = 32
    """Side of the input in pixels: 32 (x4) or 16 (x8)."""
    features: int = 64
    """Channels of the feedback block."""
    groups: int = 6
    """Pairs of projections in the feedback block."""
    feedback_steps: int = 4
    """Passes through the feedback block, each with a picture."""

    def __post_init__(self) -> None:
        check_side(self.lr_size, "srfbn")
        if min(self.features, self.groups, self.feedback_steps) < 1:
            raise UsageError("features, groups and feedback_steps are at least 1", where="srfbn")


class SRFBN(nn.Module):
    """Super-resolver with a feedback block, 3.6 M parameters at x4."""

    def __init__(self, config: SRFBNConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or SRFBNConfig()
        self.lr_size = config.lr_size
        width, factor = config.features, factor_of(config.lr_size)
        self.enter = conv_prelu(3, 4 * width, 3)
        self.reduce = conv_prelu(4 * width, width, 1)
        self.compress = conv_prelu(2 * width, width, 1)
        self.block = FeedbackBlock(width, config.groups, factor)
        self.expand = up_projection(width, factor)
        self.output = conv(width, 3)
        he_normal(self)

    def forward(self, lr: Tensor) -> GeneratorOutput:
        """Enlarge (B, 3, lr_size, lr_size) RGB faces in [0, 1]; `steps` has the faces of all steps.

        The result of a step is a difference from the bilinear enlargement of the input.
        """
        size = (TEMPLATE_SIZE, TEMPLATE_SIZE)
        enlarged = F.interpolate(lr.float(), size=size, mode="bilinear", align_corners=False)
        features = self.reduce(self.enter(subtract_mean(lr, DIV2K_MEAN, PEAK)))
        hidden, steps = features, []
        for _ in range(self.config.feedback_steps):
            hidden = self.block(self.compress(torch.cat([features, hidden], dim=1)))
            steps.append(enlarged + self.output(self.expand(hidden)).float() / PEAK)
        return enlarged_only(lr, steps[-1], steps=tuple(steps))


NETWORK = (SRFBNConfig, SRFBN)
"""What the entry point gives to `jdsr_cli.networks.build`."""
