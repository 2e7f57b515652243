"""What the feature terms ask of a frozen network, and what such networks share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

LEVELS = 3
"""Levels that eq. 11 and 13 compare: pool1, pool2 and pool3 of VGG-16, or their like."""


class FeatureExtractor(nn.Module, ABC):
    """A frozen network cut into stages; (B, 3, H, W) RGB in [0, 1] goes in.

    Its weights take no gradient; gradients pass through it to the images.

    Args:
        stages: Run one after the other; each one's output is a level.
        scales: What each of the first `LEVELS` levels is divided by in `maps`.
        name: Network and file, recorded in checkpoints.
        deviation: How it differs from the paper's VGG-16, recorded too; None if it does not.
        half: Compute in bfloat16; the outputs are float32 all the same.

    """

    def __init__(
        self,
        stages: Sequence[nn.Module],
        *,
        scales: Sequence[float],
        name: str,
        deviation: str | None,
        half: bool,
    ) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.scales = tuple(scales)
        self.name = name
        self.deviation = deviation
        self.half_precision = half
        self.eval().requires_grad_(False).to(memory_format=torch.channels_last)

    @abstractmethod
    def prepare(self, images: Tensor) -> Tensor:
        """Bring RGB in [0, 1] to the colours that the network was trained on."""

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the stages' outputs, finest first, float32."""
        return self._run(images, len(self.stages))

    def maps(self, images: Tensor) -> list[Tensor]:
        """Return the three levels of eq. 11 and 13: strides 2, 4, 8 and 64, 128, 256 channels."""
        levels = self._run(images, LEVELS)
        return [level / scale for level, scale in zip(levels, self.scales, strict=True)]

    def _run(self, images: Tensor, count: int) -> list[Tensor]:
        x = self.prepare(images.float()).contiguous(memory_format=torch.channels_last)
        found = []
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.half_precision):
            for stage in self.stages[:count]:
                x = stage(x)
                found.append(x.float())
        return found


def cut(layers: Sequence[nn.Module], ends: Sequence[int]) -> list[nn.Module]:
    """Cut a row of layers into stages that end before the given places."""
    return [
        nn.Sequential(*layers[first:last]) for first, last in zip((0, *ends), ends, strict=False)
    ]
