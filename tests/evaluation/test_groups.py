"""Groups of faces by lightness: their faces and their results."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from jdsr_cli.datasets.face_set import FaceSet
from jdsr_cli.errors import UsageError
from jdsr_cli.evaluation.comparison import compare
from jdsr_cli.evaluation.scoring import Scores
from jdsr_cli.evaluation.statistics import (
    result_rows,
    skin_lightness,
    split_by_terciles,
)
from jdsr_cli.settings import EvalSettings


def test_terciles_divide_faces_by_value_and_keep_ties_together() -> None:
    values = np.random.default_rng(0).permutation(30).astype(np.float64)
    groups = split_by_terciles("lightness", values)
    assert [group.name for group in groups] == ["darkest", "middle", "lightest"]
    assert [(group.low, group.high) for group in groups] == [(0, 9), (10, 19), (20, 29)]
    assert sorted(np.concatenate([group.indices for group in groups])) == list(range(30))
    for group in groups:
        group_values = values[group.indices]
        assert (group_values >= group.low).all()
        assert (group_values <= group.high).all()
    tied = split_by_terciles("lightness", np.array([5.0, 5.0, 5.0, 5.0, 9.0]))
    assert [(group.name, len(group.indices)) for group in tied] == [("darkest", 4), ("lightest", 1)]
    assert [len(one.indices) for one in split_by_terciles("lightness", np.array([50.0]))] == [1]


def test_metrics_of_a_group_are_those_of_its_faces() -> None:
    keys = tuple(map(str, range(90)))
    light = np.linspace(20, 80, 90)
    base = np.random.default_rng(1).normal(25, 3, 90)
    gain = np.where(light < 40, 1.0, 3.0)  # the darkest third gains less
    scores = {"a": Scores(keys, {"psnr": base}, 5.0), "b": Scores(keys, {"psnr": base + gain})}
    results = [
        row
        for group in split_by_terciles("lightness", light)
        for row in result_rows("plain", scores, group)
    ]
    assert [(row.group.name, row.method) for row in results] == [
        (name, method) for name in ("darkest", "middle", "lightest") for method in "ab"
    ]
    gains = [row.differences["psnr"] for row in results[1::2]]
    assert [one.mean for one in gains] == pytest.approx([1, 3, 3])
    assert [one.faces for one in gains] == [30, 30, 30]
    assert gains[0].high < gains[1].low
    assert results[0].scores.keys == keys[:30]
    assert results[0].estimates["psnr"].mean == pytest.approx(base[:30].mean())
    assert results[0].scores.faces_per_second is None


def test_results_and_table_contain_the_lightness_of_the_ground_truth(
    tmp_path: Path,
    write_faces: Callable[..., Path],
    template_folder: Path,
    tiny_weights: Callable[[int], Path],
    face_set: FaceSet,
) -> None:
    data = write_faces(tmp_path / "faces", ("test.tar",)) / "test.tar"
    results = compare(EvalSettings(
        data, ("bicubic", str(tiny_weights(64))), tmp_path / "out", degradation="camera",
        masks=template_folder, groups=("lightness",),
    ))  # fmt: skip
    light = {
        key: skin_lightness(np.asarray(image))
        for key, image in zip(face_set.keys, face_set.images, strict=True)
    }
    with results.per_face.open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert list(lines[0])[:4] == ["faces", "method", "key", "lightness"]
    assert len(lines) == 24
    assert all(float(one["lightness"]) == pytest.approx(light[one["key"]]) for one in lines)
    content = json.loads(results.results.read_text(encoding="utf-8"))
    assert "not anyone's skin colour" in content["protocol"]["lightness"]
    assert len(content["results"]) == 4
    assert [(one["faces"], one["group"], one["method"]) for one in content["groups"]] == [
        (kind, name, method) for kind in ("masked", "plain")
        for name in ("darkest", "middle", "lightest") for method in ("bicubic", "tiny-64")
    ]  # fmt: skip
    darkest = content["groups"][1]
    assert (darkest["by"], darkest["count"]) == ("lightness", 2)
    low = sorted(light.values())[:2]
    assert darkest["limits"] == pytest.approx(low, abs=1e-3)
    group_values = [
        float(one["psnr"]) for one in lines
        if (one["faces"], one["method"]) == ("masked", "tiny-64") and light[one["key"]] in low
    ]  # fmt: skip
    assert darkest["figures"]["psnr"]["mean"] == pytest.approx(np.mean(group_values), abs=1e-5)
    assert "difference" in darkest["figures"]["psnr"]


def test_unknown_properties_are_rejected_before_writing(tmp_path: Path) -> None:
    request = EvalSettings(tmp_path, ("bicubic",), tmp_path / "out", groups=("hue",))
    with pytest.raises(UsageError, match=r"'hue'.*Use lightness"):
        compare(request)
    twice = EvalSettings(tmp_path, ("bicubic",), tmp_path / "out", groups=("lightness",) * 2)
    with pytest.raises(UsageError, match="twice"):
        compare(twice)
    assert not (tmp_path / "out").exists()
