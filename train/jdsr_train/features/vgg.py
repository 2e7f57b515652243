"""Features of VGG-16 up to its third pool, those of the paper (eq. 11 and 13)."""

from __future__ import annotations

from http.client import HTTPException
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models import VGG16_Weights

from jdsr_cli.errors import WeightsCorruptError, WeightsMissingError
from jdsr_cli.weights.locations import sha256_of
from jdsr_train.features.extractor import FeatureExtractor, cut
from jdsr_train.features.state import read_state

URL: str = VGG16_Weights.IMAGENET1K_V1.url
"""Address of torchvision's file; its name ends in the first digits of its SHA-256."""
STAGES = (5, 10, 17)
"""Ends of the stages: after pool1, pool2 and pool3."""
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Colours of ImageNet, RGB in [0, 1] (our choice, SPEC 2; the parent network leaves them out)."""
_WIDTHS = ((64, 64), (128, 128), (256, 256, 256))


def vgg16_trunk() -> nn.Sequential:
    """Make VGG-16 up to pool3 with the layer numbers of torchvision's `features`."""
    layers: list[nn.Module] = []
    inputs = 3
    for widths in _WIDTHS:
        for width in widths:
            layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU(inplace=True)]
            inputs = width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)


class Vgg16Features(FeatureExtractor):
    """pool1, pool2 and pool3 of VGG-16; (B, 3, H, W) RGB in [0, 1] goes in.

    Args:
        path: State dict of torchvision's `vgg16`, whole or only its layers up to pool3; None is
            torchvision's own file in its cache, fetched there if it is not.
        half: Compute in bfloat16; the outputs are float32 all the same.

    Raises:
        InputMissingError: No such file.
        WeightsMissingError: torchvision's own file is not there and cannot be fetched.
        WeightsCorruptError: The file is not such a state dict.

    """

    mean: Tensor
    std: Tensor

    def __init__(self, path: Path | None = None, *, half: bool = False) -> None:
        path = path or fetch()
        trunk = vgg16_trunk()
        _fill(trunk, path)
        super().__init__(
            cut(list(trunk.children()), STAGES),
            scales=(1.0, 1.0, 1.0),
            name=f"VGG-16 ({path.name})",
            deviation=_deviation(path),
            half=half,
        )
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1))

    def prepare(self, images: Tensor) -> Tensor:
        """Standardise by ImageNet's mean and deviation."""
        return (images - self.mean) / self.std


def _digest_start() -> str:
    return Path(URL).stem.rpartition("-")[2]


def _deviation(path: Path) -> str | None:
    if sha256_of(path).startswith(_digest_start()):
        return None
    return f"perceptual and style terms use a VGG-16 ({path.name}) that is not torchvision's file"


def cached_file() -> Path:
    """Where torchvision keeps its VGG-16."""
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(URL).name


def fetch() -> Path:
    """Return torchvision's own file, downloaded into its cache (528 MB) if it is not there.

    Raises:
        WeightsMissingError: It cannot be downloaded or written.

    """
    path = cached_file()
    if path.is_file():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(URL, str(path), _digest_start(), progress=False)
    except (OSError, RuntimeError, ValueError, HTTPException) as error:
        raise WeightsMissingError(
            f"torchvision's VGG-16 is not here and cannot be fetched ({error})",
            where=path,
            hint=f"Put {URL} there, or give --features FILE "
            "(a VGG-16 or SqueezeNet 1.1 state dict)",
        ) from error
    return path


def _fill(trunk: nn.Sequential, path: Path) -> None:
    """Load the layers up to pool3, those and no others."""
    wanted = {}
    for name, tensor in read_state(path).items():
        layer, _, kind = name.removeprefix("features.").partition(".")
        if name.startswith("features.") and layer.isdecimal() and int(layer) < STAGES[-1]:
            wanted[f"{layer}.{kind}"] = tensor
    try:
        trunk.load_state_dict(wanted)
    except RuntimeError as error:
        raise WeightsCorruptError(
            "not a state dict of torchvision's vgg16 or squeezenet1_1", where=path
        ) from error
