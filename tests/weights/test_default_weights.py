"""Which weights are taken where none are named."""

from __future__ import annotations

import pytest
import torch
from weights_home import Home

from jdsr_cli.errors import WeightsMissingError
from jdsr_cli.weights import DefaultWeights, default_weights

CPU = torch.device("cpu")
GPUS = [torch.device("cuda"), torch.device("cuda:1"), torch.device("mps")]


@pytest.mark.parametrize("device", GPUS, ids=str)
def test_a_gpu_takes_the_papers_generator_where_it_is_here(
    home: Home, device: torch.device
) -> None:
    home.add("lite-camera")
    found = default_weights(device)
    assert found.name == "lite-camera"
    assert "camera, the default on a GPU, is not among the listed weights" in found.reason
    assert "fetch" not in found.reason

    home.add_uncarried("camera", b"large")
    found = default_weights(device)
    assert found.name == "lite-camera"
    assert "is not on this machine: jdsr weights fetch camera" in found.reason

    (home.override / "camera.safetensors").write_bytes(b"whatever")
    assert default_weights(device) == DefaultWeights("camera", "the default on a GPU")


def test_a_cpu_takes_the_light_one_whatever_is_here(home: Home) -> None:
    assert default_weights(CPU) == DefaultWeights("lite-camera", "the default on a CPU")
    home.add("camera")
    assert default_weights(CPU).name == "lite-camera"


def test_a_file_that_no_manifest_lists_is_not_taken(home: Home) -> None:
    home.add("lite-camera")
    (home.override / "camera.safetensors").write_bytes(b"whatever")
    assert default_weights(GPUS[0]).name == "lite-camera"


def test_no_manifest_is_said(home: Home) -> None:
    with pytest.raises(WeightsMissingError, match="no manifest"):
        default_weights(GPUS[0])
