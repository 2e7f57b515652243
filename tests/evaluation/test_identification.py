"""Rank-1 identification, identities that move, and groups by width, in `jdsr eval`."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from network_files import RECOGNITION_NETWORKS, write_torchscript
from scipy.stats import binomtest
from torch import Tensor

from jdsr_cli.datasets.face_set import FaceSet
from jdsr_cli.errors import UsageError
from jdsr_cli.evaluation.comparison import compare
from jdsr_cli.evaluation.metrics.identification import Gallery, enrol
from jdsr_cli.evaluation.metrics.identity import MOVED_MARGIN, IdentityMetric
from jdsr_cli.evaluation.statistics import check_properties, wilson_interval
from jdsr_cli.faces.embedding import RecognitionNetwork
from jdsr_cli.progress import Silent
from jdsr_cli.settings import EvalSettings


def faces_of(names: dict[str, str], levels: list[int]) -> FaceSet:
    """Faces that are uniformly gray, with the names of their people by key."""
    images = np.stack([np.full((128, 128, 3), level, np.uint8) for level in levels])
    points = np.zeros((len(levels), 68, 2), np.float32)
    return FaceSet(tuple(names), images, points, identities=tuple(names.values()))


def direction(images: Tensor) -> Tensor:
    """Map gray 0 to 1 to a direction in the plane, 0 to 90 degrees."""
    angle = images.mean(dim=(1, 2, 3)) * np.pi / 2
    return torch.stack([angle.cos(), angle.sin()], 1)


def gallery_of(faces: FaceSet) -> Gallery:
    gallery = enrol(faces, direction)
    assert gallery is not None
    return gallery


NAMES = {"a0": "ann", "b0": "bob", "a1": "ann", "b1": "bob", "c0": "cay", "x": "", "a2": "ann"}
LEVELS = [10, 200, 40, 240, 110, 20, 60]


def identified(keys: list[str], levels: list[float]) -> list[float]:
    embeddings = torch.stack([torch.full((3, 2, 2), level / 255) for level in levels])
    return gallery_of(faces_of(NAMES, LEVELS)).identified(keys, direction(embeddings)).tolist()


def test_a_face_is_identified_by_the_nearest_photograph() -> None:
    assert gallery_of(faces_of(NAMES, LEVELS)).people == ("ann", "bob", "cay")
    assert identified(["a1", "a2", "b1"], [30, 55, 250]) == [1, 1, 1]
    assert identified(["a1", "a2", "b1"], [70, 100, 120]) == [0, 0, 0]  # nearest to cay, at 110


@pytest.mark.parametrize(("level", "expected"), [(30, 1), (70, 1), (100, 0)])
def test_a_photograph_of_the_gallery_is_compared_with_the_next_one(
    level: float, expected: float
) -> None:
    # `a0` is ann's first photograph, at 10; it is compared with `a1`, at 40, and with cay at 110.
    assert identified(["a0"], [level]) == [expected]
    assert identified(["a2"], [level]) == [float(level < 60)]


def test_people_without_another_photograph_or_name_are_left_out_but_distract() -> None:
    assert np.isnan(identified(["c0", "x", "absent"], [110, 20, 20])).all()
    without_cay = {key: "" if name == "cay" else name for key, name in NAMES.items()}
    gallery = gallery_of(faces_of(without_cay, LEVELS))
    grays = torch.full((1, 3, 2, 2), 100 / 255)
    assert gallery.identified(["a2"], direction(grays)).tolist() == [1]
    assert identified(["a2"], [100]) == [0]


def test_equal_cosines_identify_nobody() -> None:
    same = faces_of({"a0": "ann", "a1": "ann", "b0": "bob", "b1": "bob"}, [50, 50, 50, 50])
    grays = torch.full((2, 3, 2, 2), 50 / 255)
    assert gallery_of(same).identified(["a1", "b1"], direction(grays)).tolist() == [0, 0]


@pytest.mark.parametrize("names", [("", "", ""), ("ann", "ann", ""), None])
def test_fewer_than_two_named_people_are_no_gallery(names: tuple[str, ...] | None) -> None:
    images = np.zeros((3, 128, 128, 3), np.uint8)
    faces = FaceSet(("p", "q", "r"), images, np.zeros((3, 68, 2), np.float32), identities=names)
    assert enrol(faces, direction) is None


@pytest.mark.parametrize(("correct", "count"), [(0, 7), (7, 7), (1, 30), (211, 400)])
def test_shares_have_wilson_intervals(correct: int, count: int) -> None:
    expected = binomtest(correct, count).proportion_ci(0.95, method="wilson")
    assert wilson_interval(correct / count, count) == pytest.approx(tuple(expected), abs=1e-9)


def test_an_identity_moves_if_the_cosine_falls_by_the_margin(tmp_path: Path) -> None:
    metric = IdentityMetric(write_torchscript(tmp_path / "net.pt"))

    def at(*cosines: float) -> tuple[Tensor, ...]:
        x = torch.tensor(cosines, dtype=torch.float64)
        return (torch.stack([x, (1 - x**2).sqrt()], 1),)

    truth = at(1, 1, 1, 1)
    inputs, restored = at(0.6, 0.6, 0.6, 0.6), at(0.59, 0.61, 0.6 - MOVED_MARGIN - 0.001, -0.5)
    figures = metric.relate(["p", "q", "r", "s"], restored, truth, inputs)
    assert figures["identity_moved"].tolist() == [0, 0, 1, 1]
    assert figures["identity_input"].tolist() == pytest.approx([0.6] * 4)
    assert "rank1" not in figures


@pytest.fixture(scope="module")
def named_faces(tmp_path_factory: pytest.TempPathFactory, write_faces: Callable[..., Path]) -> Path:
    """Six faces of two people whose names are in the table."""
    folder = write_faces(tmp_path_factory.mktemp("named"), ("test-0.tar",))
    with (folder / "faces.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    with (folder / "faces.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, [*rows[0], "identity"])
        table.writeheader()
        table.writerows({**row, "identity": row["key"][:-1]} for row in rows)
    return folder


@pytest.mark.parametrize("name", RECOGNITION_NETWORKS)
def test_rank1_of_a_comparison_is_that_of_its_network(
    named_faces: Path, tmp_path: Path, template_folder: Path, face_set: FaceSet, name: str
) -> None:
    network = write_torchscript(tmp_path / "net.pt", RECOGNITION_NETWORKS[name]())
    found = compare(EvalSettings(
        named_faces, ("bicubic",), tmp_path / "out", scale=8, masks=template_folder,
        identity=network, batch=4,
    ))  # fmt: skip
    content = json.loads(found.results.read_text(encoding="utf-8"))
    (result,) = content["results"]
    figures = result["figures"]
    assert figures["rank1"] == figures["rank1_input"]  # bicubic is the enlarged input
    assert figures["identity"]["mean"] == figures["identity_input"]["mean"]
    assert figures["identity_moved"]["mean"] == 0
    low, high = wilson_interval(figures["rank1"]["mean"], 6)
    assert figures["rank1"]["interval"] == pytest.approx([low, high], abs=1e-6)
    assert "gallery of 2 people" in content["protocol"]["identity"]
    embed = RecognitionNetwork(network).embed
    pictures = torch.from_numpy(np.asarray(face_set.images)).permute(0, 3, 1, 2).float() / 255
    cosines = embed(pictures) @ embed(pictures).T
    expected = []
    for index in range(6):
        own, other = (0, 3) if index < 3 else (3, 0)
        own += index == own
        expected.append(float(cosines[index, own] > cosines[index, other]))
    with found.per_face.open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert [float(line["rank1_truth"]) for line in lines] == expected
    assert {line["identity_moved"] for line in lines} == {"0.000000"}


class Notes(Silent):
    """A progress that records notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


def test_sets_without_names_have_no_rank1_and_a_note(
    tmp_path: Path, write_faces: Callable[..., Path], template_folder: Path
) -> None:
    data, notes = write_faces(tmp_path / "faces", ("test.tar",)) / "test.tar", Notes()
    request = EvalSettings(
        data, ("bicubic",), tmp_path / "out", masks=template_folder, limit=2,
        identity=write_torchscript(tmp_path / "net.pt"),
    )  # fmt: skip
    figures = compare(request, notes).rows[0].estimates
    assert {"identity", "identity_input", "identity_moved"} <= set(figures)
    assert not {"rank1", "rank1_input", "rank1_truth"} & set(figures)
    assert any("names of at least two people" in note for note in notes.notes)
    content = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    assert "carry no names" in content["protocol"]["identity"]


def test_groups_by_width_are_those_of_each_recording(
    named_faces: Path, tmp_path: Path, template_folder: Path, tiny_weights: Callable[[int], Path]
) -> None:
    found = compare(EvalSettings(
        named_faces, ("bicubic", str(tiny_weights(64))), tmp_path / "out", degradation="camera",
        masks=template_folder, groups=("width", "lightness"),
        identity=write_torchscript(tmp_path / "net.pt"),
    ))  # fmt: skip
    with found.per_face.open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    widths = {kind: {} for kind in ("masked", "plain")}
    for line in lines:
        width = float(line["width"])
        assert 12 <= width <= 128
        assert widths[line["faces"]].setdefault(line["key"], width) == width
    content = json.loads(found.results.read_text(encoding="utf-8"))
    assert "sensor of the simulated camera" in content["protocol"]["width"]
    for kind, values in widths.items():
        groups = [
            one for one in content["groups"]
            if (one["faces"], one["by"], one["method"]) == (kind, "width", "tiny-64")
        ]  # fmt: skip
        assert [one["group"] for one in groups] == ["narrowest", "middle", "widest"]
        assert sum(one["count"] for one in groups) == 6
        limits = [end for one in groups for end in one["limits"]]
        assert limits == sorted(limits)
        assert (limits[0], limits[-1]) == (min(values.values()), max(values.values()))
        assert all("rank1" in one["figures"] for one in groups)
        assert all("difference" in one["figures"]["rank1"] for one in groups)
        assert all("difference" not in one["figures"]["rank1_input"] for one in groups)


@pytest.mark.parametrize("degradation", ["paper", "sharp"])
def test_faces_of_one_width_are_not_grouped_by_it(degradation: str) -> None:
    with pytest.raises(UsageError, match=rf"{degradation} faces are all of one width.*camera"):
        check_properties(("width",), degradation)
