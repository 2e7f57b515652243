"""Frozen ImageNet features for the perceptual term."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models import squeezenet1_1

from jdsr_cli.errors import InputMissingError, WeightsCorruptError

CAFFE_MEAN_BGR = (104.0, 117.0, 123.0)
STAGES = (2, 5, 8, 10)
"""Ends of the stages whose outputs are compared: strides 2, 4, 8 and 16."""


class SqueezeNetFeatures(nn.Module):
    """Outputs of four stages of SqueezeNet 1.1, each divided by its mean magnitude on the truth.

    The stand-in for the paper's VGG-16 (eq. 11) where that cannot be had; using it is a
    deviation, and exported weights name it. (B, 3, H, W) RGB in [0, 1] goes in.

    Args:
        path: State dict of torchvision's `squeezenet1_1` that expects BGR 0 to 255 minus
            `CAFFE_MEAN_BGR`.
        half: Compute in bfloat16; the outputs are float32 all the same.

    Raises:
        InputMissingError: No such file.
        WeightsCorruptError: The file is not such a state dict.

    """

    mean: Tensor

    def __init__(self, path: Path, *, half: bool = False) -> None:
        super().__init__()
        if not path.exists():
            raise InputMissingError("no feature weights", where=path, hint="Give --features FILE")
        network = squeezenet1_1(weights=None)
        try:
            network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        except Exception as error:
            raise WeightsCorruptError(
                "not a state dict of torchvision's squeezenet1_1", where=path
            ) from error
        self.half_precision = half
        layers = list(network.features.children())
        self.stages = nn.ModuleList(
            nn.Sequential(*layers[first:last])
            for first, last in zip((0, *STAGES), STAGES, strict=False)
        )
        self.register_buffer("mean", torch.tensor(CAFFE_MEAN_BGR).view(1, 3, 1, 1))
        self.eval().requires_grad_(False).to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the stages' outputs, finest first."""
        x = (images.flip(1) * 255.0 - self.mean).contiguous(memory_format=torch.channels_last)
        found = []
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.half_precision):
            for stage in self.stages:
                x = stage(x)
                found.append(x.float())
        return found

    def distance(self, images: Tensor, truth: Tensor) -> Tensor:
        """Sum over stages of the mean absolute difference relative to the truth (eq. 11)."""
        with torch.no_grad():
            wanted = self(truth)
        pairs = zip(self(images), wanted, strict=True)
        return torch.stack(
            [
                (found - want).abs().mean() / want.abs().mean().clamp_min(1e-6)
                for found, want in pairs
            ]
        ).sum()
