"""Tables of checkpoints that are out of date, of unfinished jobs, and of one variant."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import run
from recipe_checkpoints import write_checkpoint

from jdsr_cli.errors import WeightsError
from jdsr_cli.evaluation.checkpoint_state import QueueState, check_parts
from jdsr_cli.evaluation.checkpoints import choose_checkpoint, find_checkpoints
from jdsr_cli.evaluation.comparison import Comparison, compare
from jdsr_cli.settings import EvalSettings
from jdsr_cli.weights import sha256_of


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, write_faces: Callable[..., Path]) -> Path:
    return write_faces(tmp_path_factory.mktemp("faces"), ("test-0.tar",))


def weights(runs: Path, recipe: str, seed: int = 0, **metadata: str) -> Path:
    """Write the weights of a run, in place of those that it has."""
    folder = runs / recipe / "weights"
    (folder / "manifest.toml").unlink(missing_ok=True)
    return write_checkpoint(folder, recipe, seed=seed, **metadata)


def chain(runs: Path, recipe: str, denoiser: Path, super_resolver: Path) -> Path:
    parts = {"denoiser": denoiser, "super_resolver": super_resolver}
    metadata = {name: path.stem for name, path in parts.items()}
    digests = {f"{name}_sha256": sha256_of(path) for name, path in parts.items()}
    return weights(runs, recipe, 7, **metadata, **digests)


def check(runs: Path, recipe: str) -> None:
    found, _ = find_checkpoints(runs)
    one = choose_checkpoint(found, recipe)
    assert one is not None
    check_parts(one, found)


def test_a_chain_is_out_of_date_when_a_part_was_trained_again(tmp_path: Path) -> None:
    first, second = weights(tmp_path, "cbdnet_x4", 1), weights(tmp_path, "drn_x4", 2)
    chain(tmp_path, "cbd_drn_x4", first, second)
    check(tmp_path, "cbd_drn_x4")
    weights(tmp_path, "drn_x4", 3)
    with pytest.raises(WeightsError, match=r"cbd_drn_x4\.safetensors: is out of date: drn_x4 was"):
        check(tmp_path, "cbd_drn_x4")
    weights(tmp_path, "cbdnet_x4", 4)
    with pytest.raises(WeightsError, match=r"cbdnet_x4 and drn_x4 were trained again.*the chain"):
        check(tmp_path, "cbd_drn_x4")
    chain(tmp_path, "cbd_drn_x4", first, second)
    check(tmp_path, "cbd_drn_x4")
    write_checkpoint(tmp_path / "again" / "weights", "drn_x4", seed=5)  # beside that of the chain
    check(tmp_path, "cbd_drn_x4")


def test_parts_that_are_not_in_the_folder_say_nothing(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    first, second = weights(elsewhere, "cbdnet_x4", 1), weights(elsewhere, "drn_x4", 2)
    runs = tmp_path / "runs"
    chain(runs, "cbd_drn_x4", first, second)
    weights(runs, "cbdnet_x4_small", 8)
    weights(runs, "srfbn_x4", 8)
    check(runs, "cbd_drn_x4")
    lost = weights(runs, "drn_x4", 9)
    lost.unlink()
    check(runs, "cbd_drn_x4")
    check(runs, "srfbn_x4")


def write_queue(runs: Path, jobs: Any) -> None:
    text = jobs if isinstance(jobs, str) else json.dumps({"format": 1, "jobs": jobs})
    (runs / "queue.json").write_text(text, encoding="utf-8")


def remark(runs: Path, recipe: str) -> str | None:
    one = choose_checkpoint(find_checkpoints(runs)[0], recipe)
    assert one is not None
    return QueueState(runs).remark(one)


def test_jobs_that_are_not_finished_and_other_weights_are_remarked(tmp_path: Path) -> None:
    path = weights(tmp_path, "paper_x4", 1)
    assert remark(tmp_path, "paper_x4") is None
    record = {"state": "finished", "sha256": sha256_of(path), "weights": "paper_x4/weights/x"}
    write_queue(tmp_path, {"paper_x4": record, "drn_x4": {"state": "running"}})
    assert remark(tmp_path, "paper_x4") is None
    for state in ("waiting", "running", "interrupted", "failed", "left out"):
        write_queue(tmp_path, {"paper_x4": record | {"state": state}})
        assert f"not finished the job paper_x4 (it is {state})" in str(remark(tmp_path, "paper_x4"))
    write_queue(tmp_path, {"paper_x4": record})
    weights(tmp_path, "paper_x4", 2)
    assert "not those with which the queue finished" in str(remark(tmp_path, "paper_x4"))
    assert remark(tmp_path / "paper_x4", "paper_x4") is None


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"jobs": 3}', '{"jobs": null}', "{" * 5000, "[" * 99999]
)
def test_a_damaged_record_of_a_queue_is_stated(tmp_path: Path, text: str) -> None:
    weights(tmp_path, "paper_x4")
    write_queue(tmp_path, text)
    assert "queue.json cannot be read" in str(QueueState(tmp_path).fault)
    assert remark(tmp_path, "paper_x4") is None
    write_queue(tmp_path, {"paper_x4": [], "other": None})
    assert QueueState(tmp_path).fault is None
    assert remark(tmp_path, "paper_x4") is None


def evaluated(data: Path, runs: Path, masks: Path, out: Path) -> Comparison:
    return compare(
        EvalSettings(
            data, out=out, table="3", scale=4, checkpoints=runs, masks=masks, limit=2, device="cpu"
        )
    )


def test_a_table_marks_what_is_out_of_date_and_what_is_not_finished(
    data: Path, template_folder: Path, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    path = weights(runs, "paper_x4", 1)
    chain(runs, "cbd_drn_x4", weights(runs, "cbdnet_x4", 1), weights(runs, "drn_x4", 2))
    weights(runs, "drn_x4", 3)
    jobs: dict[str, dict[str, str]] = {"paper_x4": {"state": "interrupted", "sha256": ""}}
    write_queue(runs, jobs)
    found = evaluated(data, runs, template_folder, tmp_path / "out")
    assert found.table is not None
    content = json.loads(found.table.record.read_text(encoding="utf-8"))
    rows = {row["method"]: row for row in content["rows"]}
    drn, full = rows["CBD+DRN"], rows["JDSR-GAN"]
    assert (drn["status"], drn["figures"]) == ("unusable", None)
    assert "out of date: drn_x4 was trained again" in drn["error"]
    assert "jdsr weights chain" in str(found.table.table.errors[0])
    assert full["status"] == "measured"
    assert "paper_x4 (it is interrupted)" in full["checkpoint"]["remark"]
    (stated,) = (one for one in content["conditions"] if one.startswith("training: "))
    assert stated == f"training: x4 JDSR-GAN: {full['checkpoint']['remark']}"
    assert "it is interrupted" in found.table.text.read_text(encoding="utf-8")
    jobs["paper_x4"] = {"state": "finished", "sha256": sha256_of(path)}
    write_queue(runs, jobs)
    found = evaluated(data, runs, template_folder, tmp_path / "out")
    assert found.table is not None
    assert not any(one.startswith("training: ") for one in found.table.table.conditions)


def test_rows_of_a_table_are_of_one_variant_which_is_shown(
    data: Path, template_folder: Path, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    for recipe in ("paper_x4_small", "cbd_drn_x4_small", "cbd_drn_x4"):
        weights(runs, recipe, steps="5")
    options = (
        "--data", data, "--masks", template_folder, "--table", "3", "--scale", 4,
        "--checkpoints", runs, "--limit", 2, "--device", "cpu",
    )  # fmt: skip
    result = run("eval", *options, "--out", tmp_path / "small")
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.stdout.splitlines()]
    labels = [line[:2] for line in lines if line[:1] in (["CBD+DRN"], ["JDSR-GAN"])]
    assert labels
    assert all(label[1] == "(small)" for label in labels)
    text = " ".join(result.stdout.split())
    assert (
        "x4 the variants *_small of the recipes are compared; of other variants, left out: " in text
    )
    assert "left out: cbd_drn_x4" in text
    weights(runs, "paper_x4")
    result = run("eval", *options, "--out", tmp_path / "full")
    assert result.exit_code == 0, result.output
    assert "(small)" not in result.stdout
    text = " ".join(result.stdout.split())
    assert "left out: cbd_drn_x4_small, paper_x4_small" in text
    stated = json.loads((tmp_path / "full" / "table.json").read_text(encoding="utf-8"))["rows"]
    used = {one["method"]: one["checkpoint"]["recipe"] for one in stated if one["checkpoint"]}
    assert used == {"CBD+DRN": "cbd_drn_x4", "JDSR-GAN": "paper_x4"}
