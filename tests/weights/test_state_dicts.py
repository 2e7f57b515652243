"""Reading of state dicts from any weight file."""

from __future__ import annotations

from pathlib import Path

import pytest
import safetensors.torch
import torch

from jdsr_cli.errors import WeightsCorruptError, WeightsError, WeightsMissingError
from jdsr_cli.weights import read_state_dict

TENSORS = {"layer.weight": torch.arange(6.0).view(2, 3), "layer.steps": torch.tensor(3)}


def has_tensors(actual: dict[str, torch.Tensor]) -> bool:
    return set(actual) == set(TENSORS) and all(torch.equal(actual[k], TENSORS[k]) for k in TENSORS)


def test_both_formats_are_read(tmp_path: Path) -> None:
    safetensors.torch.save_file(TENSORS, tmp_path / "a.safetensors", {"network": "lite"})
    torch.save(TENSORS, tmp_path / "a.pth")
    read = read_state_dict(tmp_path / "a.safetensors")
    assert has_tensors(read.tensors)
    assert read.metadata == {"network": "lite"}
    read = read_state_dict(tmp_path / "a.pth")
    assert has_tensors(read.tensors)
    assert read.metadata == {}


def test_a_state_dict_within_a_checkpoint_can_be_read(tmp_path: Path) -> None:
    torch.save({"epoch": 7, "state_dict": TENSORS}, tmp_path / "a.pth")
    assert has_tensors(read_state_dict(tmp_path / "a.pth").tensors)


@pytest.mark.parametrize(
    "content",
    [
        {"epoch": 7, "model": TENSORS},
        {"state_dict": [1.0], "other": TENSORS},
        {"state_dict": {"weight": 1.0}},
        {"state_dict": {"state_dict": TENSORS}},
    ],
)
def test_a_checkpoint_without_a_state_dict_is_refused(
    tmp_path: Path, content: dict[str, object]
) -> None:
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(WeightsCorruptError, match=r"a\.pth: is not a state dict"):
        read_state_dict(tmp_path / "a.pth")


def test_files_that_cannot_be_read_are_errors(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissingError, match=r"absent\.pth: there is no such weight file"):
        read_state_dict(tmp_path / "absent.pth")
    with pytest.raises(WeightsError, match="cannot be read"):
        read_state_dict(tmp_path)


class Executed:
    """An object that is pickled as a call that creates a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (self._path,)  # type: ignore[return-value]


def test_nothing_in_a_file_is_executed(tmp_path: Path) -> None:
    torch.save({"layer": Executed(tmp_path / "created")}, tmp_path / "a.pth")
    with pytest.raises(WeightsCorruptError, match="was not opened"):
        read_state_dict(tmp_path / "a.pth")
    assert not (tmp_path / "created").exists()
