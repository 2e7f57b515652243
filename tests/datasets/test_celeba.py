"""The official CelebA folder: its lists are read, and errors state file and line."""

from pathlib import Path

import numpy as np
import pytest
from celeba_folder import write_celeba

from jdsr_cli.datasets.celeba import is_celeba, read_celeba, splits_in
from jdsr_cli.errors import DatasetError

PARTITION = "list_eval_partition.txt"
LANDMARKS = "list_landmarks_align_celeba.txt"
WILD_LANDMARKS = "list_landmarks_celeba.txt"
BOXES = "list_bbox_celeba.txt"
IDENTITIES = "identity_CelebA.txt"


def edit(path: Path, line: int, text: str | None) -> None:
    """Replace a line, counted from 1; None deletes it."""
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[line - 1 : line] = [] if text is None else [text]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_splits_points_and_people_are_read(tmp_path: Path, portraits: list) -> None:
    folder = write_celeba(tmp_path / "celeba", portraits)
    assert is_celeba(folder)
    assert not is_celeba(tmp_path)
    assert splits_in(folder) == ("train", "val", "test")
    sets = {split: read_celeba(folder, split) for split in ("train", "val", "test")}
    assert [len(entries) for entries in sets.values()] == [3, 1, 2]
    assert [entry.key for entry in read_celeba(folder, None)] == [f"{n:06d}" for n in range(1, 7)]
    first, last = sets["train"][0], sets["test"][1]
    assert first.path == folder / "img_align_celeba" / "000001.png"
    assert (first.identity, last.identity) == ("7", "8")
    assert first.five is not None
    assert np.allclose(first.five, (portraits[0].five + 0.5) * 138 / 128 + (19.5, 39.5), atol=0.01)
    assert first.box is None  # boxes are those of the in-the-wild pictures


def test_a_split_may_be_absent(tmp_path: Path, portraits: list) -> None:
    folder = write_celeba(tmp_path / "celeba", portraits)
    edit(folder / PARTITION, 4, "000004.png 0")
    assert splits_in(folder) == ("train", "test")
    assert read_celeba(folder, "val") == ()


def test_identities_are_optional(tmp_path: Path, portraits: list) -> None:
    folder = write_celeba(tmp_path / "celeba", portraits)
    (folder / IDENTITIES).unlink()
    assert {entry.identity for entry in read_celeba(folder, None)} == {None}


def test_in_the_wild_pictures_have_points_and_boxes(tmp_path: Path, portraits: list) -> None:
    folder = write_celeba(tmp_path / "celeba", portraits, wild=True)
    edit(folder / BOXES, 4, "000002.png 0 0 0 0")  # as for 101283.jpg
    first, second = read_celeba(folder, "train")[:2]
    assert first.path.parent.name == "img_celeba"
    assert first.box == (60, 50, 170, 190)
    assert second.box is None
    assert first.five is not None
    (folder / WILD_LANDMARKS).unlink()
    without = read_celeba(folder, "train")[0]
    assert without.five is None
    assert without.box == first.box
    (folder / BOXES).unlink()
    with pytest.raises(DatasetError, match=r"list_landmarks_celeba\.txt: the list is missing"):
        read_celeba(folder, "train")


@pytest.mark.parametrize(
    ("name", "line", "text", "message"),
    [
        (PARTITION, 2, "000002.png 3", "'000002.png 3' is not a picture and 0, 1 or 2"),
        (PARTITION, 2, "000002.png", "is not a picture and 0, 1 or 2"),
        (PARTITION, 2, "000001.png 0", "000001.png is listed twice"),
        (PARTITION, 3, "000009.png 0", "the picture .*000009.png does not exist"),
        (IDENTITIES, 5, "000005.png x", "is not a picture and a person's number"),
        (LANDMARKS, 1, "six", "'six' is not the number of pictures"),
        (LANDMARKS, 1, "7", "states 7 pictures, 6 are listed"),
        (LANDMARKS, 4, "000002.png 1 2 3", "is not a picture and 10 numbers"),
        (LANDMARKS, 4, "000002.png 1 2 3 4 5 6 7 8 9 nan", "is not a picture and 10 numbers"),
        (LANDMARKS, 4, "000002.png 1 2 3 4 5 6 7 8 9 ten", "is not a picture and 10 numbers"),
    ],
)
def test_a_malformed_line_is_an_error_with_file_and_number(
    name: str, line: int, text: str, message: str, tmp_path: Path, portraits: list
) -> None:
    folder = write_celeba(tmp_path / "celeba", portraits)
    edit(folder / name, line, text)
    with pytest.raises(DatasetError, match=message) as caught:
        read_celeba(folder, "train")
    assert f"{folder / name} line {line}" in str(caught.value)


def test_a_malformed_box_is_an_error_with_file_and_number(tmp_path: Path, portraits: list) -> None:
    folder = write_celeba(tmp_path / "celeba", portraits, wild=True)
    edit(folder / BOXES, 3, "000001.png 60 50 110")
    with pytest.raises(DatasetError, match=r"list_bbox_celeba\.txt line 3: .* 4 numbers"):
        read_celeba(folder, "train")


@pytest.mark.parametrize("name", [LANDMARKS, IDENTITIES])
def test_a_picture_missing_from_a_list_is_an_error(
    name: str, tmp_path: Path, portraits: list
) -> None:
    folder = write_celeba(tmp_path / "celeba", portraits)
    text = (folder / name).read_text(encoding="utf-8")
    (folder / name).write_text(text.replace("000003.png", "000033.png"), encoding="utf-8")
    with pytest.raises(DatasetError, match=rf"line 3: 000003.png is not listed in {name}"):
        read_celeba(folder, "train")
    assert len(read_celeba(folder, "test")) == 2


def test_missing_lists_and_pictures_are_errors(tmp_path: Path, portraits: list) -> None:
    folder = write_celeba(tmp_path / "celeba", portraits)
    (folder / "img_align_celeba" / "000002.png").unlink()
    with pytest.raises(DatasetError, match=r"list_eval_partition\.txt line 2: the picture"):
        read_celeba(folder, "train")
    assert len(read_celeba(folder, "val")) == 1
    (folder / LANDMARKS).unlink()
    with pytest.raises(DatasetError, match=r"align_celeba\.txt: the list is missing"):
        read_celeba(folder, "val")
    (folder / PARTITION).write_bytes(b"\xff\xfe\xff")
    with pytest.raises(DatasetError, match=r"list_eval_partition\.txt: the list cannot be read"):
        splits_in(folder)


def test_the_error_for_a_folder_without_pictures_names_the_archive(
    tmp_path: Path, portraits: list
) -> None:
    folder = write_celeba(tmp_path / "celeba", portraits)
    (folder / "img_align_celeba").rename(folder / "pictures")
    with pytest.raises(DatasetError, match=r"cannot be listed.*img_align_celeba\.zip"):
        read_celeba(folder, "train")


def test_lists_may_start_with_a_byte_order_mark(tmp_path: Path, portraits: list) -> None:
    folder = write_celeba(tmp_path / "celeba", portraits)
    for name in (PARTITION, LANDMARKS):
        text = (folder / name).read_text(encoding="utf-8")
        (folder / name).write_text(text, encoding="utf-8-sig", newline="\r\n")
    assert len(read_celeba(folder, "train")) == 3


def test_a_list_without_a_count_is_an_error(tmp_path: Path, portraits: list) -> None:
    folder = write_celeba(tmp_path / "celeba", portraits)
    edit(folder / LANDMARKS, 1, "²")
    with pytest.raises(DatasetError, match=r"txt line 1: '²' is not the number of pictures"):
        read_celeba(folder, "train")
    (folder / LANDMARKS).write_text("", encoding="utf-8")
    with pytest.raises(DatasetError, match="the list is empty"):
        read_celeba(folder, "train")
