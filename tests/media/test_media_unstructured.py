"""Recordings without a structure that is followed, after others: FFmpeg recognises them."""

from __future__ import annotations

from pathlib import Path

import av
import pytest
from clips import COUNT, encode, noise

from jdsr_cli.media import open_reader
from jdsr_cli.media.reading.recordings import find_recordings, unread_note

FIRST = {
    "mp4": {},
    "mkv": {},
    "flv": {"options": {"bf": "0"}},
    "avi": {"codec": "mjpeg", "pixel_format": "yuvj420p"},
    "ts": {"options": {"bf": "0"}},
}
UNSTRUCTURED = {
    "vob": {"codec": "mpeg2video"},
    "mpg": {"codec": "mpeg1video"},
    "h264": {"container": "h264"},
    "hevc": {
        "codec": "libx265",
        "container": "hevc",
        "options": {"x265-params": "log-level=none:bframes=0"},
    },
    "nut": {"codec": "mpeg4"},
}


def appended(folder: Path, first: str, *rest: bytes) -> Path:
    path = encode(folder / f"camera.{first}", **FIRST[first])
    path.write_bytes(path.read_bytes() + b"".join(rest))
    return path


@pytest.mark.parametrize("first", FIRST)
@pytest.mark.parametrize("kind", UNSTRUCTURED)
def test_a_recording_without_known_structure_is_read(tmp_path: Path, first: str, kind: str) -> None:
    second = encode(tmp_path / f"part.{kind}", **UNSTRUCTURED[kind])
    with av.open(str(second)) as container:
        expected = sum(1 for _ in container.decode(video=0))
    path = appended(tmp_path, first, second.read_bytes())
    with open_reader(path) as reader:
        frames = [frame.time for frame in reader]
        notes = reader.report.warnings
    assert len(frames) == COUNT + expected
    assert frames == sorted(set(frames))
    assert "the file contains 2 recordings one after another; they are read as one video" in notes
    assert not [note for note in notes if "belong to no recording" in note]


@pytest.mark.parametrize("first", FIRST)
@pytest.mark.parametrize("seed", range(4))
def test_other_bytes_are_no_recording(tmp_path: Path, first: str, seed: int) -> None:
    path = appended(tmp_path, first, noise(20_000, seed))
    with open_reader(path) as reader:
        assert len(list(reader)) == COUNT
        report = reader.report
    (part,) = find_recordings(path).unknown
    assert report.unread == (unread_note(part),)
    assert report.unread[0] in report.warnings


@pytest.mark.parametrize("first", FIRST)
def test_a_picture_after_a_recording_is_counted_as_other_bytes(tmp_path: Path, first: str) -> None:
    picture = encode(
        tmp_path / "a.jpg", [0], codec="mjpeg", pixel_format="yuvj420p", container="image2"
    )
    path = appended(tmp_path, first, picture.read_bytes())
    with open_reader(path) as reader:
        assert len(list(reader)) == COUNT
        assert any("belong to no recording" in note for note in reader.report.warnings)
