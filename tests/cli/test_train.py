"""`jdsr train` on the command line: training from a recipe, plans and errors."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from command_line import one_line, run
from PIL import Image, ImageOps
from tiny_recipe import tiny_recipe
from typer.testing import Result

from jdsr_cli.weights import load_generator, load_state

RECIPE = tiny_recipe(3, 2, "bfloat16", scale=4, masks=4)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, write_faces: Callable[..., Path]) -> Path:
    return write_faces(tmp_path_factory.mktemp("faces"), ("train-0.tar", "val-0.tar", "test.tar"))


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipes") / "small.toml"
    path.write_text(RECIPE, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def trained(
    data: Path, recipe: Path, template_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Result]:
    out = tmp_path_factory.mktemp("run")
    return out, train(data, recipe, out, "--masks", template_folder)


def train(data: Path, recipe: object, out: Path, *more: object) -> Result:
    fixed = ("--device", "cpu", "--workers", 0, "--quiet")
    return run("train", "--data", data, "--recipe", recipe, "--out", out, *fixed, *more)


def test_training_writes_weights_log_and_pictures(trained: tuple[Path, Result]) -> None:
    out, result = trained
    assert result.exit_code == 0, result.output
    weights = out / "weights" / "small.safetensors"
    assert result.stdout == f"prepare -> {out / 'cache'}\njoint -> {weights}\n"
    rows = [json.loads(line) for line in (out / "joint" / "log.jsonl").read_text().splitlines()]
    assert rows[0]["step"] == 3
    assert {"pixel_hr", "pixel_lr", "asymmetric", "total_variation"} <= set(rows[0])
    assert {"masked_psnr", "masked_ssim", "masked_psnr_covered"} <= set(rows[1])
    assert 10 < rows[1]["masked_psnr"] < 40
    with Image.open(out / "joint" / "panel.png") as panel:
        assert panel.size == (6 * 128, 3 * 128)
    with Image.open(out / "joint" / "curves.png") as curves:
        assert curves.format == "PNG"
    assert not list(out.rglob("*.part*"))


def test_exported_weights_are_the_average_with_their_metadata(
    trained: tuple[Path, Result],
) -> None:
    out, _ = trained
    loaded = load_generator(out / "weights" / "small.safetensors", "cpu", "float32")
    assert loaded.lr_size == 32
    state = torch.load(out / "joint" / "checkpoint.pt", weights_only=True)
    assert state["step"] == 3
    for name, value in loaded.network.state_dict().items():
        assert torch.equal(value, state["average"][name].half().float())


def test_weights_are_exported_from_a_checkpoint(
    trained: tuple[Path, Result], tmp_path: Path
) -> None:
    out, _ = trained
    own = tmp_path / "own.safetensors"
    result = run("weights", "export", out / "joint" / "checkpoint.pt", "--out", own)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"exported: {own}\n"
    before, after = load_state(out / "weights" / "small.safetensors"), load_state(own)
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    absent = run("weights", "export", out / "joint" / "absent.pt")
    assert "no such file" in one_line(absent, 3)


def test_the_same_command_again_changes_nothing(
    trained: tuple[Path, Result], data: Path, recipe: Path, template_folder: Path
) -> None:
    out, _ = trained
    before = load_state(out / "weights" / "small.safetensors")
    assert train(data, recipe, out, "--masks", template_folder).exit_code == 0
    after = load_state(out / "weights" / "small.safetensors")
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert len((out / "joint" / "log.jsonl").read_text().splitlines()) == 2


def test_training_can_start_from_weights(
    trained: tuple[Path, Result], data: Path, recipe: Path, tmp_path: Path
) -> None:
    weights = trained[0] / "weights" / "small.safetensors"
    fixed = ("--device", "cpu", "--workers", 0)
    command = ("train", "--data", data, "--recipe", recipe, "--out", tmp_path / "run")
    result = run(*command, *fixed, "--init", weights)
    assert result.exit_code == 0, result.output
    assert "tensors fit" in result.output


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (RECIPE.replace("steps", "stepz"), ("unknown key 'stepz'", "Nearest: steps")),
        (RECIPE.replace("steps = 3", 'steps = "3"'), ("steps", "is not of type int")),
        (RECIPE.replace("[data]", "[data"), ("not readable as TOML",)),
        (RECIPE.replace("tail_width", "tail"), ("'tail'",)),
        (RECIPE.replace("scale = 4", "scale = 8"), ("generator.scale", "32 px", "16 px")),
    ],
)
def test_an_invalid_recipe_is_a_one_line_error(
    text: str, parts: tuple[str, ...], data: Path, tmp_path: Path
) -> None:
    path = tmp_path / "own.toml"
    path.write_text(text, encoding="utf-8")
    line = one_line(train(data, path, tmp_path / "out"), 2)
    assert all(part in line for part in parts)


def test_other_errors_are_one_line_with_their_exit_code(
    data: Path, recipe: Path, template_folder: Path, tmp_path: Path
) -> None:
    assert "Nearest: lite_x" in one_line(train(data, "lite_x5", tmp_path), 2)
    assert "absent" in one_line(train(tmp_path / "absent", recipe, tmp_path / "out"), 3)
    assert "templates.json" in one_line(train(data, recipe, tmp_path, "--masks", tmp_path), 3)
    taken = tmp_path / "taken"
    taken.write_text("")
    assert "taken" in one_line(train(data, recipe, taken), 6)
    missing = ("--features", tmp_path / "absent.pth", "--masks", template_folder)
    unused = train(data, recipe, tmp_path / "out", "--features", tmp_path / "absent.pth")
    assert "nothing in the recipe uses --features" in one_line(unused, 2)
    text = RECIPE + "[loss]\nperceptual_hr = 0.1\n"
    recipe = tmp_path / "perceptual.toml"
    recipe.write_text(text, encoding="utf-8")
    assert "absent.pth" in one_line(train(data, recipe, tmp_path / "out", *missing), 3)
    for recipe_scale, scale in ((4, 8), (8, 4)):
        name = f"lite_x{recipe_scale}"
        other = train(data, name, tmp_path / "out", "--scale", scale)
        line = one_line(other, 2)
        assert f"--scale: recipe {name} enlarges {recipe_scale} times, not {scale}" in line
        assert "--recipe" in line
    stage = train(data, "lite_x4", tmp_path / "out", "--stage", "polish")
    assert "has no stage 'polish'" in one_line(stage, 2)


def test_a_run_with_another_recipe_is_not_continued(
    trained: tuple[Path, Result], data: Path, template_folder: Path, tmp_path: Path
) -> None:
    other = tmp_path / "small.toml"
    other.write_text(RECIPE.replace("steps = 3", "steps = 4"), encoding="utf-8")
    refused = train(data, other, trained[0], "--masks", template_folder)
    assert "(optimiser)" in one_line(refused, 1)


def test_a_run_with_other_inputs_is_not_continued(
    trained: tuple[Path, Result],
    data: Path,
    recipe: Path,
    template_folder: Path,
    tmp_path: Path,
) -> None:
    assert "(--masks)" in one_line(train(data, recipe, trained[0]), 1)
    shutil.copytree(template_folder, tmp_path / "changed")
    picture = next((tmp_path / "changed").glob("*.png"))
    with Image.open(picture) as image:
        ImageOps.invert(image.convert("RGB")).convert("RGBA").save(picture)
    changed = train(data, recipe, trained[0], "--masks", tmp_path / "changed")
    assert "(--masks)" in one_line(changed, 1)
    moved = tmp_path / "moved"
    shutil.copytree(data, moved)
    same = train(moved, recipe, trained[0], "--masks", template_folder)
    assert same.exit_code == 0, same.output


def test_a_plan_states_how_many_steps_fit_into_a_time(
    data: Path, recipe: Path, tmp_path: Path
) -> None:
    result = train(data, recipe, tmp_path / "out", "--dry-run", "--minutes", 2.5)
    assert result.exit_code == 0, result.output
    assert "steps in 2.5 min" in result.stdout
    both = train(data, recipe, tmp_path / "out", "--minutes", 2, "--steps", 5)
    assert "--steps and --minutes exclude each other" in one_line(both, 2)


def test_a_dry_run_prints_the_plan_and_trains_nothing(
    data: Path, recipe: Path, tmp_path: Path
) -> None:
    result = train(data, recipe, tmp_path / "out", "--dry-run", "--steps", 70)
    assert result.exit_code == 0, result.output
    assert "small on 1 x cpu" in result.stdout
    assert "70" in result.stdout
    assert "made by a worker" in result.stdout
    assert re.search(r"joint .* (computing|making samples) ", result.stdout)
    assert "GiB" in result.stdout
    assert not (tmp_path / "out").exists()


def test_weights_of_a_run_are_listed_by_every_command(
    trained: tuple[Path, Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JDSR_WEIGHTS", str(trained[0] / "weights"))
    result = run("weights", "list")
    assert result.exit_code == 0, result.output
    assert "small" in result.stdout


WITHOUT_TOML = (
    "import sys; sys.modules['tomli_w'] = None; sys.argv[0] = 'jdsr';"
    "from jdsr_cli.cli.app import main; main()"
)
"""The command line where the extra `train` is not installed."""


@pytest.mark.parametrize(
    "words",
    [
        ["train", "--data", "."],
        ["train", "--data", ".", "--dry-run"],
        ["train", "--data", ".", "--plan", "equal_budget"],
        ["weights", "export", "checkpoint.pt"],
        ["weights", "chain", "a.safetensors", "b.safetensors", "--out", "c.safetensors"],
    ],
    ids=" ".join,
)
def test_commands_that_need_the_extra_train_say_so(words: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TOML, *words],
        capture_output=True, text=True, check=False, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.strip().splitlines()
    assert line.endswith("pip install 'jdsr[train]'")
    assert list(tmp_path.iterdir()) == []
