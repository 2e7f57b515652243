"""Several restorers on the same faces: the figures, the files, and what is refused."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from jdsr_cli.errors import InputMissingError, OutputError, UsageError, WeightsMissingError
from jdsr_train import compare as module
from jdsr_train import evaluation
from jdsr_train.compare import CompareRequest, Comparison, compare
from jdsr_train.data import Degrader, FaceSet, SampleSettings, exams, to_tensor
from jdsr_train.degradations import resize_bicubic
from jdsr_train.evaluation import FaceScore, Scores
from jdsr_train.masks import draw_pool, load_templates

Weights = Callable[[int], Path]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, write_faces: Callable[..., Path]) -> Path:
    return write_faces(tmp_path_factory.mktemp("faces"), ("test.tar",)) / "test.tar"


@pytest.fixture(scope="module")
def tiny(tiny_weights: Weights) -> str:
    return str(tiny_weights(32))


@pytest.fixture(scope="module")
def found(
    data: Path, tiny: str, template_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Comparison:
    out = tmp_path_factory.mktemp("eval")
    return compare(CompareRequest(data, ("bicubic", tiny), out, masks=template_folder, batch=4))


def table(found: Comparison) -> list[dict[str, str]]:
    with found.per_face.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_bicubic_is_that_of_pil(face_set: FaceSet) -> None:
    small = np.stack([resize_bicubic(np.asarray(image), 32) for image in face_set.images])
    restored = evaluation.bicubic(to_tensor(list(small)))
    wanted = Image.fromarray(small[2]).resize((128, 128), Image.Resampling.BICUBIC)
    levels = (restored[2] * 255).round().permute(1, 2, 0).numpy()
    assert np.array_equal(levels, np.asarray(wanted))


def test_a_perfect_restorer_is_told_from_one_that_errs_beside_the_mask(face_set: FaceSet) -> None:
    chosen = list(exams(face_set, Degrader(draw_pool(2, 0), SampleSettings(32, "paper", 1.0)),
                        masked=True))  # fmt: skip
    truth = to_tensor([exam.pair.hr for exam in chosen])
    covered = torch.from_numpy(np.stack([exam.alpha for exam in chosen])[:, None]) > 0.5
    wrong = torch.where(covered, truth, 1 - truth)
    scores = evaluation.score(lambda lr: wrong, chosen, batch=99)
    assert [face.key for face in scores.faces] == list(face_set.keys)
    for face in scores.faces:
        assert np.isinf(face.psnr_covered)
        assert face.psnr_beside < face.psnr < 25
    perfect = evaluation.score(lambda lr: truth, chosen, batch=99)
    assert all(face.ssim == pytest.approx(1) for face in perfect.faces)


def test_batches_do_not_change_the_figures(face_set: FaceSet) -> None:
    chosen = list(exams(face_set, Degrader([], SampleSettings(32, "paper", 0.0)), masked=False))
    whole, parts = (evaluation.score(evaluation.bicubic, chosen, batch=batch) for batch in (6, 4))
    for one, other in zip(whole.faces, parts.faces, strict=True):
        assert one.key == other.key
        assert one.psnr == pytest.approx(other.psnr, abs=1e-9)
        assert one.ssim == pytest.approx(other.ssim, abs=1e-9)
        assert np.isnan(one.psnr_covered)  # nothing is covered on a plain face
        assert one.psnr_beside == pytest.approx(one.psnr)
    assert set(whole.means()) == {"psnr", "ssim", "psnr_beside"}


def test_means_are_over_the_faces_that_have_a_figure() -> None:
    nan = float("nan")
    scores = Scores((FaceScore("a", 20, 0.5, nan, 21), FaceScore("b", 30, 0.7, 15, 33)))
    means = {"psnr": 25, "ssim": 0.6, "psnr_covered": 15, "psnr_beside": 27}
    assert scores.means() == pytest.approx(means)
    assert np.isnan(Scores(()).mean("psnr"))


def test_results_say_what_was_measured_and_how(found: Comparison, tiny: str) -> None:
    record = json.loads(found.results.read_text(encoding="utf-8"))
    assert record["faces"] == found.count == 6
    assert record["data"] == "test.tar"
    assert record["degradation"] == "paper"
    assert record["lr_size"] == 32
    assert "BT.601" in record["protocol"]
    assert [row["method"] for row in record["results"]] == ["bicubic", tiny]
    assert {row["faces"] for row in record["results"]} == {"masked"}
    for row, scored in zip(record["results"], found.rows, strict=True):
        figures = {name: row[name] for name in evaluation.FIGURES}
        assert figures == pytest.approx(scored.scores.means())
        assert 10 < row["psnr_covered"] < row["psnr"] < row["psnr_beside"] < 40
        assert 0.3 < row["ssim"] < 1


def test_the_table_has_a_line_for_every_face_and_method(found: Comparison) -> None:
    rows = table(found)
    assert len(rows) == 12
    assert list(rows[0]) == ["faces", "method", "key", *evaluation.FIGURES]
    assert [row["key"] for row in rows[:6]] == [row["key"] for row in rows[6:]]
    for place, method in enumerate(found.rows):
        lines = rows[6 * place : 6 * place + 6]
        mean = np.mean([float(line["psnr"]) for line in lines])
        assert mean == pytest.approx(method.scores.mean("psnr"))


def test_the_sheet_shows_input_methods_and_truth_from_worst_to_best(
    found: Comparison, face_set: FaceSet
) -> None:
    with Image.open(found.sheet) as picture:
        assert picture.format == "PNG"
        sheet = np.asarray(picture)
    assert sheet.shape == (4 * 128, 12 * 128, 3)  # worst, middle and best four faces
    ranked = sorted(found.rows[-1].scores.faces, key=lambda face: face.psnr)
    for face, column in ((ranked[0], 0), (ranked[3], 3), (ranked[-1], 11)):
        truth = sheet[3 * 128 :, column * 128 : (column + 1) * 128]
        assert np.array_equal(truth, face_set.images[face_set.keys.index(face.key)])
    assert np.array_equal(sheet[:128], sheet[128:256])  # the input is shown as bicubic shows it
    assert not np.array_equal(sheet[128:256], sheet[256:384])
    assert not np.array_equal(sheet[256:384], sheet[384:])


def test_every_method_sees_the_same_masked_faces(
    data: Path, tiny: str, template_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, list[torch.Tensor]] = {"bicubic": [], "network": []}
    bicubic, restorer = evaluation.bicubic, evaluation.restorer

    def watched(lr: torch.Tensor) -> torch.Tensor:
        seen["bicubic"].append(lr)
        return bicubic(lr)

    def wrapped(*arguments: object) -> evaluation.Restorer:
        restore = restorer(*arguments)  # type: ignore[arg-type]

        def call(lr: torch.Tensor) -> torch.Tensor:
            seen["network"].append(lr)
            return restore(lr)

        return call

    monkeypatch.setattr(evaluation, "bicubic", watched)
    monkeypatch.setattr(evaluation, "restorer", wrapped)
    compare(CompareRequest(data, (tiny, "bicubic"), tmp_path, masks=template_folder))
    assert len(seen["bicubic"]) == len(seen["network"]) > 0
    for one, other in zip(seen["bicubic"], seen["network"], strict=True):
        assert torch.equal(one, other)


def test_figures_do_not_depend_on_company_order_or_run(
    found: Comparison, data: Path, tiny: str, template_folder: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.safetensors"
    shutil.copy(tiny, copy)
    methods = (str(copy), tiny, "bicubic")
    again = compare(CompareRequest(data, methods, tmp_path / "out", masks=template_folder))
    twin, network, bicubic = again.rows
    assert twin.scores == network.scores
    for one, other in ((bicubic, found.rows[0]), (network, found.rows[1])):
        assert one.scores.means() == pytest.approx(other.scores.means(), abs=1e-9)


def test_a_limit_takes_some_faces(
    data: Path, tiny: str, template_folder: Path, tmp_path: Path, face_set: FaceSet
) -> None:
    request = CompareRequest(data, (tiny,), tmp_path, masks=template_folder, limit=2)
    found = compare(request)
    assert found.count == 2
    assert [row["key"] for row in table(found)] == [face_set.keys[0], face_set.keys[3]]


def test_the_camera_is_measured_on_masked_and_on_plain_faces(
    data: Path, tiny_weights: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DRAWN_MASKS", 4)
    methods = ("bicubic", str(tiny_weights(64)))
    found = compare(CompareRequest(data, methods, tmp_path, "camera", limit=3))
    assert [(row.faces, row.method) for row in found.rows] == [
        ("masked", methods[0]), ("masked", methods[1]),
        ("plain", methods[0]), ("plain", methods[1]),
    ]  # fmt: skip
    record = json.loads(found.results.read_text(encoding="utf-8"))
    assert record["masks"] == "drawn"
    assert ["psnr_covered" in row for row in record["results"]] == [True, True, False, False]
    with Image.open(found.sheet) as picture:
        assert picture.size[1] == 8 * 128


def test_methods_of_different_input_sizes_are_refused(
    data: Path, tiny_weights: Weights, tmp_path: Path
) -> None:
    methods = ("bicubic", str(tiny_weights(32)), str(tiny_weights(16)))
    with pytest.raises(UsageError, match="one input size") as caught:
        compare(CompareRequest(data, methods, tmp_path / "out"))
    assert "tiny-32.safetensors 32 px" in str(caught.value)
    assert "tiny-16.safetensors 16 px" in str(caught.value)
    assert not (tmp_path / "out").exists()
    with pytest.raises(UsageError, match="none given"):
        compare(CompareRequest(data, ("bicubic",), tmp_path / "out"))


def test_what_is_missing_is_named(
    data: Path, tiny: str, template_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(WeightsMissingError, match=r"absent\.safetensors"):
        compare(CompareRequest(data, (str(tmp_path / "absent.safetensors"),), tmp_path))
    with pytest.raises(InputMissingError, match=r"absent\.tar"):
        compare(CompareRequest(tmp_path / "absent.tar", (tiny,), tmp_path))
    (tmp_path / "taken").write_text("")
    with pytest.raises(OutputError, match="taken"):
        compare(CompareRequest(data, (tiny,), tmp_path / "taken", masks=template_folder))
    assert len(load_templates(template_folder)) == 3
