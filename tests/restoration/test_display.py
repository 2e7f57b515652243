"""Footage whose pixels are not square: faces are where and what they are in the displayed picture.

With the carried weights and the whole pipeline, on photographs that dependencies ship.
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
from cli.command_line import run
from killed_run import run_and_die
from media.clips import encode
from numpy.typing import NDArray
from suite_clips import lasting, tree

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
    """How the scene is stored: its size when upright, and how it is turned to be shown."""

    size: tuple[int, int]
    turned: int = 0

    @property
    def aspect(self) -> Fraction:
        """Of an upright pixel, where the scene has the shape `SHAPE`."""
        return SHAPE * self.size[1] / self.size[0]


STORED = {
    "half the rows": Stored((480, 180)),
    "half the columns": Stored((240, 360)),
    "wide pixels, turned": Stored((264, 360), turned=90),
}


def scene(index: int, size: tuple[int, int], portraits: tuple[Picture, Picture]) -> Picture:
    """Two people in a frame of 1280x960 who move a little, seen by so many pixels."""
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
    turns = stored.turned // 90
    width, height = stored.size[::-1] if turns % 2 else stored.size
    aspect = 1 / stored.aspect if turns % 2 else stored.aspect

    def configure(stream: av.VideoStream) -> None:
        if tag:
            stream.codec_context.sample_aspect_ratio = aspect
        if turns:
            stream.set_display_rotation(-stored.turned)

    def paint(index: int) -> Picture:
        return np.ascontiguousarray(np.rot90(scene(index, stored.size, portraits), turns))

    return encode(path, range(frames), size=(width, height), configure=configure, paint=paint)


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "faces.jsonl").read_text().splitlines()]


def manifest(folder: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return told


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
def test_faces_are_those_of_the_displayed_picture(
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
    wanted, found = lines(tmp_path / "out" / "square"), lines(tmp_path / "out" / "stored")
    assert len(wanted) == len(found) == 2 * FRAMES
    for one, other in zip(wanted, found, strict=True):
        apart = np.subtract(one["points"], other["points"])
        assert np.hypot(*apart.T).mean() < 2
        assert np.abs(np.subtract(one["box"], other["box"])).max() < 5
        assert other["native_width"] < 0.8 * one["native_width"]
        picture = cv2.imread(str(tmp_path / "out" / "stored" / other["file"]))[..., ::-1]
        there = estimate_alignment(np.array(other["points"]))
        true = crop(scene(one["frame"], SHOWN, portraits), there)
        assert np.abs(picture.astype(float) - true).mean() < 8


def test_bare_faces_are_bare_and_the_video_keeps_its_shape(
    tmp_path: Path, portraits: tuple[Picture, Picture]
) -> None:
    clips = [
        write(tmp_path / f"{number}.mp4", stored, portraits)
        for number, stored in enumerate(STORED.values())
    ]
    assert restore(clips, tmp_path / "all", RESTORE).exit_code == 0
    for clip, stored in zip(clips, STORED.values(), strict=True):
        folder = tmp_path / "all" / clip.stem
        told = lines(folder)
        assert [one["mask"] for one in told] == ["bare"] * 2 * FRAMES
        for product in ("restored.mp4", "overlay.mp4"):
            assert picture_of(folder / product) == (*stored.size, stored.aspect)
        assert not [note for note in manifest(folder)["notes"] if "--aspect" in note]
    # Alone, one face at a time, and after an interruption the results are the same bytes.
    alone = replace(RESTORE, batch=1)
    assert restore(clips[:1], tmp_path / "alone", alone).exit_code == 0
    assert tree(tmp_path / "alone" / "0") == tree(tmp_path / "all" / "0")


def test_a_killed_run_resumes_to_the_same_bytes(
    tmp_path: Path, portraits: tuple[Picture, Picture], tiny_weights: Callable[[int], Path]
) -> None:
    clip = write(tmp_path / "walk.mp4", Stored((352, 120)), portraits, frames=20)
    settings = replace(RESTORE, weights=str(tiny_weights(64)), segment=8, detection_scale=0.5)
    assert restore([clip], tmp_path / "whole", settings).exit_code == 0
    run_and_die("in the middle of a segment", clip, tmp_path / "out", settings)
    again = replace(settings, resume=True)
    assert restore([clip], tmp_path / "out", again).exit_code == 0
    assert tree(tmp_path / "out" / "walk") == tree(tmp_path / "whole" / "walk")
    assert lasting(tmp_path / "out" / "walk") == lasting(tmp_path / "whole" / "walk")


def test_a_given_aspect_ratio_counts_as_a_tag(
    tmp_path: Path, portraits: tuple[Picture, Picture], tiny_weights: Callable[[int], Path]
) -> None:
    stored = STORED["half the rows"]
    tagged = write(tmp_path / "tagged.mp4", stored, portraits)
    bare = write(tmp_path / "bare.mp4", stored, portraits, tag=False)
    plain = replace(RESTORE, weights=str(tiny_weights(32)))
    told = replace(plain, reading=ReadSettings(aspect=SHAPE))
    assert restore([tagged], tmp_path, plain).exit_code == 0
    assert restore([bare], tmp_path, told).exit_code == 0
    found = [[one["points"] for one in lines(tmp_path / name)] for name in ("tagged", "bare")]
    assert found[0] == found[1]
    assert picture_of(tmp_path / "bare" / "restored.mp4") == (*stored.size, stored.aspect)
    # Without a word the faces look squeezed, which is said once.
    untold = replace(CROPS, reading=ReadSettings(), force=True)
    assert crop_faces([bare], tmp_path / "untold", untold).exit_code == 0
    hints = [one for one in manifest(tmp_path / "untold" / "bare")["notes"] if "--aspect" in one]
    assert len(hints) == 1
    assert "squeezed" in hints[0]


@pytest.mark.parametrize("shape", ["0:1", "4:0", "wide", "99:1"])
@pytest.mark.parametrize("command", ["restore", "crop-faces"])
def test_a_shape_that_cannot_be_is_refused(command: str, shape: str, tmp_path: Path) -> None:
    done = run(command, "no.mp4", "--out", tmp_path, "--aspect", shape)
    assert done.exit_code == 2
    assert "aspect" in done.output
