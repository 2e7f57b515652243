"""Videos of HDR and of more than 8 bits are written with their depth, tags and metadata."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from media.clips import encode
from media.deep_clips import (
    MASTERING,
    METADATA,
    PQ,
    VARIANTS,
    deep_clip,
    write_deep,
)

from jdsr_cli.errors import UsageError
from jdsr_cli.media import (
    SegmentWriter,
    VideoWriter,
    open_reader,
    probe,
    restored_header,
)
from jdsr_cli.media.writing import formats


@pytest.mark.parametrize(
    ("codec", "pixel_format"),
    [
        ("auto", "yuv420p10le"), ("h264", "yuv420p10le"), ("hevc", "yuv420p10le"),
        ("av1", "yuv420p10le"), ("ffv1", "gbrp16le"), ("source", "yuv420p10le"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["PQ in MP4", "HLG in MP4", "SDR, 10 bit"])
def test_codecs_keep_ten_bits_and_tags(
    tmp_path: Path, codec: str, pixel_format: str, name: str
) -> None:
    source = deep_clip(tmp_path, VARIANTS[name], frames=4)
    info = probe(source)
    if codec == "source" and info.codec == "ffv1":
        pixel_format = "gbrp16le"
    target = tmp_path / "out.mp4"
    with (
        open_reader(source) as reader,
        VideoWriter(target, info, info.width, info.height, codec=codec, deep=True) as writer,
    ):
        given = []
        for frame in reader:
            assert frame.deep is not None
            given.append(frame.deep())
            writer.write(given[-1], frame.pts)
    with open_reader(writer.path) as reader:
        after = reader.info
        assert after.pixel_format == pixel_format
        for tag in ("primaries", "transfer"):
            assert getattr(after, f"colour_{tag}") == getattr(info, f"colour_{tag}")
        read = [frame.deep() for frame in reader if frame.deep is not None]
    errors = np.abs(np.array(read).astype(int) - np.array(given))
    assert len(read) == len(given)
    if pixel_format == "gbrp16le":
        assert errors.max() == 0
    else:
        # Less than one level of 8 bits on average, though colours have half the size.
        assert np.median(errors) < 257


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
def test_hdr_metadata_are_kept(tmp_path: Path, codec: str) -> None:
    source = deep_clip(tmp_path, replace(PQ, codec="libx265", options=METADATA))
    info = probe(source)
    assert (info.mastering_display, info.content_light) == (MASTERING, "900,400")
    assert restored_header(codec, info)[0] == info
    with (
        open_reader(source) as reader,
        VideoWriter(tmp_path / "out.mp4", info, 64, 48, codec=codec, deep=True) as writer,
    ):
        for frame in reader:
            assert frame.deep is not None
            writer.write(frame.deep(), frame.pts)
    after = probe(writer.path)
    assert after.content_light == info.content_light
    before, kept = (
        [int(one) for one in re.findall(r"\d+", text or "")]
        for text in (info.mastering_display, after.mastering_display)
    )
    # AV1 stores chromaticities in 1/65536.
    assert np.abs(np.array(before) - kept).max() <= 2


def test_what_is_lost_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = probe(deep_clip(tmp_path, replace(PQ, codec="libx265", options=METADATA), frames=1))
    header, notes = restored_header("ffv1", info)
    assert header == info
    assert any("mastering display" in note for note in notes)
    header, notes = restored_header("source", replace(info, codec="mjpeg"))
    assert not header.deep
    assert header.colour_transfer == "bt709"
    assert any("8 bits" in note for note in notes)
    monkeypatch.setattr(
        formats, "hardware_fault", lambda *given: "no" if "p010le" in given else None
    )
    header, notes = restored_header("h264_nvenc", info)
    assert not header.deep
    monkeypatch.setattr(formats, "hardware_fault", lambda *_: None)
    header, notes = restored_header("hevc_nvenc", info)
    assert header.deep
    assert formats.choose_encoding("hevc_nvenc", info)[0].pixel_format == "p010le"


def test_eight_bits_stay_eight_bits(tmp_path: Path) -> None:
    ordinary = probe(encode(tmp_path / "in.mp4"))
    assert formats.choose_encoding("auto", ordinary) == formats.choose_encoding("h264", ordinary)
    assert formats.choose_encoding("auto", ordinary)[0].pixel_format == "yuv420p"
    hdr = probe(deep_clip(tmp_path, VARIANTS["PQ, 8 bit"], frames=1))
    assert hdr.deep
    assert formats.choose_encoding("auto", hdr)[0].pixel_format == "yuv420p"


def test_tiny_videos_do_not_fail_for_their_depth(tmp_path: Path) -> None:
    small = np.full((8, 12, 3), 90, np.uint8)
    info = probe(write_deep(tmp_path / "in.mkv", [small], PQ))
    assert formats.choose_encoding("auto", info)[0].encoder == "libx264"


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1", "ffv1"])
def test_the_same_deep_frames_give_the_same_bytes(tmp_path: Path, codec: str) -> None:
    info = replace(probe(deep_clip(tmp_path, PQ, frames=1)), width=320, height=240)
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 65536, (20, 240, 320, 3)).astype(np.uint16)
    contents = []
    for name in ("first", "second"):
        path = tmp_path / f"{name}.nut"
        with SegmentWriter(path, info, 320, 240, codec=codec, deep=True) as segment:
            for number, frame in enumerate(frames):
                segment.write(frame, number)
        contents.append(path.read_bytes())
    assert contents[0] == contents[1]


def test_frames_of_another_depth_are_refused(tmp_path: Path) -> None:
    info = probe(deep_clip(tmp_path, PQ, frames=1))
    for deep, kind in ((True, np.uint8), (False, np.uint16)):
        with (
            pytest.raises(UsageError, match="frame of uint"),
            SegmentWriter(tmp_path / "a.nut", info, 64, 48, deep=deep) as segment,
        ):
            segment.write(np.zeros((48, 64, 3), kind), 0)
