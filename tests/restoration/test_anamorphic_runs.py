"""Runs on footage with non-square pixels: faces are those of the displayed picture.

The runs use the carried weights, and photographs that dependencies ship.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from command_line import run
from killed_run import run_until_killed
from media.clips import encode
from numpy.typing import NDArray
from suite_clips import file_hashes, repeatable_manifest

from jdsr_cli.faces import crop, estimate_alignment
from jdsr_cli.restoration import crop_faces, restore
from jdsr_cli.settings import CropSettings, ReadSettings, RestoreSettings

Picture = NDArray[np.uint8]
FRAMES = 4
SHAPE = Fraction(4, 3)
SHOWN = (480, 360)
"""Size of the displayed picture."""


@dataclass(frozen=True)
class Stored:
    """Stored size of the upright scene, and its display rotation."""

    size: tuple[int, int]
    rotation: int = 0

    @property
    def aspect(self) -> Fraction:
        """Sample aspect ratio of the upright scene, whose display aspect is `SHAPE`."""
        return SHAPE * self.size[1] / self.size[0]


STORED = {
    "half the rows": Stored((480, 180)),
    "half the columns": Stored((240, 360)),
    "wide pixels, rotated": Stored((264, 360), rotation=90),
}


def scene(index: int, size: tuple[int, int], portraits: tuple[Picture, Picture]) -> Picture:
    """Return two people who move a little, in a frame of 1280x960 resized to `size`."""
    frame = np.full((960, 1280, 3), 90, np.uint8)
    for number, portrait in enumerate(portraits):
        left = 60 + 600 * number + 4 * index
        large = cv2.resize(portrait, (480, 480), interpolation=cv2.INTER_CUBIC)
        frame[200:680, left : left + 480] = large
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)


def write(
    path: Path, stored: Stored, portraits: tuple[Picture, Picture], *, tag: bool = True,
    frames: int = FRAMES,
) -> Path:  # fmt: skip
    turns = stored.rotation // 90
    width, height = stored.size[::-1] if turns % 2 else stored.size
    aspect = 1 / stored.aspect if turns % 2 else stored.aspect

    def configure(stream: av.VideoStream) -> None:
        if tag:
            stream.codec_context.sample_aspect_ratio = aspect
        if turns:
            stream.set_display_rotation(-stored.rotation)

    def paint(index: int) -> Picture:
        return np.ascontiguousarray(np.rot90(scene(index, stored.size, portraits), turns))

    return encode(path, range(frames), size=(width, height), configure=configure, paint=paint)


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "faces.jsonl").read_text().splitlines()]


def manifest(folder: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return read


def picture_of(path: Path) -> tuple[int, int, Fraction]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return stream.width, stream.height, stream.sample_aspect_ratio or Fraction(1)


@pytest.fixture(scope="module")
def portraits(astronaut: Picture, hopper: Picture) -> tuple[Picture, Picture]:
    return astronaut, hopper


CROPS = CropSettings(detector="centerface", device="cpu", smoothing=0.0)
RESTORE = RestoreSettings(
    weights="lite-camera", detector="centerface", device="cpu", frame_scale=1, overlay=True
)


@pytest.mark.parametrize("name", STORED)
def test_faces_and_crops_match_the_displayed_picture(
    name: str, tmp_path: Path, portraits: tuple[Picture, Picture]
) -> None:
    stored = STORED[name]
    square = encode(
        tmp_path / "square.mp4",
        range(FRAMES),
        size=SHOWN,
        paint=lambda index: scene(index, SHOWN, portraits),
    )
    clip = write(tmp_path / "stored.mp4", stored, portraits)
    assert crop_faces([square, clip], tmp_path / "out", CROPS).exit_code == 0
    expected, actual = lines(tmp_path / "out" / "square"), lines(tmp_path / "out" / "stored")
    assert len(expected) == len(actual) == 2 * FRAMES
    for one, other in zip(expected, actual, strict=True):
        difference = np.subtract(one["points"], other["points"])
        assert np.hypot(*difference.T).mean() < 2
        assert np.abs(np.subtract(one["box"], other["box"])).max() < 5
        assert other["native_width"] < 0.8 * one["native_width"]
        picture = cv2.imread(str(tmp_path / "out" / "stored" / other["file"]))[..., ::-1]
        alignment = estimate_alignment(np.array(other["points"]))
        wanted = crop(scene(one["frame"], SHOWN, portraits), alignment)
        assert np.abs(picture.astype(float) - wanted).mean() < 8


def test_bare_faces_are_not_masked_and_the_video_keeps_its_aspect(
    tmp_path: Path, portraits: tuple[Picture, Picture]
) -> None:
    clips = [
        write(tmp_path / f"{number}.mp4", stored, portraits)
        for number, stored in enumerate(STORED.values())
    ]
    assert restore(clips, tmp_path / "all", RESTORE).exit_code == 0
    for clip, stored in zip(clips, STORED.values(), strict=True):
        folder = tmp_path / "all" / clip.stem
        faces = lines(folder)
        assert [one["mask"] for one in faces] == ["bare"] * 2 * FRAMES
        for name in ("restored.mp4", "overlay.mp4"):
            assert picture_of(folder / name) == (*stored.size, stored.aspect)
        assert not [note for note in manifest(folder)["notes"] if "--aspect" in note]
    # Processed alone and with a batch of one, the results are byte-identical.
    alone = replace(RESTORE, batch=1)
    assert restore(clips[:1], tmp_path / "alone", alone).exit_code == 0
    assert file_hashes(tmp_path / "alone" / "0") == file_hashes(tmp_path / "all" / "0")


@pytest.mark.nightly
def test_a_killed_run_resumes_to_the_same_bytes(
    tmp_path: Path, portraits: tuple[Picture, Picture], tiny_weights: Callable[[int], Path]
) -> None:
    clip = write(tmp_path / "walk.mp4", Stored((352, 120)), portraits, frames=20)
    settings = replace(RESTORE, weights=str(tiny_weights(64)), segment=8, detection_scale=0.5)
    assert restore([clip], tmp_path / "whole", settings).exit_code == 0
    run_until_killed("in the middle of a segment", clip, tmp_path / "out", settings)
    again = replace(settings, resume=True)
    assert restore([clip], tmp_path / "out", again).exit_code == 0
    assert file_hashes(tmp_path / "out" / "walk") == file_hashes(tmp_path / "whole" / "walk")
    assert repeatable_manifest(tmp_path / "out" / "walk") == repeatable_manifest(
        tmp_path / "whole" / "walk"
    )


def test_a_given_aspect_ratio_is_equivalent_to_a_tag(
    tmp_path: Path, portraits: tuple[Picture, Picture], tiny_weights: Callable[[int], Path]
) -> None:
    stored = STORED["half the rows"]
    tagged = write(tmp_path / "tagged.mp4", stored, portraits)
    untagged = write(tmp_path / "untagged.mp4", stored, portraits, tag=False)
    settings = replace(RESTORE, weights=str(tiny_weights(32)))
    with_aspect = replace(settings, reading=ReadSettings(aspect=SHAPE))
    assert restore([tagged], tmp_path, settings).exit_code == 0
    assert restore([untagged], tmp_path, with_aspect).exit_code == 0
    points = [[one["points"] for one in lines(tmp_path / name)] for name in ("tagged", "untagged")]
    assert points[0] == points[1]
    assert picture_of(tmp_path / "untagged" / "restored.mp4") == (*stored.size, stored.aspect)
    # Without an aspect ratio the faces look squeezed, which one note states.
    without_aspect = replace(CROPS, reading=ReadSettings(), force=True)
    assert crop_faces([untagged], tmp_path / "without aspect", without_aspect).exit_code == 0
    hints = [
        one
        for one in manifest(tmp_path / "without aspect" / "untagged")["notes"]
        if "--aspect" in one
    ]
    assert len(hints) == 1
    assert "squeezed" in hints[0]


@pytest.mark.parametrize("shape", ["0:1", "4:0", "wide", "99:1"])
@pytest.mark.parametrize("command", ["restore", "crop-faces"])
def test_an_invalid_aspect_ratio_is_refused(command: str, shape: str, tmp_path: Path) -> None:
    done = run(command, "no.mp4", "--out", tmp_path, "--aspect", shape)
    assert done.exit_code == 2
    assert "aspect" in done.output
