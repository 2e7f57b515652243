"""Reading the tensors of a feature network's file."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from jdsr_cli.errors import InputMissingError
from jdsr_cli.weights import read_state_dict


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
    return read_state_dict(path).tensors
