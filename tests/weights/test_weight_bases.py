"""Weights of which a part is that of other weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import safetensors
import safetensors.torch
import torch
from weight_folders import TINY, Folders

from jdsr_cli.errors import WeightsCorruptError, WeightsMissingError
from jdsr_cli.networks import BurstGenerator, build
from jdsr_cli.weights import entry, load_generator, save_network
from jdsr_cli.weights.bases import BaseWeights, base_of_file
from jdsr_cli.weights.headers import read_metadata
from jdsr_cli.weights.loading import load_base

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

    with pytest.raises(WeightsMissingError, match="single"):
        load_generator(saved, "cpu")


def test_a_network_without_such_a_part_is_refused(saved: Path) -> None:
    with safetensors.safe_open(saved, "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        metadata = file.metadata()
    stated = {"network": "lite", "arguments": json.dumps(SINGLE)}
    safetensors.torch.save_file(tensors, saved, {**metadata, **stated})

    with pytest.raises(WeightsCorruptError, match="refers to other weights"):
        load_generator(saved, "cpu")


def test_the_header_is_read_without_the_tensors(saved: Path) -> None:
    with safetensors.safe_open(saved, "pt") as file:
        assert read_metadata(saved) == file.metadata()
    assert base_of_file(saved) == BaseWeights("single", entry("single").sha256)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x05\0\0\0\0\0\0\0{",
        b"\x02\0\0\0\0\0\0\0[]",
        b"\x03\0\0\0\0\0\0\0{x}",
        b'\x18\0\0\0\0\0\0\0{"__metadata__": "none"}',
        b"\xff" * 40,
        b"\x02\0\0\0\0\0\0\0\xff\xfe",
    ],
)
def test_a_file_without_such_a_header_is_corrupt(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightsCorruptError, match="not a safetensors file"):
        read_metadata(path)


def test_complete_files_have_no_base(folders: Folders, tmp_path: Path) -> None:
    assert base_of_file(folders.add("single")) is None
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    assert base_of_file(path) is None
    assert base_of_file(tmp_path / "other.pth") is None
