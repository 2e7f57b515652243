"""Videos of HDR and of more than 8 bits: reading as SDR and in their own colours, and writing."""

from __future__ import annotations

import re
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.sidedata.sidedata import Type as SideDataType
from media.clips import encode, picture
from media.deep_clips import HLG, PQ, Colours, encoded, remuxed, write_deep

from jdsr_cli.errors import InputUnreadableError
from jdsr_cli.media import (
    MediaInfo,
    VideoWriter,
    open_reader,
    probe,
    restored_header,
    sdr_header,
)
from jdsr_cli.media.deep_frames import from_deep_rgb, to_deep_rgb
from jdsr_cli.media.frames import matrix_in_use
from jdsr_cli.media.hdr_metadata import stated_peak, unreadable_colours
from jdsr_cli.media.tone_mapping import (
    compress_light,
    converter_from_sdr,
    light_to_pq,
    pq_to_light,
    tone_mapping_of,
)
from jdsr_cli.media.writing import formats

MASTERING = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
METADATA = {"x265-params": f"master-display={MASTERING}:max-cll=900,400"}

VARIANTS = {
    "PQ": PQ,
    "PQ in MP4": replace(PQ, codec="libx265"),
    "PQ, full range": replace(PQ, full=True),
    "PQ, 12 bit": replace(PQ, pixel_format="yuv422p12le"),
    "PQ, RGB": replace(PQ, pixel_format="gbrp10le"),
    "PQ, 8 bit": replace(PQ, pixel_format="yuv444p", codec="libx264", options={"crf": "4"}),
    "HLG": HLG,
    "HLG in MP4": replace(HLG, codec="libx265"),
    "HLG, full range": replace(HLG, full=True, pixel_format="yuv444p12le"),
    "BT.2020, SDR": Colours("bt2020-10", "bt2020"),
    "Display P3": Colours("iec61966-2-1", "smpte432", "yuv444p10le"),
    "Display P3, 8 bit": Colours("bt709", "smpte432", "yuv444p", "libx264", options={"crf": "4"}),
    "SDR, 10 bit": Colours(pixel_format="yuv422p10le"),
    "SDR, 12 bit, full range": Colours(pixel_format="yuv420p12le", full=True),
    "SDR, 16 bit RGB": Colours(pixel_format="gbrp16le"),
}


def clip(folder: Path, colours: Colours, frames: int = 3) -> Path:
    suffix = ".mp4" if colours.codec.startswith("libx26") else ".mkv"
    return write_deep(folder / f"in{suffix}", [picture(n) for n in range(frames)], colours)


@pytest.mark.parametrize("colours", VARIANTS.values(), ids=VARIANTS)
def test_frames_look_like_the_sdr_picture(tmp_path: Path, colours: Colours) -> None:
    """Only light near white differs, which HDR leaves room above; this picture has one such bar."""
    shown = picture(1).astype(int)
    dark = (shown < 190).all(axis=2)
    with open_reader(clip(tmp_path, colours)) as reader:
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
    with open_reader(clip(tmp_path, colours)) as reader:
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


def _ramp(full: bool, pixel_format: str, bits: int) -> Any:
    """Return a frame of a gray ramp, and its levels as fractions of white."""
    top, step = (1 << bits) - 1, 1 << (bits - 8)
    codes = np.linspace(0, top, 64).round().astype(np.uint16)
    frame = av.VideoFrame(64, 32, pixel_format)
    frame.color_range = 2 if full else 1
    for number, plane in enumerate(frame.planes):
        row = codes if number == 0 else np.full(plane.width, 1 << (bits - 1), np.uint16)
        padded = np.pad(row, (0, plane.line_size // 2 - len(row)))
        plane.update(np.tile(padded, (plane.height, 1)).tobytes())
    share = codes / top if full else (codes / step - 16) / 219
    return frame, np.clip(share, 0, 1)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("bits", [9, 10, 12, 16])
@pytest.mark.parametrize("layout", ["420", "444"])
def test_levels_of_every_depth_and_range_are_exact(full: bool, bits: int, layout: str) -> None:
    """FFmpeg's scaler gives 65286 for white of limited range, and 65472 for that of full range."""
    frame, share = _ramp(full, f"yuv{layout}p{bits}le", bits)
    read = to_deep_rgb(frame, 9)[16].astype(int)
    assert np.abs(read - np.rint(share * 65535)[:, None]).max() <= 2


@pytest.mark.parametrize("bits", [9, 10, 12, 14, 16])
def test_levels_of_rgb_are_exact(bits: int) -> None:
    top = (1 << bits) - 1
    codes = np.linspace(0, top, 64).round().astype(np.uint16)
    frame = av.VideoFrame(64, 32, f"gbrp{bits}le")
    for plane in frame.planes:
        plane.update(np.tile(np.pad(codes, (0, plane.line_size // 2 - 64)), (32, 1)).tobytes())
    read = to_deep_rgb(frame, 1)[16].astype(int)
    assert np.abs(read - np.rint(codes / top * 65535)[:, None]).max() <= 1


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("pixel_format", ["yuv420p10le", "p010le"])
def test_ten_bits_survive_conversion_to_rgb_and_back(full: bool, pixel_format: str) -> None:
    rng = np.random.default_rng(0)
    levels = np.full((48, 64, 3), 30000) + 64 * rng.integers(-60, 60, (48, 64, 1))
    stored = from_deep_rgb(levels.astype(np.uint16), pixel_format, 9, full_range=full)
    again = from_deep_rgb(to_deep_rgb(stored, 9), pixel_format, 9, full_range=full)
    assert bytes(stored.planes[0]) == bytes(again.planes[0])


@pytest.mark.parametrize("pixel_format", ["gray10le", "gray12le", "gray16le", "ya16le"])
def test_gray_is_full_range(pixel_format: str) -> None:
    levels = np.repeat(np.linspace(0, 65535, 64).astype(np.uint16)[None, :, None], 32, axis=0)
    rgb = np.ascontiguousarray(levels.repeat(3, axis=2))
    frame = av.VideoFrame.from_numpy_buffer(rgb, format="rgb48le").reformat(format=pixel_format)
    read = to_deep_rgb(frame, 1)
    assert (read[:, 0] == 0).all()
    assert (read[:, -1] == 65535).all()
    assert np.array_equal(read[..., 0], read[..., 2])


@pytest.mark.parametrize("pixel_format", ["yuva444p10le", "yuva422p12le", "gbrap12le", "rgba64le"])
def test_transparency_is_composited_over_black(pixel_format: str) -> None:
    rgba = np.full((32, 64, 4), 65535, np.uint16)
    rgba[:, :20, 3] = 0
    rgba[:, 20:40, 3] = 32768
    frame = av.VideoFrame.from_numpy_buffer(rgba, format="rgba64le").reformat(format=pixel_format)
    read = to_deep_rgb(frame, 1).astype(int)
    assert read[:, :18].max() == 0
    assert np.abs(read[:, 22:38] - 32768).max() < 300
    assert read[:, 42:].min() > 65000


@pytest.mark.parametrize("name", [name for name, one in VARIANTS.items() if "SDR, 1" not in name])
def test_sdr_colours_return_to_themselves(tmp_path: Path, name: str) -> None:
    info = probe(clip(tmp_path, VARIANTS[name], frames=1))
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
    info = replace(probe(clip(tmp_path, PQ, frames=1)), colour_matrix="unspecified")
    assert matrix_in_use(info) == 9
    assert matrix_in_use(replace(info, colour_primaries="unspecified")) == 9
    assert matrix_in_use(replace(info, colour_primaries="bt709", colour_transfer="bt709")) == 6


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
    source = clip(tmp_path, VARIANTS[name], frames=4)
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
    source = clip(tmp_path, replace(PQ, codec="libx265", options=METADATA))
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
    info = probe(clip(tmp_path, replace(PQ, codec="libx265", options=METADATA), frames=1))
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
    hdr = probe(clip(tmp_path, VARIANTS["PQ, 8 bit"], frames=1))
    assert hdr.deep
    assert formats.choose_encoding("auto", hdr)[0].pixel_format == "yuv420p"


def test_tiny_videos_do_not_fail_for_their_depth(tmp_path: Path) -> None:
    small = np.full((8, 12, 3), 90, np.uint8)
    info = probe(write_deep(tmp_path / "in.mkv", [small], PQ))
    assert formats.choose_encoding("auto", info)[0].encoder == "libx264"


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


class _Frame:
    """A frame with the side data of Dolby Vision."""

    def __init__(self, profile: int, full: int) -> None:
        header = bytes([2, 0, 0, 0, profile, 0, 0, 0, 23, 0, full, 10])
        start = struct.calcsize("N")
        data = start.to_bytes(start, "little") + header
        self.side_data = {SideDataType.DOVI_METADATA: data}


def test_dolby_vision_profile_5_is_recognised() -> None:
    plain: Any = _Frame(1, 0)
    assert unreadable_colours(plain, "hvc1", "smpte2084", "bt2020nc") is None
    assert unreadable_colours(plain, "dvh1", "smpte2084", "bt2020nc") is None
    fifth: Any = _Frame(0, 1)
    assert "profile 5" in str(unreadable_colours(fifth, "hvc1", "smpte2084", "bt2020nc"))
    assert "profile 5" in str(unreadable_colours(plain, "dvh1", "unspecified", "unspecified"))
    assert unreadable_colours(plain, "hvc1", "smpte2084", "ictcp") == "ICtCp"


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
