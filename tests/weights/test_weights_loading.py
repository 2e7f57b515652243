"""Saving and loading generators, and files that are refused."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest
import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn
from weight_folders import TINY, Folders

from jdsr_cli.errors import (
    OutputError,
    UsageError,
    WeightsCorruptError,
    WeightsError,
    WeightsMissingError,
)
from jdsr_cli.networks import build
from jdsr_cli.settings import StoredPrecision
from jdsr_cli.weights import entry, load_generator, load_state, save_network, verify

JDSR: dict[str, object] = {
    "lr_size": 16,
    "landmarks": 5,
    "hourglass_blocks": 1,
    "noise_width": 16,
    "denoiser_widths": [16, 16, 16],
    "width": 16,
    "prior_width": 32,
}


def rewrite(path: Path, tensors: dict[str, Tensor], **metadata: str) -> Path:
    """Write tensors with the metadata of a tiny lite generator."""
    full_metadata = {"network": "lite", "arguments": json.dumps(TINY), **metadata}
    safetensors.torch.save_file(tensors, path, full_metadata)
    return path


@pytest.fixture
def state() -> dict[str, Tensor]:
    torch.manual_seed(3)
    return {key: value.half() for key, value in build("lite", TINY).state_dict().items()}


@pytest.mark.parametrize(("name", "arguments"), [("lite", TINY), ("jdsr", JDSR)])
def test_a_saved_network_can_be_loaded(
    folders: Folders, tmp_path: Path, name: str, arguments: dict[str, object]
) -> None:
    torch.manual_seed(0)
    network = build(name, arguments).eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    path = tmp_path / "deep" / "a.safetensors"
    digest = save_network(path, name, arguments, network, {"licence": "MIT"})
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
    with safetensors.safe_open(path, "pt") as file:
        assert file.metadata()["licence"] == "MIT"
        assert {file.get_tensor(key).dtype for key in file.keys()} <= {torch.half, torch.int64}  # noqa: SIM118
    loaded = load_generator(path, "cpu", "float32")
    assert loaded.entry is None
    assert loaded.sha256 == digest
    assert loaded.path == path
    assert loaded.lr_size == 16
    assert (loaded.device, loaded.dtype) == (torch.device("cpu"), torch.float32)
    assert not loaded.network.training
    lr = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        expected = network.half().float()(lr).restored
    assert torch.allclose(loaded(lr).restored, expected, atol=1e-5)


def test_the_entry_is_identified_by_name_and_by_hash(folders: Folders, tmp_path: Path) -> None:
    folders.add("one", seed=1)
    path = folders.add("two", seed=2)
    by_name = load_generator("two", "cpu")
    assert by_name.entry is not None
    assert by_name.entry.name == "two"
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(path.read_bytes())
    assert load_generator(copy, "cpu").entry == by_name.entry
    assert load_generator(str(copy), "cpu").entry == by_name.entry


def test_a_generator_on_the_128_px_grid_can_be_loaded(folders: Folders) -> None:
    arguments = {**TINY, "lr_size": 128}
    path = folders.override / "same.safetensors"
    save_network(path, "lite", arguments, build("lite", arguments))
    entry = folders.describe(
        "same", path.name, path.read_bytes(), scale=1, lr_size=128, arguments=arguments
    )
    folders.write(folders.override, [entry])
    loaded = load_generator("same", "cpu", "float32")
    assert loaded.lr_size == 128
    assert loaded(torch.rand(2, 3, 128, 128)).restored.shape == (2, 3, 128, 128)


def test_the_error_for_weights_that_were_not_fetched_names_the_command(folders: Folders) -> None:
    folders.add_uncarried("large", b"large")
    with pytest.raises(WeightsMissingError, match="`jdsr weights fetch large`"):
        load_generator("large", "cpu")


def test_loading_draws_no_random_numbers(folders: Folders) -> None:
    folders.add("tiny")
    before = torch.get_rng_state()
    load_generator("tiny", "cpu")
    assert torch.equal(before, torch.get_rng_state())


def test_calls_record_no_gradient_and_accept_a_precision(folders: Folders) -> None:
    folders.add("tiny")
    loaded = load_generator("tiny", "cpu", "bfloat16")
    dtypes: list[torch.dtype] = []
    stem = loaded.network.get_submodule("stem")
    stem.register_forward_hook(lambda _, __, output: dtypes.append(output.dtype))
    lr = torch.rand(1, 3, 16, 16, requires_grad=True)
    assert not loaded(lr).restored.requires_grad
    loaded(lr, torch.float32)
    assert dtypes == [torch.bfloat16, torch.float32]
    assert all(not parameter.requires_grad for parameter in loaded.network.parameters())


def test_a_state_dict_is_loaded_in_float32(folders: Folders) -> None:
    path = folders.add("tiny")
    state = load_state("tiny")
    assert state.keys() == load_state(path).keys() == build("lite", TINY).state_dict().keys()
    assert {value.dtype for value in state.values()} == {torch.float32}


def test_an_unknown_name_and_a_missing_file_have_different_errors(
    folders: Folders, tmp_path: Path
) -> None:
    folders.add("tiny")
    with pytest.raises(UsageError, match="Did you mean tiny"):
        load_generator("tinny", "cpu")
    for path in ("tinny.safetensors", "folder/tinny", tmp_path / "tinny"):
        with pytest.raises(WeightsMissingError, match="tinny"):
            load_generator(path, "cpu")


def test_an_altered_file_is_refused(folders: Folders) -> None:
    path = folders.add("tiny")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(WeightsCorruptError, match="SHA-256"):
        load_generator("tiny", "cpu")
    path.write_bytes(data[:100])
    with pytest.raises(WeightsCorruptError, match="100 bytes"):
        load_generator("tiny", "cpu")


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff" * 64, b"\x02\x00\x00\x00\x00\x00\x00\x00{}x"])
def test_files_that_are_not_safetensors_are_refused(
    folders: Folders, tmp_path: Path, data: bytes
) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(data)
    with pytest.raises(WeightsCorruptError, match="not a safetensors file"):
        load_generator(path, "cpu")


def test_files_without_exactly_the_tensors_of_the_network_are_refused(
    folders: Folders, tmp_path: Path, state: dict[str, Tensor]
) -> None:
    path = tmp_path / "a.safetensors"
    faults = {
        "1 tensors are missing, the first is 'head.bias'": {
            key: value for key, value in state.items() if key != "head.bias"
        },
        "1 tensors are not used, the first is 'extra'": {**state, "extra": torch.zeros(1)},
        r"'stem.bias' is \(3,\), not \(16,\)": {**state, "stem.bias": torch.zeros(3)},
        "'stem.bias' is torch.int64": {**state, "stem.bias": torch.zeros(16, dtype=torch.int64)},
        "'stem.bias' contains values that are not finite": {
            **state,
            "stem.bias": torch.full((16,), float("nan")),
        },
    }
    for message, tensors in faults.items():
        with pytest.raises(WeightsCorruptError, match=message):
            load_generator(rewrite(path, tensors), "cpu")
    assert load_generator(rewrite(path, state), "cpu").lr_size == 16


def test_a_file_must_state_its_network(
    folders: Folders, tmp_path: Path, state: dict[str, Tensor]
) -> None:
    path = tmp_path / "a.safetensors"
    safetensors.torch.save_file(state, path)
    with pytest.raises(WeightsError, match="does not state its network"):
        load_generator(path, "cpu")
    with pytest.raises(WeightsError, match="does not state its network"):
        load_generator(rewrite(path, state, arguments="{"), "cpu")
    with pytest.raises(WeightsError, match="another version of jdsr: no network is called 'x'"):
        load_generator(rewrite(path, state, network="x"), "cpu")
    with pytest.raises(WeightsError, match="no argument 'colour'"):
        load_generator(rewrite(path, state, arguments='{"colour": 1}'), "cpu")
    with pytest.raises(WeightsCorruptError, match="not a mapping"):
        load_generator(rewrite(path, state, arguments="[1]"), "cpu")


def test_a_plain_state_dict_needs_an_entry(
    folders: Folders, tmp_path: Path, state: dict[str, Tensor]
) -> None:
    path = folders.override / "old.pth"
    path.parent.mkdir(exist_ok=True)
    torch.save(state, path)
    with pytest.raises(WeightsError, match="does not state its network"):
        load_generator(path, "cpu")
    folders.write(folders.override, [folders.describe("old", "old.pth", path.read_bytes())])
    assert torch.equal(load_generator("old", "cpu").network.state_dict()["stem.weight"],
                       state["stem.weight"].float())  # fmt: skip


class Trap:
    """Runs code when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("content", ["trap", "module", "list", "nested", "rubbish"])
def test_pickles_that_are_not_plain_state_dicts_are_refused(
    folders: Folders, tmp_path: Path, content: str
) -> None:
    marker = tmp_path / "executed"
    path = tmp_path / "a.pth"
    contents = {
        "trap": {"a": Trap(marker)},
        "module": nn.Linear(1, 1),
        "list": [torch.zeros(1)],
        "nested": {"state": {"a": torch.zeros(1)}},
    }
    if content == "rubbish":
        path.write_bytes(b"rubbish")
    else:
        torch.save(contents[content], path)
    with pytest.raises(WeightsCorruptError, match="is not a state dict"):
        load_generator(path, "cpu")
    assert not marker.exists()


def test_saving_another_network_than_stated_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    with pytest.raises(UsageError, match="is not this module"):
        save_network(path, "lite", {**TINY, "tail_width": 32}, build("lite", TINY))
    assert not path.exists()


def test_saving_values_that_overflow_is_refused_with_a_hint_at_bfloat16(tmp_path: Path) -> None:
    network = build("lite", TINY)
    bias = network.get_parameter("stem.bias")
    path = tmp_path / "a.safetensors"
    path.write_text("old")
    bias.data[0] = -123456.0
    with pytest.raises(WeightsError, match=r"'stem\.bias' reaches 123456, .* 65504") as raised:
        save_network(path, "lite", TINY, network)
    assert "Write it in bfloat16" in str(raised.value)
    assert "diverged" not in str(raised.value)
    assert path.read_text() == "old"
    assert bias.dtype == torch.float32
    bias.data[0] = 65505.0  # it would be rounded to 65504
    with pytest.raises(WeightsError, match=r"'stem\.bias' reaches 65505"):
        save_network(path, "lite", TINY, network)

    bias.data[0] = torch.finfo(torch.float32).max
    with pytest.raises(WeightsError, match=r"bfloat16 ends at 3\.38953e\+38") as raised:
        save_network(path, "lite", TINY, network, precision="bfloat16")
    assert "Write it in bfloat16" not in str(raised.value)

    bias.data[0] = -123456.0
    save_network(path, "lite", TINY, network, precision="bfloat16")
    assert load_state(path)["stem.bias"][0] == -123392.0  # 8 significant bits


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_saving_values_that_are_not_finite_is_refused(
    tmp_path: Path, value: float, precision: StoredPrecision
) -> None:
    network = build("lite", TINY)
    network.get_parameter("stem.bias").data[0] = value
    path = tmp_path / "a.safetensors"
    with pytest.raises(WeightsError, match=r"'stem\.bias' .* diverged") as raised:
        save_network(path, "lite", TINY, network, precision=precision)
    assert "earlier checkpoint" in str(raised.value)
    assert "bfloat16" not in str(raised.value)
    assert not path.exists()


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_both_precisions_are_read_as_float32(
    folders: Folders, tmp_path: Path, precision: StoredPrecision
) -> None:
    torch.manual_seed(0)
    network = build("lite", TINY).eval()
    path = tmp_path / "a.safetensors"
    digest = save_network(path, "lite", TINY, network, precision=precision)
    stored = safetensors.torch.load_file(path)
    kinds = {value.dtype for value in stored.values() if value.is_floating_point()}
    assert kinds == {getattr(torch, precision)}
    with safetensors.safe_open(path, "pt") as opened:  # type: ignore[no-untyped-call]
        assert opened.metadata()["precision"] == precision
    folders.write(folders.override, [folders.describe("tiny", path.name, path.read_bytes())])
    path.rename(folders.override / path.name)
    assert verify(entry("tiny")).name == path.name
    loaded = load_generator("tiny", "cpu", "float32")
    assert loaded.sha256 == digest
    state, loaded_state = load_state("tiny"), loaded.network.state_dict()
    for key, value in network.state_dict().items():
        narrow = value.to(getattr(torch, precision)).float() if value.is_floating_point() else value
        assert state[key].dtype == loaded_state[key].dtype == value.dtype
        assert torch.equal(state[key], narrow)
        assert torch.equal(loaded_state[key], narrow)


def test_saving_to_an_unwritable_path_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        save_network(tmp_path / "file" / "a.safetensors", "lite", TINY, build("lite", TINY))
