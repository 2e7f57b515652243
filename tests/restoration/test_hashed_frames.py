"""Videos of a result have hashes of their decoded frames; pictures have none."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from jdsr_cli import RestoreSettings, restore
from jdsr_cli.media import FrameHashes, frame_hashes, write_image
from jdsr_cli.restoration.api import plan_restore
from jdsr_cli.settings import ReadSettings


@pytest.fixture
def settings(tiny_weights: Callable[[int], Path]) -> RestoreSettings:
    weights = str(tiny_weights(32))
    return RestoreSettings(weights=weights, detector="centerface", device="cpu", mode="crops")


def hashed(folder: Path) -> list[str]:
    listed = json.loads((folder / "manifest.json").read_text("utf-8"))["outputs"]
    names = sorted(path.name for path in folder.glob("*.framemd5"))
    assert names == sorted(one["file"] for one in listed if one["file"].endswith(".framemd5"))
    return names


def test_the_whole_input_is_hashed_where_a_part_is_restored(
    clip: Path, tmp_path: Path, settings: RestoreSettings
) -> None:
    trimmed = replace(settings, reading=ReadSettings(start="0.1"))
    for name, chosen in (("whole", settings), ("part", trimmed)):
        assert restore([clip], tmp_path / name, chosen).exit_code == 0
        assert hashed(tmp_path / name / "street") == ["input.framemd5"]
    files = [tmp_path / name / "street" / "input.framemd5" for name in ("whole", "part")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_picture_has_no_hashes_of_frames(
    astronaut: NDArray[np.uint8], tmp_path: Path, settings: RestoreSettings
) -> None:
    write_image(tmp_path / "photo.png", astronaut)
    restore([tmp_path / "photo.png"], tmp_path / "out", replace(settings, mode="both"))
    assert hashed(tmp_path / "out" / "photo") == []


def test_a_sequence_has_those_of_the_restored_video(
    two_people: list[NDArray[np.uint8]], tmp_path: Path, settings: RestoreSettings
) -> None:
    for number, frame in enumerate(two_people):
        write_image(tmp_path / f"shot_{number:03d}.png", frame)
    paste = replace(settings, mode="paste", frame_scale=1)
    restore([tmp_path / "shot_%03d.png"], tmp_path / "out", paste)
    assert hashed(tmp_path / "out" / "shot") == ["restored.framemd5"]


def test_a_video_that_ffmpeg_cannot_decode_has_a_note(
    clip: Path, tmp_path: Path, settings: RestoreSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> str:
        raise RuntimeError("unknown codec")

    monkeypatch.setattr(frame_hashes, "find_program", fail)
    (result,) = restore([clip], tmp_path, settings).results
    assert hashed(tmp_path / "street") == []
    note = "input.framemd5 was not written: ffmpeg could not decode the video (unknown codec)"
    assert note in result.notes


def test_a_salvaged_input_has_a_file_or_a_note(
    clip: Path, tmp_path: Path, settings: RestoreSettings
) -> None:
    source = tmp_path / "recorder.dat"
    source.write_bytes(b"\x07HEADER" * 4000 + clip.read_bytes())
    (result,) = restore([source], tmp_path / "out", settings).results
    assert result.error is None
    names = hashed(tmp_path / "out" / "recorder")
    assert bool(names) != any("input.framemd5 was not written" in note for note in result.notes)


def test_a_plan_does_not_hash_frames(
    clip: Path, tmp_path: Path, settings: RestoreSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FrameHashes, "__init__", lambda *_: pytest.fail("frames are hashed"))
    (planned,) = plan_restore([clip], tmp_path, settings).inputs
    assert planned.error is None
