"""The default weights of a device."""

from __future__ import annotations

import pytest
from weight_folders import Folders, gates_table

from jdsr_cli.errors import WeightsMissingError
from jdsr_cli.weights import DefaultWeights, default_weights

CPU = "cpu"
GPUS = ["cuda", "cuda:1", "mps"]


@pytest.mark.parametrize("device", GPUS)
def test_the_default_on_a_gpu_is_available_weights_that_beat_the_carried_ones(
    folders: Folders, device: str
) -> None:
    carried = folders.add("lite-camera")
    default = default_weights(device)
    assert default.name == "lite-camera"
    assert default.reason == "no weights called camera are listed for a GPU"

    folders.add_uncarried("camera", b"large", gates=gates_table(carried))
    default = default_weights(device)
    assert default.name == "lite-camera"
    assert "is not on this machine: jdsr weights fetch camera" in default.reason

    (folders.override / "camera.safetensors").write_bytes(b"whatever")
    reason = "the default on a GPU, beats lite-camera on every gate"
    assert default_weights(device) == DefaultWeights("camera", reason)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"masked_psnr": [25.1, 25.5]}, "does not beat lite-camera: masked_psnr 25.1 against 25.5"),
        ({"sha256": "0" * 64}, "measured against another lite-camera (00000000, now "),
    ],
)
def test_available_weights_must_pass_the_gates(
    folders: Folders, changes: dict[str, object], message: str
) -> None:
    carried = folders.add("lite-camera")
    folders.add("camera", gates=gates_table(carried, **changes))
    default = default_weights(GPUS[0])
    assert default.name == "lite-camera"
    assert message in default.reason
    assert "fetch" not in default.reason


def test_weights_without_gates_are_not_the_default(folders: Folders) -> None:
    folders.add("lite-camera")
    folders.add("camera")
    default = default_weights(GPUS[0])
    assert default.name == "lite-camera"
    assert default.reason == "camera does not beat lite-camera: its gates were not measured"


def test_other_weights_are_no_default_where_the_carried_ones_are_not_listed(
    folders: Folders,
) -> None:
    carried = folders.add("other")
    folders.add("camera", gates=gates_table(carried))
    assert "no manifest lists lite-camera" in default_weights(GPUS[0]).reason


def test_the_default_on_a_cpu_is_always_the_light_generator(folders: Folders) -> None:
    assert default_weights(CPU) == DefaultWeights("lite-camera", "the default on a CPU")
    folders.add("camera", gates=gates_table(folders.add("lite-camera")))
    assert default_weights(CPU).name == "lite-camera"


def test_an_unlisted_file_is_not_the_default(folders: Folders) -> None:
    folders.add("lite-camera")
    (folders.override / "camera.safetensors").write_bytes(b"whatever")
    assert default_weights(GPUS[0]).name == "lite-camera"


def test_a_missing_manifest_is_an_error(folders: Folders) -> None:
    with pytest.raises(WeightsMissingError, match="no manifest"):
        default_weights(GPUS[0])
