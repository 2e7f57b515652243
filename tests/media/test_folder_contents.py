"""What of a folder or pattern is taken, and what is left out and named."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from media.clips import picture
from PIL import Image

from jdsr_cli.errors import InputMissingError
from jdsr_cli.media import expand_inputs, read_image
from jdsr_cli.media.folders import MEDIA_SUFFIXES, is_media_name

pillow_heif.register_heif_opener()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


def fill(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def expand(*given: str) -> tuple[list[str], list[str]]:
    """Return the names of the files, and the notes."""
    notes: list[str] = []
    files, _ = expand_inputs(given, notes.append)
    return [file.name for file in files], notes


WRITTEN = {
    "a.heic": "HEIF", "b.HEIF": "HEIF", "c.hif": "HEIF", "d.mpo": "MPO", "e.j2k": "JPEG2000",
    "f.jpx": "JPEG2000", "g.jpf": "JPEG2000", "h.j2c": "JPEG2000", "i.qoi": "QOI", "j.pcx": "PCX",
    "k.sgi": "SGI", "l.jfif": "JPEG", "m.avif": "AVIF",
}  # fmt: skip


def test_every_picture_that_can_be_read_is_taken(folder: Path) -> None:
    given = picture(0, 160, 120)
    for name, kind in WRITTEN.items():
        Image.fromarray(given).save(folder / name, kind)
    names, notes = expand("in")
    assert names == sorted(WRITTEN)
    assert notes == []
    for name in names:
        assert np.abs(read_image(folder / name).astype(int) - given).mean() < 6, name


def test_other_files_are_named_and_counted(folder: Path) -> None:
    fill(folder, "a.mp4", "notes.txt")
    assert expand("in") == (
        ["a.mp4"],
        ["in: notes.txt is not a video or picture file and was left out"],
    )
    fill(folder, "a.xmp")
    assert expand("in")[1] == [
        "in: a.xmp and notes.txt are not video or picture files and were left out"
    ]
    fill(folder, "b.xmp", "z", "y.json", "x.aae")
    assert expand("in")[1] == [
        "in: a.xmp, b.xmp, notes.txt and 3 others are not video or picture files and were left out"
    ]
    fill(folder, *(f"side{number}.xml" for number in range(500)))
    (note,) = expand("in")[1]
    assert "503 others" in note
    assert len(note) < 120


def test_hidden_files_and_empty_folders_are_not_mentioned(folder: Path) -> None:
    fill(folder, "a.mp4", ".DS_Store", ".b.mp4", ".cache/c.mp4", "quiet/.keep")
    (folder / "empty").mkdir()
    assert expand("in") == (["a.mp4"], [])


def test_folders_that_are_not_searched_are_named(folder: Path) -> None:
    fill(folder, "a.mp4", "day1/b.mp4")
    assert expand("in")[1] == ["in: the folder day1 was not searched (quote a pattern: 'in/**/*')"]
    fill(folder, *(f"day{number}/c.mp4" for number in range(2, 7)))
    assert expand("in")[1] == [
        "in: the folders day1, day2, day3 and 3 others were not searched "
        "(quote a pattern: 'in/**/*')"
    ]
    assert expand("in/**/*") == (["a.mp4", "b.mp4", *["c.mp4"] * 5], [])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_what_is_no_regular_file_is_named(folder: Path) -> None:
    fill(folder, "a.mp4")
    (folder / "gone.mp4").symlink_to(folder / "nothing.mp4")
    names, (note,) = expand("in")
    assert names == ["a.mp4"]
    assert "gone.mp4" in note


def test_what_a_pattern_leaves_out_is_named(folder: Path) -> None:
    fill(folder, "a.mp4", "b.txt", "c.log", "day1/d.mp4", "day1/e.csv")
    assert expand("in/*") == (
        ["a.mp4"],
        [
            "in/*: b.txt and c.log are not video or picture files and were left out",
            "in/*: the folder day1 was not searched (quote a pattern: 'in/**/*')",
        ],
    )
    names, notes = expand("in/**/*")
    assert names == ["a.mp4", "d.mp4"]
    assert notes == [
        "in/**/*: b.txt, c.log and e.csv are not video or picture files and were left out"
    ]
    assert expand("in/*.mp4", "in/*.txt") == (["a.mp4", "b.txt"], [])


def test_each_folder_has_its_own_note(folder: Path) -> None:
    fill(folder, "one/a.mp4", "one/b.txt", "two/c.png", "two/d.doc")
    names, notes = expand("in/one", "in/two")
    assert names == ["a.mp4", "c.png"]
    assert [note.partition(":")[0] for note in notes] == ["in/one", "in/two"]


def test_a_folder_without_media_names_what_it_holds(folder: Path) -> None:
    fill(folder, "a.txt", "deep/b.mp4")
    notes: list[str] = []
    files, (error,) = expand_inputs(["in"], notes.append)
    assert files == []
    assert isinstance(error, InputMissingError)
    assert ["a.txt" in notes[0], "deep" in notes[1]] == [True, True]


def test_suffixes_are_media_in_any_case_unless_hidden() -> None:
    assert all(suffix == suffix.lower() for suffix in MEDIA_SUFFIXES)
    assert is_media_name(Path("A.HEIC"))
    assert not is_media_name(Path(".a.heic"))
    assert not is_media_name(Path("heic"))
