"""Checkpoints are found in a folder and chosen by the recipes that trained them."""

from pathlib import Path

import pytest
from recipe_checkpoints import alter, write_checkpoint

from jdsr_cli.errors import (
    InputMissingError,
    WeightsCorruptError,
    WeightsError,
    WeightsMissingError,
)
from jdsr_cli.evaluation.checkpoints import (
    TrainedCheckpoint,
    choose_checkpoint,
    choose_variant,
    find_checkpoints,
)


def chosen(folder: Path, recipe: str) -> TrainedCheckpoint:
    found, errors = find_checkpoints(folder)
    assert errors == []
    one = choose_checkpoint(found, recipe)
    assert one is not None
    return one


def test_the_folder_itself_its_weights_and_those_of_runs_in_it_are_searched(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, "own")
    write_checkpoint(tmp_path / "weights", "inner")
    write_checkpoint(tmp_path / "run" / "weights", "of_run")
    write_checkpoint(tmp_path / "far" / "run" / "weights", "too_deep")
    found, _ = find_checkpoints(tmp_path)
    assert {one.entry.recipe for one in found} == {"own", "inner", "of_run"}
    assert chosen(tmp_path, "of_run").path == tmp_path / "run" / "weights" / "of_run.safetensors"


def variant_of(folder: Path, *recipes: str) -> tuple[str, list[str]]:
    return choose_variant(find_checkpoints(folder)[0], recipes, recipes[-1])


def test_all_rows_are_of_the_exact_recipes_if_the_full_model_is(tmp_path: Path) -> None:
    recipes = ("cbd_drn_x4", "cbd_dicgan_x4", "paper_x4")
    for recipe in recipes:
        write_checkpoint(tmp_path, f"{recipe}_small", time=99)
    assert variant_of(tmp_path, *recipes) == ("_small", [])
    write_checkpoint(tmp_path, "paper_x4", time=10)
    write_checkpoint(tmp_path, "paper_x4b")
    assert variant_of(tmp_path, *recipes) == ("", [f"{one}_small" for one in sorted(recipes)])
    assert chosen(tmp_path, "paper_x4").entry.recipe == "paper_x4"
    assert choose_checkpoint(find_checkpoints(tmp_path)[0], "cbd_drn_x4") is None


def test_otherwise_the_variant_of_most_rows_is_chosen_and_the_first_by_name(tmp_path: Path) -> None:
    recipes = ("cbd_drn_x4", "cbd_dicgan_x4", "paper_x4")
    write_checkpoint(tmp_path, "paper_x4_tiny", time=9)
    write_checkpoint(tmp_path, "paper_x4_budget", time=1)
    assert variant_of(tmp_path, *recipes) == ("_budget", ["paper_x4_tiny"])
    write_checkpoint(tmp_path, "cbd_drn_x4_tiny")
    assert variant_of(tmp_path, *recipes) == ("_tiny", ["paper_x4_budget"])
    for recipe in recipes[:2]:  # exact ones, without a full model
        write_checkpoint(tmp_path, recipe)
    others = ["cbd_drn_x4_tiny", "paper_x4_budget", "paper_x4_tiny"]
    assert variant_of(tmp_path, *recipes) == ("", others)
    assert variant_of(tmp_path, "paper_x8") == ("", [])


def test_of_several_checkpoints_of_a_recipe_the_last_written_one_is_chosen(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "first" / "weights", "paper_x4", time=20)
    write_checkpoint(tmp_path / "second" / "weights", "paper_x4", time=10)
    assert "first" in str(chosen(tmp_path, "paper_x4").path)
    lost = write_checkpoint(tmp_path / "third" / "weights", "paper_x4", time=30)
    lost.unlink()
    assert "first" in str(chosen(tmp_path, "paper_x4").path)


def test_steps_batch_and_deviations_are_read_from_the_file(tmp_path: Path) -> None:
    told = {"steps": "1200", "batch": "8", "deviations": "no parts"}
    write_checkpoint(tmp_path, "paper_x4", **told)
    one = chosen(tmp_path, "paper_x4")
    assert (one.steps, one.batch, one.deviations) == (1200, 8, "no parts")
    write_checkpoint(tmp_path, "paper_x8", steps="many")
    one = chosen(tmp_path, "paper_x8")
    assert (one.steps, one.batch, one.deviations) == (None, None, None)


def test_a_loaded_checkpoint_is_described_by_its_entry(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, "paper_x8", 16)
    loaded = chosen(tmp_path, "paper_x8").load("JDSR-GAN", 8, "cpu")
    assert (loaded.name, loaded.lr_size) == ("JDSR-GAN", 16)
    assert loaded.description["recipe"] == "paper_x8"


def test_missing_altered_and_unfit_weights_are_errors_that_say_which(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path, "paper_x4")
    with pytest.raises(WeightsError, match=r"inputs of 32 px.*enlarging by 8 needs 16"):
        chosen(tmp_path, "paper_x4").load("", 8, "cpu")
    alter(path)
    with pytest.raises(WeightsCorruptError, match=r"paper_x4.safetensors: SHA-256 is"):
        chosen(tmp_path, "paper_x4").load("", 4, "cpu")
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(WeightsCorruptError, match=r"recorded are [\d,]+\. Export it again"):
        chosen(tmp_path, "paper_x4").load("", 4, "cpu")
    path.unlink()
    with pytest.raises(WeightsMissingError, match="the manifest lists this file for paper_x4"):
        chosen(tmp_path, "paper_x4").load("", 4, "cpu")


def test_an_unreadable_manifest_does_not_hide_the_others(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "good" / "weights", "paper_x4")
    broken = tmp_path / "bad" / "weights"
    broken.mkdir(parents=True)
    (broken / "manifest.toml").write_text("[[weights]\n", encoding="utf-8")
    found, (error,) = find_checkpoints(tmp_path)
    assert [one.entry.recipe for one in found] == ["paper_x4"]
    assert str(broken / "manifest.toml") in str(error)


def test_a_folder_without_checkpoints_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputMissingError, match="no such folder of checkpoints"):
        find_checkpoints(tmp_path / "absent")
    with pytest.raises(WeightsMissingError, match=r"no manifest.toml .*jdsr train"):
        find_checkpoints(tmp_path)
