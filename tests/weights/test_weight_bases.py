"""Weights of which a part is that of other weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import safetensors
import safetensors.torch
import torch
from weight_folders import TINY, Folders

from jdsr_cli.errors import UsageError, WeightsCorruptError, WeightsMissingError
from jdsr_cli.networks import BurstGenerator, build
from jdsr_cli.weights import entry, load_generator, save_network
from jdsr_cli.weights.loading import load_base
from jdsr_cli.weights.state_dicts import BaseWeights

SINGLE = {**TINY, "lr_size": 64, "tail_blocks": 1}
BURST: dict[str, object] = {**SINGLE, "weight_width": 8, "rank": 2}


def burst(name: str = "single", seed: int = 5) -> tuple[BurstGenerator, BaseWeights]:
    """Return a network whose frozen part has the weights of an entry."""
    torch.manual_seed(seed)
    network = build("burst", BURST)
    assert isinstance(network, BurstGenerator)
    base, tensors = load_base(name, "burst")
    network.load_state_dict(tensors, strict=False)
    return network.eval(), base


@pytest.fixture
def saved(folders: Folders, tmp_path: Path) -> Path:
    folders.add("single", arguments=SINGLE, seed=1, lr_size=64)
    network, base = burst()
    path = tmp_path / "burst.safetensors"
    save_network(path, "burst", BURST, network, base=base)
    return path


def test_the_file_refers_to_the_base_and_leaves_it_out(saved: Path) -> None:
    with safetensors.safe_open(saved, "pt") as file:
        keys, metadata = list(file.keys()), file.metadata()

    assert keys
    assert not any(key.startswith("single.") for key in keys)
    assert (metadata["base"], metadata["base_sha256"]) == ("single", entry("single").sha256)


def test_the_loaded_network_has_both_parts(saved: Path) -> None:
    loaded, single = load_generator(saved, "cpu"), load_generator("single", "cpu")
    shots = torch.rand(1, 4, 3, 64, 64)
    network, _ = burst()

    with torch.no_grad():
        expected = network.half().float()(shots).restored
        assert torch.allclose(loaded.network(shots).restored, expected, atol=1e-5)
    assert torch.equal(loaded(shots[:, 0]).restored, single(shots[:, 0]).restored)


def test_another_base_of_the_same_name_is_refused(saved: Path, folders: Folders) -> None:
    folders.entries.clear()
    folders.add("single", arguments=SINGLE, seed=2, lr_size=64)

    with pytest.raises(WeightsCorruptError, match="other weights 'single'"):
        load_generator(saved, "cpu")


def test_a_missing_base_is_named(saved: Path) -> None:
    path = entry("single")
    (saved.parent / "override" / path.file).unlink(missing_ok=True)
    for found in saved.parent.rglob(path.file):
        found.unlink()

    with pytest.raises(WeightsMissingError, match="single"):
        load_generator(saved, "cpu")


def test_a_base_that_no_manifest_lists_is_refused(saved: Path, folders: Folders) -> None:
    folders.entries.clear()
    folders.add("another", arguments=SINGLE, seed=1, lr_size=64)

    with pytest.raises(UsageError, match="single"):
        load_generator(saved, "cpu")


def test_a_network_without_such_a_part_is_refused(saved: Path) -> None:
    with safetensors.safe_open(saved, "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        metadata = file.metadata()
    stated = {"network": "lite", "arguments": json.dumps(SINGLE)}
    safetensors.torch.save_file(tensors, saved, {**metadata, **stated})

    with pytest.raises(WeightsCorruptError, match="refers to other weights"):
        load_generator(saved, "cpu")
