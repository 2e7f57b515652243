"""Faces from archives and folders, their cache, and errors in a set."""

import csv
import io
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image, PngImagePlugin

from jdsr_cli.datasets import aligned
from jdsr_cli.datasets.aligned import is_in_split, load_faces
from jdsr_cli.datasets.face_set import FaceSet
from jdsr_cli.datasets.preparation import open_faces
from jdsr_cli.errors import DatasetError, InputMissingError, OutputError, UsageError
from jdsr_cli.synthesis.masks import landmarks_from_five

WriteFaces = Callable[..., Path]


class Counter:
    """Progress that counts faces."""

    def __init__(self) -> None:
        self.read = 0
        self.open: list[str] = []

    def begin(self, task: str, total: int | None) -> None:
        self.open.append(task)

    def advance(self, task: str, units: int = 1) -> None:
        self.read += units

    def end(self, task: str) -> None:
        self.open.remove(task)

    def note(self, message: str) -> None:
        raise AssertionError(message)


def test_faces_of_archives_keep_their_order(
    tmp_path: Path, write_faces: WriteFaces, portraits: list
) -> None:
    folder = write_faces(tmp_path / "data")
    faces = load_faces(folder, "train", tmp_path / "cache")
    assert len(faces) == 6
    assert faces.keys == tuple(face.key for face in portraits)
    for index, face in enumerate(portraits):
        assert np.array_equal(faces.images[index], face.image)
        assert np.allclose(faces.landmarks[index], landmarks_from_five(face.five), atol=1e-3)
    assert faces.images.dtype == np.uint8
    assert faces.landmarks.dtype == np.float32
    assert not faces.images.flags.writeable


def test_a_split_is_a_prefix_of_archives(tmp_path: Path, write_faces: WriteFaces) -> None:
    folder = write_faces(tmp_path / "data", ("train-0.tar", "train-1.tar", "val-0.tar"))
    assert len(load_faces(folder, "train", tmp_path / "cache")) == 12
    assert len(load_faces(folder, "val", tmp_path / "cache")) == 6
    assert len(load_faces(folder, None, tmp_path / "cache")) == 18
    assert len(load_faces(folder / "val-0.tar", None, tmp_path / "cache")) == 6
    with pytest.raises(DatasetError, match=r"no faces found.*test\*\.tar"):
        load_faces(folder, "test", tmp_path / "cache")


def test_picture_files_are_faces_too(
    tmp_path: Path, write_faces: WriteFaces, portraits: list
) -> None:
    folder = write_faces(tmp_path / "data", ())
    faces = load_faces(folder, None, tmp_path / "cache")
    assert faces.keys == tuple(sorted(face.key for face in portraits))
    assert np.array_equal(faces.images[0], portraits[0].image)


def test_picture_files_are_split_by_name(
    tmp_path: Path, write_faces: WriteFaces, portraits: list
) -> None:
    folder = write_faces(tmp_path / "data", ())
    whole = load_faces(folder, None, tmp_path / "cache")
    training = load_faces(folder, "train", tmp_path / "cache")
    assert set(training.keys) <= set(whole.keys)
    with pytest.raises(DatasetError):
        load_faces(folder, "test", tmp_path / "cache")
    names = [tmp_path / f"face{number}.png" for number in range(400)]
    held_out = [name for name in names if is_in_split(name, "val")]
    assert 5 <= len(held_out) <= 40
    assert all(is_in_split(name, "train") != is_in_split(name, "val") for name in names)


def test_dense_landmarks_take_precedence_over_five_points(
    tmp_path: Path, write_faces: WriteFaces, portraits: list
) -> None:
    folder = write_faces(tmp_path / "data", ())
    points = np.random.default_rng(0).uniform(0, 127, (6, 68, 2))
    np.savez(folder / "landmarks68.npz", key=[face.key for face in portraits], points=points)
    faces = load_faces(folder, None, tmp_path / "cache")
    assert np.allclose(faces.landmarks, points, atol=1e-4)


def test_pictures_are_decoded_once(tmp_path: Path, write_faces: WriteFaces) -> None:
    folder, cache = write_faces(tmp_path / "data"), tmp_path / "cache"
    first, second, third = Counter(), Counter(), Counter()
    before = load_faces(folder, "train", cache, first)
    after = load_faces(folder, "train", cache, second)
    assert (first.read, second.read) == (6, 0)
    assert first.open == second.open == []
    assert after.keys == before.keys
    assert np.array_equal(after.images, before.images)
    assert np.array_equal(after.landmarks, before.landmarks)
    (folder / "train-0.tar").write_bytes((folder / "train-0.tar").read_bytes() + bytes(512))
    load_faces(folder, "train", cache, third)
    assert third.read == 6
    assert not list(cache.glob("*.part"))


def test_new_landmarks_are_not_hidden_by_the_cache(
    tmp_path: Path, write_faces: WriteFaces, portraits: list
) -> None:
    folder, cache = write_faces(tmp_path / "data"), tmp_path / "cache"
    load_faces(folder, "train", cache)
    points = np.random.default_rng(0).uniform(0, 127, (6, 68, 2))
    np.savez(folder / "landmarks68.npz", key=[face.key for face in portraits], points=points)
    assert np.allclose(load_faces(folder, "train", cache).landmarks, points, atol=1e-4)


def test_pictures_of_another_size_are_refused(tmp_path: Path, write_faces: WriteFaces) -> None:
    folder = write_faces(tmp_path / "data", ())
    Image.new("RGB", (120, 128)).save(folder / "hopper1.png")
    with pytest.raises(DatasetError, match="hopper1 is 120x128, not 128x128") as caught:
        load_faces(folder, None, tmp_path / "cache")
    assert "crop-faces" in str(caught.value)
    assert not list((tmp_path / "cache").iterdir())  # no partial cache remains
    write_faces(folder, ())
    assert len(load_faces(folder, None, tmp_path / "cache")) == 6


def test_grey_pictures_become_three_channels(
    tmp_path: Path, write_faces: WriteFaces, portraits: list
) -> None:
    folder = write_faces(tmp_path / "data", ())
    Image.fromarray(portraits[0].image).convert("L").save(folder / "astronaut0.png")
    faces = load_faces(folder, None, tmp_path / "cache")
    assert (faces.images[0] == faces.images[0][..., :1]).all()


def test_a_picture_of_another_size_or_kind_is_not_decoded(
    tmp_path: Path, write_faces: WriteFaces, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("it was decoded")

    folder = write_faces(tmp_path / "data", ())
    Image.new("RGB", (9000, 9000)).save(folder / "hopper1.png")
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load_prepare", fail)
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", fail)
    with pytest.raises(DatasetError, match="hopper1 is 9000x9000, not 128x128"):
        aligned._decode("hopper1", (folder / "hopper1.png").read_bytes(), folder)
    Image.new("RGB", (128, 128)).save(folder / "hopper1.png", format="EPS")
    with pytest.raises(DatasetError, match="hopper1 is not a readable picture"):
        aligned._decode("hopper1", (folder / "hopper1.png").read_bytes(), folder)


def test_a_damaged_picture_is_an_error(tmp_path: Path, write_faces: WriteFaces) -> None:
    folder = write_faces(tmp_path / "data", ())
    whole = (folder / "hopper2.png").read_bytes()
    for broken in (b"", b"text", whole[: len(whole) // 2]):
        (folder / "hopper2.png").write_bytes(broken)
        with pytest.raises(DatasetError, match="hopper2 is not a readable picture"):
            load_faces(folder, None, tmp_path / "cache")


def test_a_face_without_landmarks_is_an_error(tmp_path: Path, write_faces: WriteFaces) -> None:
    folder = write_faces(tmp_path / "data", ())
    Image.new("RGB", (128, 128)).save(folder / "unknown.png")
    with pytest.raises(DatasetError, match=r"no landmarks for unknown.*faces\.csv"):
        load_faces(folder, None, tmp_path / "cache")
    (folder / "faces.csv").unlink()
    with pytest.raises(DatasetError, match=r"no landmarks\. Put landmarks68\.npz or faces\.csv"):
        load_faces(folder, None, tmp_path / "cache")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("faces.csv", b"key,leye_x\nastronaut0,3\n"),
        ("faces.csv", b"\xff\xfe\xff"),
        ("faces.csv", b"SHORT ROW"),
        ("faces.csv", b"A WORD"),
        ("landmarks68.npz", b""),
        ("landmarks68.npz", b"not an archive"),
        ("landmarks68.npz", b"PK\x03\x04 cut off"),
        ("landmarks68.npz", b"NO POINTS"),
    ],
)
def test_broken_landmarks_are_a_dataset_error(
    name: str, content: bytes, tmp_path: Path, write_faces: WriteFaces
) -> None:
    folder = write_faces(tmp_path / "data", ())
    path = folder / name
    if content in (b"SHORT ROW", b"A WORD"):
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
        rows[1] = rows[1][:-1] if content == b"SHORT ROW" else [*rows[1][:-1], "left"]
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows)
    elif content == b"NO POINTS":
        np.savez(path, key=np.array(["astronaut0"]))
    else:
        path.write_bytes(content)
    with pytest.raises(DatasetError, match="landmarks cannot be read"):
        load_faces(folder, None, tmp_path / "cache")


def test_missing_empty_and_damaged_sources_are_errors(
    tmp_path: Path, write_faces: WriteFaces
) -> None:
    cache = tmp_path / "cache"
    with pytest.raises(InputMissingError, match="absent: no such file"):
        load_faces(tmp_path / "absent", None, cache)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="no faces found"):
        load_faces(tmp_path / "empty", None, cache)
    folder = write_faces(tmp_path / "data")
    whole = (folder / "train-0.tar").read_bytes()
    for broken in (b"no archive" * 200, whole[: len(whole) // 2]):
        (folder / "train-0.tar").write_bytes(broken)
        with pytest.raises(DatasetError):
            load_faces(folder, "train", cache)
    with tarfile.open(folder / "train-0.tar", "w") as tar:
        member = tarfile.TarInfo("notes.txt")
        member.size = 2
        tar.addfile(member, io.BytesIO(b"no"))
    with pytest.raises(DatasetError, match="no faces found"):
        load_faces(folder, "train", cache)


def test_a_cache_that_cannot_be_created_is_an_output_error(
    tmp_path: Path, write_faces: WriteFaces
) -> None:
    (tmp_path / "occupied").write_text("a file where the folder should be")
    with pytest.raises(OutputError, match="occupied"):
        load_faces(write_faces(tmp_path / "data"), "train", tmp_path / "occupied" / "cache")


def test_heat_maps_are_of_dense_landmarks_where_available_else_of_five_points(
    tmp_path: Path, write_faces: WriteFaces, portraits: list
) -> None:
    folder, cache = write_faces(tmp_path / "data"), tmp_path / "cache"
    sparse = load_faces(folder, "train", cache)
    assert np.allclose(sparse.heat_points, [face.five for face in portraits], atol=1e-3)
    points = np.random.default_rng(0).uniform(0, 127, (6, 68, 2))
    np.savez(folder / "landmarks68.npz", key=[face.key for face in portraits], points=points)
    dense = load_faces(folder, "train", cache)
    assert np.array_equal(dense.heat_points, dense.landmarks)
    assert dense.heat_points.dtype == np.float32


def test_identities_are_read_from_the_table_where_present(
    tmp_path: Path, write_faces: WriteFaces
) -> None:
    folder, cache = write_faces(tmp_path / "data"), tmp_path / "cache"
    nameless = load_faces(folder, "train", cache)
    assert nameless.identities is None
    assert nameless.people == ()
    assert nameless.person_of is None
    with (folder / "faces.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    names = ["identity", "eileen", "eileen", "", "grace", "grace", "grace"]
    with (folder / "faces.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([*row, name] for row, name in zip(rows, names, strict=True))
    for _ in range(2):  # from the archive, then from the cache
        named = load_faces(folder, "train", cache)
        assert named.identities == tuple(names[1:])
        assert named.people == ("eileen", "grace")
        assert named.person_of is not None
        assert named.person_of.tolist() == [0, 0, -1, 1, 1, 1]


def test_a_set_in_memory_has_heat_maps_of_its_landmarks(face_set: FaceSet) -> None:
    assert face_set.heat_points is face_set.landmarks
    assert face_set.identities is None
    assert face_set.parsing is None


def test_invalid_dense_landmarks_are_errors(
    tmp_path: Path, write_faces: WriteFaces, portraits: list
) -> None:
    folder = write_faces(tmp_path / "data", ())
    keys = [face.key for face in portraits]
    points = np.full((6, 68, 2), 40.0)
    points[2] = np.nan
    for invalid, fault in (
        (points, f"the points of {keys[2]} are not all finite"),
        (points[:, :20], "not .N, 68, 2."),
        (points[:3], "for 6 keys"),
    ):
        np.savez(folder / "landmarks68.npz", key=keys, points=invalid)
        with pytest.raises(DatasetError, match=rf"landmarks68\.npz: .*{fault}"):
            load_faces(folder, None, tmp_path / "cache")
    (folder / "landmarks68.npz").write_bytes(b"junk")
    with pytest.raises(DatasetError, match="not a zip file"):
        load_faces(folder, None, tmp_path / "cache")


def test_a_single_archive_has_one_split(tmp_path: Path, write_faces: WriteFaces) -> None:
    folder = write_faces(tmp_path / "data", ("train-0.tar", "faces.tar"))
    assert len(load_faces(folder / "train-0.tar", "train", tmp_path / "cache")) == 6
    assert len(load_faces(folder / "faces.tar", "test", tmp_path / "cache")) == 6
    for name, split in (("train-0.tar", "val"), ("train-0.tar", "test"), ("faces.tar", "val")):
        with pytest.raises(DatasetError, match=rf"{name}: .* not '{split}'"):
            load_faces(folder / name, split, tmp_path / "cache")


def test_an_unknown_split_is_an_error(tmp_path: Path, write_faces: WriteFaces) -> None:
    folder = write_faces(tmp_path / "data")
    with pytest.raises(UsageError, match="unknown split 'trian'"):
        open_faces(folder, "trian", tmp_path / "cache")
    assert len(open_faces(folder, "all", tmp_path / "cache")) == 12


def test_a_damaged_archive_is_a_one_line_error(tmp_path: Path, write_faces: WriteFaces) -> None:
    folder = write_faces(tmp_path / "data")
    (folder / "train-0.tar").write_bytes(b"junk" * 999)
    with pytest.raises(DatasetError, match="not a readable tar archive") as caught:
        load_faces(folder, "train", tmp_path / "cache")
    assert "\n" not in str(caught.value)


def test_a_picture_with_a_huge_stated_size_is_an_error(
    tmp_path: Path, write_faces: WriteFaces
) -> None:
    folder = write_faces(tmp_path / "data", ())
    path = sorted(folder.glob("*.png"))[0]
    data = bytearray(path.read_bytes())
    data[16:24] = (60000).to_bytes(4, "big") * 2  # width and height in the header
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    path.write_bytes(data)
    with pytest.raises(DatasetError, match=f"{path.stem} is not a readable picture"):
        load_faces(folder, None, tmp_path / "cache")
