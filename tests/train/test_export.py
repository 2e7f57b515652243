"""The manifest entry of exported weights, and the name under which they are listed."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from pathlib import Path

import pytest
import safetensors
import torch
from tiny_generator import tiny_arguments

from jdsr_cli.errors import WeightsError
from jdsr_cli.networks import build
from jdsr_cli.settings import StoredPrecision
from jdsr_cli.weights import WeightEntry, entry, load_generator, locations, read_manifest
from jdsr_cli.weights.gates import GATES
from jdsr_train.export import export_weights
from jdsr_train.recipe import DataRecipe, GeneratorRecipe, Recipe

ARGUMENTS = tiny_arguments(128)
RECIPE = Recipe(
    "paper_camera",
    earns="camera",
    generator=GeneratorRecipe("lite", ARGUMENTS, scale=1),
    data=DataRecipe("camera", masked=0.5),
)
SHA256 = "ab" * 32


@pytest.fixture(autouse=True)
def carried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A manifest that lists lite-camera; its file is not needed."""
    monkeypatch.setattr(locations, "PACKAGE_FOLDER", tmp_path / "site" / "jdsr_cli" / "weights")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "carried"
    monkeypatch.setenv("JDSR_WEIGHTS", str(folder))
    folder.mkdir()
    words = ("file", "network", "data", "licence", "commit", "recipe")
    values = "".join(f'{word} = "x"\n' for word in words)
    (folder / "manifest.toml").write_text(
        f'[[weights]]\nname = "lite-camera"\nsha256 = "{SHA256}"\nbytes = 1\nscale = 1\n'
        f"lr_size = 128\n{values}"
    )
    return folder / "manifest.toml"


def table(**changes: object) -> dict[str, object]:
    """Return a table of gates that are all passed."""
    pairs: dict[str, object] = {
        gate.name: [0.75, 0.5] if gate.higher else [0.25, 0.5] for gate in GATES
    }
    words = {"against": "lite-camera", "sha256": SHA256, "protocol": 'six "faces"'}
    return {**words, **pairs, **changes}


def exported(
    folder: Path,
    gates: dict[str, object] | None,
    recipe: Recipe = RECIPE,
    precision: StoredPrecision = "float16",
) -> WeightEntry:
    torch.manual_seed(0)
    path = folder / "weights" / "own.safetensors"
    export_weights(
        path, recipe, ARGUMENTS, build("lite", ARGUMENTS), data="faces",
        figures={"masked_psnr": 25.12346}, deviations=(), step=3, gates=gates, precision=precision,
    )  # fmt: skip
    (listed,) = read_manifest(path.with_name("manifest.toml"))
    return listed


def test_weights_that_pass_every_gate_are_listed_under_the_earned_name(tmp_path: Path) -> None:
    gates = table(sharp_psnr=[inf, 54.5], plain_covered=[0.0, 1e-05])
    listed = exported(tmp_path, gates)
    assert (listed.name, listed.recipe, listed.file) == (
        "camera",
        "paper_camera",
        "own.safetensors",
    )
    assert listed.gates == gates
    assert listed.figures["masked_psnr"] == 25.1235


def test_weights_that_fail_a_gate_keep_their_own_name(tmp_path: Path) -> None:
    gates = table(masked_ssim=[0.5, 0.5])
    listed = exported(tmp_path, gates)
    assert listed.name == "paper-camera"
    assert listed.gates == gates


def test_weights_without_gates_keep_their_own_name(tmp_path: Path) -> None:
    listed = exported(tmp_path, None)
    assert (listed.name, listed.gates) == ("paper-camera", {})
    assert "gates" not in (tmp_path / "weights" / "manifest.toml").read_text()


def test_weights_of_a_recipe_without_an_earned_name_keep_their_own_name(tmp_path: Path) -> None:
    assert exported(tmp_path, table(), replace(RECIPE, earns=None)).name == "paper-camera"


@pytest.mark.parametrize("state", ["none", "broken", "others"])
def test_weights_keep_their_own_name_where_the_carried_ones_are_not_listed(
    tmp_path: Path, carried: Path, state: str
) -> None:
    if state == "none":
        carried.unlink()
    elif state == "broken":
        carried.write_text("[[weights]")
    else:
        carried.write_text(carried.read_text().replace(SHA256, "cd" * 32))
    assert exported(tmp_path, table()).name == "paper-camera"


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_the_precision_is_stored_in_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: StoredPrecision
) -> None:
    exported(tmp_path, None, precision=precision)
    path = tmp_path / "weights" / "own.safetensors"
    with safetensors.safe_open(path, "pt") as opened:  # type: ignore[no-untyped-call]
        assert opened.metadata()["precision"] == precision
        assert opened.metadata()["recipe"] == "paper_camera"
        assert opened.metadata()["batch"] == str(RECIPE.optimiser.batch)
        kinds = {opened.get_tensor(key).dtype for key in opened.keys()}  # noqa: SIM118
    assert getattr(torch, precision) in kinds
    monkeypatch.setenv("JDSR_WEIGHTS", str(path.parent))
    assert load_generator("paper-camera", "cpu", "float32").entry == entry("paper-camera")


def test_values_beyond_float16_are_not_exported(tmp_path: Path) -> None:
    network = build("lite", ARGUMENTS)
    network.get_parameter("stem.bias").data[0] = 1e6
    path = tmp_path / "weights" / "own.safetensors"
    with pytest.raises(WeightsError, match=r"'stem\.bias' reaches 1e\+06"):
        export_weights(
            path, RECIPE, ARGUMENTS, network, data="d", figures={}, deviations=(), step=3
        )
    assert not path.exists()
    assert not path.with_name("manifest.toml").exists()
