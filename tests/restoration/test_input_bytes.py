"""A result is tied to the bytes that were read: inputs that change are refused."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from media.clips import encode, picture
from nightly_cases import mostly_nightly
from PIL import Image
from results_folder import results_in
from suite_clips import walk, walk_settings

from jdsr_cli.errors import InputError
from jdsr_cli.restoration import input_bytes, restore, sinks
from jdsr_cli.restoration.input_bytes import InputBytes
from jdsr_cli.restoration.journal import Journal
from jdsr_cli.settings import RestoreSettings


@pytest.fixture(scope="module")
def settings(tiny_weights: Callable[[int], Path]) -> RestoreSettings:
    return walk_settings(tiny_weights(64))


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def overwrite(path: Path) -> None:
    """Change one byte; size and modification time stay as they are."""
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(before.st_size // 2)
        old = file.read(1)
        file.seek(before.st_size // 2)
        file.write(bytes([old[0] ^ 1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 10)


def replace_file(path: Path) -> None:
    other = path.with_suffix(".new")
    other.write_bytes(path.read_bytes()[::-1])
    other.replace(path)


CHANGES = [append, overwrite, cut, replace_file]


@pytest.mark.parametrize("change", CHANGES)
def test_other_bytes_are_found(tmp_path: Path, change: Callable[[Path], None]) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(bytes(range(256)) * 40)
    read = InputBytes(path)
    assert read.digest.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert read.digest.bytes == path.stat().st_size
    read.check()
    change(path)
    with pytest.raises(InputError, match="changed while it was read"):
        read.check()
    assert read.changed


def touch(path: Path) -> None:
    os.utime(path, ns=(1, 1))


def copy_over(path: Path) -> None:
    path.write_bytes(path.read_bytes())


def change_permissions(path: Path) -> None:
    path.chmod(0o400)


@pytest.mark.parametrize("touched", [touch, copy_over, change_permissions])
def test_the_same_bytes_are_accepted(tmp_path: Path, touched: Callable[[Path], None]) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"content")
    read = InputBytes(path)
    touched(path)
    read.check()
    assert not read.changed


@pytest.mark.parametrize("put", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to("/dev/null")])
def test_what_is_no_file_any_more_is_not_opened(
    tmp_path: Path, put: Callable[[Path], None]
) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"content")
    read = InputBytes(path)
    path.unlink()
    put(path)
    with pytest.raises(InputError, match="no file with a fixed content"):
        read.check()


def test_a_removed_input_is_an_input_error(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"content")
    read = InputBytes(path)
    path.unlink()
    with pytest.raises(InputError, match="cannot be read any more"):
        read.check()


def test_a_file_that_grows_while_it_is_hashed_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"content")
    digest_file = input_bytes.digest_file

    def grow(*given: object, **named: object) -> object:
        append(path)
        return digest_file(*given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(input_bytes, "digest_file", grow)
    with pytest.raises(InputError, match="changes while it is read"):
        InputBytes(path)


def test_a_picture_that_is_added_to_a_sequence_changes_it(tmp_path: Path) -> None:
    for number in range(3):
        Image.fromarray(picture(number)).save(tmp_path / f"shot_{number}.png")
    read = InputBytes(tmp_path / "shot_%d.png")
    read.check()
    Image.fromarray(picture(3)).save(tmp_path / "shot_3.png")
    with pytest.raises(InputError, match="changed while it was read"):
        read.check()


@pytest.mark.parametrize("change", [append, overwrite])
@pytest.mark.parametrize("segment", mostly_nightly([1, 2], [2]))
def test_nothing_is_published_of_a_recording_that_changes(
    tmp_path: Path,
    settings: RestoreSettings,
    astronaut: np.ndarray,
    hopper: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Path], None],
    segment: int,
) -> None:
    clip = walk(tmp_path / "walk.mkv", astronaut, hopper)
    other = encode(tmp_path / "other.mp4")
    add = Journal.add

    def add_and_change(self: Journal, *given: object) -> None:
        add(self, *given)  # type: ignore[arg-type]
        if len(self.segments) == segment:
            change(clip)

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "add", add_and_change)
        summary = restore([clip, other], tmp_path / "out", settings)
    assert summary.exit_code == 4
    error = summary.results[0].error
    assert isinstance(error, InputError)
    assert "changed while it was read" in str(error)
    assert "--force" in str(error)
    assert "--resume" not in str(error)
    assert "walk" not in results_in(tmp_path / "out")
    again = replace(settings, force=True)
    assert restore([clip], tmp_path / "out", again).exit_code == 0
    assert results_in(tmp_path / "out") == ["other", "walk"]


def test_a_recording_that_grows_until_the_end_is_refused(
    tmp_path: Path,
    settings: RestoreSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clip = encode(tmp_path / "short.mp4")
    hashed = InputBytes.__init__

    def grow(self: InputBytes, path: Path) -> None:
        hashed(self, path)
        append(path)

    monkeypatch.setattr(InputBytes, "__init__", grow)
    (result,) = restore([clip], tmp_path / "out", settings).results
    assert "changed while it was read" in str(result.error)
    assert results_in(tmp_path / "out") == []


def test_a_recording_that_changes_while_its_sound_is_read_is_refused(
    tmp_path: Path, settings: RestoreSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = encode(tmp_path / "short.mp4")
    join = sinks.join_segments

    def join_and_change(*given: object, **named: object) -> object:
        joined = join(*given, **named)  # type: ignore[arg-type]
        overwrite(clip)
        return joined

    monkeypatch.setattr(sinks, "join_segments", join_and_change)
    (result,) = restore([clip], tmp_path / "out", settings).results
    assert "changed while it was read" in str(result.error)
    assert "short" not in results_in(tmp_path / "out")
