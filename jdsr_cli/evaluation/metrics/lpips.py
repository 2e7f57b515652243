"""LPIPS v0.1 (Zhang et al. 2018): distance of two pictures in the features of a trained network.

A trunk (AlexNet, VGG-16 or SqueezeNet 1.1) gives features at several depths; each is scaled to
unit length across its channels, squared differences are weighted by learned heads, averaged over
the picture and summed over the depths. The heads are those that torchmetrics ships, or a file.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision import models

from jdsr_cli.errors import WeightsCorruptError
from jdsr_cli.evaluation.metrics.lpips_files import (
    downloaded,
    hash_start,
    kind_of_trunk,
    published,
    read_heads,
)
from jdsr_cli.weights import read_state_dict
from jdsr_cli.weights.locations import sha256_of

DOWNLOAD = "download"
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CAFFE_MEAN_BGR = (104.0, 117.0, 123.0)
_EPSILON = 1e-8


class LpipsJudge:
    """LPIPS of restored against true faces; lower is better, 0 for equal pictures.

    Args:
        trunk: State dict of torchvision's `alexnet`, `vgg16` or `squeezenet1_1` (told apart by
            its tensors), or `download` for torchvision's own AlexNet. A file with `caffe` in its
            name takes BGR 0 to 255 minus `CAFFE_MEAN_BGR`, any other RGB as torchvision's do.
        heads: State dict of the heads, `lin0.model.1.weight` and so on; torchmetrics' if None.
        device: Where it runs.

    Raises:
        UsageError: The heads are torchmetrics', which is not installed.
        WeightsMissingError: No such file, or the download failed.
        WeightsCorruptError: The trunk is none of the three, or the heads do not fit it.

    """

    figure = "lpips"

    def __init__(self, trunk: str | Path, heads: Path | None = None, device: str = "cpu") -> None:
        path = downloaded() if str(trunk) == DOWNLOAD else Path(trunk)
        state = read_state_dict(path).tensors
        self.trunk = kind_of_trunk(path, state)
        with torch.device("meta"):
            features = models.get_model(self.trunk.model, weights=None).features
        prefix = "features."
        layers = {key[len(prefix) :]: one for key, one in state.items() if key.startswith(prefix)}
        try:
            features.load_state_dict(layers, assign=True)
        except RuntimeError as error:
            raise WeightsCorruptError(
                f"not a state dict of torchvision's {self.trunk.model}", where=path
            ) from error
        firsts = (0, *(end + 1 for end in self.trunk.ends))
        in_order = list(features.children())
        self._slices = nn.ModuleList(
            nn.Sequential(*in_order[first : end + 1])
            for first, end in zip(firsts, self.trunk.ends, strict=False)
        )
        for layer in self._slices.modules():
            if isinstance(layer, nn.ReLU):
                layer.inplace = False
        self._slices.eval().requires_grad_(False).to(device)
        self._heads = [head.to(device) for head in read_heads(heads, self.trunk)]
        self._path, self._heads_path, self._device = path, heads, device
        self._caffe = "caffe" in path.name.lower()
        channels = [found.shape[1] for found in self.describe(torch.zeros(1, 3, 64, 64))]
        if channels != [len(head) for head in self._heads]:
            raise WeightsCorruptError(f"not the heads of LPIPS for {self.trunk.model}", where=heads)

    @property
    def standard(self) -> bool:
        """Whether the trunk is the file that torchvision publishes, by its hash."""
        return sha256_of(self._path).startswith(hash_start(published(self.trunk)))

    @property
    def protocol(self) -> str:
        """How the figure is had; says so where it cannot be compared with published LPIPS."""
        heads = self._heads_path.name if self._heads_path else "torchmetrics'"
        told = f"LPIPS v0.1, {self.trunk.model} trunk {self._path.name}, {heads} heads"
        if self.standard:
            return f"{told}; torchvision's published trunk"
        taken = "BGR 0 to 255 minus (104, 117, 123)" if self._caffe else "torchvision's RGB"
        return (
            f"{told}; the trunk (SHA-256 {sha256_of(self._path)}, input {taken}) is NOT "
            "torchvision's published one, on which the heads were trained: compare its figures "
            "only with each other"
        )

    def describe(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return features of unit length at every depth of (B, 3, H, W) RGB in [0, 1]."""
        x = images.to(self._device).float()
        if self._caffe:
            x = x.flip(1) * 255 - x.new_tensor(CAFFE_MEAN_BGR).view(1, 3, 1, 1)
        else:
            mean, std = (x.new_tensor(v).view(1, 3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))
            x = (x - mean) / std
        found = []
        with torch.inference_mode():
            for part in self._slices:
                x = part(x)
                found.append(x / (x.square().sum(1, keepdim=True) + _EPSILON).sqrt())
        return tuple(found)

    def compare(self, found: tuple[Tensor, ...], wanted: tuple[Tensor, ...]) -> Tensor:
        """Return the distance of each picture, (B,)."""
        parts = [
            ((one - other).square() * head).sum(1).mean(dim=(1, 2))
            for one, other, head in zip(found, wanted, self._heads, strict=True)
        ]
        return torch.stack(parts).sum(0).double().cpu()
