"""Pictures and other files of interrupted runs that were replaced, exchanged, added or renamed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from interrupted_runs import DONE, Interrupted, flip, process
from nightly_cases import mostly_nightly
from suite_clips import walk, walk_settings
from test_hashed_files import put_folder, put_pipe

from jdsr_cli.restoration.journal import Journal
from jdsr_cli.restoration.kept_files import clear_unlisted
from jdsr_cli.restoration.workspace import LOCK
from jdsr_cli.settings import CropSettings, PrivacySettings

MakeInterrupted = Callable[..., Interrupted]


@pytest.fixture(scope="module")
def make(
    tmp_path_factory: pytest.TempPathFactory,
    astronaut: np.ndarray,
    hopper: np.ndarray,
    tiny_weights: Callable[[int], Path],
) -> MakeInterrupted:
    clip = walk(tmp_path_factory.mktemp("kept") / "walk.mkv", astronaut, hopper)
    settings = walk_settings(tiny_weights(64), doubt=False)

    def interrupt(name: str, **changes: object) -> Interrupted:
        folder = tmp_path_factory.mktemp(name)
        if name == "crop-faces":
            crops = CropSettings(
                detector="centerface", detection_scale=0.5, device="cpu", segment=8
            )
            return Interrupted(clip, folder, crops)
        return Interrupted(clip, folder, replace(settings, **changes))

    return interrupt


@pytest.fixture(scope="module")
def all_crops(make: MakeInterrupted) -> Interrupted:
    return make("all", crops="all", mode="crops")


@pytest.fixture(scope="module")
def exported(make: MakeInterrupted) -> Interrupted:
    return make("crop-faces")


@pytest.fixture(scope="module")
def people(make: MakeInterrupted) -> Interrupted:
    return make("people", privacy=PrivacySettings(only_track=(1,), blur_others=True))


def exchange(first: Path, second: Path) -> None:
    contents = first.read_bytes(), second.read_bytes()
    second.write_bytes(contents[0])
    first.write_bytes(contents[1])


def put_outside(path: Path, folder: Path) -> None:
    """Replace a file by a link to the same content elsewhere."""
    outside = folder / "outside"
    outside.write_bytes(path.read_bytes())
    path.unlink()
    path.symlink_to(outside)


PICTURE, OTHER = "track0001_frame000009.png", "track0001_frame000010.png"
PICTURES: dict[str, Callable[[Path, Path], object]] = {
    "deleted": lambda path, _: path.unlink(),
    "altered": lambda path, _: path.write_bytes(flip(path.read_bytes(), 300)),
    "truncated": lambda path, _: path.write_bytes(path.read_bytes()[:500]),
    "empty": lambda path, _: path.write_bytes(b""),
    "exchanged": exchange,
    "a copy of another one": lambda path, other: shutil.copy(other, path),
    "renamed": lambda path, _: path.rename(path.with_name("track0001_frame000999.png")),
    "a folder": lambda path, _: put_folder(path),
    "a pipe": lambda path, _: put_pipe(path),
    "a link elsewhere": lambda path, _: put_outside(path, path.parents[3]),
    "a link to another one": lambda path, other: (path.unlink(), path.symlink_to(other)),
}


@pytest.mark.parametrize("what", mostly_nightly(PICTURES, ["exchanged", "renamed"]))
def test_no_replaced_picture_is_published(
    all_crops: Interrupted, tmp_path: Path, what: str
) -> None:
    faces = all_crops.copy(tmp_path) / "results" / "faces"
    PICTURES[what](faces / PICTURE, faces / OTHER)
    notes = all_crops.resume(tmp_path)
    assert f"is damaged (results/faces/{PICTURE}): 8 of its frames are done again" in notes
    assert f"resumed after {DONE} frames" in notes


ADDED: dict[str, Callable[[Path], object]] = {
    "a picture": lambda faces: shutil.copy(faces / PICTURE, faces / "track0009_best1.png"),
    "a hidden file": lambda faces: (faces / ".walk.1234abcd.partial.png").write_bytes(b"1"),
    "a manifest": lambda faces: (faces.parent / "manifest.json").write_text("{}"),
    "a folder": lambda faces: shutil.copytree(faces, faces.parent / "others"),
    "a link": lambda faces: (faces / "link.png").symlink_to(faces / PICTURE),
    "a link to a folder": lambda faces: (faces.parent / "link").symlink_to(faces),
    "a pipe": lambda faces: os.mkfifo(faces / "pipe.png"),
}


@pytest.mark.parametrize("what", mostly_nightly(ADDED, ["a picture"]))
def test_nothing_that_was_added_is_published(
    all_crops: Interrupted, tmp_path: Path, what: str
) -> None:
    ADDED[what](all_crops.copy(tmp_path) / "results" / "faces")
    assert "damaged" not in all_crops.resume(tmp_path)


def test_what_is_added_while_a_run_goes_on_is_removed_and_said(
    all_crops: Interrupted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden, check = all_crops.copy(tmp_path), Journal.check_files

    def check_and_add(self: Journal) -> None:
        check(self)
        shutil.copy(hidden / "results/faces" / PICTURE, hidden / "results/faces/added\n.png")

    monkeypatch.setattr(Journal, "check_files", check_and_add)
    notes = all_crops.resume(tmp_path)
    assert "faces/added" in notes
    assert "is not of this run, and was removed" in notes


@pytest.mark.parametrize("what", mostly_nightly(PICTURES, ["deleted"]))
def test_no_replaced_crop_is_published(exported: Interrupted, tmp_path: Path, what: str) -> None:
    results = exported.copy(tmp_path) / "results"
    PICTURES[what](results / f"walk_{PICTURE}", results / f"walk_{OTHER}")
    if what == "a link elsewhere":
        assert (tmp_path.parent / "outside").exists()
    notes = exported.resume(tmp_path)
    assert f"is damaged (results/walk_{PICTURE}): 8 of its frames are done again" in notes


@pytest.mark.parametrize("numbers", mostly_nightly([(0, 1), (1, 2), (2, 3)], [(0, 1)]))
def test_exchanged_heads_are_searched_again(
    people: Interrupted, tmp_path: Path, numbers: tuple[int, int]
) -> None:
    work = people.copy(tmp_path) / "work"
    exchange(*(work / f"{number:06d}.heads.npz" for number in numbers))
    assert f"resumed after {DONE} frames" in people.resume(tmp_path)


@pytest.mark.parametrize(
    "what", mostly_nightly(["deleted", "altered", "empty", "a pipe", "a folder"], ["a pipe"])
)
@pytest.mark.parametrize("name", mostly_nightly(["people.npz", "000003.heads.npz"], ["people.npz"]))
def test_a_damaged_survey_is_made_again(
    people: Interrupted, tmp_path: Path, name: str, what: str
) -> None:
    work = people.copy(tmp_path) / "work"
    PICTURES[what](work / name, work / "000000.facts.npz")
    assert f"resumed after {DONE} frames" in people.resume(tmp_path)


def test_detections_of_another_run_are_searched_again(
    all_crops: Interrupted, people: Interrupted, tmp_path: Path
) -> None:
    # Of the segment after the finished ones, which the journal does not list.
    name = "work/000003.facts.npz"
    shutil.copy(people.copy(tmp_path / "other") / name, all_crops.copy(tmp_path / "one") / name)
    all_crops.resume(tmp_path / "one")


@pytest.mark.parametrize(
    "place", mostly_nightly([LOCK, "writing", "000001.facts.npz.lock"], [LOCK])
)
@pytest.mark.parametrize("what", mostly_nightly(["a folder", "a pipe", "a link"], ["a link"]))
def test_what_is_in_the_place_of_a_lock_or_token_is_removed(
    all_crops: Interrupted, tmp_path: Path, place: str, what: str
) -> None:
    path = all_crops.copy(tmp_path) / "work" / place
    path.unlink(missing_ok=True)
    if what == "a link":
        path.symlink_to(path)
    else:
        path.touch()
        (put_folder if what == "a folder" else put_pipe)(path)
    assert f"resumed after {DONE} frames" in all_crops.resume(tmp_path)


def test_results_that_are_a_link_are_not_published(all_crops: Interrupted, tmp_path: Path) -> None:
    results = all_crops.copy(tmp_path) / "results"
    results.rename(tmp_path.parent / "moved results")
    results.symlink_to(tmp_path.parent / "moved results")
    assert "it continues after 0 frames" in all_crops.resume(tmp_path)
    assert (tmp_path.parent / "moved results").is_dir()


def test_an_unreadable_journal_is_told(
    all_crops: Interrupted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    all_crops.copy(tmp_path)
    read = Path.read_bytes

    def fail(path: Path) -> bytes:
        if path.name == Journal.NAME:
            raise PermissionError(13, "Permission denied", str(path))
        return read(path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", fail)
        settings = replace(all_crops.settings, resume=True)
        result = process(all_crops.clip, tmp_path, settings)
    assert "journal.jsonl: the journal of the interrupted run cannot be read" in str(result.error)
    assert "repeat the command with --resume" in str(result.error)
    assert "--force" not in str(result.error)
    assert f"resumed after {DONE} frames" in all_crops.resume(tmp_path)


def test_unlisted_files_are_removed_and_named(tmp_path: Path) -> None:
    for name in ("kept.png", "other.png", "spared.txt", "faces/a.png", "more/b.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "empty").mkdir()
    listed = {tmp_path / "kept.png", tmp_path / "faces/a.png", tmp_path / "absent.png"}
    removed = clear_unlisted(tmp_path, listed, lambda path: path.suffix == ".txt")
    assert removed == ["more/b.png", "other.png"]
    assert {path.name for path in tmp_path.iterdir()} >= {"kept.png", "spared.txt", "faces"}
    assert not (tmp_path / "more").exists()
    assert clear_unlisted(tmp_path, listed, lambda path: path.suffix == ".txt") == []
