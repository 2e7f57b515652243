"""Methods of a comparison: bicubic interpolation and generators."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from jdsr_cli.datasets.samples import EvaluationSample, to_tensor
from jdsr_cli.errors import UsageError
from jdsr_cli.faces.canonical_colours import ColourMap, canonical_map
from jdsr_cli.networks import GeneratorOutput
from jdsr_cli.settings.evaluation import EVALUATION_SCALES
from jdsr_cli.synthesis.compression import resize_bicubic
from jdsr_cli.weights import LoadedGenerator, entries, load_generator
from jdsr_cli.weights.names import SUFFIXES

Restorer = Callable[[Tensor], Tensor]
"""Restores (B, 3, s, s) RGB in [0, 1] to (B, 3, 128, 128)."""


def bicubic(lr: Tensor) -> Tensor:
    """Enlarge with PIL's bicubic, the baseline of every comparison.

    Images of 128 pixels are returned unchanged.
    """
    pictures = (lr.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    return to_tensor([resize_bicubic(picture, 128) for picture in pictures])


def restorer(network: nn.Module, device: str = "cpu", *, canonical: bool = False) -> Restorer:
    """Wrap a generator as a function that returns restored faces in float32, without gradients.

    Args:
        network: The generator.
        device: Device of the generator.
        canonical: Whether faces are converted to canonical colours, as in `restore`, and results
            back, as generators for footage require. See `crop_colour_map`.

    """

    def run(lr: Tensor) -> GeneratorOutput:
        with torch.inference_mode():
            output: GeneratorOutput = network(lr.to(device))
        return output

    def with_occlusion(lr: Tensor) -> tuple[Tensor, Tensor]:
        output = run(lr)
        return output.restored.float().cpu(), output.occlusion.float().cpu()

    if canonical:
        return in_canonical_colours(with_occlusion)
    return lambda lr: run(lr).restored.float().cpu()


def crop_colour_map(crop: NDArray[np.uint8]) -> ColourMap:
    """Return the map of an aligned face, RGB uint8 (side, side, 3), to canonical colours.

    The face counts as monochrome if its channels are equal, since there is no footage to classify.
    """
    return canonical_map(crop, monochrome=bool((crop == crop[..., :1]).all()))


def in_canonical_colours(run: Callable[[Tensor], tuple[Tensor, Tensor]]) -> Restorer:
    """Wrap a generator so that inputs are converted to canonical colours and results back.

    Args:
        run: Takes (B, 3, s, s) RGB in [0, 1]; returns the restored faces, (B, 3, 128, 128), and
            the occlusion map, (B, 1, r, r) in [0, 1].

    """

    def wrapped(lr: Tensor) -> Tensor:
        crops = (lr.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
        maps = [crop_colour_map(one) for one in crops]
        canonical_crops = to_tensor(
            [colours.apply(one) for colours, one in zip(maps, crops, strict=True)]
        )
        restored, occlusion = run(canonical_crops)
        side = restored.shape[-1]
        levels = (restored.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()
        covered = F.interpolate(occlusion, size=(side, side), mode="bilinear", align_corners=False)
        in_input_colours = [
            colours.restore(face, resize_bicubic(one, side), share)
            for colours, face, one, share in zip(
                maps, levels, crops, covered[:, 0].numpy(), strict=True
            )
        ]
        return to_tensor(in_input_colours)

    return wrapped


DEFAULT_SCALE = 4
FOOTAGE_SIZE = 128
"""Input size of generators for footage, which require canonical colours."""
RestoreSamples = Callable[[Sequence[EvaluationSample]], Tensor]
"""Restores B faces to (B, 3, 128, 128) RGB in [0, 1]."""


@dataclass(frozen=True)
class Method:
    """A restorer and its name in tables."""

    name: str
    restore: RestoreSamples
    timed: bool = False
    """Whether its speed is measured."""
    lr_size: int | None = None
    """Side of its input in pixels; None for any."""
    description: Mapping[str, str | int] = field(default_factory=dict)
    """Its description in `results.json`."""
    count_shots: Callable[[Sequence[EvaluationSample]], NDArray[np.float64]] | None = None
    """Returns for each of B faces the number of shots that were combined, (B,); None for methods
    of single pictures."""


def from_lr(restore: Restorer) -> RestoreSamples:
    """Adapt a restorer of tensors to samples."""

    def restore_samples(samples: Sequence[EvaluationSample]) -> Tensor:
        return restore(to_tensor([sample.pair.lr for sample in samples]))

    return restore_samples


@dataclass(frozen=True, eq=False)
class NamedRestorer:
    """What a name stands for: weights, or bicubic interpolation."""

    name: str
    """Name in tables."""
    loaded: LoadedGenerator | None
    """The weights, in float32; None for bicubic interpolation."""

    @property
    def lr_size(self) -> int | None:
        """Side of its input in pixels; None for any."""
        return None if self.loaded is None else self.loaded.lr_size

    @property
    def canonical(self) -> bool:
        """Whether it requires canonical colours."""
        return self.lr_size == FOOTAGE_SIZE

    @property
    def description(self) -> dict[str, str | int]:
        """Its description in `results.json`."""
        loaded = self.loaded
        if loaded is None:
            return {"what": "PIL's bicubic"}
        description: dict[str, str | int] = {
            "what": "weights",
            "file": loaded.path.name,
            "sha256": loaded.sha256,
            "lr_size": loaded.lr_size,
            "parameters": sum(one.numel() for one in loaded.network.parameters()),
        }
        if loaded.entry is not None:
            description |= {"registry": loaded.entry.name, "recipe": loaded.entry.recipe}
        return description

    @property
    def method(self) -> Method:
        """The restorer of single pictures."""
        restore: Restorer = bicubic
        if self.loaded is not None:
            network, device = self.loaded.network, str(self.loaded.device)
            restore = restorer(network, device, canonical=self.canonical)
        return Method(
            self.name, from_lr(restore), timed=True, lr_size=self.lr_size,
            description=self.description,
        )  # fmt: skip


def open_restorers(
    names: Sequence[str], scale: int | None, device: str = "cpu"
) -> tuple[list[NamedRestorer], int]:
    """Load restorers by name.

    Args:
        names: `bicubic`; `lite` and `paper` for the weights of that kind and scale; a name of
            the registry; a weight file.
        scale: One of `EVALUATION_SCALES`; None takes that of the weights, or 4.
        device: Device of the networks, which run in float32.

    Returns:
        The restorers in order, and the side of their common input in pixels.

    Raises:
        UsageError: A name is unknown, is given twice, or requires another input size.
        WeightsError: Weights are missing or altered.

    """
    if scale is not None and scale not in EVALUATION_SCALES:
        raise UsageError(f"unknown scale {scale}", where="--scale", hint="Use 1, 2, 4 or 8")
    full = [_full_name(name, scale or DEFAULT_SCALE) for name in names]
    opened = [
        NamedRestorer(label, None if name == "bicubic" else load_generator(name, device, "float32"))
        for name, label in zip(full, _labels(full), strict=True)
    ]
    repeated = [name for name, count in Counter(one.name for one in opened).items() if count > 1]
    if repeated:
        raise UsageError(f"{repeated[0]} is given twice", where="--compare")
    return opened, _common_size(opened, scale)


def load_methods(
    names: Sequence[str], scale: int | None, device: str = "cpu"
) -> tuple[list[Method], int]:
    """Load restorers of single pictures by name; see `open_restorers`."""
    opened, lr_size = open_restorers(names, scale, device)
    return [one.method for one in opened], lr_size


def _labels(names: Sequence[str]) -> list[str]:
    """Name files by their stem if it is unique, otherwise by their path."""
    short = [Path(name).stem if name.endswith(SUFFIXES) else name for name in names]
    common = Counter(short)
    return [one if common[one] == 1 else name for one, name in zip(short, names, strict=True)]


def _full_name(name: str, scale: int) -> str:
    """Return the registry name of a shorthand, or the name itself."""
    if name == "lite":
        return f"lite-x{scale}"
    if name != "paper":
        return name
    registered = entries()
    matching = [one.name for one in registered if one.network == "jdsr" and one.scale == scale]
    if len(matching) == 1:
        return matching[0]
    if matching:
        raise UsageError(
            f"several weights of the paper's network enlarge by {scale}: {', '.join(matching)}",
            where="--compare paper",
            hint="Name one of them",
        )
    raise UsageError(
        f"no weights of the paper's network enlarge by {scale}",
        where="--compare paper",
        hint="Train them (jdsr train) and give their file. Known are "
        + ", ".join(one.name for one in registered),
    )


def _common_size(methods: Sequence[NamedRestorer], scale: int | None) -> int:
    sizes = {one.name: one.lr_size for one in methods if one.lr_size is not None}
    listed = ", ".join(f"{name} {size} px" for name, size in sizes.items())
    if len(set(sizes.values())) > 1:
        raise UsageError(
            f"methods must take one input size ({listed})",
            where="--compare",
            hint="Compare weights of one scale at a time",
        )
    expected = 128 // (scale or DEFAULT_SCALE)
    size = next(iter(sizes.values()), expected)
    if scale is not None and size != expected:
        raise UsageError(
            f"scale {scale} gives inputs of {expected} px, but the weights take others ({listed})",
            where="--scale",
            hint=f"Give --scale {128 // size}, or weights of scale {scale}",
        )
    return size
