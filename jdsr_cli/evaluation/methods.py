"""Methods of a comparison: bicubic interpolation, generators, and results of other tools.

For other tools the inputs are written to files, and their result images are read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from jdsr_cli.atomic import atomic_file
from jdsr_cli.datasets.face_set import PILLOW_ERRORS
from jdsr_cli.datasets.samples import EvaluationSample, to_tensor
from jdsr_cli.errors import DatasetError, InputMissingError, UsageError
from jdsr_cli.faces.canonical_colours import ColourMap, canonical_map
from jdsr_cli.networks import GeneratorOutput
from jdsr_cli.settings.training import EVALUATION_SCALES
from jdsr_cli.synthesis.compression import resize_bicubic
from jdsr_cli.weights import entries, load_generator
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


def from_lr(restore: Restorer) -> RestoreSamples:
    """Adapt a restorer of tensors to samples."""

    def restore_samples(samples: Sequence[EvaluationSample]) -> Tensor:
        return restore(to_tensor([sample.pair.lr for sample in samples]))

    return restore_samples


def load_methods(
    names: Sequence[str], scale: int | None, device: str = "cpu"
) -> tuple[list[Method], int]:
    """Load methods by name.

    Args:
        names: `bicubic`; `lite` and `paper` for the weights of that kind and scale; a name of
            the registry; a weight file.
        scale: One of `EVALUATION_SCALES`; None takes that of the weights, or 4.
        device: Device of the networks, which run in float32.

    Returns:
        The methods in order, and the side of their common input in pixels.

    Raises:
        UsageError: A name is unknown, is given twice, or requires another input size.
        WeightsError: Weights are missing or altered.

    """
    if scale is not None and scale not in EVALUATION_SCALES:
        raise UsageError(f"unknown scale {scale}", where="--scale", hint="Use 1, 2, 4 or 8")
    full = [_full_name(name, scale or DEFAULT_SCALE) for name in names]
    labels = _labels(full)
    methods = [_load(name, label, device) for name, label in zip(full, labels, strict=True)]
    repeated = [name for name, count in Counter(one.name for one in methods).items() if count > 1]
    if repeated:
        raise UsageError(f"{repeated[0]} is given twice", where="--compare")
    return methods, _common_size(methods, scale)


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


def _load(name: str, label: str, device: str) -> Method:
    if name == "bicubic":
        return Method(name, from_lr(bicubic), timed=True, description={"what": "PIL's bicubic"})
    loaded = load_generator(name, device, "float32")
    description: dict[str, str | int] = {
        "what": "weights",
        "file": loaded.path.name,
        "sha256": loaded.sha256,
        "lr_size": loaded.lr_size,
        "parameters": sum(one.numel() for one in loaded.network.parameters()),
    }
    if loaded.entry is not None:
        description |= {"registry": loaded.entry.name, "recipe": loaded.entry.recipe}
    return Method(
        label, from_lr(restorer(loaded.network, device, canonical=loaded.lr_size == FOOTAGE_SIZE)),
        timed=True,
        lr_size=loaded.lr_size, description=description,
    )  # fmt: skip


def _common_size(methods: Sequence[Method], scale: int | None) -> int:
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


RESULT_SUFFIXES = (".png", ".webp", ".bmp", ".tif", ".tiff", ".jpg", ".jpeg")


class ExternalResults:
    """A folder of 128x128 images, each named after the face it restores.

    Args:
        name: Name in tables.
        folder: The images; files of other faces are ignored.
        keys: The evaluated faces.

    Raises:
        InputMissingError: The folder does not exist.
        DatasetError: A face has no image or two, or its image has another size or cannot be
            read; the message names the file.

    """

    def __init__(self, name: str, folder: Path, keys: Sequence[str]) -> None:
        if not folder.is_dir():
            raise InputMissingError(f"no folder of results for {name}", where=folder)
        self._files: dict[str, Path] = {}
        expected = set(keys)
        for path in sorted(folder.iterdir()):
            if path.suffix.lower() not in RESULT_SUFFIXES or path.stem not in expected:
                continue
            if path.stem in self._files:
                raise DatasetError(
                    f"a second picture of {path.stem} beside {self._files[path.stem].name}",
                    where=path,
                )
            self._files[path.stem] = path
        missing = [key for key in keys if key not in self._files]
        if missing:
            raise DatasetError(
                f"{name} has no picture of this face, nor of {len(missing) - 1} others"
                if len(missing) > 1
                else f"{name} has no picture of this face",
                where=folder / f"{missing[0]}.png",
                hint="Every evaluated face needs one; --write-inputs writes the inputs to restore",
            )
        for path in self._files.values():
            _read_result(path, size_only=True)
        self.method = Method(
            name,
            self._read_pictures,
            description={"what": "ready-made pictures", "folder": folder.name},
        )

    def _read_pictures(self, samples: Sequence[EvaluationSample]) -> Tensor:
        return to_tensor(
            [_read_result(self._files[sample.key], size_only=False) for sample in samples]
        )


def _read_result(path: Path, *, size_only: bool) -> NDArray[np.uint8]:
    """Read an image; with `size_only` check its size and return an empty array."""
    try:
        with Image.open(path) as picture:
            if picture.size != (128, 128):
                width, height = picture.size
                raise DatasetError(f"the picture is {width}x{height}, not 128x128", where=path)
            if picture.mode.startswith(("I", "F")):
                raise DatasetError(
                    "the picture has more than 8 bits a channel", where=path, hint="Save 8-bit RGB"
                )
            if size_only:
                return np.zeros((0, 0, 3), np.uint8)
            return np.asarray(picture.convert("RGB"), np.uint8)
    except DatasetError:
        raise
    except PILLOW_ERRORS as error:
        raise DatasetError("not a readable picture", where=path) from error


def write_inputs(samples: Iterable[EvaluationSample], folder: Path) -> Iterator[EvaluationSample]:
    """Yield the samples unchanged, and write the input of each to `<key>.png`.

    Raises:
        OutputError: A file cannot be written.

    """
    for sample in samples:
        path = folder / f"{sample.key}.png"
        with atomic_file(path, make_folder=True) as partial:
            Image.fromarray(sample.pair.lr).save(partial, format="PNG")
        yield sample
