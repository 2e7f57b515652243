"""Reading the tensors of a feature network's file."""

from __future__ import annotations

from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from jdsr_cli.errors import InputMissingError, WeightsCorruptError


def read_state(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a state dict by name, on the CPU; nothing in it is executed.

    Raises:
        InputMissingError: No such file.
        WeightsCorruptError: It holds anything but named tensors.

    """
    if not path.is_file():
        raise InputMissingError(
            "no feature weights", where=path, hint="Give --features vgg16 or --features FILE"
        )
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise WeightsCorruptError("not a state dict of feature weights", where=path) from error
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise WeightsCorruptError("not a state dict of feature weights", where=path)
    return state
