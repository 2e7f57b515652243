"""Comparison of several methods on the same faces: written files and rejected requests."""

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from network_files import write_points_onnx, write_torchscript
from PIL import Image

from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.datasets.face_set import FaceSet
from jdsr_cli.datasets.sources import default_split
from jdsr_cli.errors import DatasetError, InputMissingError, OutputError, UsageError
from jdsr_cli.evaluation import protocol
from jdsr_cli.evaluation.comparison import Comparison, compare
from jdsr_cli.evaluation.metrics.fidelity import FIDELITY_FIGURES
from jdsr_cli.evaluation.report import (
    FONT_SIZE,
    GAP,
    HEADING_HEIGHT,
    choose_columns,
    column_offsets,
)
from jdsr_cli.evaluation.scoring import FIGURES, REFERENCE_FIGURES
from jdsr_cli.faces.regions import eyes_and_mouth
from jdsr_cli.progress import Silent
from jdsr_cli.settings import EvalSettings

Weights = Callable[[int], Path]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, write_faces: Callable[..., Path]) -> Path:
    return write_faces(tmp_path_factory.mktemp("faces"), ("test.tar",)) / "test.tar"


@pytest.fixture(scope="module")
def tiny(tiny_weights: Weights) -> str:
    return str(tiny_weights(32))


@pytest.fixture(scope="module")
def comparison(
    data: Path, tiny: str, template_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Comparison:
    out = tmp_path_factory.mktemp("eval")
    identity = write_torchscript(out / "identity.pt")
    landmarks = write_points_onnx(out / "points.onnx", [0.1, -0.1] * 68, np.linspace(0, 1, 136))
    request = EvalSettings(
        data, ("bicubic", tiny), out, masks=template_folder, batch=4,
        identity=identity, landmarks=landmarks, write_inputs=out / "inputs",
    )  # fmt: skip
    return compare(request)


def record(comparison: Comparison) -> dict:
    return json.loads(comparison.results.read_text(encoding="utf-8"))


def table(comparison: Comparison) -> list[dict[str, str]]:
    with comparison.per_face.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_results_describe_data_methods_and_protocol(
    comparison: Comparison, template_folder: Path
) -> None:
    content = record(comparison)
    assert content["data"] | {"inputs_sha256": ""} == {
        "source": "test.tar", "split": "all", "faces": 6, "of": 6, "inputs_sha256": "",
    }  # fmt: skip
    assert content["masks"] | {"sha256": ""} == {
        "generator": "templates", "folder": template_folder.name, "masks": 3, "sha256": "",
    }  # fmt: skip
    assert (content["degradation"], content["scale"], content["lr_size"]) == ("paper", 4, 32)
    assert "BT.601" in content["protocol"]["fidelity"]
    assert "identity.pt" in content["protocol"]["identity"]
    assert "points.onnx" in content["protocol"]["landmark_error"]
    assert "batch 4" in content["protocol"]["throughput"]
    assert {"python", "torch", "numpy"} <= set(content["versions"])
    assert [one["name"] for one in content["methods"]] == ["bicubic", "tiny-32"]
    assert content["methods"][1]["file"] == "tiny-32.safetensors"


def test_metrics_have_intervals_and_differences(comparison: Comparison) -> None:
    bicubic, network = record(comparison)["results"]
    assert (bicubic["method"], bicubic["faces"], bicubic["count"]) == ("bicubic", "masked", 6)
    unnamed = {"rank1", "rank1_input", "rank1_truth"}  # the faces carry no names
    tracks = {"psnr_face", "shots_used"}
    others = {"lpips", "psnr_unaltered"} | unnamed | tracks
    assert set(bicubic["figures"]) == set(FIGURES) - others
    for name, content in network["figures"].items():
        scored = comparison.rows[1].scores.figures[name]
        assert content["mean"] == pytest.approx(scored.mean(), abs=1e-6)
        assert content["interval"][0] <= content["mean"] <= content["interval"][1]
        if name in REFERENCE_FIGURES:
            assert content == bicubic["figures"][name]
            continue
        gain = scored - comparison.rows[0].scores.figures[name]
        assert content["difference"]["mean"] == pytest.approx(gain.mean(), abs=1e-6)
        assert "difference" not in bicubic["figures"][name]
        assert "better_share" not in bicubic["figures"][name]
        if name in FIDELITY_FIGURES:
            assert content["better_share"] == pytest.approx((gain > 0).mean(), abs=1e-6)
    figures = {name: content["mean"] for name, content in bicubic["figures"].items()}
    assert 10 < figures["psnr_covered"] < figures["psnr"] < figures["psnr_beside"] < 40
    assert figures["ssim_covered"] < figures["ssim"] < figures["ssim_beside"]
    assert bicubic["faces_per_second"] > network["faces_per_second"] > 0


def test_scores_csv_has_a_line_for_every_face_and_method(comparison: Comparison) -> None:
    lines = table(comparison)
    assert len(lines) == 12
    assert list(lines[0]) == ["faces", "method", "key", *(set_of(FIGURES, comparison))]
    assert [line["key"] for line in lines[:6]] == [line["key"] for line in lines[6:]]
    for index, row in enumerate(comparison.rows):
        mean = np.mean([float(line["psnr"]) for line in lines[6 * index : 6 * index + 6]])
        assert mean == pytest.approx(row.scores.mean("psnr"), abs=1e-5)


def set_of(figures: tuple[str, ...], comparison: Comparison) -> list[str]:
    return [name for name in figures if name in comparison.rows[0].scores.figures]


def test_sheet_shows_input_methods_and_truth_from_best_to_worst(
    comparison: Comparison, face_set: FaceSet
) -> None:
    with Image.open(comparison.sheet) as picture:
        assert picture.format == "PNG"
        sheet = np.asarray(picture)
    scores = comparison.rows[-1].scores
    columns = choose_columns(scores.figures["psnr"])
    assert [column.group for column in columns] == 2 * ["best"] + 2 * ["median"] + 2 * ["worst"]
    top = FONT_SIZE + GAP + HEADING_HEIGHT
    assert sheet.shape[0] == top + 4 * TEMPLATE_SIZE + GAP
    left = sheet.shape[1] - GAP - TEMPLATE_SIZE - column_offsets(columns)[-1]
    ranked = [key for _, key in sorted(zip(-scores.figures["psnr"], scores.keys, strict=True))]
    assert [scores.keys[column.index] for column in columns] == ranked
    for x, key in zip(column_offsets(columns), ranked, strict=True):
        line = sheet[top : top + 4 * TEMPLATE_SIZE, left + x : left + x + TEMPLATE_SIZE]
        shown, bicubic, network, truth = np.split(line, 4)
        assert np.array_equal(truth, face_set.images[face_set.keys.index(key)])
        with Image.open(comparison.results.parent / "inputs" / f"{key}.png") as given:
            assert np.array_equal(shown[::4, ::4], np.asarray(given))
            large = given.resize((TEMPLATE_SIZE, TEMPLATE_SIZE), Image.Resampling.BICUBIC)
        assert np.array_equal(bicubic, np.asarray(large))
        assert not np.array_equal(network, bicubic)
    assert sheet[top : top + 4 * TEMPLATE_SIZE, :left].min() < 100  # labels of the rows


@pytest.mark.parametrize(
    ("count", "groups"),
    [(1, "b"), (2, "bw"), (3, "bmw"), (5, "bmw"), (8, "bbmmww"), (40, "bbbbmmmmwwww")],
)
def test_choose_columns_repeats_no_face(count: int, groups: str) -> None:
    columns = choose_columns(np.arange(count, dtype=np.float64))
    assert "".join(column.group[0] for column in columns) == groups
    assert len({column.index for column in columns}) == len(columns)
    assert columns[0].psnr == count - 1
    assert columns[-1].index == 0


def test_metrics_are_independent_of_other_methods_order_and_run(
    comparison: Comparison, data: Path, tiny: str, template_folder: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.safetensors"
    shutil.copy(tiny, copy)
    methods = (str(copy), tiny, "bicubic")
    again = compare(EvalSettings(data, methods, tmp_path / "out", masks=template_folder))
    twin, network, bicubic = again.rows
    assert twin.scores.means() == network.scores.means()
    for one, other in ((bicubic, comparison.rows[0]), (network, comparison.rows[1])):
        expected = other.scores.means()
        assert one.scores.means() == pytest.approx(
            {name: expected[name] for name in one.scores.figures}, abs=1e-9
        )
    assert record(again)["data"]["inputs_sha256"] == record(comparison)["data"]["inputs_sha256"]


def test_external_results_of_written_inputs_score_the_same(
    comparison: Comparison, data: Path, template_folder: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for path in (comparison.results.parent / "inputs").iterdir():
        with Image.open(path) as given:
            given.resize((128, 128), Image.Resampling.BICUBIC).save(other / path.name)
    request = EvalSettings(
        data, (), tmp_path / "out", scale=4, results=(("elsewhere", other),),
        masks=template_folder,
    )  # fmt: skip
    (row,) = compare(request).rows
    expected = comparison.rows[0].scores.means()
    assert row.scores.means() == {name: expected[name] for name in row.scores.figures}


def test_pictures_in_the_alignment_of_ffhq_are_compared_on_the_same_truth(
    data: Path, template_folder: Path, tmp_path: Path
) -> None:
    inputs = tmp_path / "inputs"
    common = {"methods": ("bicubic",), "masks": template_folder, "limit": 2}
    written = compare(
        EvalSettings(
            data, out=tmp_path / "first", write_inputs=inputs, inputs_template="ffhq", **common
        )
    )
    assert "FFHQ" in record(written)["protocol"]["written_inputs"]
    (tmp_path / "gan").mkdir()
    inputs.rename(tmp_path / "gan" / "restored_faces")
    request = EvalSettings(
        data, out=tmp_path / "second", ffhq_results=(("unchanged", tmp_path / "gan"),), **common
    )
    comparison = compare(request)
    assert [row.method for row in comparison.rows] == ["bicubic", "unchanged"]
    described = record(comparison)["methods"][1]
    assert (described["sides"], described["folder"]) == ("512", "gan")
    assert "FFHQ" in described["alignment"]
    assert "written_inputs" not in record(comparison)["protocol"]
    bicubic, unchanged = (row.scores.figures["psnr"] for row in comparison.rows)
    assert np.abs(bicubic - unchanged).max() < 0.3
    folders = (("other", tmp_path / "gan"),)
    twice = EvalSettings(data, out=tmp_path / "x", results=folders, ffhq_results=folders)
    with pytest.raises(UsageError, match="other is given twice"):
        compare(twice)


def test_a_limit_selects_evenly_spaced_faces(
    data: Path, template_folder: Path, tmp_path: Path, face_set: FaceSet
) -> None:
    request = EvalSettings(data, ("bicubic",), tmp_path, masks=template_folder, limit=2)
    comparison = compare(request)
    assert comparison.count == 2
    assert [row["key"] for row in table(comparison)] == [face_set.keys[0], face_set.keys[3]]
    assert (record(comparison)["data"]["faces"], record(comparison)["data"]["of"]) == (2, 6)


def test_sources_select_the_evaluated_faces(
    write_faces: Callable[..., Path], template_folder: Path, tmp_path: Path
) -> None:
    folder = write_faces(tmp_path / "faces", ("train-0.tar",))
    path = folder / "faces.csv"
    head, *lines = path.read_text(encoding="utf-8").splitlines()
    named = [f"{line},{'web' if line.startswith('hopper') else 'lfw'}" for line in lines]
    path.write_text("\n".join([f"{head},source", *named]), encoding="utf-8")
    request = EvalSettings(
        folder, ("bicubic",), tmp_path / "out", masks=template_folder, split="train",
        sources=("web",), limit=2,
    )  # fmt: skip
    comparison = compare(request)
    assert [row["key"] for row in table(comparison)] == ["hopper0", "hopper1"]
    data = record(comparison)["data"]
    assert (data["faces"], data["of"], data["sources"]) == (2, 3, ["web"])


def test_camera_degradation_evaluates_masked_and_bare_faces(
    data: Path, tiny_weights: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "DRAWN_MASKS", 4)
    request = EvalSettings(
        data, ("bicubic", str(tiny_weights(64))), tmp_path / "out", degradation="camera", limit=3,
        write_inputs=tmp_path / "inputs",
    )  # fmt: skip
    comparison = compare(request)
    assert [(row.faces, row.method) for row in comparison.rows] == [
        ("masked", "bicubic"), ("masked", "tiny-64"), ("plain", "bicubic"), ("plain", "tiny-64"),
    ]  # fmt: skip
    content = record(comparison)
    assert content["masks"] == {"generator": "drawn", "masks": 4, "seed": protocol.TEST_MASK_SEED}
    covered = ["psnr_covered" in row["figures"] for row in content["results"]]
    assert covered == [True, True, False, False]
    assert table(comparison)[-1]["psnr_covered"] == ""
    with Image.open(comparison.sheet) as picture:
        assert picture.size[1] == 2 * (FONT_SIZE + GAP + HEADING_HEIGHT + 4 * TEMPLATE_SIZE + GAP)
    inputs = sorted(str(path.relative_to(tmp_path / "inputs")) for path in
                    (tmp_path / "inputs").rglob("*.png"))  # fmt: skip
    assert len(inputs) == 6
    assert {Path(name).parts[0] for name in inputs} == {"masked", "plain"}


@pytest.mark.parametrize("scale", [1, 4])
def test_sharp_faces_measure_changes_outside_eyes_and_mouth(
    data: Path, tmp_path: Path, face_set: FaceSet, scale: int
) -> None:
    (tmp_path / "unchanged").mkdir()
    (tmp_path / "darkened").mkdir()
    allowed_region = eyes_and_mouth()
    for key, face in zip(face_set.keys, face_set.images, strict=True):
        small = Image.fromarray(face).resize(2 * (128 // scale,), Image.Resampling.BICUBIC)
        given = np.asarray(small.resize((128, 128), Image.Resampling.BICUBIC))
        Image.fromarray(np.where(allowed_region[..., None], 255 - given, given)).save(
            tmp_path / "unchanged" / f"{key}.png"
        )
        Image.fromarray(given // 2).save(tmp_path / "darkened" / f"{key}.png")
    request = EvalSettings(
        data, ("bicubic",), tmp_path / "out", scale=scale, degradation="sharp",
        results=(("unchanged", tmp_path / "unchanged"), ("darkened", tmp_path / "darkened")),
    )  # fmt: skip
    comparison = compare(request)
    assert [row.faces for row in comparison.rows] == ["sharp"] * 3
    unaltered = [row.scores.figures["psnr_unaltered"] for row in comparison.rows]
    assert np.isposinf(unaltered[0]).all()
    assert np.isposinf(unaltered[1]).all()
    assert unaltered[2].max() < 25
    assert comparison.rows[1].scores.mean("psnr") < 25
    content = record(comparison)
    assert (content["degradation"], content["masks"]) == ("sharp", None)
    first, _, last = (one["figures"]["psnr_unaltered"] for one in content["results"])
    assert first == {"mean": "inf", "interval": [None, None], "faces": 6}
    assert last["difference"]["mean"] == "-inf"
    assert "psnr_covered" not in content["results"][0]["figures"]


@pytest.mark.parametrize("degradation", ["paper", "camera"])
def test_inputs_of_128_px_are_evaluated_like_others(
    data: Path, template_folder: Path, tmp_path: Path, face_set: FaceSet, degradation: str
) -> None:
    comparison = compare(EvalSettings(
        data, ("bicubic",), tmp_path / "out", scale=1, degradation=degradation,
        masks=template_folder, write_inputs=tmp_path / "inputs",
    ))  # fmt: skip
    content = record(comparison)
    assert (content["scale"], content["lr_size"]) == (1, 128)
    masked = comparison.rows[0].scores
    assert masked.mean("psnr_covered") < masked.mean("psnr") < masked.mean("psnr_beside")
    with Image.open(comparison.sheet) as picture:
        sheet = np.asarray(picture)
    column = choose_columns(masked.figures["psnr"])[0]
    top = FONT_SIZE + GAP + HEADING_HEIGHT
    left = (
        sheet.shape[1]
        - GAP
        - TEMPLATE_SIZE
        - column_offsets(choose_columns(masked.figures["psnr"]))[-1]
    )
    shown, bicubic, truth = np.split(
        sheet[top : top + 3 * TEMPLATE_SIZE, left : left + TEMPLATE_SIZE], 3
    )
    folder = tmp_path / "inputs" / ("masked" if degradation == "camera" else "")
    with Image.open(folder / f"{masked.keys[column.index]}.png") as given:
        assert np.array_equal(shown, np.asarray(given))
    assert np.array_equal(bicubic, shown)
    assert not np.array_equal(truth, shown)


def test_default_split_is_test_if_it_exists(
    tmp_path: Path, write_faces: Callable[..., Path]
) -> None:
    assert default_split(write_faces(tmp_path / "some", ("train-0.tar", "test-0.tar"))) == "test"
    assert default_split(write_faces(tmp_path / "others", ("train-0.tar",))) is None
    assert default_split(tmp_path / "some" / "train-0.tar") is None
    assert default_split(tmp_path / "absent") is None


def test_an_interrupted_run_leaves_no_partial_results(
    data: Path, template_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*arguments: object, **named: object) -> None:
        raise KeyboardInterrupt

    request = EvalSettings(data, ("bicubic",), tmp_path / "out", masks=template_folder, limit=2)
    before = compare(request)
    expected = [path.read_bytes() for path in (before.results, before.per_face, before.sheet)]
    monkeypatch.setattr(csv, "writer", stop)
    with pytest.raises(KeyboardInterrupt):
        compare(replace(request, limit=3))
    after = [path.read_bytes() for path in (before.results, before.per_face, before.sheet)]
    assert after == expected
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "cache", "results.json", "scores.csv", "sheet.png",
    ]  # fmt: skip


def test_methods_of_different_input_sizes_are_rejected_before_writing(
    data: Path, tiny_weights: Weights, tmp_path: Path
) -> None:
    methods = ("bicubic", str(tiny_weights(32)), str(tiny_weights(16)))
    with pytest.raises(UsageError, match="one input size"):
        compare(EvalSettings(data, methods, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_unusable_inputs_raise_errors_that_name_them(
    data: Path, template_folder: Path, tmp_path: Path, write_faces: Callable[..., Path]
) -> None:
    bicubic = ("bicubic",)
    with pytest.raises(InputMissingError, match=r"absent\.tar"):
        compare(EvalSettings(tmp_path / "absent.tar", bicubic, tmp_path))
    (tmp_path / "taken").write_text("")
    with pytest.raises(OutputError, match="taken"):
        compare(EvalSettings(data, bicubic, tmp_path / "taken", masks=template_folder))
    out = tmp_path / "out"
    duplicates = write_faces(tmp_path / "twice", ("test-0.tar", "test-1.tar"))
    with pytest.raises(DatasetError, match="astronaut0: two faces of the set have this name"):
        compare(EvalSettings(duplicates, bicubic, out, masks=template_folder))
    some = write_faces(tmp_path / "some", ("train-0.tar",))
    with pytest.raises(DatasetError, match=r"some: .*val"):
        compare(EvalSettings(some, bicubic, out, split="val"))
    with pytest.raises(UsageError, match="nothing to compare"):
        compare(EvalSettings(data, (), out, scale=4, masks=template_folder))
    results = (("bicubic", tmp_path),)
    with pytest.raises(UsageError, match="bicubic is given twice"):
        compare(EvalSettings(data, bicubic, out, results=results, masks=template_folder))
    sharp = EvalSettings(data, bicubic, out, degradation="sharp", masks=template_folder)
    with pytest.raises(UsageError, match="sharp faces have no masks"):
        compare(sharp)
    with pytest.raises(UsageError, match="require a trunk"):
        compare(EvalSettings(data, bicubic, out, lpips_heads=tmp_path / "heads.pth"))


class Notes(Silent):
    """A progress that records notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


def test_a_folder_without_a_test_split_gives_a_note(
    tmp_path: Path, write_faces: Callable[..., Path]
) -> None:
    folder, notes = write_faces(tmp_path / "some", ("train-0.tar",)), Notes()
    compare(EvalSettings(folder, ("bicubic",), tmp_path / "out", limit=2), notes)
    assert any("nothing may have been trained on them" in one for one in notes.notes)
    notes.notes.clear()
    alone = EvalSettings(folder / "train-0.tar", ("bicubic",), tmp_path / "out", limit=2)
    compare(alone, notes)
    assert not notes.notes
