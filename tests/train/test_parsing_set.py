"""Labelled faces from archives and folders: their cache, their framing, and errors."""

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from jdsr_cli.errors import DatasetError, InputMissingError, OutputError
from jdsr_train.data.labels import PARSING_CLASSES
from jdsr_train.data.parsing_set import (
    STORED_SIZE,
    TEMPLATE_REGION,
    ParsingSamples,
    crop_matrix,
    open_parsing_set,
)

SHARED = Path(__file__).parents[3] / "shared/data/parsing/celebamask_256.tar"


def encoded(array: np.ndarray, kind: str) -> bytes:
    stream = io.BytesIO()
    options = {"lossless": True} if kind == "WEBP" else {}
    Image.fromarray(array).save(stream, format=kind, **options)
    return stream.getvalue()


def contents(train: int = 3, test: int = 2, side: int = 64) -> dict[str, bytes]:
    """Pictures whose colour follows their labels: skin with two eyes at their usual positions."""
    files = {}
    for split, count in (("train", train), ("test", test)):
        for number in range(count):
            labels = np.ones((side, side), np.uint8)
            row, left, right = (round(part * side / 256) for part in (122, 97, 159))
            labels[row - 2 : row + 3, left - 2 : left + 3] = 5
            labels[row - 2 : row + 3, right - 2 : right + 3] = 4
            labels[:5] = 13
            image = np.stack([labels * 15, 200 - labels * 10, labels * 0 + number], axis=2)
            files[f"{split}/face{number}.webp"] = encoded(image.astype(np.uint8), "WEBP")
            files[f"{split}/face{number}.png"] = encoded(labels, "PNG")
    return files


def to_folder(folder: Path, files: Mapping[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def to_tar(path: Path, files: Mapping[str, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def test_archives_and_folders_have_the_same_content(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    archive = open_parsing_set(to_tar(tmp_path / "set.tar", contents()), "test", cache)
    folder = open_parsing_set(to_folder(tmp_path / "set", contents()), "test", cache)
    assert archive.keys == folder.keys == ("test/face0", "test/face1")
    assert archive.images.shape == (2, STORED_SIZE, STORED_SIZE, 3)
    assert np.array_equal(archive.images, folder.images)
    assert np.array_equal(archive.labels, folder.labels)
    assert set(np.unique(archive.labels)) == {
        PARSING_CLASSES.index(name) for name in ("skin", "left eye", "right eye", "hair")
    }
    assert len(open_parsing_set(tmp_path / "set.tar", None, cache)) == 5


def test_a_set_without_val_uses_a_part_of_train(tmp_path: Path) -> None:
    source = to_folder(tmp_path / "set", contents(train=60))
    train = open_parsing_set(source, "train", tmp_path / "cache")
    val = open_parsing_set(source, "val", tmp_path / "cache")
    assert len(train) + len(val) == 60
    assert 1 <= len(val) <= 12
    assert not set(train.keys) & set(val.keys)
    to_folder(source, {f"val/{name[5:]}": data for name, data in contents(0, 1).items()})
    assert open_parsing_set(source, "val", tmp_path / "cache").keys == ("val/face0",)
    assert len(open_parsing_set(source, "train", tmp_path / "cache")) == 60


def test_a_set_is_read_once_until_it_changes(tmp_path: Path) -> None:
    source = to_tar(tmp_path / "set.tar", contents())
    before = open_parsing_set(source, "train", tmp_path / "cache")
    stored = next((tmp_path / "cache").glob("*.labels"))
    stored.write_bytes(bytes(len(stored.read_bytes())))
    assert not open_parsing_set(source, "train", tmp_path / "cache").labels.any()
    to_tar(source, contents(train=4))
    assert len(open_parsing_set(source, "train", tmp_path / "cache")) == len(before) + 1


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("train/face1.png", None, "train/face1.webp has no label map train/face1.png"),
        ("train/face1.webp", b"text", "train/face1 is not a readable picture"),
        ("train/face1.png", b"text", "label map of train/face1 cannot be used"),
        ("train/face1.png", encoded(np.full((64, 64), 19, np.uint8), "PNG"), "face1.*label 19"),
        ("train/face1.png", encoded(np.ones((64, 64, 3), np.uint8), "PNG"), "face1.*square 8-bit"),
        ("train/face1.webp", encoded(np.ones((60, 64, 3), np.uint8), "WEBP"), "64x60, not square"),
    ],
)
def test_errors_name_the_file(name: str, data: bytes | None, message: str, tmp_path: Path) -> None:
    files = contents()
    if data is None:
        del files[name]
    else:
        files[name] = data
    for source in (to_folder(tmp_path / "set", files), to_tar(tmp_path / "set.tar", files)):
        with pytest.raises(DatasetError, match=message):
            open_parsing_set(source, "train", tmp_path / "cache")
    assert not list(tmp_path.glob("cache/*.json"))


def test_missing_and_empty_sources_are_errors(tmp_path: Path) -> None:
    with pytest.raises(InputMissingError):
        open_parsing_set(tmp_path / "absent.tar", None, tmp_path)
    (tmp_path / "broken.tar").write_bytes(b"no archive" * 99)
    with pytest.raises(DatasetError, match="not a readable tar archive"):
        open_parsing_set(tmp_path / "broken.tar", None, tmp_path)
    source = to_folder(tmp_path / "set", contents(test=0))
    with pytest.raises(DatasetError, match="no labelled pictures of split test"):
        open_parsing_set(source, "test", tmp_path)
    (tmp_path / "occupied").write_text("a file where the folder should be")
    with pytest.raises(OutputError, match="occupied"):
        open_parsing_set(source, "train", tmp_path / "occupied" / "cache")


@pytest.fixture
def augmented(tmp_path: Path) -> ParsingSamples:
    source = to_tar(tmp_path / "set.tar", contents(train=5, side=256))
    return ParsingSamples(open_parsing_set(source, None, tmp_path / "cache"), seed=2)


def test_pairs_without_augmentation_are_framed_like_the_template(augmented: ParsingSamples) -> None:
    unaugmented = ParsingSamples(augmented.pictures, 0, augment=False)
    for number in (0, 1, 8):
        pair = unaugmented[number]
        assert pair.image.shape == (128, 128, 3)
        for part, position in (("left eye", (45.9, 65.9)), ("right eye", (81.3, 65.9))):
            rows, columns = np.nonzero(pair.labels == PARSING_CLASSES.index(part))
            # The eyes of the template; those of CelebA-HQ are a pixel further apart.
            assert columns.mean() == pytest.approx(position[0], abs=1.5)
            assert rows.mean() == pytest.approx(position[1], abs=1.5)
    assert np.array_equal(unaugmented[0].image, unaugmented[7].image)
    assert not np.array_equal(unaugmented[0].image, unaugmented[1].image)


def test_framing_rotates_scales_and_shifts_about_the_centre() -> None:
    middle, right = np.array([63.5, 63.5, 1.0]), np.array([1.0, 0.0, 0.0])
    left, top, side = (part * STORED_SIZE for part in TEMPLATE_REGION)
    centre = np.array([left, top]) + side / 2 - 0.5
    assert np.allclose(crop_matrix(30.0, 1.1) @ middle, centre)
    assert np.allclose(crop_matrix(shift=np.array([3.0, 0.0])) @ (middle + right * 3), centre)
    moved = crop_matrix(zoom=2.0) @ (middle + right * 10) - centre
    assert np.allclose(moved, [10 * side / 128 / 2, 0])
    # Clockwise: a point above the centre moves to the right of it.
    above = crop_matrix(90.0) @ (middle + right * 10) - centre
    assert np.allclose(above, [0, -10 * side / 128])


def test_labels_are_augmented_with_their_picture(augmented: ParsingSamples) -> None:
    sides, shares = [], set()
    for number in range(14):
        pair = augmented[number]
        left = np.nonzero(pair.labels == PARSING_CLASSES.index("left eye"))[1]
        right = np.nonzero(pair.labels == PARSING_CLASSES.index("right eye"))[1]
        sides.append(left.mean() < right.mean())
        shares.add(len(left))
        eyes = (pair.labels == 4) | (pair.labels == 5)
        assert pair.image[..., 0][eyes].mean() > 45  # 60 or 75 in the picture, skin has 15
        assert pair.image[..., 0][pair.labels == 1].mean() < 20
    assert all(sides)
    assert len(shares) > 3


def test_batches_depend_only_on_their_number(augmented: ParsingSamples) -> None:
    whole = list(augmented.batches(4, 0, 4, workers=0))
    (third,) = augmented.batches(4, 2, 3, workers=0)
    assert torch.equal(whole[2].images, third.images)
    assert torch.equal(whole[2].labels, third.labels)
    assert whole[0].images.dtype == whole[0].labels.dtype == torch.uint8
    ready = whole[0].unpack("cpu")
    assert ready.images.shape == (4, 3, 128, 128)
    assert ready.images.dtype == torch.float32
    assert 0 <= float(ready.images.min()) < float(ready.images.max()) <= 1
    assert ready.labels.shape == (4, 128, 128)
    assert ready.labels.dtype == torch.int64
    halves = [list(augmented.batches(2, 0, 4, 0, rank=rank, world=2)) for rank in (0, 1)]
    for step in range(4):
        joined = torch.cat([half[step].images for half in halves])
        assert torch.equal(joined, whole[step].images)


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_file(), reason="no ../shared/data")
def test_the_development_set_has_its_eyes_at_those_of_the_template(tmp_path: Path) -> None:
    unaugmented = ParsingSamples(open_parsing_set(SHARED, "test", tmp_path), 0, augment=False)
    positions = []
    for number in range(30):
        rows, columns = np.nonzero(unaugmented[number].labels == PARSING_CLASSES.index("left eye"))
        if len(rows) > 10:
            positions.append((columns.mean(), rows.mean()))
    assert np.allclose(np.mean(positions, axis=0), (45.9, 65.9), atol=2.5)
