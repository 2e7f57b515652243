"""Hashes of decoded frames are those that the documented command of ffmpeg writes."""

from __future__ import annotations

import errno
import os
import re
import shlex
import subprocess
import time
from fractions import Fraction
from pathlib import Path

import av
import imageio_ffmpeg
import pytest
from clips import COUNT, encode, gif, picture, rotated, ten_bit, vfr

from jdsr_cli.media import FrameHashes, frame_hashes

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "trust.md"


def documented(file: Path, stream: int = 1) -> bytes:
    """Return what the command of the guide writes for a file."""
    text = PAGE.read_text("utf-8")
    (line,) = re.findall(r"^ffmpeg (.*) \| diff - input\.framemd5$", text, flags=re.MULTILINE)
    words = [str(file) if word == "INPUT" else word for word in shlex.split(line)]
    words[words.index("0:V:0")] = f"0:V:{stream - 1}"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *words]
    return subprocess.run(command, check=True, capture_output=True).stdout


def two_streams(folder: Path) -> Path:
    path = folder / "two.mkv"
    with av.open(str(path), "w") as output:
        streams = [output.add_stream("ffv1", rate=25) for _ in range(2)]
        for stream in streams:
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(6):
            for number, stream in enumerate(streams):
                image = picture(index + 5 * number)
                frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p")
                frame.pts, frame.time_base = index, Fraction(1, 25)
                output.mux(stream.encode(frame))
        for stream in streams:
            output.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    "make", [vfr, gif, ten_bit, lambda folder: rotated(folder, 90)],
    ids=["variable", "gif", "10 bits", "rotated"],
)  # fmt: skip
def test_the_file_is_what_the_documented_command_writes(tmp_path: Path, make) -> None:
    source, target = make(tmp_path), tmp_path / "out" / "input.framemd5"
    target.parent.mkdir()
    seen: list[int] = []
    assert FrameHashes(source, target).wait(seen.append) is None
    assert target.read_bytes() == documented(source)
    assert sum(seen) == COUNT
    assert sum(line[0] != "#" for line in target.read_text().splitlines()) == COUNT
    assert list(target.parent.iterdir()) == [target]


def test_the_chosen_stream_is_hashed(tmp_path: Path) -> None:
    source = two_streams(tmp_path)
    files = []
    for stream in (1, 2):
        target = tmp_path / f"{stream}.framemd5"
        assert FrameHashes(source, target, stream).wait() is None
        assert target.read_bytes() == documented(source, stream)
        files.append(target.read_bytes())
    assert files[0] != files[1]
    reason = FrameHashes(source, tmp_path / "3.framemd5", 3).wait()
    assert reason is not None


@pytest.mark.parametrize(
    "content",
    [b"no video", b"#EXTM3U\n#EXTINF:1,\nclip.mp4\n", b"ffconcat version 1.0\nfile clip.mp4\n",
     b"\0" * 100_000],
    ids=["text", "playlist", "concat", "zeros"],
)  # fmt: skip
def test_what_ffmpeg_cannot_decode_gives_a_reason_and_no_file(
    tmp_path: Path, content: bytes
) -> None:
    encode(tmp_path / "clip.mp4")
    source, target = tmp_path / "in.mp4", tmp_path / "out" / "in.framemd5"
    target.parent.mkdir()
    source.write_bytes(content)
    reason = FrameHashes(source, target).wait()
    assert reason
    assert "\n" not in reason
    assert list(target.parent.iterdir()) == []


def test_the_process_can_be_stopped(tmp_path: Path) -> None:
    source = encode(tmp_path / "long.mp4", tuple(range(400)), size=(640, 480))
    hashes = FrameHashes(source, tmp_path / "long.framemd5")
    time.sleep(0.05)
    hashes.stop()
    hashes.stop()
    assert [path.name for path in tmp_path.iterdir()] == ["long.mp4"]


def test_a_full_disk_is_an_error_not_a_fault_of_the_video(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text(f"#!/bin/sh\necho '{os.strerror(errno.ENOSPC)}' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr(frame_hashes, "find_program", lambda: str(program))
    with pytest.raises(OSError, match="No space") as caught:
        FrameHashes(tmp_path / "a.mp4", tmp_path / "a.framemd5").wait()
    assert caught.value.errno == errno.ENOSPC


def test_a_missing_program_is_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> str:
        raise RuntimeError("No ffmpeg exe could be found.")

    monkeypatch.setattr(frame_hashes, "find_program", fail)
    reason = FrameHashes(tmp_path / "a.mp4", tmp_path / "a.framemd5").wait()
    assert reason == "No ffmpeg exe could be found."


def test_a_damaged_stream_gives_the_same_hashes_every_time(tmp_path: Path) -> None:
    source = encode(tmp_path / "in.mp4", tuple(range(60)), options={"g": "60"})
    data = bytearray(source.read_bytes())
    for position in range(3000, len(data) - 3000, 701):
        data[position] ^= 0x55
    source.write_bytes(data)
    files = set()
    for number in range(3):
        target = tmp_path / f"{number}.framemd5"
        assert FrameHashes(source, target).wait() is None
        files.add(target.read_bytes())
    assert len(files) == 1


def test_the_hashing_process_opens_the_video_alone(tmp_path: Path) -> None:
    secret, target = encode(tmp_path / "secret.mp4"), tmp_path / "a.framemd5"
    listed = tmp_path / "list.mp4"
    for text in (
        f"ffconcat version 1.0\nfile '{secret}'\n",
        f"#EXTM3U\n#EXTINF:1,\n{secret}\n#EXT-X-ENDLIST\n",
        f"ffconcat version 1.0\nfile '{listed}'\n",
    ):
        listed.write_text(text)
        assert FrameHashes(listed, target).wait()
        assert not target.exists()


def test_the_hashing_process_decodes_no_larger_frames(tmp_path: Path) -> None:
    source, target = encode(tmp_path / "a.mp4"), tmp_path / "a.framemd5"
    assert FrameHashes(source, target, max_pixels=64 * 48 - 1).wait()
    assert not target.exists()
    assert FrameHashes(source, target, max_pixels=(64 + 128) * (48 + 128)).wait() is None
