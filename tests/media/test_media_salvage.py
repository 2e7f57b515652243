from __future__ import annotations

import errno
import shutil
import subprocess
import tempfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from clips import (
    COUNT,
    Track,
    dahua,
    encode,
    noise,
    ntsc,
    raw_h264,
    rotated,
    truncated,
    vfr,
    with_header,
)
from PIL import Image

from jdsr_cli.errors import MediaError, OutputError
from jdsr_cli.media import Frame, ReadReport, open_reader, probe
from jdsr_cli.media.containers import DEMUXERS
from jdsr_cli.media.reading import salvage
from jdsr_cli.media.reading.salvage import find_signatures
from jdsr_cli.settings import ReadSettings


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Use a separate temporary folder, to check that nothing is left in it."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def read(path: Path, settings: ReadSettings | None = None) -> tuple[list[Frame], ReadReport]:
    with open_reader(path, settings) as reader:
        frames = list(reader)
    return frames, reader.report


def mjpeg(folder: Path) -> Path:
    return encode(folder / "a.mjpeg", codec="mjpeg", pixel_format="yuvj420p", container="mjpeg")


@pytest.mark.parametrize(
    ("make", "demuxer"),
    [
        (vfr, "mov"),
        (ntsc, "mov"),
        (lambda folder: vfr(folder, "vfr.mkv"), "matroska"),
        (lambda folder: rotated(folder, 90), "mov"),
        (lambda folder: encode(folder / "a.ts"), "mpegts"),
        (lambda folder: encode(folder / "a.avi"), "avi"),
        (dahua, "dhav"),
        (mjpeg, "mjpeg"),
    ],
    ids=["mp4", "ntsc", "mkv", "rotated", "ts", "avi", "dav", "mjpeg"],
)
def test_a_file_behind_a_vendor_header_is_read_as_without_it(
    tmp_path: Path, temporary: Path, make, demuxer: str
) -> None:
    original = make(tmp_path)
    expected, report = read(original)
    wrapped = with_header(b"VENDOR\0" + noise(5000), original, "export.dav")
    with open_reader(wrapped) as reader:
        info = reader.info
        assert info.salvaged_copy is not None
        assert info.salvaged_copy.exists()
        frames = list(reader)
    assert [(f.index, f.time) for f in frames] == [(f.index, f.time) for f in expected]
    for frame, same in zip(frames, expected, strict=True):
        np.testing.assert_array_equal(frame.image, same.image)
    warnings = reader.report.warnings
    assert f"a {demuxer} stream found in it after 5007 other bytes was salvaged" in warnings[0]
    assert warnings[1:] == report.warnings
    assert info.path == wrapped
    assert info.salvaged
    own = probe(original)
    assert (info.rotation, info.frame_rate) == (own.rotation, own.frame_rate)
    assert not own.salvaged
    assert list(temporary.iterdir()) == []


def test_a_raw_stream_behind_a_large_header_is_read(tmp_path: Path, temporary: Path) -> None:
    wrapped = with_header(noise(1 << 20) + b"\0", mjpeg(tmp_path), "big.264")
    frames, report = read(wrapped, ReadSettings(frame_rate=Fraction(10)))
    assert [frame.time for frame in frames] == [Fraction(i, 10) for i in range(COUNT)]
    assert "salvaged" in report.warnings[0]
    assert "10 frames/s are used (--fps)" in report.warnings[1]
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("share", [0.1, 0.37, 0.5])
@pytest.mark.parametrize("name", ["a.ts", "a.mpg", "camera.h264"])
def test_a_stream_without_its_beginning_is_read(tmp_path: Path, name: str, share: float) -> None:
    pts = tuple(range(100))
    if name == "camera.h264":
        whole = encode(tmp_path / name, pts, container="h264", options={"repeat-headers": "1"})
    elif name == "a.mpg":
        whole = encode(tmp_path / name, pts, codec="mpeg2video", container="vob", size=(320, 240))
    else:
        whole = encode(tmp_path / name, pts)
    data = whole.read_bytes()
    cut = tmp_path / f"cut-{name}"
    cut.write_bytes(data[int(share * len(data)) :])
    frames, _ = read(cut)
    assert len(frames) >= int((1 - share) * 100) - 26


def test_dahua_is_read_with_its_times(tmp_path: Path) -> None:
    frames, report = read(dahua(tmp_path))
    assert [frame.time - frames[0].time for frame in frames] == [
        Fraction(i, 25) for i in range(COUNT)
    ]
    assert report.warnings == ()


def test_ffmpeg_remuxes_where_cutting_fails(
    tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = vfr(tmp_path, "vfr.mkv")
    wrapped = with_header(noise(5000), original, "export.dav")
    monkeypatch.setattr(salvage.Salvage, "_copy_bytes", lambda *_: False)
    with open_reader(wrapped) as reader:
        assert reader.info.container == "nut"
        times = [frame.time for frame in reader]
    assert times == [frame.time for frame in read(original)[0]]
    assert "salvaged" in reader.report.warnings[0]
    assert len(reader.report.warnings) == 1
    assert list(temporary.iterdir()) == []


def test_files_without_media_start_no_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a program was started")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    (tmp_path / "text.mp4").write_text("This is no video.\n" * 5000)
    (tmp_path / "noise.dav").write_bytes(noise(1 << 20))
    (tmp_path / "zero.ts").write_bytes(bytes(1 << 20))
    cut = truncated(encode(tmp_path / "whole.mp4"), 0.6)
    for path in (tmp_path / "text.mp4", tmp_path / "noise.dav", tmp_path / "zero.ts", cut):
        with pytest.raises(MediaError) as caught:
            open_reader(path)
        assert "salvage" not in str(caught.value)
    with pytest.raises(MediaError, match="no moov box"):
        open_reader(cut)


def test_pictures_in_documents_are_not_salvaged(tmp_path: Path) -> None:
    Image.new("RGB", (64, 48)).save(tmp_path / "a.jpg")
    picture = (tmp_path / "a.jpg").read_bytes()
    document = tmp_path / "report.pdf"
    document.write_bytes(b"%PDF-1.7\n" + (noise(100) + picture) * 5)
    assert find_signatures(document) == []
    single = tmp_path / "single.bin"
    single.write_bytes(noise(100) + picture + noise(100))
    assert find_signatures(single) == []


def test_a_failed_salvage_is_reported_in_one_line(tmp_path: Path, temporary: Path) -> None:
    whole = vfr(tmp_path)
    broken = tmp_path / "broken.dav"
    broken.write_bytes(noise(3000) + whole.read_bytes()[:400])
    with pytest.raises(MediaError, match="salvage failed too") as caught:
        open_reader(broken)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600
    assert list(temporary.iterdir()) == []


def test_a_full_disk_is_reported(
    tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrapped = with_header(noise(5000), vfr(tmp_path), "export.dav")
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(OutputError, match="the disk is full"):
        open_reader(wrapped)
    monkeypatch.undo()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(salvage, "check_stopped", fail)
    with pytest.raises(OutputError, match="the disk is full"):
        open_reader(wrapped)
    assert list(temporary.iterdir()) == []


def test_ffmpeg_that_hangs_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\nexec sleep 600\n")
    program.chmod(0o755)
    monkeypatch.setattr(salvage, "find_program", lambda: str(program))
    monkeypatch.setattr(salvage, "_MIN_SECONDS", 0.2)
    data = raw_h264(tmp_path).read_bytes()
    wrapped = tmp_path / "wrapped.jpg"
    wrapped.write_bytes(data)
    copies = salvage.Salvage(wrapped, ReadSettings().max_pixels)
    assert list(copies.copies()) == []
    assert copies.messages == ["as h264: stopped after 0 s"]


def test_ffmpeg_opens_no_other_file(tmp_path: Path) -> None:
    signatures = find_signatures(with_header(noise(100), encode(tmp_path / "a.ts"), "a:b,c.dav"))
    command = salvage._command(
        "ffmpeg", tmp_path / "a:b,c.dav", signatures[0], "nut", tmp_path / "o", 1000
    )
    assert command[command.index("-protocol_whitelist") + 1] == "file,subfile"
    assert set(command[command.index("-format_whitelist") + 1].split(",")) == DEMUXERS
    assert command[command.index("-max_pixels") + 1] == "1000"
    assert "-nostdin" in command
    assert command[command.index("-c") + 1] == "copy"
    frames, _ = read(tmp_path / "a:b,c.dav")
    assert len(frames) == COUNT


def test_sound_files_are_not_video(tmp_path: Path) -> None:
    import av

    for name in ("a.m4a", "a.mka", "a.flac"):
        with av.open(str(tmp_path / name), "w") as output:
            track = Track("flac" if name == "a.flac" else "aac")
            track.fill(output, track.add(output))
        with pytest.raises(MediaError, match="contains no video"):
            open_reader(tmp_path / name)
