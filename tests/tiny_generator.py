"""Arguments of the smallest complete generator, and its entry in a manifest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from jdsr_cli.weights import sha256_of


def tiny_arguments(lr_size: int) -> dict[str, object]:
    return {
        "lr_size": lr_size,
        "widths": [16, 16],
        "encoder_blocks": [1, 1],
        "decoder_blocks": [1],
        "tail_width": 16,
        "tail_blocks": 1,
    }


def write_tiny_weights(path: Path, lr_size: int) -> Path:
    """Write weights of an untrained generator for an input size; return their path."""
    import torch

    from jdsr_cli.networks import build
    from jdsr_cli.networks.lite import LiteGenerator
    from jdsr_cli.weights import save_network

    torch.manual_seed(0)
    network = build("lite", tiny_arguments(lr_size))
    assert isinstance(network, LiteGenerator)
    # The untrained head predicts every pixel half covered; with this bias none is.
    with torch.no_grad():
        network.head.bias[6] = -6.0
    save_network(path, "lite", tiny_arguments(lr_size), network, {})
    return path


def manifest_entry(
    path: Path,
    network: str,
    arguments: Mapping[str, object],
    more: str = "",
    *,
    recipe: str = "none",
    lr_size: int = 128,
) -> str:
    """Return the entry of a weight file, which has the name of the file.

    Args:
        path: The file.
        network: Name of its network.
        arguments: Of the network.
        more: Further lines of TOML.
        recipe: Recipe that trained it.
        lr_size: Side of its inputs.

    """
    return f"""[[weights]]
name = "{path.stem}"
file = "{path.name}"
sha256 = "{sha256_of(path)}"
bytes = {path.stat().st_size}
network = "{network}"
scale = {128 // lr_size}
lr_size = {lr_size}
data = "noise"
licence = "MIT"
commit = "0000000"
recipe = "{recipe}"
arguments = {json.dumps(dict(arguments)).replace(":", " =").replace('"', "")}
{more}
"""
