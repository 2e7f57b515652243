"""Digests of the inputs of a stage depend on content, not on names of folders or times."""

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
from jdsr_cli.weights import entry, sha256_of
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
from jdsr_train.loss_recipe import LossRecipe
from jdsr_train.recipe import DataRecipe, Recipe
from jdsr_train.request import RunSettings, TrainRequest
from jdsr_train.run import open_components
from jdsr_train.training.fabric import open_fabric

WriteFaces = Callable[..., Path]
Open = Callable[[], FaceSet]
LATER = 2_000_000_000
"""A modification time in seconds."""


def touch(folder: Path) -> None:
    for path in folder.rglob("*"):
        os.utime(path, (LATER, LATER))


def alter(path: Path) -> None:
    """Change a byte in the middle of a file without changing its size."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.fixture
def prepared(write_faces: WriteFaces, tmp_path: Path) -> Path:
    """A folder of prepared faces with one split, `val`."""
    source = write_faces(tmp_path / "source", ("val-0.tar",))
    return prepare(source, tmp_path / "prepared", splits=("val",)).folder


def opened(folder: Path) -> str:
    return faces_digest(open_faces(folder, "val", folder))


class HashCounter:
    """Counts how often content is hashed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.times = 0
        self._real = input_digests._hash
        monkeypatch.setattr(input_digests, "_hash", self)

    def __call__(self, *arguments: object) -> str:
        self.times += 1
        return self._real(*arguments)  # type: ignore[arg-type]


@pytest.fixture
def counter(monkeypatch: pytest.MonkeyPatch) -> HashCounter:
    return HashCounter(monkeypatch)


def test_a_digest_is_computed_once_and_stored_beside_the_set(
    prepared: Path, counter: HashCounter
) -> None:
    before = sorted(path.name for path in prepared.iterdir())
    first = opened(prepared)
    assert len(first) == 64
    assert sorted(path.name for path in prepared.iterdir()) == sorted([*before, "val.digest"])
    assert opened(prepared) == first
    assert counter.times == 1


@pytest.mark.parametrize("suffix", [".rgb", ".landmarks.npy", ".heat.npy"])
def test_other_content_of_the_same_name_changes_the_digest(prepared: Path, suffix: str) -> None:
    first = opened(prepared)
    alter(prepared / f"val{suffix}")
    assert opened(prepared) != first
    alter(prepared / f"val{suffix}")
    assert opened(prepared) == first


@pytest.mark.parametrize("old", ["astronaut0", "identities"])
def test_keys_and_identities_change_the_digest(prepared: Path, old: str) -> None:
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


def test_modification_times_do_not_change_the_digest(prepared: Path, counter: HashCounter) -> None:
    first = opened(prepared)
    touch(prepared)
    assert opened(prepared) == first
    assert opened(prepared) == first
    assert counter.times == 2


def test_a_renamed_folder_keeps_its_digest(prepared: Path, counter: HashCounter) -> None:
    first = opened(prepared)
    assert opened(prepared.rename(prepared.with_name("elsewhere"))) == first
    assert counter.times == 1


def test_a_copy_and_the_cache_have_the_digest_of_the_set(
    prepared: Path, write_faces: WriteFaces, tmp_path: Path
) -> None:
    first = opened(prepared)
    assert opened(Path(shutil.copytree(prepared, tmp_path / "copy"))) == first
    aligned = load_faces(tmp_path / "source", "val", tmp_path / "cache")
    assert faces_digest(aligned) == first
    assert len(list((tmp_path / "cache").glob("faces-*.digest"))) == 1
    assert faces_digest(replace(aligned, files=())) == first


def test_another_archive_of_the_same_name_changes_the_digest(
    write_faces: WriteFaces, tmp_path: Path
) -> None:
    def current(name: str) -> str:
        return faces_digest(open_faces(tmp_path / name, "val", tmp_path / "cache"))

    archive = write_faces(tmp_path / "faces", ("val-0.tar",)) / "val-0.tar"
    first = current("faces")
    touch(tmp_path / "faces")
    assert current("faces") == first
    (tmp_path / "faces").rename(tmp_path / "others")
    assert current("others") == first
    with tarfile.open(archive.parents[1] / "others" / "val-0.tar", "w") as tar:
        stream = io.BytesIO()
        Image.new("RGB", (128, 128), "red").save(stream, format="PNG")
        member = tarfile.TarInfo("hopper0.png")
        member.size = len(stream.getvalue())
        tar.addfile(member, io.BytesIO(stream.getvalue()))
    assert current("others") != first


@pytest.mark.parametrize("content", ["", "[]", '{"format": "jdsr digest 1", "files": {}}'])
def test_a_damaged_digest_file_is_written_again(prepared: Path, content: str) -> None:
    first = opened(prepared)
    whole = (prepared / "val.digest").read_text()
    (prepared / "val.digest").write_text(content)
    assert opened(prepared) == first
    assert (prepared / "val.digest").read_text() == whole


def test_a_set_whose_digest_cannot_be_stored_has_a_digest(prepared: Path) -> None:
    (prepared / "val.digest").mkdir()
    assert opened(prepared) == opened(prepared)


def test_part_labels_change_the_digest(face_set: FaceSet) -> None:
    unlabelled = faces_digest(face_set)
    labels = np.zeros((6, 64, 64), np.uint8)
    labelled = faces_digest(replace(face_set, parsing=labels))
    assert len({unlabelled, labelled, faces_digest(replace(face_set, parsing=labels + 1))}) == 3
    assert faces_digest(face_set) == unlabelled


def test_the_digest_does_not_depend_on_the_chunk_size(
    face_set: FaceSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = faces_digest(face_set)
    monkeypatch.setattr(input_digests, "CHUNK", 100_000)
    assert faces_digest(face_set) == whole


def test_the_digest_of_templates_depends_on_the_files_used(
    template_folder: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(template_folder, tmp_path / "masks"))
    first = masks_digest(folder)
    (folder / "notes.txt").write_text("not used")
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


def test_the_digest_of_features_depends_on_their_content(tmp_path: Path) -> None:
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


def test_the_digest_of_labelled_faces_depends_on_their_content(
    labelled: Path, tmp_path: Path
) -> None:
    def current() -> str:
        return parsing_digest(open_parsing_set(labelled, "train", tmp_path / "cache"))

    first = current()
    touch(labelled)
    assert current() == first
    labelled = labelled.rename(tmp_path / "others")
    assert current() == first
    Image.new("L", (64, 64), 0).save(labelled / "train" / "0.png")
    assert current() != first


@pytest.fixture
def make(
    write_faces: WriteFaces, template_folder: Path, labelled: Path, tmp_path: Path
) -> Callable[..., TrainingComponents]:
    """Return a function that opens components with every optional input."""
    faces = write_faces(tmp_path / "faces", ("train.tar", "val.tar"))
    features = tmp_path / "features.pth"
    torch.save({"a": torch.zeros(1)}, features)

    def components(recipe: Recipe, **changes: object) -> TrainingComponents:
        request = TrainRequest(
            recipe, faces, RunSettings(tmp_path / "out", workers=0), masks=template_folder,
            features=str(features), parsing=labelled, cache=tmp_path / "cache",
        )  # fmt: skip
        changed = replace(request, **changes)  # type: ignore[arg-type]
        return open_components(changed, open_fabric("cpu"), Silent())

    return components


USES_ALL = Recipe("all", loss=LossRecipe(perceptual_hr=0.1), data=DataRecipe(drawn_masks=2))


def test_a_stage_has_digests_of_only_what_it_uses(
    make: Callable[..., TrainingComponents], template_folder: Path, tmp_path: Path
) -> None:
    components = make(USES_ALL)
    digests = {
        stage: stage_digests(components, stage)
        for stage in ("parser", "identity", "denoise", "joint")
    }
    assert {stage: set(one) for stage, one in digests.items()} == {
        "parser": {"--parsing"},
        "identity": {"--data"},
        "denoise": {"--data", "--masks", "--features"},
        "joint": {"--data", "--masks", "--features"},
    }
    assert digests["joint"] == digests["denoise"]
    assert digests["joint"]["--masks"] == masks_digest(template_folder)
    assert digests["joint"]["--features"] == features_digest(str(tmp_path / "features.pth"))
    assert stage_digests(make(USES_ALL, features=None), "joint")["--features"] == "vgg16"
    assert set(stage_digests(make(USES_ALL, masks=None), "joint")) == {"--data", "--features"}
    minimal = replace(USES_ALL, loss=LossRecipe(), data=DataRecipe(masked=0.0))
    assert set(stage_digests(make(minimal), "joint")) == {"--data"}


def test_an_identity_network_is_an_input_of_the_joint_stage(
    make: Callable[..., TrainingComponents], tmp_path: Path
) -> None:
    given, own = tmp_path / "given.safetensors", tmp_path / "out/identity/identity.safetensors"
    own.parent.mkdir(parents=True)
    given.write_bytes(b"given")
    own.write_bytes(b"own")
    frozen = replace(USES_ALL, loss=replace(USES_ALL.loss, identity=1.0))
    trained = replace(USES_ALL, loss=replace(USES_ALL.loss, super_identity=1.0))
    digests = [
        stage_digests(make(recipe, identity=file), "joint").get("--identity")
        for recipe in (frozen, trained)
        for file in (given, None)
    ]
    assert digests == 2 * [sha256_of(given), sha256_of(own)]
    assert "--identity" not in stage_digests(make(frozen, identity=given), "denoise")
    with pytest.raises(WeightsError):
        stage_digests(make(frozen, identity=tmp_path / "missing"), "joint")


def test_the_weights_that_the_joint_stage_starts_from_are_an_input(
    make: Callable[..., TrainingComponents], tmp_path: Path
) -> None:
    """Otherwise a resumed run would record other ones than it started from."""
    path = tmp_path / "start.safetensors"
    path.write_bytes(b"one")
    given = make(USES_ALL, init=str(path))
    assert stage_digests(given, "joint")["--init"] == sha256_of(path)
    assert "--init" not in stage_digests(given, "denoise")
    path.write_bytes(b"two")
    assert stage_digests(given, "joint")["--init"] == sha256_of(path)
    by_name = stage_digests(make(USES_ALL, init="lite-camera"), "joint")["--init"]
    assert by_name == entry("lite-camera").sha256
    with pytest.raises(WeightsError):
        stage_digests(make(USES_ALL, init=str(tmp_path / "missing.pth")), "joint")


@pytest.mark.parametrize(
    ("archive", "changed_stages"), [("train.tar", {"identity", "joint"}), ("val.tar", {"joint"})]
)
def test_the_digest_covers_the_splits_that_a_stage_uses(
    make: Callable[..., TrainingComponents], tmp_path: Path, archive: str, changed_stages: set[str]
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
    assert {stage for stage in stages if after[stage] != before[stage]} == changed_stages


def test_labelled_faces_are_opened_once(make: Callable[..., TrainingComponents]) -> None:
    components = make(USES_ALL)
    one, two = (components.parsing_samples("train") for _ in range(2))
    assert one.pictures is two.pictures
    assert components.parsing_samples("val").pictures is not one.pictures
