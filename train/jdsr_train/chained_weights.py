"""Join the weights of a denoiser and of a super-resolver into one file of the network `chain`.

The result is a generator like any other: the systems "CBD + X" of the paper's table 3 (SPEC 6).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from torch import nn

from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.errors import UsageError
from jdsr_cli.networks import build
from jdsr_cli.settings import StoredPrecision
from jdsr_cli.weights import LoadedGenerator, load_generator
from jdsr_cli.weights.bases import SAFETENSORS
from jdsr_cli.weights.headers import read_metadata
from jdsr_train.export import NO_DEVIATIONS, WeightOrigin, add_to_manifest, store_weights

NETWORK = "chain"
DENOISER = "cbdnet"
SUPER_RESOLVERS = ("drn", "srfbn", "sicnn", "fsrnet", "dic")
"""Networks that enlarge a face from which the masks were removed."""
UNKNOWN = "not stated"


@dataclass(frozen=True)
class ChainPart:
    """Weights that become a part of a chain."""

    given: str
    """Name or file by which the user named them."""
    loaded: LoadedGenerator
    network: str
    """Name of their network."""
    arguments: Mapping[str, Any]
    """Arguments of their network without the side of the input."""
    recipe: str
    data: str
    steps: str
    deviations: str

    @classmethod
    def load(cls, name_or_path: str) -> Self:
        """Load weights by the name of a manifest entry or from a file.

        Raises:
            UsageError, WeightsError: As for `jdsr_cli.weights.load_generator`.

        """
        loaded = load_generator(name_or_path, "cpu", "float32")
        stored = read_metadata(loaded.path) if loaded.path.suffix == SAFETENSORS else {}
        entry = loaded.entry
        if entry is None:
            network, arguments = stored["network"], json.loads(stored["arguments"])
            stated = {"recipe": network}
        else:
            network, arguments = entry.network, entry.arguments
            stated = {"recipe": entry.recipe, "data": entry.data}
        found = {**stated, **stored}
        return cls(
            name_or_path, loaded, network,
            {key: value for key, value in arguments.items() if key != "lr_size"},
            *(found.get(key, UNKNOWN) for key in ("recipe", "data", "steps", "deviations")),
        )  # fmt: skip

    def check_network(self, *known: str) -> None:
        """Check that the network is one of the `known` ones.

        Raises:
            UsageError: It is another one.

        """
        if self.network not in known:
            kinds = " or ".join(known)
            raise UsageError(
                f"is a {self.network!r}, the weights of a {kinds} are needed",
                where=self.given,
                hint=f"A chain has a denoiser ({DENOISER}) and then a super-resolver "
                f"({', '.join(SUPER_RESOLVERS)})",
            )


def chain_weights(
    denoiser: str,
    super_resolver: str,
    out: Path | None = None,
    precision: StoredPrecision = "float16",
) -> Path:
    """Write the weights of a denoiser and of a super-resolver as one file, with a manifest entry.

    Recipe and name of the chain are those of the file, such as `cbd_drn_x4` and `cbd-drn-x4`. The
    chain is not measured.

    Args:
        denoiser: Name or file of the weights of a `cbdnet`.
        super_resolver: Name or file of the weights of one of `SUPER_RESOLVERS`.
        out: The weight file; `default_name` in the current folder when None.
        precision: Precision of the values in the file.

    Returns:
        The weight file.

    Raises:
        UsageError: The weights are of other networks or of different input sizes, or `out` is one
            of them or no safetensors file.
        WeightsError: They are missing or damaged, or a value is outside the range of `precision`.
        OutputError: The folder cannot be written.

    """
    first, second = ChainPart.load(denoiser), ChainPart.load(super_resolver)
    first.check_network(DENOISER)
    second.check_network(*SUPER_RESOLVERS)
    lr_size = first.loaded.lr_size
    if lr_size != second.loaded.lr_size:
        raise UsageError(
            f"takes faces of {second.loaded.lr_size} px, {first.given} of {lr_size} px",
            where=second.given,
            hint="Join weights of one scale",
        )
    path = out or Path(f"{default_name(second.recipe, lr_size)}{SAFETENSORS}")
    _check_out(path, (first, second))
    arguments = {
        "lr_size": lr_size, **first.arguments,
        "super_resolver": second.network, "arguments": dict(second.arguments),
    }  # fmt: skip
    network = _join(arguments, first.loaded.network, second.loaded.network)
    add_to_manifest(
        path,
        store_weights(
            path, _origin(path.stem, first, second), NETWORK, arguments, network,
            precision=precision,
        ),
    )  # fmt: skip
    return path


def default_name(recipe: str, lr_size: int) -> str:
    """Return the name of the chain of CBDNet and a super-resolver, such as `cbd_drn_x4`.

    Args:
        recipe: Recipe of the super-resolver, with or without the scale.
        lr_size: Side of the input in pixels.

    """
    scale = f"_x{TEMPLATE_SIZE // lr_size}"
    return f"cbd_{recipe}{'' if scale in recipe else scale}"


def _check_out(path: Path, parts: tuple[ChainPart, ...]) -> None:
    if path.suffix != SAFETENSORS:
        raise UsageError(
            f"{path} cannot be the name of weights", where="--out", hint=f"It ends in {SAFETENSORS}"
        )
    if any(path.resolve() == part.loaded.path.resolve() for part in parts):
        raise UsageError(f"{path} is a part of the chain", where="--out", hint="Name another file")


def _join(
    arguments: Mapping[str, Any], denoiser: nn.Module, super_resolver: nn.Module
) -> nn.Module:
    with torch.device("meta"):
        network = build(NETWORK, arguments)
    network.get_submodule("denoiser").load_state_dict(denoiser.state_dict(), assign=True)
    network.get_submodule("super_resolver").load_state_dict(
        super_resolver.state_dict(), assign=True
    )
    return network.eval()


def _origin(name: str, first: ChainPart, second: ChainPart) -> WeightOrigin:
    parts = (first, second)
    same = first.data == second.data
    return WeightOrigin(
        name,
        data=first.data if same else "; ".join(f"{one.recipe}: {one.data}" for one in parts),
        steps=", ".join(f"{one.recipe} {one.steps}" for one in parts),
        deviations=tuple(
            f"{one.recipe}: {one.deviations}" for one in parts if one.deviations != NO_DEVIATIONS
        ),
        further={
            "denoiser": first.recipe,
            "denoiser_sha256": first.loaded.sha256,
            "super_resolver": second.recipe,
            "super_resolver_sha256": second.loaded.sha256,
        },
    )
