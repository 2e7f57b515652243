"""Hashes of what a stage learns from: content counts, names of folders and times do not."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from jdsr_cli.datasets.aligned import load_faces
from jdsr_cli.datasets.face_set import FaceSet
from jdsr_cli.datasets.preparation import open_faces, prepare
from jdsr_cli.errors import DatasetError, WeightsError
from jdsr_cli.progress import Silent
from jdsr_train import input_digests
from jdsr_train.components import TrainingComponents
from jdsr_train.data.parsing_set import open_parsing_set
from jdsr_train.input_digests import (
    faces_digest,
    features_digest,
    masks_digest,
    parsing_digest,
    stage_digests,
)
from jdsr_train.processes import open_fabric
from jdsr_train.recipe import DataRecipe, LossRecipe, Recipe
from jdsr_train.request import RunSettings, TrainRequest
from jdsr_train.run import open_components

WriteFaces = Callable[..., Path]
Open = Callable[[], FaceSet]
LATER = 2_000_000_000
"""Seconds of a time of modification."""


def touch(folder: Path) -> None:
    for path in folder.rglob("*"):
        os.utime(path, (LATER, LATER))


def alter(path: Path) -> None:
    """Change a byte in the middle of a file, whose size stays."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.fixture
def prepared(write_faces: WriteFaces, tmp_path: Path) -> Path:
    """A folder of prepared faces with one split, `val`."""
    source = write_faces(tmp_path / "source", ("val-0.tar",))
    return prepare(source, tmp_path / "made", splits=("val",)).folder


def opened(folder: Path) -> str:
    return faces_digest(open_faces(folder, "val", folder))


class Counted:
    """Counts how often content is hashed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.times = 0
        self._real = input_digests._hash
        monkeypatch.setattr(input_digests, "_hash", self)

    def __call__(self, *arguments: object) -> str:
        self.times += 1
        return self._real(*arguments)  # type: ignore[arg-type]


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    return Counted(monkeypatch)


def test_a_hash_is_computed_once_and_kept_beside_the_set(prepared: Path, counted: Counted) -> None:
    before = sorted(path.name for path in prepared.iterdir())
    first = opened(prepared)
    assert len(first) == 64
    assert sorted(path.name for path in prepared.iterdir()) == sorted([*before, "val.digest"])
    assert opened(prepared) == first
    assert counted.times == 1


@pytest.mark.parametrize("suffix", [".rgb", ".landmarks.npy", ".heat.npy"])
def test_other_content_under_the_same_name_is_noticed(prepared: Path, suffix: str) -> None:
    first = opened(prepared)
    alter(prepared / f"val{suffix}")
    assert opened(prepared) != first
    alter(prepared / f"val{suffix}")
    assert opened(prepared) == first


@pytest.mark.parametrize("old", ["astronaut0", "identities"])
def test_keys_and_people_count(prepared: Path, old: str) -> None:
    first = opened(prepared)
    index = prepared / "val.json"
    text = index.read_text()
    if old == "identities":
        changed = text.replace('"identities": null', '"identities": ["a", "a", "a", "b", "b", "b"]')
    else:
        changed = text.replace(old, "astronaut9")
    assert changed != text
    index.write_text(changed)
    assert opened(prepared) != first


def test_touching_a_set_changes_nothing(prepared: Path, counted: Counted) -> None:
    first = opened(prepared)
    touch(prepared)
    assert opened(prepared) == first
    assert opened(prepared) == first
    assert counted.times == 2


def test_a_renamed_folder_keeps_its_hash(prepared: Path, counted: Counted) -> None:
    first = opened(prepared)
    assert opened(prepared.rename(prepared.with_name("elsewhere"))) == first
    assert counted.times == 1


def test_a_copy_and_the_cache_have_the_hash_of_the_set(
    prepared: Path, write_faces: WriteFaces, tmp_path: Path
) -> None:
    first = opened(prepared)
    assert opened(Path(shutil.copytree(prepared, tmp_path / "copy"))) == first
    aligned = load_faces(tmp_path / "source", "val", tmp_path / "cache")
    assert faces_digest(aligned) == first
    assert len(list((tmp_path / "cache").glob("faces-*.digest"))) == 1
    assert faces_digest(replace(aligned, files=())) == first


def test_another_archive_under_the_same_name_is_noticed(
    write_faces: WriteFaces, tmp_path: Path
) -> None:
    def found(name: str) -> str:
        return faces_digest(open_faces(tmp_path / name, "val", tmp_path / "cache"))

    archive = write_faces(tmp_path / "faces", ("val-0.tar",)) / "val-0.tar"
    first = found("faces")
    touch(tmp_path / "faces")
    assert found("faces") == first
    (tmp_path / "faces").rename(tmp_path / "others")
    assert found("others") == first
    with tarfile.open(archive.parents[1] / "others" / "val-0.tar", "w") as tar:
        stream = io.BytesIO()
        Image.new("RGB", (128, 128), "red").save(stream, format="PNG")
        member = tarfile.TarInfo("hopper0.png")
        member.size = len(stream.getvalue())
        tar.addfile(member, io.BytesIO(stream.getvalue()))
    assert found("others") != first


@pytest.mark.parametrize("content", ["", "[]", '{"format": "jdsr digest 1", "files": {}}'])
def test_a_damaged_side_file_is_written_again(prepared: Path, content: str) -> None:
    first = opened(prepared)
    whole = (prepared / "val.digest").read_text()
    (prepared / "val.digest").write_text(content)
    assert opened(prepared) == first
    assert (prepared / "val.digest").read_text() == whole


def test_a_set_that_cannot_be_written_to_has_a_hash_all_the_same(prepared: Path) -> None:
    (prepared / "val.digest").mkdir()
    assert opened(prepared) == opened(prepared)


def test_labels_of_parts_count_where_there_are_any(face_set: FaceSet) -> None:
    bare = faces_digest(face_set)
    labels = np.zeros((6, 64, 64), np.uint8)
    labelled = faces_digest(replace(face_set, parsing=labels))
    assert len({bare, labelled, faces_digest(replace(face_set, parsing=labels + 1))}) == 3
    assert faces_digest(face_set) == bare


def test_arrays_longer_than_a_chunk(face_set: FaceSet, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = faces_digest(face_set)
    monkeypatch.setattr(input_digests, "CHUNK", 100_000)
    assert faces_digest(face_set) == whole


def test_templates(template_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(template_folder, tmp_path / "masks"))
    first = masks_digest(folder)
    (folder / "notes.txt").write_text("not read by anybody")
    touch(folder)
    folder = folder.rename(tmp_path / "others")
    assert masks_digest(folder) == first
    Image.new("RGBA", (240, 150), "green").save(folder / "cloth.png")
    other = masks_digest(folder)
    assert other != first
    index = folder / "templates.json"
    index.write_text(index.read_text().replace("149", "148"))
    assert masks_digest(folder) not in (first, other)
    (folder / "cloth.png").unlink()
    with pytest.raises(DatasetError, match=r"cloth\.png.* cannot be read"):
        masks_digest(folder)
    index.write_text("[]")
    with pytest.raises(DatasetError, match="cannot be read"):
        masks_digest(folder)


def test_features(tmp_path: Path) -> None:
    assert features_digest(None) == features_digest("vgg16") == "vgg16"
    path = tmp_path / "squeezenet.pth"
    path.write_bytes(b"one")
    first = features_digest(str(path))
    os.utime(path, (LATER, LATER))
    assert features_digest(str(path.rename(tmp_path / "b.pth"))) == first
    path.write_bytes(b"two")
    assert features_digest(str(path)) != first
    with pytest.raises(WeightsError, match="cannot be read"):
        features_digest(str(tmp_path / "absent.pth"))


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """Pictures with label maps, of parts train and val."""
    folder = tmp_path / "parts"
    for split, shade in (("train", 90), ("val", 150)):
        (folder / split).mkdir(parents=True)
        Image.new("RGB", (64, 64), (shade, 80, 70)).save(folder / split / "0.webp")
        Image.new("L", (64, 64), 1).save(folder / split / "0.png")
    return folder


def test_labelled_faces(labelled: Path, tmp_path: Path) -> None:
    def found() -> str:
        return parsing_digest(open_parsing_set(labelled, "train", tmp_path / "cache"))

    first = found()
    touch(labelled)
    assert found() == first
    labelled = labelled.rename(tmp_path / "others")
    assert found() == first
    Image.new("L", (64, 64), 0).save(labelled / "train" / "0.png")
    assert found() != first


@pytest.fixture
def make(
    write_faces: WriteFaces, template_folder: Path, labelled: Path, tmp_path: Path
) -> Callable[..., TrainingComponents]:
    """Return a maker of components that were given everything there is."""
    faces = write_faces(tmp_path / "faces", ("train.tar", "val.tar"))
    features = tmp_path / "features.pth"
    torch.save({"a": torch.zeros(1)}, features)

    def components(recipe: Recipe, **changes: object) -> TrainingComponents:
        given = TrainRequest(
            recipe, faces, RunSettings(tmp_path / "out", workers=0), masks=template_folder,
            features=str(features), parsing=labelled, cache=tmp_path / "cache",
        )  # fmt: skip
        asked = replace(given, **changes)  # type: ignore[arg-type]
        return open_components(asked, open_fabric("cpu"), Silent())

    return components


USES_ALL = Recipe("all", loss=LossRecipe(perceptual_hr=0.1), data=DataRecipe(drawn_masks=2))


def test_a_stage_tells_only_what_it_uses(
    make: Callable[..., TrainingComponents], template_folder: Path, tmp_path: Path
) -> None:
    components = make(USES_ALL)
    found = {
        stage: stage_digests(components, stage)
        for stage in ("parser", "identity", "denoise", "joint")
    }
    assert {stage: set(one) for stage, one in found.items()} == {
        "parser": {"--parsing"},
        "identity": {"--data"},
        "denoise": {"--data", "--masks", "--features"},
        "joint": {"--data", "--masks", "--features"},
    }
    assert found["joint"] == found["denoise"]
    assert found["joint"]["--masks"] == masks_digest(template_folder)
    assert found["joint"]["--features"] == features_digest(str(tmp_path / "features.pth"))
    assert stage_digests(make(USES_ALL, features=None), "joint")["--features"] == "vgg16"
    assert set(stage_digests(make(USES_ALL, masks=None), "joint")) == {"--data", "--features"}
    plain = replace(USES_ALL, loss=LossRecipe(), data=DataRecipe(masked=0.0))
    assert set(stage_digests(make(plain), "joint")) == {"--data"}


@pytest.mark.parametrize(
    ("archive", "noticed"), [("train.tar", {"identity", "joint"}), ("val.tar", {"joint"})]
)
def test_the_splits_that_a_stage_uses_count(
    make: Callable[..., TrainingComponents], tmp_path: Path, archive: str, noticed: set[str]
) -> None:
    stages = ("identity", "joint")
    before = {stage: stage_digests(make(USES_ALL), stage)["--data"] for stage in stages}
    path = tmp_path / "faces" / archive
    with tarfile.open(path) as tar:
        members = [(one, tar.extractfile(one)) for one in tar][1:]
        contents = [(one, stream.read()) for one, stream in members if stream is not None]
    with tarfile.open(path, "w") as tar:
        for one, data in contents:
            tar.addfile(one, io.BytesIO(data))
    after = {stage: stage_digests(make(USES_ALL), stage)["--data"] for stage in stages}
    assert {stage for stage in stages if after[stage] != before[stage]} == noticed


def test_labelled_faces_are_opened_once(make: Callable[..., TrainingComponents]) -> None:
    components = make(USES_ALL)
    one, two = (components.parsing_samples("train") for _ in range(2))
    assert one.pictures is two.pictures
    assert components.parsing_samples("val").pictures is not one.pictures
