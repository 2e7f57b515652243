"""Videos of HDR and of more than 8 bits are read as SDR and in their own colours."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.sidedata.sidedata import Type as SideDataType
from media.clips import encode, picture
from media.deep_clips import (
    HLG,
    MASTERING,
    PQ,
    VARIANTS,
    Colours,
    deep_clip,
    encoded,
    remuxed,
    write_deep,
)

from jdsr_cli.errors import InputUnreadableError
from jdsr_cli.media import (
    MediaInfo,
    ReadSettings,
    open_reader,
    probe,
    sdr_header,
)
from jdsr_cli.media.frames import matrix_in_use
from jdsr_cli.media.hdr_metadata import dynamic_metadata, stated_peak, unreadable_colours
from jdsr_cli.media.tone_mapping import (
    compress_light,
    converter_from_sdr,
    light_to_pq,
    pq_to_light,
    tone_mapping_of,
)


@pytest.mark.parametrize("colours", VARIANTS.values(), ids=VARIANTS)
def test_frames_look_like_the_sdr_picture(tmp_path: Path, colours: Colours) -> None:
    """Only light near white differs, which HDR leaves room above; this picture has one such bar."""
    shown = picture(1).astype(int)
    dark = (shown < 190).all(axis=2)
    with open_reader(deep_clip(tmp_path, colours)) as reader:
        assert reader.info.deep
        image = list(reader)[1].image.astype(int)
    error = np.abs(image - shown)[dark]
    # Chroma is stored at half size in most clips.
    assert np.median(error) <= 2
    assert error.mean() < 6


def test_light_colours_are_compressed_but_not_clipped(tmp_path: Path) -> None:
    gray = np.repeat(np.arange(64, dtype=np.uint8)[None, :, None] * 4, 48, axis=0).repeat(3, axis=2)
    for colours in (PQ, HLG):
        path = write_deep(tmp_path / f"{colours.transfer}.mkv", [gray], colours)
        with open_reader(path) as reader:
            row = next(reader).image[24].astype(int)
        assert np.abs(row[:, 0] - row[:, 1]).max() <= 1
        assert (np.diff(row[:, 1]) > 0).all()
        assert 215 < row[-1, 1] < 240


@pytest.mark.parametrize("colours", VARIANTS.values(), ids=VARIANTS)
def test_deep_frames_have_the_stored_colours(tmp_path: Path, colours: Colours) -> None:
    with open_reader(deep_clip(tmp_path, colours)) as reader:
        deep = list(reader)[1].deep
    assert deep is not None
    first, expected = deep(), encoded(picture(1), colours.transfer, colours.primaries)
    assert first.dtype == np.uint16
    assert np.median(np.abs(first.astype(int) - expected)) < 400
    assert np.array_equal(first, deep())


def test_ordinary_videos_have_no_deep_frames(tmp_path: Path) -> None:
    path = encode(tmp_path / "in.mp4")
    with open_reader(path) as reader:
        assert not reader.info.deep
        assert next(reader).deep is None
    assert sdr_header(probe(path)) == probe(path)


@pytest.mark.parametrize("name", [name for name, one in VARIANTS.items() if "SDR, 1" not in name])
def test_sdr_colours_return_to_themselves(tmp_path: Path, name: str) -> None:
    info = probe(deep_clip(tmp_path, VARIANTS[name], frames=1))
    mapping = tone_mapping_of(info)
    assert mapping is not None
    colours = np.random.default_rng(1).integers(0, 256, (40, 50, 3)).astype(np.uint8)
    stored = converter_from_sdr(info)(colours.astype(np.float32))
    assert 0 <= stored.min() <= stored.max() <= 65535
    assert np.array_equal(mapping.to_sdr(np.rint(stored).astype(np.uint16)), colours)


def test_pq_and_its_tone_mapping_have_the_published_values() -> None:
    """BT.2408, table 1: 203 cd/m2 is 58 % PQ; BT.2390: the knee is at 1.5 maxLum - 0.5."""
    nits = np.array([0.0, 0.1, 10.0, 100.0, 203.0, 1000.0, 10000.0])
    assert light_to_pq(np.array([203.0]))[0] == pytest.approx(0.58, abs=0.001)
    assert pq_to_light(light_to_pq(nits)) == pytest.approx(nits, rel=1e-6, abs=1e-6)
    below = np.array([0.0, 1.0, 30.0, 80.0])
    assert compress_light(below, 1000.0) * 203 == pytest.approx(below, rel=1e-6, abs=1e-9)
    assert compress_light(np.array([1000.0, 4000.0]), 1000.0) == pytest.approx([1.0, 1.0], abs=1e-6)
    assert compress_light(nits[:5], 203.0) * 203 == pytest.approx(nits[:5], rel=1e-6, abs=1e-9)


def test_the_stated_peak_becomes_white(tmp_path: Path) -> None:
    bright = np.full((48, 64, 3), 255, np.uint8)
    seen = {}
    for peak in ("0,0", "4000,400", "203,100"):
        options = {"x265-params": f"master-display={MASTERING}:max-cll={peak}"}
        colours = replace(PQ, codec="libx265", options=options)
        path = write_deep(tmp_path / f"{peak}.mp4", [bright], colours)
        with open_reader(path) as reader:
            (note,) = reader.report.warnings
            seen[peak] = (int(next(reader).image[20, 20, 1]), note)
    assert seen["203,100"][0] > seen["0,0"][0] > seen["4000,400"][0]
    assert "1000 cd/m2" in seen["0,0"][1]
    assert "4000 cd/m2" in seen["4000,400"][1]


@pytest.mark.parametrize("name", ["PQ", "HLG, full range", "SDR, 10 bit"])
def test_deinterlaced_frames_have_the_same_colours(tmp_path: Path, name: str) -> None:
    path = write_deep(tmp_path / "in.mkv", [picture(0)] * 4, VARIANTS[name])
    inner = np.s_[4:-4, 4:-4]
    with (
        open_reader(path) as plain,
        open_reader(path, ReadSettings(deinterlace="on")) as filtered,
    ):
        for one, other in zip(plain, filtered, strict=True):
            assert one.deep is not None
            assert other.deep is not None
            error = np.abs(one.image.astype(int) - other.image)[inner]
            deep_error = np.abs(one.deep().astype(int) - other.deep())[inner]
            assert np.median(error) <= 1
            assert np.median(deep_error) < 257
        assert any("deinterlaced" in note for note in filtered.report.warnings)


def test_rotated_frames_agree_with_the_sdr_picture(tmp_path: Path) -> None:
    colours = replace(PQ, codec="libx265")
    path = write_deep(tmp_path / "in.mp4", [picture(0)] * 2, colours)
    turned = remuxed(path, tmp_path / "turned.mp4", PQ, rotation=90)
    with open_reader(turned) as reader:
        frame = next(reader)
        mapping = tone_mapping_of(reader.info)
    assert frame.deep is not None
    assert mapping is not None
    assert frame.image.shape == frame.deep().shape == (64, 48, 3)
    assert np.array_equal(mapping.to_sdr(frame.deep()), frame.image)


def test_tags_of_the_container_alone_are_read(tmp_path: Path) -> None:
    """The decoder of HEVC replaces them by those of the stream, which are absent."""
    plain = replace(PQ, codec="libx265", tagged=False)
    path = write_deep(tmp_path / "plain.mp4", [picture(0)] * 3, plain)
    assert probe(path).colour_transfer == "unspecified"
    for name in ("tagged.mp4", "tagged.mov"):
        info = probe(remuxed(path, tmp_path / name, PQ))
        found = (info.colour_transfer, info.colour_primaries, info.colour_matrix)
        assert found == ("smpte2084", "bt2020", "bt2020nc"), name


def test_tags_of_the_stream_alone_are_read(tmp_path: Path) -> None:
    path = write_deep(tmp_path / "in.mp4", [picture(0)] * 3, replace(PQ, codec="libx265"))
    raw = tmp_path / "in.hevc"
    with av.open(str(path)) as source, av.open(str(raw), "w") as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                output.mux(packet)
    info = probe(raw)
    assert (info.colour_transfer, info.deep) == ("smpte2084", True)


def test_an_untagged_matrix_of_hdr_is_that_of_bt2020(tmp_path: Path) -> None:
    info = replace(probe(deep_clip(tmp_path, PQ, frames=1)), colour_matrix="unspecified")
    assert matrix_in_use(info) == 9
    assert matrix_in_use(replace(info, colour_primaries="unspecified")) == 9
    assert matrix_in_use(replace(info, colour_primaries="bt709", colour_transfer="bt709")) == 6


def _with(**changes: str) -> MediaInfo:
    info = MediaInfo.__new__(MediaInfo)
    values = {"colour_transfer": "unspecified", "colour_primaries": "unspecified",
              "mastering_display": None, "content_light": None, "deep": False}  # fmt: skip
    info.__dict__.update(values | changes)
    return info


def test_colours_that_are_not_mapped() -> None:
    assert tone_mapping_of(_with()) is None
    assert tone_mapping_of(_with(colour_primaries="bt709", colour_transfer="bt709")) is None
    assert tone_mapping_of(_with(colour_primaries="smpte170m")) is None
    assert tone_mapping_of(_with(colour_primaries="bt2020", colour_transfer="linear")) is None
    assert tone_mapping_of(_with(colour_transfer="smpte2084")) is not None


def test_peaks() -> None:
    assert stated_peak(None, None) is None
    assert stated_peak(MASTERING, None) == 1000
    assert stated_peak(MASTERING, "0,200") == 1000
    assert stated_peak(MASTERING, "640,200") == 640


def dolby_vision(profile: int, full: int) -> Any:
    """Return side data with the start of the metadata of Dolby Vision."""
    header = bytes([2, 0, 0, 0, profile, 0, 0, 0, 23, 0, full, 10])
    start = struct.calcsize("N")
    return {SideDataType.DOVI_METADATA: start.to_bytes(start, "little") + header}


def test_dolby_vision_profile_5_is_recognised() -> None:
    plain = dolby_vision(1, 0)
    assert unreadable_colours(plain, "hvc1", "smpte2084", "bt2020nc") is None
    assert unreadable_colours(plain, "dvh1", "smpte2084", "bt2020nc") is None
    fifth = dolby_vision(0, 1)
    assert "profile 5" in str(unreadable_colours(fifth, "hvc1", "smpte2084", "bt2020nc"))
    assert "profile 5" in str(unreadable_colours(plain, "dvh1", "unspecified", "unspecified"))
    assert unreadable_colours(plain, "hvc1", "smpte2084", "ictcp") == "ICtCp"
    assert dynamic_metadata(plain) == ["Dolby Vision"]


@pytest.mark.parametrize("tag", ["dvh1", "dvhe"])
def test_dolby_vision_without_common_colours_is_refused(tmp_path: Path, tag: str) -> None:
    plain = replace(PQ, codec="libx265", tagged=False)
    path = write_deep(tmp_path / "plain.mp4", [picture(0)] * 3, plain)
    data = path.read_bytes()
    assert data.count(b"hev1") == 1
    dolby = tmp_path / "dolby.mp4"
    dolby.write_bytes(data.replace(b"hev1", tag.encode()))
    with pytest.raises(InputUnreadableError, match="Dolby Vision profile 5"):
        open_reader(dolby)
