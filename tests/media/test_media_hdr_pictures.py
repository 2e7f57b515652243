"""Still pictures of HDR are converted to sRGB from their full depth."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from media.deep_clips import Picture, encoded
from media.hdr_pictures import (
    ALL_TAGS,
    HLG,
    LOSSLESS,
    PQ,
    PQ_P3,
    WRITERS,
    Tags,
    avif,
    errors,
    heic,
    note,
    png,
    profile_of,
    read,
    reduced,
    tiff,
)
from PIL import Image

from jdsr_cli.media import open_reader, probe
from jdsr_cli.media.reading import heif_items
from jdsr_cli.media.reading.coded_colours import CodedColours, ColourCodes


@pytest.mark.parametrize("tags", ALL_TAGS.values(), ids=ALL_TAGS)
@pytest.mark.parametrize("name", WRITERS)
def test_a_portrait_looks_like_its_sdr_original(
    tmp_path: Path, astronaut: Picture, name: str, tags: Tags
) -> None:
    file, bits, write = WRITERS[name]
    path = write(tmp_path / file, tags.encode(astronaut), tags)
    image, info, notes = read(path)
    found = errors(image, astronaut)
    assert found.max() <= 1 if name in LOSSLESS else found.mean() < 4
    assert np.median(found) <= (3 if bits == 8 else 2)
    assert notes == (note(tags, f"{bits} bits"),)
    assert (info.colour_transfer, info.colour_primaries) == (tags.transfer, tags.primaries)
    assert info.bit_depth == bits
    assert (info.pixel_format == "rgb24") == (bits == 8)
    assert probe(path) == info


@pytest.mark.parametrize("name", ["PNG, 16 bits", "HEIC, 10 bits", "AVIF, 12 bits"])
def test_light_colours_are_compressed_but_not_clipped(tmp_path: Path, name: str) -> None:
    gray = np.repeat(np.arange(64, dtype=np.uint8)[None, :, None] * 4, 64, axis=0).repeat(3, axis=2)
    file, _, write = WRITERS[name]
    for tags in (PQ, HLG):
        row = read(write(tmp_path / file, tags.encode(gray), tags))[0][32].astype(int)
        assert np.ptp(row, axis=1).max() <= 2
        assert (np.diff(row[:, 1]) >= 0).all()
        assert 215 < row[-1, 1] < 240


@pytest.mark.parametrize("tags", [PQ, HLG], ids=["PQ", "HLG"])
@pytest.mark.parametrize("name", ["PNG, 16 bits", "TIFF, 16 bits"])
def test_deep_samples_are_finer_than_8_bits(tmp_path: Path, name: str, tags: Tags) -> None:
    """A dark ramp has more levels in sRGB than those of PQ and HLG of 8 bits."""
    ramp = np.repeat(np.arange(120, dtype=np.uint8)[None, :, None], 8, axis=0).repeat(3, axis=2)
    file, _, write = WRITERS[name]
    image = read(write(tmp_path / file, tags.encode(ramp), tags))[0]
    assert np.abs(image.astype(int) - ramp).max() <= 1
    assert len(np.unique(image[0, :, 0])) >= 118


PNG_MODELS = {"gray": [0], "gray with alpha": [0, 3], "RGB": [0, 1, 2], "RGBA": [0, 1, 2, 3]}


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("model", PNG_MODELS)
@pytest.mark.parametrize("tags", [PQ, HLG], ids=["PQ", "HLG"])
def test_colour_models_of_png(
    tmp_path: Path, astronaut: Picture, tags: Tags, model: str, bits: int
) -> None:
    channels = PNG_MODELS[model]
    shown = astronaut if 1 in channels else astronaut[..., :1].repeat(3, axis=2)
    alpha = np.full(shown.shape[:2], 65535, np.uint16)
    alpha[:20] = 0
    samples = np.dstack([tags.encode(shown), alpha])[..., channels]
    image, _, notes = read(png(tmp_path / "a.png", reduced(samples, bits), tags.chunk()))
    see_through = 3 in channels
    found = errors(image[20:], shown[20:])
    assert found.max() <= 1 if bits == 16 else found.mean() < 1
    assert (image[:20] == 128).all() == see_through
    assert notes[0] == note(tags, f"{bits} bits")
    assert notes[1:] == (("transparent parts are shown on gray",) if see_through else ())


def test_a_palette_has_the_colours_of_its_codes(tmp_path: Path, astronaut: Picture) -> None:
    few = Image.fromarray(astronaut).quantize(64)
    shown = np.asarray(few.convert("RGB"))
    palette = np.asarray(few.getpalette()).reshape(-1, 3).astype(np.uint8)
    stored = reduced(encoded(palette[None], "smpte2084", "bt2020"), 8)
    plain = np.asarray(few)
    path = png(tmp_path / "a.png", plain, PQ.chunk(), (b"PLTE", stored[0].tobytes()))
    data = bytearray(path.read_bytes())
    data[25] = 3  # colour type
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    path.write_bytes(data)
    image, info, notes = read(path)
    assert info.pixel_format == "pal8"
    assert errors(image, shown).max() <= 4
    assert notes == (note(PQ, "8 bits"),)


LAYOUTS: dict[str, dict[str, Any]] = {
    "compressed": {"compression": "zlib", "predictor": 2},
    "tiles": {"tile": (32, 32)},
    "planes": {"planarconfig": "separate"},
    "compressed planes": {"planarconfig": "separate", "compression": "zlib"},
    "big-endian": {"byteorder": ">"},
    "long positions": {"bigtiff": True},
    "mirrored": {"extratags": [(274, "H", 1, 2, True)]},
    "planes, upside down": {
        "planarconfig": "separate",
        "extratags": [(274, "H", 1, 3, True)],
    },
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_of_tiff(tmp_path: Path, hopper: Picture, layout: str) -> None:
    options = LAYOUTS[layout]
    stored = PQ.encode(hopper)
    orientation = options.get("extratags", [(0, "", 0, 1)])[0][3]
    shown = {1: hopper, 2: hopper[:, ::-1], 3: hopper[::-1, ::-1]}[orientation]
    image, _, notes = read(tiff(tmp_path / "a.tif", stored, profile_of(PQ), **options))
    assert errors(image, shown).max() <= 1
    assert notes == (note(PQ, "16 bits"),)


def test_tiles_of_planes_are_read_in_8_bits_and_the_note_says_so(
    tmp_path: Path, hopper: Picture
) -> None:
    options = {"planarconfig": "separate", "tile": (32, 32)}
    path = tiff(tmp_path / "a.tif", HLG.encode(hopper), profile_of(HLG), **options)
    image, _, notes = read(path)
    assert errors(image, hopper).mean() < 2
    assert notes == (note(HLG, "8 of 16 bits"),)


@pytest.mark.parametrize("kind", ["minisblack", "miniswhite"])
def test_gray_tiff_of_16_bits(tmp_path: Path, hopper: Picture, kind: str) -> None:
    shown = hopper[..., :1].repeat(3, axis=2)
    gray = PQ.encode(shown)[..., 0]
    stored = gray if kind == "minisblack" else 65535 - gray
    image, _, notes = read(tiff(tmp_path / "a.tif", stored, profile_of(PQ), photometric=kind))
    assert errors(image, shown).max() <= 1
    assert notes == (note(PQ, "16 bits"),)


@pytest.mark.parametrize("write", [heic, avif], ids=["HEIC", "AVIF"])
@pytest.mark.parametrize("bits", [8, 10])
def test_transparent_parts_of_hdr_are_shown_on_gray(
    tmp_path: Path, astronaut: Picture, write: Any, bits: int
) -> None:
    alpha = np.full(astronaut.shape[:2], 65535, np.uint16)
    alpha[:32] = 0
    path = tmp_path / ("a.heic" if write is heic else "a.avif")
    image, _, notes = read(write(path, np.dstack([PQ.encode(astronaut), alpha]), PQ, bits))
    assert np.abs(image[:30].astype(int) - 128).max() <= 2
    assert errors(image[40:], astronaut[40:]).mean() < 4
    assert notes == (note(PQ, f"{bits} bits"), "transparent parts are shown on gray")


@pytest.mark.parametrize("write", [heic, avif], ids=["HEIC", "AVIF"])
def test_gray_items(tmp_path: Path, astronaut: Picture, write: Any) -> None:
    shown = astronaut[..., :1].repeat(3, axis=2)
    path = tmp_path / ("a.heic" if write is heic else "a.avif")
    image, _, notes = read(write(path, HLG.encode(shown)[..., 0], HLG, 10))
    assert errors(image, shown).mean() < 2
    assert notes == (note(HLG, "10 bits"),)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("tags", [PQ, HLG, Tags("iec61966-2-1", "bt709")], ids=["PQ", "HLG", "SDR"])
def test_the_limited_range_of_png_is_expanded(
    tmp_path: Path, astronaut: Picture, tags: Tags, bits: int
) -> None:
    full = tags.encode(astronaut) / 65535
    step = 1 if bits == 8 else 256
    kind = np.uint8 if bits == 8 else np.uint16
    stored = np.rint((16 + 219 * full) * step).astype(kind)
    chunk = Tags(tags.transfer, tags.primaries, full=False).chunk()
    image, info, notes = read(png(tmp_path / "a.png", stored, chunk))
    assert errors(image, astronaut).mean() < 1.5
    assert notes[0] == "the values have the limited range of video and were expanded"
    assert info.colour_range == "limited"


def light(brightest: int) -> tuple[bytes, bytes]:
    return b"cLLI", struct.pack(">2I", brightest * 10000, 100 * 10000)


def mastering(peak: int) -> tuple[bytes, bytes]:
    places = (34000, 16000, 13250, 34500, 7500, 3000, 15635, 16450)
    return b"mDCV", struct.pack(">8H2I", *places, peak * 10000, 50)


@pytest.mark.parametrize(
    ("chunks", "peak"),
    [
        ([], 1000),
        ([light(4000)], 4000),
        ([mastering(600)], 600),
        ([mastering(600), light(203)], 203),
    ],
)
def test_the_peak_that_a_png_states_becomes_white(
    tmp_path: Path, chunks: list[tuple[bytes, bytes]], peak: int
) -> None:
    bright = np.full((32, 32, 3), 255, np.uint8)
    image, info, notes = read(png(tmp_path / "a.png", PQ.encode(bright), PQ.chunk(), *chunks))
    assert notes == (note(PQ, "16 bits", peak),)
    expected = {203: 255, 600: 234, 1000: 226, 4000: 212}[peak]
    assert abs(int(image[16, 16, 1]) - expected) <= 4
    if mastering(600) in chunks:
        assert info.mastering_display == (
            "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(6000000,50)"
        )


def test_a_sequence_of_hdr_pictures_is_written_as_sdr(tmp_path: Path, hopper: Picture) -> None:
    for number in range(3):
        png(tmp_path / f"a{number:03}.png", PQ_P3.encode(hopper), PQ_P3.chunk())
    with open_reader(tmp_path / "a%03d.png") as reader:
        assert reader.info.colour_transfer == "unspecified"
        for frame in reader:
            assert errors(frame.image, hopper).max() <= 1
        assert note(PQ_P3, "16 bits") in reader.report.warnings


@dataclass(frozen=True)
class StoredBox:
    kind: str
    content: bytes

    def read(self, stream: object, start: int, size: int) -> bytes:
        """As `Box.read`."""
        found = self.content[start : start + size]
        if len(found) < size:
            raise ValueError
        return found


@pytest.mark.parametrize(
    "damaged", [("clli", b"\0\1"), ("mdcv", bytes(9)), ("colr", b"nclx\0\1"), ("colr", b"")]
)
@pytest.mark.parametrize("order", [1, -1])
def test_a_short_box_does_not_hide_the_colours(
    monkeypatch: pytest.MonkeyPatch, damaged: tuple[str, bytes], order: int
) -> None:
    intact = StoredBox("colr", b"nclx" + struct.pack(">3HB", 9, 16, 9, 0x80))
    boxes = [StoredBox(*damaged), intact][::order]
    monkeypatch.setattr(heif_items, "_primary_properties", lambda _: iter(boxes))
    found = heif_items._primary_colours(io.BytesIO())
    assert found == CodedColours(ColourCodes(9, 16, 9, True))
