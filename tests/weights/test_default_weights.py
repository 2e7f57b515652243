"""Which weights are taken where none are named."""

from __future__ import annotations

import pytest
import torch
from weight_folders import Folders, gates_table

from jdsr_cli.errors import WeightsMissingError
from jdsr_cli.weights import DefaultWeights, default_weights

CPU = torch.device("cpu")
GPUS = [torch.device("cuda"), torch.device("cuda:1"), torch.device("mps")]


@pytest.mark.parametrize("device", GPUS, ids=str)
def test_a_gpu_takes_what_beats_the_carried_ones_where_it_is_here(
    folders: Folders, device: torch.device
) -> None:
    carried = folders.add("lite-camera")
    found = default_weights(device)
    assert found.name == "lite-camera"
    assert found.reason == "no weights called camera are listed for a GPU"

    folders.add_uncarried("camera", b"large", gates=gates_table(carried))
    found = default_weights(device)
    assert found.name == "lite-camera"
    assert "is not on this machine: jdsr weights fetch camera" in found.reason

    (folders.override / "camera.safetensors").write_bytes(b"whatever")
    reason = "the default on a GPU, beats lite-camera on every gate"
    assert default_weights(device) == DefaultWeights("camera", reason)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"masked_psnr": [25.1, 25.5]}, "does not beat lite-camera: masked_psnr 25.1 against 25.5"),
        ({"sha256": "0" * 64}, "measured against another lite-camera (00000000, now "),
    ],
)
def test_being_there_is_not_enough(folders: Folders, changes: dict[str, object], said: str) -> None:
    carried = folders.add("lite-camera")
    folders.add("camera", gates=gates_table(carried, **changes))
    found = default_weights(GPUS[0])
    assert found.name == "lite-camera"
    assert said in found.reason
    assert "fetch" not in found.reason


def test_weights_without_gates_are_not_taken(folders: Folders) -> None:
    folders.add("lite-camera")
    folders.add("camera")
    found = default_weights(GPUS[0])
    assert found.name == "lite-camera"
    assert found.reason == "camera does not beat lite-camera: its gates were not measured"


def test_nothing_beats_what_is_not_listed(folders: Folders) -> None:
    carried = folders.add("other")
    folders.add("camera", gates=gates_table(carried))
    assert "no manifest lists lite-camera" in default_weights(GPUS[0]).reason


def test_a_cpu_takes_the_light_one_whatever_is_here(folders: Folders) -> None:
    assert default_weights(CPU) == DefaultWeights("lite-camera", "the default on a CPU")
    folders.add("camera", gates=gates_table(folders.add("lite-camera")))
    assert default_weights(CPU).name == "lite-camera"


def test_a_file_that_no_manifest_lists_is_not_taken(folders: Folders) -> None:
    folders.add("lite-camera")
    (folders.override / "camera.safetensors").write_bytes(b"whatever")
    assert default_weights(GPUS[0]).name == "lite-camera"


def test_no_manifest_is_said(folders: Folders) -> None:
    with pytest.raises(WeightsMissingError, match="no manifest"):
        default_weights(GPUS[0])
