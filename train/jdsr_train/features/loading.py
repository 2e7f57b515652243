"""From a name or a file to a feature extractor."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from jdsr_train.features.extractor import FeatureExtractor
from jdsr_train.features.squeezenet import SqueezeNetFeatures
from jdsr_train.features.state import read_state
from jdsr_train.features.vgg import Vgg16Features

VGG16 = "vgg16"
"""Name of torchvision's own VGG-16, which is downloaded once."""


def load_features(source: str | Path, *, half: bool = False) -> FeatureExtractor:
    """Make the extractor that `source` names.

    Args:
        source: `VGG16`, or a state dict of torchvision's `vgg16` or `squeezenet1_1`
            (.safetensors, or what `torch.save` writes); which one, its tensors' names tell.
        half: Compute in bfloat16.

    Raises:
        InputMissingError: No such file.
        WeightsMissingError: torchvision's VGG-16 is not on this machine and cannot be fetched.
        WeightsCorruptError: The file is neither.

    """
    if str(source) == VGG16:
        return Vgg16Features(None, half=half)
    path = Path(source)
    if _is_squeezenet(read_state(path)):
        return SqueezeNetFeatures(path, half=half)
    return Vgg16Features(path, half=half)


def _is_squeezenet(state: Mapping[str, object]) -> bool:
    return any(".squeeze." in name for name in state)
