"""The files of LPIPS: trunks of torchvision told apart by their tensors, and learned heads."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor
from torchvision import models

from jdsr_cli.errors import UsageError, WeightsCorruptError, WeightsMissingError
from jdsr_cli.weights import read_state_dict


@dataclass(frozen=True)
class Trunk:
    """A network of torchvision whose features are compared."""

    name: str
    model: str
    """What torchvision calls it."""
    ends: tuple[int, ...]
    """Layers, by their place in `features`, whose rectified outputs are compared."""
    mark: str
    """A tensor that only this trunk has."""
    shape: tuple[int, ...]
    """Of that tensor."""


TRUNKS = (
    Trunk("alex", "alexnet", (1, 4, 7, 9, 11), "features.0.weight", (64, 3, 11, 11)),
    Trunk("vgg", "vgg16", (3, 8, 15, 22, 29), "features.28.weight", (512, 512, 3, 3)),
    Trunk("squeeze", "squeezenet1_1", (1, 4, 7, 9, 10, 11, 12), "features.12.squeeze.weight",
          (64, 512, 1, 1)),
)  # fmt: skip


def kind_of_trunk(path: Path, state: dict[str, Tensor]) -> Trunk:
    """Tell by its tensors which trunk a state dict is of.

    Raises:
        WeightsCorruptError: It is none of `TRUNKS`.

    """
    for trunk in TRUNKS:
        if trunk.mark in state and tuple(state[trunk.mark].shape) == trunk.shape:
            return trunk
    raise WeightsCorruptError(
        "not a state dict of torchvision's alexnet, vgg16 or squeezenet1_1", where=path
    )


def published(trunk: Trunk) -> str:
    """Return the address of torchvision's weights, which ends in the start of their hash."""
    return str(models.get_model_weights(trunk.model)["IMAGENET1K_V1"].url)


def hash_start(address: str) -> str:
    """Return the first digits of the SHA-256 of the file at one of torchvision's addresses."""
    return Path(address).stem.rsplit("-", 1)[1]


def downloaded() -> Path:
    """Fetch torchvision's AlexNet, on which LPIPS is usually reported, into torch's cache.

    Raises:
        WeightsMissingError: It cannot be had.

    """
    address = published(TRUNKS[0])
    path = Path(torch.hub.get_dir()) / "checkpoints" / address.rsplit("/", 1)[1]
    if path.is_file():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(
            address, str(path), hash_prefix=hash_start(address), progress=False
        )
    except (OSError, RuntimeError) as error:
        raise WeightsMissingError(
            f"the trunk of LPIPS cannot be downloaded ({error})",
            where=address,
            hint="Fetch it with a browser and give --lpips FILE",
        ) from error
    return path


def read_heads(path: Path | None, trunk: Trunk) -> list[Tensor]:
    """Return the weights of each depth, (C, 1, 1), from a file or as torchmetrics ships them.

    Raises:
        UsageError: torchmetrics is not installed.
        WeightsMissingError, WeightsCorruptError: As `read_state_dict`, or the depths are not those
            of the trunk.

    """
    if path is None:
        spec = find_spec("torchmetrics")
        if spec is None or spec.origin is None:
            raise UsageError(
                "the heads of LPIPS come with torchmetrics, which is not installed",
                where="--lpips",
                hint="Run pip install 'jdsr[train]', or give --lpips-heads FILE",
            )
        folder = Path(spec.origin).parent / "functional" / "image" / "lpips_models"
        path = folder / f"{trunk.name}.pth"
    state = read_state_dict(path).tensors
    names = [f"lin{place}.model.1.weight" for place in range(len(trunk.ends))]
    if sorted(state) != sorted(names):
        raise WeightsCorruptError(f"not the heads of LPIPS for {trunk.model}", where=path)
    return [state[name].float()[0] for name in names]
