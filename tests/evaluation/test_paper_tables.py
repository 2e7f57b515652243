"""The tables of the paper: published rows, and their evaluation beside them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from celeba_folder import write_celeba
from helen_folder import write_ibug
from recipe_checkpoints import alter, write_checkpoint

from jdsr_cli.errors import UsageError, WeightsMissingError
from jdsr_cli.evaluation.comparison import Comparison, compare
from jdsr_cli.evaluation.paper_tables import FULL_MODEL, PAPER_TABLES
from jdsr_cli.evaluation.table_rows import TableRow, describe_faces
from jdsr_cli.settings import EvalSettings

TRAINED = {"steps": "500", "batch": "16", "deviations": "tiny"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, write_faces: Callable[..., Path]) -> Path:
    return write_faces(tmp_path_factory.mktemp("faces"), ("test-0.tar",))


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    write_checkpoint(folder / "full" / "weights", "paper_x4", seed=1, **TRAINED)
    write_checkpoint(folder / "drn" / "weights", "cbd_drn_x4", seed=2, steps="9")
    write_checkpoint(folder / "budget" / "weights", "cbd_drn_x4_budget", seed=9, time=99)
    write_checkpoint(folder / "srfbn" / "weights", "cbd_srfbn_x8", 16, seed=3)
    write_checkpoint(folder / "dicgan" / "weights", "cbd_dicgan_x8", 16, seed=4)
    write_checkpoint(folder / "fsrgan" / "weights", "cbd_fsrgan_x4", 16)
    alter(write_checkpoint(folder / "sicnn" / "weights", "cbd_sicnn_x4"))
    return folder


@pytest.fixture(scope="module")
def third(
    data: Path,
    checkpoints: Path,
    template_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Comparison:
    return evaluated("3", data, checkpoints, template_folder, tmp_path_factory.mktemp("eval"))


def evaluated(
    table: str, data: Path, checkpoints: Path, masks: Path, out: Path, **more: Any
) -> Comparison:
    return compare(
        EvalSettings(
            data, out=out, table=table, checkpoints=checkpoints, masks=masks, limit=3,
            device="cpu", **more,
        )  # type: ignore[arg-type]
    )  # fmt: skip


def rows_of(comparison: Comparison) -> dict[tuple[int, str], TableRow]:
    assert comparison.table is not None
    return {(row.paper.scale, row.paper.label): row for row in comparison.table.table.rows}


def test_published_rows_are_those_of_the_paper() -> None:
    def figures(table: str, scale: int) -> dict[str, tuple[float, float] | None]:
        return {
            row.recipe: None if row.published is None else (row.published.psnr, row.published.ssim)
            for row in PAPER_TABLES[table].rows
            if row.scale == scale
        }

    assert figures("2", 4) == {
        "without_style": (25.85, 0.8104), "without_perceptual": (25.86, 0.8119),
        "without_identity": (26.22, 0.8118), "without_smooth": (26.19, 0.8076),
        "without_attention": (26.19, 0.8109), "paper_x4": (26.28, 0.8134),
    }  # fmt: skip
    assert figures("3", 4) == {
        "cbd_drn_x4": (26.48, 0.7398), "cbd_srfbn_x4": (26.59, 0.7443),
        "cbd_sicnn_x4": (27.07, 0.7839), "cbd_fsrgan_x4": (27.73, 0.8318),
        "cbd_dicgan_x4": (28.28, 0.8338), "paper_x4": (29.18, 0.8553),
    }  # fmt: skip
    assert figures("3", 8) == {
        "cbd_drn_x8": (23.61, 0.6371), "cbd_srfbn_x8": None, "cbd_sicnn_x8": None,
        "cbd_fsrgan_x8": (24.96, 0.7423), "cbd_dicgan_x8": (25.36, 0.7137),
        "paper_x8": (26.45, 0.7633),
    }  # fmt: skip
    assert figures("generality", 4) == {
        recipe: (25.5427, 0.7719) if recipe == "paper_x4" else None for recipe in figures("3", 4)
    }


@pytest.mark.parametrize("table", PAPER_TABLES)
def test_the_full_model_is_the_last_row_of_every_scale(table: str) -> None:
    paper = PAPER_TABLES[table]
    for scale in paper.scales:
        last = [row for row in paper.rows if row.scale == scale][-1]
        assert (last.label, last.recipe) == (FULL_MODEL, f"paper_x{scale}")


def test_rows_are_measured_missing_or_unusable(third: Comparison) -> None:
    states = {key: row.status for key, row in rows_of(third).items()}
    assert states == {
        (4, "CBD+DRN"): "measured", (4, "CBD+SRFBN"): "missing", (4, "CBD+SICNN"): "unusable",
        (4, "CBD+FSRGAN"): "unusable", (4, "CBD+DICGAN"): "missing", (4, FULL_MODEL): "measured",
        (8, "CBD+DRN"): "missing", (8, "CBD+SRFBN"): "measured", (8, "CBD+FSRGAN"): "missing",
        (8, "CBD+DICGAN"): "measured", (8, FULL_MODEL): "missing",
    }  # fmt: skip
    assert third.table is not None
    altered, unfit = third.table.table.errors
    assert "SHA-256" in str(altered)
    assert "inputs of 16 px" in str(unfit)


def test_differences_are_to_the_full_model_face_by_face(third: Comparison) -> None:
    rows = rows_of(third)
    drn, full = rows[4, "CBD+DRN"].measured, rows[4, FULL_MODEL].measured
    assert drn is not None
    assert full is not None
    for figure in ("psnr", "ssim_covered"):
        gain = drn.scores.figures[figure] - full.scores.figures[figure]
        assert drn.differences[figure].mean == pytest.approx(gain.mean())
        assert np.abs(gain).max() > 0
    assert full.differences == {}
    for label in ("CBD+SRFBN", "CBD+DICGAN"):  # without a full model of their scale
        measured = rows[8, label].measured
        assert measured is not None
        assert measured.differences == {}


def test_rows_have_the_scale_of_their_inputs(third: Comparison) -> None:
    content = json.loads(third.results.read_text(encoding="utf-8"))
    assert (content["scale"], content["lr_size"]) == (None, None)
    assert content["sections"] == [
        {"faces": "masked x4", "scale": 4, "lr_size": 32},
        {"faces": "masked x8", "scale": 8, "lr_size": 16},
    ]
    assert [(one["faces"], one["name"], one["lr_size"]) for one in content["methods"]] == [
        ("masked x4", "CBD+DRN", 32), ("masked x4", FULL_MODEL, 32), ("masked x8", "CBD+SRFBN", 16),
        ("masked x8", "CBD+DICGAN", 16),
    ]  # fmt: skip


def test_table_json_has_published_and_measured_figures(third: Comparison) -> None:
    assert third.table is not None
    content = json.loads(third.table.record.read_text(encoding="utf-8"))
    assert (content["table"], len(content["rows"])) == ("3", 11)
    rows = {(one["scale"], one["method"]): one for one in content["rows"]}
    drn = rows[4, "CBD+DRN"]
    assert drn["published"] == {"psnr": 26.48, "ssim": 0.7398}
    assert (drn["recipe"], drn["status"]) == ("cbd_drn_x4", "measured")
    assert drn["checkpoint"]["recipe"] == "cbd_drn_x4"
    assert (drn["checkpoint"]["steps"], drn["checkpoint"]["batch"]) == (9, None)
    measured = rows_of(third)[4, "CBD+DRN"].measured
    assert measured is not None
    assert drn["figures"]["psnr_covered"]["mean"] == pytest.approx(
        measured.estimates["psnr_covered"].mean, abs=1e-6
    )
    assert set(drn["figures"]["psnr"]["difference"]) == {"mean", "interval", "faces"}
    missing, unusable = rows[4, "CBD+DICGAN"], rows[4, "CBD+SICNN"]
    assert (missing["status"], missing["checkpoint"], missing["figures"]) == ("missing", None, None)
    assert unusable["error"].startswith("cbd_sicnn_x4.safetensors: SHA-256")
    assert rows[8, "CBD+SRFBN"]["published"] is None
    assert "BT.601" in content["protocol"]["fidelity"]


def test_table_md_shows_figures_protocol_and_checkpoints(third: Comparison) -> None:
    assert third.table is not None
    text = third.table.text.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("| CBD")]
    measured = rows_of(third)[4, "CBD+DRN"].measured
    assert measured is not None
    mean, gain = measured.estimates["psnr"], measured.differences["psnr"]
    cells = [cell.strip() for cell in lines[0].split("|")[1:-1]]
    assert cells[0] == "CBD+DRN"
    assert "exactly the recipes are compared; of other variants, left out: cbd\\_drn" in text
    assert cells[1] == f"{mean.mean:.2f} ({mean.low:.2f} to {mean.high:.2f})"
    assert cells[3:5] == ["26.48", "0.7398"]
    assert cells[5] == f"{gain.mean:+.2f} ({gain.low:+.2f} to {gain.high:+.2f})"
    assert cells[9] == "9"
    assert [cell.strip() for cell in lines[1].split("|")[1:5]] == [
        "CBD+SRFBN", "missing", "", "26.59",
    ]  # fmt: skip
    assert len({line.count("|") for line in text.splitlines() if line.startswith("|")}) == 1
    assert "split test: 3 of 6, evenly spaced; not CelebA's test set" in text
    assert "were not trained for the same steps" in text
    assert "500 steps of 16 faces; trained on noise; deviations from the paper: tiny" in text
    assert str(third.results.parent) not in text


def test_one_scale_of_the_third_table_can_be_chosen(
    data: Path, checkpoints: Path, template_folder: Path, tmp_path: Path
) -> None:
    found = evaluated("3", data, checkpoints, template_folder, tmp_path, scale=8)
    assert {scale for scale, _ in rows_of(found)} == {8}
    content = json.loads(found.results.read_text(encoding="utf-8"))
    assert (content["scale"], content["lr_size"]) == (8, 16)
    with pytest.raises(UsageError, match=r"--scale: the table 2 has no rows for the scale 8"):
        evaluated("2", data, checkpoints, template_folder, tmp_path, scale=8)


def test_generality_names_other_faces_than_those_of_helen(
    data: Path, checkpoints: Path, template_folder: Path, tmp_path: Path
) -> None:
    found = evaluated("generality", data, checkpoints, template_folder, tmp_path, split="test")
    assert found.table is not None
    assert f"data: {data.name}, split test: 3 of 6, evenly spaced; not Helen" in (
        found.table.table.conditions
    )
    published = {key: row.paper.published for key, row in rows_of(found).items()}
    assert [key for key, one in published.items() if one is not None] == [(4, FULL_MODEL)]


def test_faces_of_helen_are_those_of_the_paper(
    checkpoints: Path, template_folder: Path, tmp_path: Path, portraits: list
) -> None:
    helen = write_ibug(tmp_path / "helen", portraits)
    found = evaluated("generality", helen, checkpoints, template_folder, tmp_path / "out")
    assert found.table is not None
    assert "data: helen, split test: 3" in found.table.table.conditions
    third = evaluated("3", helen, checkpoints, template_folder, tmp_path / "out", scale=4)
    assert third.table is not None
    assert "data: helen, split test: 3; not CelebA's test set" in third.table.table.conditions


def test_celeba_and_selected_sources_are_described(
    data: Path, tmp_path: Path, portraits: list
) -> None:
    celeba = write_celeba(tmp_path / "celeba", portraits)
    paper = PAPER_TABLES["3"]
    assert describe_faces(paper, celeba, "test", 2, 2) == (
        "celeba, split test: 2; the paper evaluates 19,962"
    )
    assert describe_faces(paper, celeba, "test", 19_962, 19_962) == "celeba, split test: 19,962"
    assert describe_faces(paper, celeba, None, 6, 6) == (
        "celeba, all faces: 6; not CelebA's test set"
    )
    other = describe_faces(PAPER_TABLES["generality"], data, "train", 5, 9, ("lfw", "web"))
    assert other == (
        f"faces of the sources lfw, web of {data.name}, split train: 5 of 9, evenly spaced; not "
        "Helen; figures of weights that were trained on these faces mean nothing"
    )


def test_a_folder_without_a_usable_row_is_an_error_that_says_why(
    data: Path, template_folder: Path, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    write_checkpoint(runs, "other")
    with pytest.raises(WeightsMissingError, match=r"without_attention, paper_x4.*jdsr train"):
        evaluated("2", data, runs, template_folder, tmp_path / "out")
    alter(write_checkpoint(runs, "without_style"))
    with pytest.raises(WeightsMissingError, match=r"without_style.safetensors: SHA-256"):
        evaluated("2", data, runs, template_folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()
