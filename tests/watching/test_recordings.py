"""Which recordings are listed, and when they count as finished."""

import os
from pathlib import Path

import pytest
from media.own_files import result_manifest

from jdsr_cli.errors import InputUnreadableError
from jdsr_cli.watching.recordings import RecordedFile, SettlingFiles, list_recordings


def write(path: Path, content: bytes = b"x", modified: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, ns=(modified, modified))


def test_media_in_all_sub_folders_are_listed_the_oldest_first(tmp_path: Path) -> None:
    write(tmp_path / "b" / "c" / "new.mp4", b"four", 30)
    write(tmp_path / "old.MKV", modified=10)
    for name in ("notes.txt", ".hidden.mp4", ".trash/gone.mp4", "out/walk/restored.mp4"):
        write(tmp_path / name)
    write(tmp_path / "empty.mp4", b"")
    listing = list_recordings(tmp_path, tmp_path / "out")
    assert listing.recordings == [
        RecordedFile("old.MKV", 1, 10), RecordedFile("b/c/new.mp4", 4, 30),
    ]  # fmt: skip
    assert listing.results == 0


def test_results_in_a_watched_folder_are_no_recordings(tmp_path: Path) -> None:
    write(tmp_path / "gate.mp4", modified=10)
    write(tmp_path / "day1" / "gate" / "restored.mp4")
    write(tmp_path / "day1" / "gate" / "manifest.json", result_manifest())
    write(tmp_path / "other" / "a.mp4", modified=20)
    write(tmp_path / "other" / "manifest.json", b'{"name": "of another program"}')
    for out in (tmp_path, tmp_path / "out"):
        listing = list_recordings(tmp_path, out)
        assert [one.file for one in listing.recordings] == ["gate.mp4", "other/a.mp4"]
        assert listing.results == 1


def test_a_folder_that_vanished_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputUnreadableError, match="cannot be listed"):
        list_recordings(tmp_path / "absent", tmp_path)


def test_a_recording_is_finished_when_it_has_not_changed_for_the_set_time() -> None:
    settling = SettlingFiles(10.0)
    first, grown = RecordedFile("a.mp4", 5, 1), RecordedFile("a.mp4", 6, 1)
    assert settling.finished([first], 100.0) == []
    assert settling.finished([first], 109.9) == []
    assert settling.finished([grown], 110.0) == []
    assert settling.finished([grown, RecordedFile("b.mp4", 1, 1)], 119.9) == []
    assert settling.finished([grown, RecordedFile("b.mp4", 1, 1)], 120.0) == [grown]


def test_a_new_modification_time_alone_starts_the_time_anew() -> None:
    settling = SettlingFiles(10.0)
    settling.finished([RecordedFile("a.mp4", 5, 1)], 0.0)
    assert settling.finished([RecordedFile("a.mp4", 5, 2)], 10.0) == []


def test_without_a_time_everything_is_finished() -> None:
    one = RecordedFile("a.mp4", 5, 1)
    assert SettlingFiles(0.0).finished([one], 7.0) == [one]
