"""Unreadable inputs, invalid outputs and interruptions: one error, and no partial results."""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from results_folder import results_in

from jdsr_cli.errors import (
    InputMissingError,
    MediaError,
    OutputError,
    WeightsCorruptError,
    WeightsError,
)
from jdsr_cli.evidence import Manifest
from jdsr_cli.media import write_image
from jdsr_cli.restoration import restore
from jdsr_cli.restoration.stages import compositing
from jdsr_cli.restoration.stages.generation import FaceGenerator
from jdsr_cli.settings import RestoreSettings

Weights = Callable[[int], Path]


@pytest.fixture
def settings(tiny_weights: Weights) -> RestoreSettings:
    return RestoreSettings(weights=str(tiny_weights(32)), detector="centerface", device="cpu")


@pytest.fixture
def mixed(tmp_path: Path, clip: Path) -> Path:
    """A folder with one valid clip and several unreadable files."""
    folder = tmp_path / "mixed"
    folder.mkdir()
    shutil.copy(clip, folder / "valid.mp4")
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "text.mp4").write_text("this is not a video\n" * 50)
    (folder / "cut.mp4").write_bytes(clip.read_bytes()[:600])
    return folder


def file_hashes(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_recording_in_an_input_that_cannot_be_read_is_a_failure(
    clip: Path, tmp_path: Path, settings: RestoreSettings
) -> None:
    data = clip.read_bytes()
    source = tmp_path / "joined.mp4"
    source.write_bytes(data + data.replace(b"avc1", b"none"))
    plain, joined = (
        restore([file], tmp_path / name, settings)
        for name, file in (("plain", clip), ("joined", source))
    )
    assert (plain.exit_code, joined.exit_code) == (0, 4)
    (result,), (reference,) = joined.done, plain.done
    assert result.counts == reference.counts
    assert len(result.unread) == 1
    assert f"{len(data)} bytes after byte {len(data)}" in result.unread[0]
    manifest = json.loads((result.output / "manifest.json").read_text())
    assert result.unread[0] in manifest["notes"]
    assert manifest["unread"] == list(result.unread)


@pytest.mark.parametrize("kind", ["damaged", "without index first", "other bytes", "picture"])
def test_an_input_that_is_done_names_again_what_was_not_read(
    clip: Path, tmp_path: Path, settings: RestoreSettings, kind: str
) -> None:
    data = clip.read_bytes()
    picture = tmp_path / "a.png"
    Image.fromarray(np.full((60, 80, 3), 90, np.uint8)).save(picture)
    source = tmp_path / "joined"
    source.write_bytes(
        {
            "damaged": data + data.replace(b"avc1", b"none"),
            "without index first": data[: data.index(b"moov") - 4] + data,
            "other bytes": data + np.random.default_rng(5).bytes(5000),
            "picture": picture.read_bytes() + data,
        }[kind]
    )
    first = restore([source], tmp_path / "out", settings)
    again = restore([source], tmp_path / "out", replace(settings, resume=True))
    assert (first.exit_code, again.exit_code) == (4, 4)
    (before,), (after,) = first.done, again.done
    assert len(after.unread) == 1
    assert after.unread == before.unread
    assert after.notes == ("an earlier run has done this already", *before.unread)
    assert after.counts is None


def test_a_result_of_a_version_that_recorded_nothing_unread_is_done(
    clip: Path, tmp_path: Path, settings: RestoreSettings
) -> None:
    (result,) = restore([clip], tmp_path / "out", settings).done
    file = result.output / "manifest.json"
    manifest = json.loads(file.read_text())
    assert manifest.pop("unread") == []
    file.write_text(json.dumps(manifest))
    again = restore([clip], tmp_path / "out", replace(settings, resume=True))
    assert (again.exit_code, again.done[0].unread) == (0, ())


def test_joined_recordings_are_restored_as_one(
    clip: Path, tmp_path: Path, settings: RestoreSettings
) -> None:
    source = tmp_path / "joined.mp4"
    source.write_bytes(clip.read_bytes() * 2)
    plain, joined = (
        restore([file], tmp_path / name, settings)
        for name, file in (("plain", clip), ("joined", source))
    )
    assert joined.exit_code == 0
    (result,), (reference,) = joined.done, plain.done
    assert result.counts.frames_written == 2 * reference.counts.frames_written
    assert any("contains 2 recordings" in note for note in result.notes)


def test_unreadable_inputs_do_not_stop_the_others(
    mixed: Path, tmp_path: Path, settings: RestoreSettings
) -> None:
    before = file_hashes(mixed)
    summary = restore([mixed, tmp_path / "absent.mp4"], tmp_path / "out", settings)
    assert summary.exit_code == 4
    assert [result.source.name for result in summary.done] == ["valid.mp4"]
    errors = {result.source.name: result.error for result in summary.failed}
    assert set(errors) == {"empty.mp4", "text.mp4", "cut.mp4", "absent.mp4"}
    assert isinstance(errors["absent.mp4"], InputMissingError)
    for name in ("empty.mp4", "text.mp4", "cut.mp4"):
        assert isinstance(errors[name], MediaError)
        assert name in str(errors[name])
        assert "\n" not in str(errors[name])
    assert file_hashes(mixed) == before
    assert results_in(tmp_path / "out") == ["valid"]


def test_unreadable_inputs_alone_exit_with_3(
    mixed: Path, tmp_path: Path, settings: RestoreSettings
) -> None:
    summary = restore([mixed / "empty.mp4", mixed / "none.mp4"], tmp_path / "out", settings)
    assert summary.exit_code == 3


def test_inputs_of_one_stem_do_not_overwrite_each_other(
    tmp_path: Path, settings: RestoreSettings, astronaut: np.ndarray
) -> None:
    for name in ("face.png", "face.jpg"):
        write_image(tmp_path / name, astronaut)
    summary = restore([tmp_path / "face.png", tmp_path / "face.jpg"], tmp_path / "out", settings)
    assert [result.output for result in summary.results] == [
        tmp_path / "out" / "face.png",
        tmp_path / "out" / "face.jpg",
    ]


def test_an_earlier_result_is_replaced_only_with_force(
    tmp_path: Path, settings: RestoreSettings, astronaut: np.ndarray
) -> None:
    write_image(tmp_path / "face.png", astronaut)
    sources, out = [tmp_path / "face.png"], tmp_path / "out"
    restore(sources, out, settings)
    before = file_hashes(out)
    again = restore(sources, out, settings)
    assert again.exit_code == 6
    assert "--force" in str(again.results[0].error)
    assert file_hashes(out) == before
    forced = RestoreSettings(**{**vars(settings), "force": True, "mode": "crops"})
    assert restore(sources, out, forced).exit_code == 0
    assert not (out / "face" / "restored.png").exists()


def test_an_unwritable_output_folder_is_an_error(
    clip: Path, tmp_path: Path, settings: RestoreSettings
) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError) as caught:
        restore([clip], tmp_path / "file" / "out", settings)
    assert caught.value.exit_code == 6


def test_missing_and_damaged_weights_are_errors(
    clip: Path, tmp_path: Path, tiny_weights: Weights
) -> None:
    absent = RestoreSettings(weights=str(tmp_path / "no.safetensors"), detector="centerface")
    with pytest.raises(WeightsError) as caught:
        restore([clip], tmp_path / "out", absent)
    assert caught.value.exit_code == 5
    data = bytearray(tiny_weights(32).read_bytes())
    del data[-100:]
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(data)
    with pytest.raises(WeightsCorruptError):
        restore([clip], tmp_path / "out", RestoreSettings(weights=str(broken), device="cpu"))
    assert not (tmp_path / "out" / "street").exists()


def interrupt_at(calls: int, error: type[BaseException]) -> Callable[..., Any]:
    """Return a replacement for `enlarge` that raises at its n-th call."""
    original, count = compositing.enlarge, [0]

    def enlarge(image: np.ndarray, factor: int) -> np.ndarray:
        count[0] += 1
        if count[0] == calls:
            raise error("stopped")
        return original(image, factor)

    return enlarge


def test_ctrl_c_leaves_no_files(
    clip: Path, tmp_path: Path, settings: RestoreSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compositing, "enlarge", interrupt_at(4, KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        restore([clip], tmp_path / "out", settings)
    assert results_in(tmp_path / "out") == []


def test_an_internal_error_fails_one_input_only(
    clip: Path,
    tmp_path: Path,
    settings: RestoreSettings,
    astronaut: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_image(tmp_path / "face.png", astronaut)
    monkeypatch.setattr(compositing, "enlarge", interrupt_at(4, ZeroDivisionError))
    summary = restore([clip, tmp_path / "face.png"], tmp_path / "out", settings)
    assert summary.exit_code == 4
    error = summary.failed[0].error
    assert "ZeroDivisionError" in str(error)
    assert error is not None
    assert isinstance(error.__cause__, ZeroDivisionError)
    assert results_in(tmp_path / "out") == ["face"]


def test_a_full_disk_is_reported_and_leaves_no_files(
    clip: Path, tmp_path: Path, settings: RestoreSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Manifest, "write", full)
    summary = restore([clip], tmp_path / "out", settings)
    assert summary.exit_code == 6
    assert "the disk is full" in str(summary.results[0].error)
    assert results_in(tmp_path / "out") == []


def test_faces_that_are_not_finite_are_refused_and_unchanged(
    clip: Path, tmp_path: Path, settings: RestoreSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FaceGenerator, "restore", lambda _, crops: [None] * len(crops))
    summary = restore([clip], tmp_path / "out", settings)
    (result,) = summary.results
    assert result.counts is not None
    assert result.counts.faces_restored == 0
    assert result.counts.refusals == {"not finite": result.counts.faces_found}
    assert result.counts.frames_written == result.counts.frames_read
