"""Features of SqueezeNet 1.1, the stand-in where VGG-16 cannot be had."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torchvision.models import squeezenet1_1

from jdsr_cli.errors import WeightsCorruptError
from jdsr_train.features.extractor import FeatureExtractor, cut
from jdsr_train.features.state import read_state

CAFFE_MEAN_BGR = (104.0, 117.0, 123.0)
STAGES = (2, 5, 8)
"""Ends of the stages whose outputs are compared: strides 2, 4 and 8."""
SCALES = (12.9, 28.0, 23.7)
"""Mean magnitudes of the three on aligned faces of 128 px.

This file works on levels up to 255, VGG-16 on standardised colours: without the division its maps
would weigh ten times as much as those that the weights of eq. 11 and 13 were made for.
"""


class SqueezeNetFeatures(FeatureExtractor):
    """Outputs of three stages of SqueezeNet 1.1, for eq. 11 and 13.

    The stand-in for the paper's VGG-16 where that cannot be had; using it is a deviation, and
    exported weights name it. (B, 3, H, W) RGB in [0, 1] goes in.

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
        network = squeezenet1_1(weights=None)
        try:
            network.load_state_dict(read_state(path))
        except RuntimeError as error:
            raise WeightsCorruptError(
                "not a state dict of torchvision's squeezenet1_1", where=path
            ) from error
        super().__init__(
            cut(list(network.features.children()), STAGES),
            scales=SCALES,
            name=f"SqueezeNet 1.1 ({path.name})",
            deviation="perceptual and style terms use SqueezeNet 1.1 instead of VGG-16, each level "
            "scaled to a mean of 1 on faces",
            half=half,
        )
        self.register_buffer("mean", torch.tensor(CAFFE_MEAN_BGR).view(1, 3, 1, 1))

    def prepare(self, images: Tensor) -> Tensor:
        """Turn RGB in [0, 1] to BGR levels around 0."""
        return images.flip(1) * 255.0 - self.mean
