"""Preparing faces: crops, resuming, workers, skipped pictures, and opening a set."""

import csv
import json
import pickle
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from celeba_folder import embedded, write_celeba
from network_files import write_points_onnx
from PIL import Image

from jdsr_cli.datasets import shards
from jdsr_cli.datasets.aligned import load_faces
from jdsr_cli.datasets.cropping import PrepareSettings, overlap
from jdsr_cli.datasets.preparation import PreparedSets, open_faces, prepare
from jdsr_cli.datasets.shards import ShardBuilder, ShardTask
from jdsr_cli.errors import DatasetError, InputMissingError, OutputError, UsageError
from jdsr_cli.synthesis.masks import landmarks_from_five

WriteFaces = Callable[..., Path]


class RecordingProgress:
    """Progress that records its calls."""

    def __init__(self) -> None:
        self.done: dict[str, int] = {}
        self.notes: list[str] = []
        self.open: list[str] = []

    def begin(self, task: str, total: int | None) -> None:
        self.open.append(task)

    def advance(self, task: str, units: int = 1) -> None:
        assert task in self.open
        self.done[task] = self.done.get(task, 0) + units

    def end(self, task: str) -> None:
        self.open.remove(task)

    def note(self, message: str) -> None:
        self.notes.append(message)


@pytest.fixture
def celeba(tmp_path: Path, portraits: list) -> Path:
    return write_celeba(tmp_path / "celeba", portraits)


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_module("jdsr_cli.datasets.preparation"), "SHARD_SIZE", 2)


def contents(prepared: PreparedSets) -> dict[str, bytes]:
    paths = sorted(path for path in prepared.folder.iterdir() if path.is_file())
    return {path.name: path.read_bytes() for path in paths}


@pytest.mark.parametrize(
    ("crop", "window"), [("138", (20, 40, 138)), ("138-left", (30, 40, 138)), ("178", (0, 20, 178))]
)
def test_windows_of_celeba_are_cropped_and_reduced_as_by_pil(
    crop: str, window: tuple[int, int, int], celeba: Path, tmp_path: Path, portraits: list
) -> None:
    progress = RecordingProgress()
    faces = open_faces(celeba, "train", tmp_path / "cache", PrepareSettings(crop=crop), progress)
    assert faces.keys == ("000001", "000002", "000003")
    assert faces.identities == ("7", "7", "7")
    assert faces.parsing is None
    assert progress.done == {"preparing train": 3}
    left, top, side = window
    for index, face in enumerate(portraits[:3]):
        picture, five = embedded(face)
        part = Image.fromarray(picture).crop((left, top, left + side, top + side))
        expected = part.resize((128, 128), Image.Resampling.BICUBIC)
        assert np.array_equal(faces.images[index], np.asarray(expected))
        inside = (five - [left, top] + 0.5) * (128 / side) - 0.5
        assert np.allclose(faces.heat_points[index], inside, atol=0.02)
        assert np.allclose(faces.landmarks[index], landmarks_from_five(inside), atol=0.1)


def test_aligned_crops_have_their_eyes_at_those_of_the_template(
    celeba: Path, tmp_path: Path
) -> None:
    settings = PrepareSettings(crop="aligned")
    faces = open_faces(celeba, "test", tmp_path / "cache", settings)
    assert np.allclose(faces.heat_points.mean(axis=1), (63.5, 85.0), atol=4)
    eyes = faces.heat_points[:, :2]
    assert np.allclose(eyes, [[45.9, 65.9], [81.3, 65.9]], atol=4)


def test_in_the_wild_pictures_are_aligned_in_the_same_window(
    tmp_path: Path, portraits: list
) -> None:
    aligned = write_celeba(tmp_path / "aligned", portraits)
    wild = write_celeba(tmp_path / "wild", portraits, wild=True)
    for crop in ("aligned", "178"):
        settings = PrepareSettings(crop=crop)
        one = open_faces(wild, "train", tmp_path / "cache", settings)
        middle = np.linalg.norm(one.heat_points[:, 1] - one.heat_points[:, 0], axis=1)
        assert middle == pytest.approx(35.4 * (138 / 178 if crop == "178" else 1), rel=0.12)
        if crop == "aligned":
            other = open_faces(aligned, "train", tmp_path / "cache", settings)
            assert np.allclose(one.heat_points, other.heat_points, atol=0.05)
            gap = np.abs(one.images[:, 20:].astype(int) - other.images[:, 20:])
            assert gap.mean() < 1


def test_all_splits_are_prepared_once(celeba: Path, tmp_path: Path) -> None:
    progress = RecordingProgress()
    prepared = prepare(celeba, tmp_path / "out", progress=progress)
    assert dict(prepared.counts) == {"train": 3, "val": 1, "test": 2}
    assert prepared.skipped == 0
    assert prepared.folder.parent == tmp_path / "out"
    described = json.loads((prepared.folder / "settings.json").read_text(encoding="utf-8"))
    assert described["hash"] == prepared.folder.name
    assert (described["crop"], described["landmarks"]) == ("138", "five")
    assert not list(prepared.folder.glob("*.shards"))
    again = RecordingProgress()
    assert prepare(celeba, tmp_path / "out", progress=again) == prepared
    assert again.done == {}
    # The folder itself is a source of every split, without further preparation.
    for source in (prepared.folder, tmp_path / "out"):
        assert open_faces(source, "val", tmp_path / "none").keys == ("000004",)
        assert load_faces(source, "test", tmp_path / "none").keys == ("000005", "000006")
    assert not (tmp_path / "none").exists()
    with pytest.raises(DatasetError, match=r"no prepared set 'all'.*There are: test, train, val"):
        open_faces(prepared.folder, None, tmp_path / "none")


def test_a_source_may_contain_its_own_cache(celeba: Path) -> None:
    one = open_faces(celeba, "val", celeba)
    other = open_faces(celeba, "val", celeba, PrepareSettings(crop="178"))
    assert not np.array_equal(one.images, other.images)


def test_all_faces_are_a_set_too(celeba: Path, tmp_path: Path) -> None:
    faces = open_faces(celeba, None, tmp_path / "cache")
    assert faces.keys == tuple(f"{number:06d}" for number in range(1, 7))
    assert faces.people == ("7", "8")
    assert faces.person_of is not None
    assert faces.person_of.tolist() == [0, 0, 0, 1, 1, 1]


@pytest.mark.usefixtures("small_shards")
def test_other_settings_or_data_have_another_folder(celeba: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = prepare(celeba, out, splits=("val",))
    assert prepare(celeba, out, PrepareSettings(workers=1), splits=("val",)) == first
    assert prepare(celeba, out, PrepareSettings(crop="178"), splits=("val",)) != first
    with pytest.raises(DatasetError, match="2 sets prepared with different settings"):
        load_faces(out, "val", tmp_path / "cache")
    identities = celeba / "identity_CelebA.txt"
    identities.write_text(identities.read_text(encoding="utf-8").replace(" 8", " 9"))
    changed = prepare(celeba, out, splits=("val",))
    assert changed.folder != first.folder
    assert load_faces(changed.folder, "val", out).identities == ("9",)


@pytest.mark.usefixtures("small_shards")
def test_an_interrupted_run_resumes(
    celeba: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = prepare(celeba, tmp_path / "whole", splits=("all",))
    started: list[str] = []
    original = ShardBuilder.build

    def make(self: ShardBuilder, task: ShardTask, advance: Callable[[], None]) -> None:
        if len(started) == 1:
            started.append("killed")
            raise KeyboardInterrupt
        started.append(task.path.stem)
        original(self, task, advance)

    monkeypatch.setattr(ShardBuilder, "build", make)
    progress = RecordingProgress()
    with pytest.raises(KeyboardInterrupt):
        prepare(celeba, tmp_path / "out", progress=progress, splits=("all",))
    assert progress.open == []
    with pytest.raises(DatasetError, match="no prepared set 'all'"):
        load_faces(tmp_path / "out", None, tmp_path)
    progress = RecordingProgress()
    resumed = prepare(celeba, tmp_path / "out", progress=progress, splits=("all",))
    assert started == ["00000", "killed", "00001", "00002"]
    assert progress.done == {"preparing all": 6}
    assert contents(resumed) == contents(whole)


@pytest.mark.usefixtures("small_shards")
def test_workers_prepare_the_same_set(celeba: Path, tmp_path: Path) -> None:
    alone = prepare(celeba, tmp_path / "alone", splits=("all",))
    picture = celeba / "img_align_celeba" / "000006.png"
    whole, settings = picture.read_bytes(), PrepareSettings(workers=2)
    Image.new("RGB", (30, 30)).save(picture)
    # An error of a worker is raised unchanged, and finished shards are kept.
    with pytest.raises(DatasetError, match=r"000006\.png: 30x30, not 178x218"):
        prepare(celeba, tmp_path / "shared", settings, splits=("all",))
    finished = list((tmp_path / "shared").rglob("*.npz"))
    assert len(finished) == 2
    picture.write_bytes(whole)
    progress = RecordingProgress()
    shared = prepare(celeba, tmp_path / "shared", settings, progress, splits=("all",))
    assert progress.done == {"preparing all": 6}
    assert contents(shared) == contents(alone)


def test_errors_can_be_pickled() -> None:
    error = DatasetError("broken", where="here", hint="repair it")
    copy = pickle.loads(pickle.dumps(error))
    assert isinstance(copy, DatasetError)
    assert str(copy) == str(error)
    assert (copy.what, copy.where, copy.hint) == ("broken", "here", "repair it")


def test_a_damaged_celeba_picture_is_an_error_and_not_skipped(celeba: Path, tmp_path: Path) -> None:
    path = celeba / "img_align_celeba" / "000002.png"
    path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(DatasetError, match=r"000002\.png: the picture is cut off or damaged"):
        open_faces(celeba, "train", tmp_path / "cache")
    assert len(open_faces(celeba, "test", tmp_path / "cache")) == 2


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A face, the same face small, a picture without a face, and a text file."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    portrait = Image.fromarray(skimage.data.astronaut()[:300, 60:400])
    portrait.save(folder / "astronaut.png")
    portrait.resize((113, 100)).save(folder / "distant.png")
    Image.new("RGB", (150, 120), "grey").save(folder / "wall.jpg")
    (folder / "notes.jpg").write_text("no picture")
    (folder / "readme.txt").write_text("not a picture")
    return folder


def test_faces_of_pictures_are_detected_and_aligned(pictures: Path, tmp_path: Path) -> None:
    progress = RecordingProgress()
    faces = open_faces(pictures, "test", tmp_path / "cache", progress=progress)
    assert faces.keys == ("astronaut",)
    assert faces.identities is None
    assert np.allclose(faces.heat_points[0][:2], [[45.9, 65.9], [81.3, 65.9]], atol=5)
    assert "all its 4 pictures are the test set" in progress.notes[0]
    assert "test: 3 of 4 pictures skipped" in progress.notes[1]
    (listed,) = (tmp_path / "cache").glob("*/skipped.csv")
    with listed.open(newline="", encoding="utf-8") as file:
        reasons = {row["key"]: row["reason"] for row in csv.DictReader(file)}
    assert set(reasons) == {"distant", "wall", "notes"}
    assert reasons["wall"] == "no face detected"
    assert "px wide, below 64" in reasons["distant"]
    assert "picture" in reasons["notes"]
    settings = PrepareSettings(least_width=0)
    assert open_faces(pictures, "test", tmp_path / "cache", settings).keys == (
        "astronaut",
        "distant",
    )


def test_a_folder_without_usable_faces_is_an_error(pictures: Path, tmp_path: Path) -> None:
    (pictures / "astronaut.png").unlink()
    with pytest.raises(DatasetError, match=r"skipped\.csv: none of 3 pictures"):
        open_faces(pictures, "test", tmp_path / "cache")


def test_pictures_are_split_by_folders_or_by_name(pictures: Path, tmp_path: Path) -> None:
    progress = RecordingProgress()
    prepared = prepare(pictures, tmp_path / "by name", progress=progress)
    assert set(prepared.counts) == {"train"}
    assert not any("test set" in note for note in progress.notes)
    (pictures / "test").mkdir()
    (pictures / "astronaut.png").rename(pictures / "test" / "astronaut.png")
    prepared = prepare(pictures, tmp_path / "by folder")
    assert dict(prepared.counts) == {"test": 1}
    with pytest.raises(DatasetError, match="the split 'train' has no pictures"):
        open_faces(pictures, "train", tmp_path / "cache")


def test_pictures_of_the_same_name_are_an_error(pictures: Path, tmp_path: Path) -> None:
    Image.new("RGB", (9, 9)).save(pictures / "wall.png")
    with pytest.raises(DatasetError, match=r"wall\.jpg and wall\.png have the same name"):
        open_faces(pictures, "test", tmp_path / "cache")


def test_a_box_selects_the_face(tmp_path: Path, portraits: list) -> None:
    folder = write_celeba(tmp_path / "celeba", portraits[:3] * 2, wild=True)
    (folder / "list_landmarks_celeba.txt").unlink()
    picture = np.zeros((300, 420, 3), np.uint8)
    picture[:, 40:380] = skimage.data.astronaut()[:300, 60:400]
    boxes = ["6", "image_id x_1 y_1 width height"]
    for number in range(1, 7):
        Image.fromarray(picture).save(folder / "img_celeba" / f"{number:06d}.png")
        boxes.append(f"{number:06d}.png 170 40 85 120")
    (folder / "list_bbox_celeba.txt").write_text("\n".join(boxes), encoding="utf-8")
    faces = open_faces(folder, "val", tmp_path / "cache")
    assert np.allclose(faces.heat_points[0][:2], [[45.9, 65.9], [81.3, 65.9]], atol=5)
    boxes[5] = "000004.png 300 200 60 60"
    (folder / "list_bbox_celeba.txt").write_text("\n".join(boxes), encoding="utf-8")
    with pytest.raises(DatasetError, match=r"skipped\.csv: none of 1 pictures"):
        open_faces(folder, "val", tmp_path / "cache")
    lists = [path.read_text(encoding="utf-8") for path in tmp_path.glob("cache/*/skipped.csv")]
    assert any("val,000004,no face detected in its box" in text for text in lists)
    settings = PrepareSettings(least_width=500)
    with pytest.raises(DatasetError, match=r"none of 3 pictures"):  # wide faces are required
        open_faces(folder, "train", tmp_path / "cache", settings)
    assert len(open_faces(folder, "train", tmp_path / "cache")) == 3
    assert overlap((0, 0, 2, 2), (1, 1, 3, 3)) == pytest.approx(1 / 7)
    assert overlap((0, 0, 2, 2), (2, 2, 3, 3)) == 0


def test_aligned_faces_are_opened_unchanged(tmp_path: Path, write_faces: WriteFaces) -> None:
    folder = write_faces(tmp_path / "data")
    loaded = load_faces(folder, "train", tmp_path / "cache")
    opened = open_faces(folder, "train", tmp_path / "cache")
    assert opened.keys == loaded.keys
    assert not list((tmp_path / "cache").glob("*/settings.json"))
    points = write_points_onnx(tmp_path / "points.onnx", [0.0] * 136, [0.5] * 136)
    settings = PrepareSettings(landmarks=str(points))
    prepared = open_faces(folder, "train", tmp_path / "cache", settings)
    assert prepared.keys == loaded.keys
    assert np.array_equal(prepared.images, loaded.images)
    assert prepared.heat_points.shape == (6, 68, 2)
    assert loaded.heat_points.shape == (6, 5, 2)
    assert dict(prepare(folder, tmp_path / "out", settings).counts) == {"train": 6, "val": 6}
    alone = prepare(folder / "val-0.tar", tmp_path / "alone", settings)
    assert dict(alone.counts) == {"all": 6}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"crop": "140"}, "unknown crop '140'.*138-left"),
        ({"landmarks": "absent.onnx"}, "'absent.onnx' is neither five nor fan nor a file"),
        ({"workers": -1}, "workers is -1"),
        ({"least_width": float("nan")}, "least_width"),
    ],
)
def test_invalid_settings_are_refused(values: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        PrepareSettings(**values)


def test_invalid_sources_and_caches_are_errors(celeba: Path, tmp_path: Path) -> None:
    with pytest.raises(InputMissingError):
        open_faces(tmp_path / "absent", None, tmp_path / "cache")
    with pytest.raises(InputMissingError):
        prepare(tmp_path / "absent", tmp_path / "cache")
    with pytest.raises(UsageError, match="unknown split 'tset'"):
        open_faces(celeba, "tset", tmp_path / "cache")
    (tmp_path / "notes.txt").write_text("no faces")
    with pytest.raises(DatasetError, match="not a folder or tar archive"):
        open_faces(tmp_path / "notes.txt", None, tmp_path / "cache")
    (tmp_path / "occupied").write_text("a file where the folder should be")
    with pytest.raises(OutputError, match="occupied"):
        open_faces(celeba, "val", tmp_path / "occupied" / "cache")


@pytest.mark.usefixtures("small_shards")
def test_damaged_prepared_files_are_errors(
    celeba: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = prepare(celeba, tmp_path / "out", splits=("val",))
    (prepared.folder / "val.rgb").write_bytes(b"short")
    with pytest.raises(DatasetError, match="prepared set 'val' is damaged"):
        load_faces(prepared.folder, "val", tmp_path)
    monkeypatch.setattr(
        shards.ShardBuilder, "build", lambda self, task, advance: task.path.write_bytes(b"damaged")
    )
    with pytest.raises(DatasetError, match=r"00000\.npz: a prepared shard is damaged"):
        prepare(celeba, tmp_path / "out", splits=("train",))
