"""Independent checks with the ffmpeg program of imageio-ffmpeg, another build of FFmpeg."""

from __future__ import annotations

import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from clips import HEIGHT, WIDTH, encode, framemd5, gif, ntsc, picture, rotated, vfr

from jdsr_cli.media import VideoWriter, open_reader, read_image


def ffmpeg(*arguments: str) -> bytes:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *arguments]
    return subprocess.run(command, check=True, capture_output=True).stdout


@pytest.mark.parametrize("make", [vfr, ntsc, gif], ids=["variable", "23.976", "gif"])
def test_ffmpeg_decodes_the_same_frames_at_the_same_times(tmp_path: Path, make) -> None:
    path = make(tmp_path)
    with open_reader(path) as reader:
        info = reader.info
        frames = list(reader)
    with VideoWriter(tmp_path / "out.mp4", info, info.width, info.height) as sink:
        for frame in frames:
            sink.write(frame.image, frame.pts)
    times, hashes = framemd5(sink.path)
    assert times == [frame.time for frame in frames]
    assert len(set(hashes)) == len(frames)
    assert framemd5(path)[0] == times


def test_lossless_frames_equal_the_originals(tmp_path: Path) -> None:
    source = encode(tmp_path / "in.mp4")
    with open_reader(source) as reader:
        info = reader.info
    with VideoWriter(tmp_path / "out.mp4", info, WIDTH, HEIGHT, codec="ffv1") as sink:
        for index in range(12):
            sink.write(picture(index), index * 512)
    raw = ffmpeg("-i", str(sink.path), "-pix_fmt", "rgb24", "-f", "rawvideo", "-")
    stored = np.frombuffer(raw, np.uint8).reshape(12, HEIGHT, WIDTH, 3)
    np.testing.assert_array_equal(stored, [picture(index) for index in range(12)])


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_ffmpeg_rotates_in_the_same_direction(tmp_path: Path, degrees: int) -> None:
    path = rotated(tmp_path, degrees)
    ours = read_image(path)
    raw = ffmpeg("-i", str(path), "-frames:v", "1", "-pix_fmt", "rgb24", "-f", "rawvideo", "-")
    theirs = np.frombuffer(raw, np.uint8).reshape(ours.shape)
    assert np.abs(ours.astype(int) - theirs).mean() < 4
