"""A result is tied to the bytes that were read: inputs that change are refused."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

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
from jdsr_cli.restoration.stages import reading
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
    # Other bytes could have been there in between.
    (note,) = read.notes
    assert "is not known whether there were others in between" in note


def test_an_input_that_nobody_touched_has_no_note(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"content")
    read = InputBytes(path)
    read.check()
    assert read.notes == []


def swap_and_swap_back(path: Path) -> None:
    """Replace the file by another one for a moment."""
    aside, other = path.with_suffix(".aside"), path.with_suffix(".other")
    other.write_bytes(b"CONTENT")
    path.rename(aside)
    other.rename(path)
    path.rename(other)
    aside.rename(path)


def same_bytes_in_another_file(path: Path) -> None:
    before, copy = path.stat(), path.with_suffix(".copy")
    copy.write_bytes(path.read_bytes())
    os.utime(copy, ns=(before.st_atime_ns, before.st_mtime_ns))
    copy.replace(path)


@pytest.mark.parametrize("touched", [swap_and_swap_back, same_bytes_in_another_file])
def test_a_file_that_was_replaced_by_equal_bytes_has_a_note(
    tmp_path: Path, touched: Callable[[Path], None]
) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"content")
    read = InputBytes(path)
    touched(path)
    read.check()
    assert len(read.notes) == 1


class FrozenTimes:
    """Files whose times never change, as those of a file system with coarse ones.

    Args:
        monkeypatch: Undoes this.
        age: Nanoseconds since they were written.

    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, age: int) -> None:
        self.times = time.time_ns() - age
        stat = Path.stat

        def coarse(path: Path, **named: object) -> object:
            real = stat(path, **named)  # type: ignore[arg-type]
            values = {name: getattr(real, name) for name in dir(real) if name.startswith("st_")}
            return SimpleNamespace(
                **{**values, "st_mtime_ns": self.times, "st_ctime_ns": self.times}
            )

        monkeypatch.setattr(Path, "stat", coarse)


@pytest.mark.parametrize("age", [0, 1_500_000_000])
def test_a_change_within_the_resolution_of_the_times_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, age: int
) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"content")
    FrozenTimes(monkeypatch, age)
    read = InputBytes(path)
    path.write_bytes(b"CONTENT")
    with pytest.raises(InputError, match="changed while it was read"):
        read.check()


@pytest.mark.parametrize("age", [3_000_000_000, -3_600_000_000_000])
def test_an_old_file_is_hashed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, age: int
) -> None:
    """A clock that is ahead does not lead to hashing for ever either."""
    path = tmp_path / "a.bin"
    path.write_bytes(b"content")
    FrozenTimes(monkeypatch, age)
    read = InputBytes(path)
    monkeypatch.setattr(input_bytes, "digest_file", lambda *_, **__: pytest.fail("hashed again"))
    read.check()


def test_a_new_file_is_hashed_again_until_its_times_can_be_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"content")
    times = FrozenTimes(monkeypatch, 0)
    read = InputBytes(path)
    times.times -= 3_000_000_000
    read.check()
    monkeypatch.setattr(input_bytes, "digest_file", lambda *_, **__: pytest.fail("hashed again"))
    read.check()


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
    with pytest.raises(InputError, match="cannot be read any more: it was removed, renamed"):
        read.check()


def test_a_sequence_whose_folder_is_gone_is_an_input_error(tmp_path: Path) -> None:
    Image.fromarray(picture(0)).save(tmp_path / "shot_0.png")
    read = InputBytes(tmp_path / "shot_%d.png")
    (tmp_path / "shot_0.png").unlink()
    with pytest.raises(InputError, match="cannot be read any more: it was removed, renamed"):
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


def change_after_the_join(
    clip: Path, change: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Let a recording change when its sound was read, before its result is published."""
    join = sinks.join_segments

    def join_and_change(*given: object, **named: object) -> object:
        joined = join(*given, **named)  # type: ignore[arg-type]
        change(clip)
        return joined

    monkeypatch.setattr(sinks, "join_segments", join_and_change)


def test_a_recording_that_changes_while_its_sound_is_read_is_refused(
    tmp_path: Path, settings: RestoreSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = encode(tmp_path / "short.mp4")
    change_after_the_join(clip, overwrite, monkeypatch)
    (result,) = restore([clip], tmp_path / "out", settings).results
    assert "changed while it was read" in str(result.error)
    assert "short" not in results_in(tmp_path / "out")


def remove(path: Path) -> None:
    path.unlink()


def move_folder(path: Path) -> None:
    path.parent.rename(path.parent.with_name("elsewhere"))


def empty(path: Path) -> None:
    os.truncate(path, 0)


def leave_a_broken_link(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.with_name("absent"))


@pytest.mark.parametrize(
    "case",
    mostly_nightly(
        [
            (moment, change)
            for moment in ("open_reader", "plan_output", "frame_item")
            for change in (remove, move_folder, empty, leave_a_broken_link)
        ],
        [("frame_item", remove), ("plan_output", empty), ("open_reader", leave_a_broken_link)],
    ),
)
def test_an_input_that_is_gone_is_named(
    tmp_path: Path,
    settings: RestoreSettings,
    monkeypatch: pytest.MonkeyPatch,
    case: tuple[str, Callable[[Path], None]],
) -> None:
    moment, change = case
    (tmp_path / "in").mkdir()
    clip = encode(tmp_path / "in" / "short.mp4")
    work, times = getattr(reading, moment), []

    def work_and_change(*given: object, **named: object) -> object:
        done = work(*given, **named)
        if not times:
            change(clip)
            times.append(moment)
        return done

    monkeypatch.setattr(reading, moment, work_and_change)
    summary = restore([clip], tmp_path / "out", settings)
    (result,) = summary.results
    assert summary.exit_code == 3
    assert isinstance(result.error, InputError)
    assert result.error.where == str(clip)
    assert "while it was read" in str(result.error) or "any more" in str(result.error)
    assert results_in(tmp_path / "out") == []


def test_a_touched_input_is_noted_in_the_manifest(
    tmp_path: Path, settings: RestoreSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = encode(tmp_path / "short.mp4")
    change_after_the_join(clip, swap_and_swap_back, monkeypatch)
    (result,) = restore([clip], tmp_path / "out", settings).results
    assert result.output is not None
    manifest = json.loads((result.output / "manifest.json").read_text("utf-8"))
    assert any("others in between" in note for note in manifest["notes"])
