"""Conversion of the published state dicts of SRFBN and DRN to those of the modules here.

The layouts are those of the repositories Paper99/SRFBN_CVPR19 and guoyongcs/DRN. Their networks
shift the mean of pictures by 1x1 convolutions, `sub_mean` and `add_mean`, which the modules here
compute without parameters. Those of SRFBN are constant. Those of DRN are trained with the rest,
and the difference from the constant is added to the neighbouring convolutions.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.errors import UsageError, WeightsCorruptError
from jdsr_cli.weights.state_dicts import difference
from jdsr_train.baselines.drn import DRN, DRNConfig
from jdsr_train.baselines.feedback import OVERLAP
from jdsr_train.baselines.inputs import DIV2K_MEAN, PEAK
from jdsr_train.baselines.srfbn import SRFBN, SRFBNConfig

_SHIFTS = {"sub_mean": -1.0, "add_mean": 1.0}
"""Published layers that shift the mean of a picture, and the sign of their bias."""
_SHIFT_SHAPES = {"weight": (3, 3, 1, 1), "bias": (3,)}
_SRFBN_LAYERS = (
    (r"conv_in\.([01])", r"enter.\1"),
    (r"feat_in\.([01])", r"reduce.\1"),
    (r"block\.compress_in\.([01])", r"compress.\1"),
    (r"block\.upBlocks\.(\d+)\.([01])", r"block.up.\1.\2"),
    (r"block\.downBlocks\.(\d+)\.([01])", r"block.down.\1.\2"),
    (r"block\.uptranBlocks\.(\d+)\.([01])", r"block.merge_coarse.\1.\2"),
    (r"block\.downtranBlocks\.(\d+)\.([01])", r"block.merge_fine.\1.\2"),
    (r"block\.compress_out\.([01])", r"block.compress.\1"),
    (r"out\.([01])", r"expand.\1"),
    (r"conv_out\.0", r"output"),
)
_DRN_LAYERS = (
    (r"head", r"enter"),
    (r"down\.(\d+)\.dual_module\.0\.0", r"down.\1.0"),
    (r"down\.(\d+)\.dual_module\.1", r"down.\1.2"),
    (r"up_blocks\.(\d+)\.(\d+)\.body\.0", r"stages.\1.blocks.\2.conv1"),
    (r"up_blocks\.(\d+)\.(\d+)\.body\.2", r"stages.\1.blocks.\2.conv2"),
    (r"up_blocks\.(\d+)\.(\d+)\.body\.3\.conv_du\.0", r"stages.\1.blocks.\2.attention.squeeze"),
    (r"up_blocks\.(\d+)\.(\d+)\.body\.3\.conv_du\.2", r"stages.\1.blocks.\2.attention.excite"),
    (r"up_blocks\.(\d+)\.\d+\.0", r"stages.\1.expand"),
    (r"up_blocks\.(\d+)\.\d+", r"stages.\1.reduce"),
    (r"tail\.(\d+)", r"outputs.\1"),
)


Configuration = SRFBNConfig | DRNConfig
"""Shape of a network with a published layout."""


@dataclass(frozen=True)
class PublishedLayout:
    """The published layout of a network."""

    layers: tuple[tuple[str, str], ...]
    """Patterns of published names of layers, and the names here."""
    configuration: Callable[[Mapping[str, Tensor]], Configuration]
    """Returns the configuration of the network whose renamed tensors are given."""
    module: Callable[..., nn.Module]
    """Builds the network."""
    drop_shifts: Callable[[dict[str, Tensor], Mapping[str, Tensor]], None]
    """Adds the layers that shift the mean (second argument) to renamed tensors, or checks them."""


def is_published(name: str, state: Mapping[str, Tensor]) -> bool:
    """Return whether tensors have a published layout, by the layers that shift the mean.

    Args:
        name: Name of a network.
        state: Tensors by name.

    """
    return name in _LAYOUTS and any(
        key.removeprefix("module.").partition(".")[0] in _SHIFTS for key in state
    )


def from_published(name: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert a published state dict.

    The converted network gives the results of the published one. A DRN whose training changed
    what it subtracts from the picture differs in the outermost pixels, where the zeros with which
    its first convolution pads the picture then mean another colour.

    Args:
        name: ``srfbn`` or ``drn``.
        state: Its tensors by published name, with or without the prefix ``module.`` that
            `torch.nn.DataParallel` adds.

    Returns:
        The tensors of a network with `published_configuration(name, state)`.

    Raises:
        UsageError: No layout of this network is known, or it has another factor than 4 or 8.
        WeightsCorruptError: A tensor is unknown or missing, or has another shape; or the mean that
            an SRFBN subtracts is not the published one.

    """
    layout = _layout(name)
    tensors, shifts = _rename(name, state)
    with torch.device("meta"):
        expected = layout.module(_configuration(name, tensors))
    fault = difference(expected.state_dict(), tensors)
    if fault is not None:
        raise WeightsCorruptError(f"{fault} (by its name in this package)", where=name)
    layout.drop_shifts(tensors, shifts)
    return tensors


def published_configuration(name: str, state: Mapping[str, Tensor]) -> Configuration:
    """Return the shape of the network of a published state dict.

    The number of feedback steps of an SRFBN is not in its state dict and has its default.

    Raises:
        UsageError: As `from_published`.
        WeightsCorruptError: A tensor is unknown, or one that shows the shape is missing.

    """
    return _configuration(name, _rename(name, state)[0])


def _layout(name: str) -> PublishedLayout:
    if name not in _LAYOUTS:
        raise UsageError(
            f"no published layout of {name!r} is known", hint=f"Known are {', '.join(_LAYOUTS)}."
        )
    return _LAYOUTS[name]


def _rename(name: str, state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the tensors by their names here, and those of the shifts by their own."""
    tensors, shifts, unknown = {}, {}, []
    layers = _layout(name).layers
    for key, value in state.items():
        layer, _, parameter = key.removeprefix("module.").rpartition(".")
        own = _name_here(layer, layers)
        if parameter not in _SHIFT_SHAPES or (own is None and layer not in _SHIFTS):
            unknown.append(key)
        elif own is None:
            shifts[f"{layer}.{parameter}"] = value
        else:
            tensors[f"{own}.{parameter}"] = value
    if unknown:
        raise WeightsCorruptError(
            f"{len(unknown)} tensors are not of the published layout, the first is {unknown[0]!r}",
            where=name,
        )
    for layer, (parameter, shape) in itertools.product(_SHIFTS, _SHIFT_SHAPES.items()):
        found = shifts.get(f"{layer}.{parameter}")
        if found is None or found.shape != shape:
            state_of = "missing" if found is None else f"{tuple(found.shape)}, not {shape}"
            raise WeightsCorruptError(f"tensor '{layer}.{parameter}' is {state_of}", where=name)
    return tensors, shifts


def _name_here(layer: str, layers: tuple[tuple[str, str], ...]) -> str | None:
    for pattern, own in layers:
        match = re.fullmatch(pattern, layer)
        if match is not None:
            return match.expand(own)
    return None


def _configuration(name: str, tensors: Mapping[str, Tensor]) -> Configuration:
    try:
        return _layout(name).configuration(tensors)
    except KeyError as error:
        raise WeightsCorruptError(
            f"tensor {error.args[0]!r} is missing (by its name in this package)", where=name
        ) from error


def _count(prefix: str, tensors: Mapping[str, Tensor]) -> int:
    """Return the number of different indices after a prefix."""
    return len({key[len(prefix) :].split(".")[0] for key in tensors if key.startswith(prefix)})


def _side(name: str, factor: int) -> int:
    """Return the side of the input of a network that enlarges by a factor."""
    if factor not in (4, 8):
        raise UsageError(f"the network enlarges by {factor}, it can be 4 or 8", where=name)
    return TEMPLATE_SIZE // factor


def _srfbn_configuration(tensors: Mapping[str, Tensor]) -> SRFBNConfig:
    projection = tensors["block.up.0.0.weight"]
    return SRFBNConfig(
        lr_size=_side("srfbn", projection.shape[-1] - OVERLAP),
        features=projection.shape[0],
        groups=_count("block.up.", tensors),
    )


def _drn_configuration(tensors: Mapping[str, Tensor]) -> DRNConfig:
    return DRNConfig(
        lr_size=_side("drn", 2 ** _count("down.", tensors)),
        blocks=_count("stages.0.blocks.", tensors),
        features=tensors["enter.weight"].shape[0],
    )


def _mean_like(tensor: Tensor) -> Tensor:
    return PEAK * torch.tensor(DIV2K_MEAN, dtype=tensor.dtype, device=tensor.device)


def _check_constant(_: dict[str, Tensor], shifts: Mapping[str, Tensor]) -> None:
    """Check that an SRFBN shifts by the mean of DIV2K; values on the meta device are unknown."""
    for layer, sign in _SHIFTS.items():
        weight, bias = shifts[f"{layer}.weight"], shifts[f"{layer}.bias"]
        if weight.is_meta:
            continue
        one = torch.eye(3, dtype=weight.dtype, device=weight.device)[:, :, None, None]
        if not (weight.allclose(one) and bias.allclose(sign * _mean_like(bias))):
            raise WeightsCorruptError(
                f"{layer} does not shift by the mean of DIV2K in levels of 0 to 255", where="srfbn"
            )


def _fold(tensors: dict[str, Tensor], shifts: Mapping[str, Tensor]) -> None:
    """Fold the difference of a DRN's shifts from the constant ones into its convolutions."""
    matrix = shifts["sub_mean.weight"][:, :, 0, 0]
    offset = shifts["sub_mean.bias"] + matrix @ _mean_like(matrix)
    weight = tensors["enter.weight"]
    tensors["enter.bias"] = tensors["enter.bias"] + weight.sum((2, 3)) @ offset
    tensors["enter.weight"] = torch.einsum("oikl,ij->ojkl", weight, matrix)
    matrix = shifts["add_mean.weight"][:, :, 0, 0]
    offset = shifts["add_mean.bias"] - _mean_like(matrix)
    for index in range(_count("outputs.", tensors)):
        output = f"outputs.{index}"
        tensors[f"{output}.weight"] = torch.einsum(
            "ij,jokl->iokl", matrix, tensors[f"{output}.weight"]
        )
        tensors[f"{output}.bias"] = matrix @ tensors[f"{output}.bias"] + offset


_LAYOUTS = {
    "srfbn": PublishedLayout(_SRFBN_LAYERS, _srfbn_configuration, SRFBN, _check_constant),
    "drn": PublishedLayout(_DRN_LAYERS, _drn_configuration, DRN, _fold),
}
