"""Begin a run from the weights of another network, as far as they fit."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from jdsr_cli.errors import WeightsCorruptError, WeightsError
from jdsr_cli.networks.lite import LiteGenerator, unfold_state
from jdsr_cli.weights import load_state

AGAIN = "Run its stage again with this recipe, into the same --out"


def start_from(network: nn.Module, weights: dict[str, Tensor]) -> str:
    """Copy every tensor of `weights` whose name and shape the network has; say how many.

    Raises:
        WeightsError: None fits.

    """
    own = network.state_dict()
    if isinstance(network, LiteGenerator) and _is_folded(network, weights):
        weights = unfold_state(weights, network)
    fitting = {
        name: value.float()
        for name, value in weights.items()
        if name in own and own[name].shape == value.shape
    }
    if not fitting:
        raise WeightsError("no tensor of the starting weights fits the network", where="--init")
    network.load_state_dict(fitting, strict=False)
    return f"started from given weights: {len(fitting)} of {len(own)} tensors fit"


def fill(network: nn.Module, path: Path) -> None:
    """Give a network the weights that an earlier stage left behind.

    Raises:
        WeightsError: They are damaged, or those of another network.

    """
    try:
        network.load_state_dict(load_state(path))
    except WeightsError as error:
        raise WeightsCorruptError(
            "not the weights that its stage wrote", where=path, hint=AGAIN
        ) from error
    except RuntimeError as error:
        raise WeightsCorruptError(
            "the weights of another network", where=path, hint=AGAIN
        ) from error


def _is_folded(network: LiteGenerator, weights: dict[str, Tensor]) -> bool:
    """Whether the weights are those of a `lite` for a smaller input than the network folds."""
    stem = weights.get("stem.weight")
    return network.fold > 1 and stem is not None and stem.shape[1] < 3 * network.fold**2
