"""Write checkpoints of tiny untrained generators, as runs of recipes leave them."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from tiny_generator import manifest_entry, tiny_arguments

from jdsr_cli.networks import build
from jdsr_cli.weights import save_network


def write_checkpoint(
    folder: Path, recipe: str, lr_size: int = 32, *, seed: int = 0, time: int = 0, **metadata: str
) -> Path:
    """Write weights into a folder and append their entry to its manifest.

    Args:
        folder: Created if absent.
        recipe: Recipe that is said to have trained them.
        lr_size: Side of their inputs.
        seed: Seed of their values.
        time: Time of the file, in seconds.
        metadata: Metadata of the file.

    """
    path = folder / f"{recipe}.safetensors"
    torch.manual_seed(seed)
    arguments = tiny_arguments(lr_size)
    network = build("lite", arguments)
    with torch.no_grad():  # as initialised, it only enlarges the input
        for parameter in network.parameters():
            parameter += 0.02 * torch.randn_like(parameter)
    save_network(path, "lite", arguments, network, metadata)
    os.utime(path, (time, time))
    with (folder / "manifest.toml").open("a", encoding="utf-8") as manifest:
        manifest.write(manifest_entry(path, "lite", arguments, recipe=recipe, lr_size=lr_size))
    return path


def alter(path: Path) -> None:
    """Change the last byte of a file."""
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
