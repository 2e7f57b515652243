"""Helen in its two layouts: splits, points, crops, and annotations that cannot be used."""

import csv
from pathlib import Path

import numpy as np
import pytest
from helen_folder import (
    name_of,
    placed,
    points_68,
    points_194,
    write_ibug,
    write_lists,
    write_official,
)

from jdsr_cli.datasets.cropping import map_points
from jdsr_cli.datasets.helen import five_points, is_helen, read_helen, splits_in
from jdsr_cli.datasets.preparation import open_faces, prepare
from jdsr_cli.datasets.sources import data_kind, default_split, source_digest, source_kind
from jdsr_cli.errors import DatasetError
from jdsr_cli.faces import crop, estimate_alignment
from jdsr_cli.progress import Silent


class Notes(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, message: str) -> None:
        self.lines.append(message)


def faults(folder: Path, split: str | None = None) -> dict[str, str]:
    return {one.key: one.fault for one in read_helen(folder, split) if one.fault is not None}


def test_the_lists_divide_the_official_faces(tmp_path: Path, portraits: list) -> None:
    folder = write_official(tmp_path / "helen", portraits)
    write_lists(folder, [0, 2, 3, 4], [1, 5])
    assert source_kind(folder) == "helen"
    assert splits_in(folder) == ("train", "test")
    assert default_split(folder) == "test"
    test = read_helen(folder, "test")
    assert [entry.key for entry in test] == [name_of(1), name_of(5)]
    assert test[0].path == folder / "helen_2" / f"{name_of(1)}.png"
    assert len(read_helen(folder, "train")) == 4
    for entry, index in zip(test, (1, 5), strict=True):
        assert entry.five is not None
        assert np.allclose(entry.five, placed(portraits[index])[1], atol=0.01)


def test_without_lists_the_folders_divide_the_official_faces(
    tmp_path: Path, portraits: list
) -> None:
    folder = write_official(tmp_path / "helen", portraits, ("train_1", "test", "train_2"))
    assert splits_in(folder) == ("train", "test")
    assert [entry.key for entry in read_helen(folder, "test")] == [name_of(1), name_of(4)]


def test_without_lists_and_folders_all_faces_are_one_set(tmp_path: Path, portraits: list) -> None:
    folder = write_official(tmp_path / "helen", portraits, ("pictures",))
    assert splits_in(folder) == ()
    assert default_split(folder) is None
    assert len(open_faces(folder, None, tmp_path / "cache")) == 6
    with pytest.raises(DatasetError, match=r"in the split 'test'. Put trainnames.txt and"):
        open_faces(folder, "test", tmp_path / "cache")


def test_the_folders_of_ibug_are_its_splits(tmp_path: Path, portraits: list) -> None:
    folder = write_ibug(tmp_path / "helen", portraits)
    assert source_kind(folder) == "helen"
    assert [entry.key for entry in read_helen(folder, "test")] == [name_of(i) for i in (1, 3, 5)]
    flat = write_ibug(tmp_path / "flat", portraits, (".",))
    assert splits_in(flat) == ()
    assert len(read_helen(flat, None)) == 6


def test_other_folders_are_not_taken_for_helen(tmp_path: Path, portraits: list) -> None:
    lfpw = write_ibug(tmp_path / "lfpw", portraits[:1])
    for path in (lfpw / "trainset").iterdir():
        path.rename(path.with_stem("image_0001"))
    assert not is_helen(lfpw)
    boxes = tmp_path / "boxes"
    (boxes / "annotation").mkdir(parents=True)
    (boxes / "annotation" / "1.txt").write_text("face 0.5 0.5 0.1 0.1\n", encoding="utf-8")
    assert source_kind(boxes) == "pictures"


@pytest.mark.parametrize("write", [write_official, write_ibug])
def test_faces_are_aligned_by_their_five_points(
    write: object, tmp_path: Path, portraits: list
) -> None:
    folder = write(tmp_path / "helen", portraits, ("train_1", "test"))  # type: ignore[operator]
    if write is write_ibug:
        for name, standard in (("train_1", "trainset"), ("test", "testset")):
            (folder / name).rename(folder / standard)
    faces = open_faces(folder, "test", tmp_path / "cache")
    assert faces.keys == tuple(name_of(index) for index in (1, 3, 5))
    for image, index in zip(faces.images, (1, 3, 5), strict=True):
        picture, five = placed(portraits[index])
        expected = crop(picture, estimate_alignment(five))
        assert np.abs(image.astype(int) - expected).max() <= 1


def test_masks_are_put_on_by_the_68_points_where_they_are_annotated(
    tmp_path: Path, portraits: list
) -> None:
    faces = open_faces(write_ibug(tmp_path / "helen", portraits), "test", tmp_path / "cache")
    _, five = placed(portraits[1])
    matrix = estimate_alignment(five).matrix
    expected = map_points(points_68(five), matrix)
    assert np.allclose(faces.landmarks[0], expected, atol=0.02)
    assert np.array_equal(faces.heat_points, faces.landmarks)
    official = open_faces(write_official(tmp_path / "official", portraits), None, tmp_path / "all")
    assert official.heat_points.shape == (6, 5, 2)


def test_corners_of_the_mouth_are_the_outermost_points_of_a_tilted_face() -> None:
    five = np.array([[30, 30], [70, 44], [46, 58], [28, 66], [58, 78]], np.float32)
    points = points_194(five)
    shifted = points.copy()
    shifted[70:72] = shifted[71], shifted[71] - [3, -5]  # as in some faces of Helen
    for one in (points, shifted):
        assert np.allclose(five_points(one.astype(np.float32)), five, atol=0.01)


def test_malformed_annotations_are_skipped_with_the_reason(tmp_path: Path, portraits: list) -> None:
    folder = write_official(tmp_path / "helen", portraits, ("test",))
    annotations = folder / "annotation"

    def edit(number: int, line: int, text: str | None) -> None:
        path = annotations / f"{number}.txt"
        lines = path.read_text(encoding="utf-8").splitlines()
        lines[line : line + 1] = [] if text is None else [text]
        path.write_text("\n".join(lines), encoding="utf-8")

    edit(2, 194, None)
    edit(3, 7, "12.5 , ten")
    edit(4, 7, "nan , 3")
    edit(5, 0, "portrait")
    notes = Notes()
    faces = open_faces(folder, "test", tmp_path / "cache", progress=notes)
    assert faces.keys == (name_of(0), name_of(5))
    with next((tmp_path / "cache").glob("*/skipped.csv")).open(encoding="utf-8") as file:
        rows = list(csv.reader(file))[1:]
    assert rows == [
        ["test", name_of(1), "2.txt: 193 points, not 194"],
        ["test", name_of(2), "3.txt: a line is not x and y"],
        ["test", name_of(3), "4.txt: a point lies in no picture"],
        ["test", name_of(4), "no annotation"],
        ["test", "annotation/5.txt", "its first line names no picture of Helen"],
    ]
    assert "test: 5 of 7 pictures skipped" in notes.lines[0]


def test_pictures_that_are_missing_or_doubled_are_faults(tmp_path: Path, portraits: list) -> None:
    folder = write_official(tmp_path / "helen", portraits)
    write_lists(folder, [0, 1, 2], [3, 4, 5])
    (folder / "helen_2" / f"{name_of(3)}.png").unlink()
    (folder / "train_1").mkdir()
    first = folder / "helen_1" / f"{name_of(0)}.png"
    (folder / "train_1" / first.name).write_bytes(first.read_bytes())
    again = folder / "annotation" / "9.txt"
    again.write_bytes((folder / "annotation" / "2.txt").read_bytes())
    assert faults(folder, "train") == {
        name_of(0): "2 pictures have this name",
        "annotation/9.txt": f"a second annotation of {name_of(1)}",
    }
    assert faults(folder, "test")[name_of(3)] == "its picture does not exist"
    assert len(open_faces(folder, "test", tmp_path / "cache")) == 2


def test_points_of_ibug_that_cannot_be_used_are_faults(tmp_path: Path, portraits: list) -> None:
    folder = write_ibug(tmp_path / "helen", portraits)
    few = folder / "testset" / f"{name_of(1)}.pts"
    few.write_text("version: 1\nn_points: 2\n{\n1 2\n3 4\n}\n", encoding="utf-8")
    binary = folder / "testset" / f"{name_of(3)}.pts"
    binary.write_bytes(b"\xff\xfe\x00{\x80}")
    (folder / "trainset" / few.name).write_bytes(few.read_bytes())
    assert faults(folder) == {
        name_of(1): f"{few.name}: 2 points, not 68",
        name_of(3): f"{binary.name}: a line is not x and y",
        f"testset/{few.name}": f"a second annotation of {name_of(1)}",
    }


def test_a_picture_that_cannot_be_read_is_skipped(tmp_path: Path, portraits: list) -> None:
    folder = write_ibug(tmp_path / "helen", portraits)
    (folder / "testset" / f"{name_of(1)}.png").write_bytes(b"no picture")
    assert len(open_faces(folder, "test", tmp_path / "cache")) == 2


def test_a_change_of_an_annotation_changes_the_prepared_set(
    tmp_path: Path, portraits: list
) -> None:
    folder = write_official(tmp_path / "helen", portraits)
    before = source_digest(folder)
    assert source_digest(folder) == before
    write_lists(folder, [0, 1], [2, 3, 4, 5])
    listed = source_digest(folder)
    path = folder / "annotation" / "1.txt"
    path.write_text(path.read_text(encoding="utf-8") + "\n1 , 2", encoding="utf-8")
    assert len({before, listed, source_digest(folder)}) == 3


def test_a_prepared_folder_keeps_the_kind_of_its_source(tmp_path: Path, portraits: list) -> None:
    folder = write_official(tmp_path / "helen", portraits)
    write_lists(folder, [0, 1, 2, 3], [4, 5])
    prepared = prepare(folder, tmp_path / "cache").folder
    assert data_kind(prepared) == data_kind(folder) == "helen"
    assert len(open_faces(prepared, "test", tmp_path / "other")) == 2
    (prepared / "settings.json").write_text('{"format": "jdsr prepared faces 1"}', encoding="utf-8")
    with pytest.raises(DatasetError, match="does not state the kind of its source"):
        data_kind(prepared)
