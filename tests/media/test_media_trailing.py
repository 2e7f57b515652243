"""Bytes that follow a picture in its file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from clips import encode, noise, picture
from PIL import Image

from jdsr_cli.media import open_reader
from jdsr_cli.media.reading.trailing import trailing_note

SAVED = {
    "a.jpg": {"quality": 90},
    "progressive.jpg": {"progressive": True},
    "a.png": {},
    "a.webp": {},
    "a.gif": {},
    "animated.gif": {"save_all": True, "duration": 100},
    "animated.png": {"save_all": True, "duration": 100},
    "animated.webp": {"save_all": True, "duration": 100},
}


def save(folder: Path, name: str) -> Path:
    first, *others = (Image.fromarray(picture(index)) for index in range(3))
    options = dict(SAVED[name])
    if "save_all" in options:
        options["append_images"] = others
    first.save(folder / name, **options)
    return folder / name


def read(path: Path):
    with open_reader(path) as reader:
        return [frame.image for frame in reader], reader.report.warnings


@pytest.mark.parametrize("name", SAVED)
def test_an_intact_picture_has_no_note(tmp_path: Path, name: str) -> None:
    assert read(save(tmp_path, name))[1] == ()


@pytest.mark.parametrize("name", SAVED)
@pytest.mark.parametrize("kind", ["video", "noise", "text"])
def test_bytes_after_a_picture_are_counted(tmp_path: Path, name: str, kind: str) -> None:
    path = save(tmp_path, name)
    expected, _ = read(path)
    added = {
        "video": encode(tmp_path / "a.mp4").read_bytes(),
        "noise": noise(3000),
        "text": b"recorded by camera 7\n" * 9,
    }[kind]
    path.write_bytes(path.read_bytes() + added)
    images, notes = read(path)
    np.testing.assert_array_equal(images, expected)
    video = ", which hold a video" if kind == "video" else ""
    assert notes == (f"{len(added)} bytes follow the picture{video}; they were not read",)


@pytest.mark.parametrize("name", SAVED)
def test_padding_after_a_picture_is_not_reported(tmp_path: Path, name: str) -> None:
    path = save(tmp_path, name)
    path.write_bytes(path.read_bytes() + bytes(600))
    assert read(path)[1] == ()


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "animated.gif"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_picture_that_is_cut_off_is_followed_by_nothing(
    tmp_path: Path, name: str, share: float
) -> None:
    path = save(tmp_path, name)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    kind = {"jpg": "JPEG", "png": "PNG", "gif": "GIF"}[name[-3:]]
    assert trailing_note(path, kind) is None
