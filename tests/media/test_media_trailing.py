"""Bytes that follow a picture in its file."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from clips import COUNT, encode, noise, picture
from PIL import Image

from jdsr_cli.media import open_reader
from jdsr_cli.media.reading.trailing import trailing_bytes

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


ANIMATED = ("animated.gif", "animated.png")
"""Animations that FFmpeg decodes."""


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


ADDED = {
    "noise": (None, lambda _: noise(3000)),
    "text": (None, lambda _: b"recorded by camera 7\n" * 9),
    "video": ("a video", lambda folder: encode(folder / "a.mp4").read_bytes()),
    "other video": ("a video", lambda folder: noise(99) + encode(folder / "a.mkv").read_bytes()),
    "JPEG": ("another picture", lambda folder: pillow_bytes("JPEG")),
    "padded PNG": ("another picture", lambda folder: bytes(90) + pillow_bytes("PNG")),
    "WebP": ("another picture", lambda folder: pillow_bytes("WEBP")),
}


def pillow_bytes(kind: str) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(picture(1)).save(stream, kind)
    return stream.getvalue()


@pytest.mark.parametrize("name", [name for name in SAVED if name not in ANIMATED])
@pytest.mark.parametrize("kind", ADDED)
def test_bytes_after_a_picture_are_counted(tmp_path: Path, name: str, kind: str) -> None:
    content, make = ADDED[kind]
    added = make(tmp_path)
    path = save(tmp_path, name)
    expected, _ = read(path)
    size = path.stat().st_size
    path.write_bytes(path.read_bytes() + added)
    with open_reader(path) as reader:
        images, report = [frame.image for frame in reader], reader.report
    np.testing.assert_array_equal(images, expected)
    held = "" if content is None else f", which hold {content}"
    note = f"{len(added)} bytes after byte {size} follow the picture{held}; they were not read"
    assert report.warnings == (note,)
    assert report.unread == (() if content is None else (note,))


@pytest.mark.parametrize("name", ANIMATED)
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi"])
def test_a_video_after_an_animation_is_read(tmp_path: Path, name: str, suffix: str) -> None:
    path = save(tmp_path, name)
    expected, _ = read(path)
    video = encode(tmp_path / f"b.{suffix}", codec="mpeg4")
    path.write_bytes(path.read_bytes() + video.read_bytes())
    images, notes = read(path)
    assert len(images) == len(expected) + COUNT
    np.testing.assert_array_equal(images[: len(expected)], expected)
    assert notes[0].startswith("the file contains 2 recordings")
    assert not [note for note in notes if "not read" in note]


def test_two_animations_are_read_or_named(tmp_path: Path) -> None:
    for name in ANIMATED:
        path = save(tmp_path, name)
        expected, _ = read(path)
        path.write_bytes(path.read_bytes() * 2)
        with open_reader(path) as reader:
            count, unread = len(list(reader)), reader.report.unread
        assert count == len(expected) * (1 if unread else 2)
        assert len(unread) == (name == "animated.png")


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
    assert trailing_bytes(path, kind) is None
