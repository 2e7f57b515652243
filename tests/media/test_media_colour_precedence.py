"""Which of several statements about the colours of a still picture counts."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from media.deep_clips import Picture
from media.hdr_pictures import (
    PQ,
    Tags,
    avif,
    errors,
    heic,
    jpeg,
    note,
    png,
    profile_of,
    read,
    with_tag,
)
from PIL import Image

from jdsr_cli.errors import MediaError
from jdsr_cli.media.reading.matrix_profiles import coded_space


def test_codes_of_png_take_precedence_over_its_profile(tmp_path: Path, hopper: Picture) -> None:
    p3 = coded_space(12, 13)
    assert p3 is not None
    profile = b"iCCP", b"x\0\0" + zlib.compress(p3.profile())
    others = ((b"sRGB", b"\0"), (b"gAMA", struct.pack(">I", 100000)))
    for chunks in ([PQ.chunk(), profile], [profile, PQ.chunk()], [*others, PQ.chunk()]):
        image, _, notes = read(png(tmp_path / "a.png", PQ.encode(hopper), *chunks))
        assert errors(image, hopper).max() <= 1
        assert notes == (note(PQ, "16 bits"),)


@pytest.mark.parametrize("codes", [(9, 16, 9), (9, 3, 0), (2, 2, 0), (200, 13, 0)])
def test_unknown_codes_of_png_leave_the_profile(
    tmp_path: Path, hopper: Picture, codes: tuple[int, int, int]
) -> None:
    profile = b"iCCP", b"x\0\0" + zlib.compress(profile_of(PQ))
    chunk = b"cICP", bytes([*codes, 1])
    image, _, notes = read(png(tmp_path / "a.png", PQ.encode(hopper), chunk, profile))
    assert errors(image, hopper).max() <= 1
    numbers = ", ".join(map(str, codes))
    ignored = f"the unknown colour codes of the PNG ({numbers}) were ignored"
    assert notes == (ignored, note(PQ, "16 bits"))


@pytest.mark.parametrize("write", [heic, avif], ids=["HEIC", "AVIF"])
def test_a_profile_takes_precedence_over_the_codes_of_items(
    tmp_path: Path, hopper: Picture, write: Any
) -> None:
    p3 = coded_space(12, 13)
    assert p3 is not None
    path = tmp_path / "a.avif"
    if write is heic:
        path = heic(tmp_path / "a.heic", PQ.encode(hopper), PQ, icc_profile=p3.profile())
    else:
        Image.fromarray(hopper).save(path, icc_profile=p3.profile(), quality=98)
        data = path.read_bytes()
        at = data.index(b"nclx") + 4
        path.write_bytes(data[:at] + struct.pack(">HH", 9, 16) + data[at + 4 :])
    _, info, notes = read(path)
    assert notes[0] == "the colours were converted from Display P3 to sRGB"
    assert info.colour_transfer == "unspecified"


def test_the_tag_of_a_profile_counts_for_the_colour_model_that_it_is_for(
    tmp_path: Path, hopper: Picture
) -> None:
    Image.fromarray(hopper).convert("CMYK").save(
        tmp_path / "a.jpg", icc_profile=profile_of(PQ), quality=95
    )
    assert "was ignored" in read(tmp_path / "a.jpg")[2][0]
    srgb = coded_space(1, 13)
    assert srgb is not None
    for content in (b"cicp" + bytes(4) + bytes([1, 13, 0, 1]), b"cicp\0\0", b"text" + bytes(8)):
        path = jpeg(tmp_path / "b.jpg", hopper, with_tag(srgb.profile(), b"cicp", content))
        image, _, notes = read(path)
        assert errors(image, hopper).mean() < 2
        assert notes == ()


@pytest.mark.parametrize("write", [heic, avif], ids=["HEIC", "AVIF"])
def test_colours_that_cannot_be_converted_are_refused(
    tmp_path: Path, hopper: Picture, write: Any
) -> None:
    path = write(tmp_path / ("a.heic" if write is heic else "a.avif"), PQ.encode(hopper), PQ)
    data = path.read_bytes()
    at = data.index(b"nclx") + 8
    path.write_bytes(data[:at] + struct.pack(">H", 14) + data[at + 2 :])
    with pytest.raises(MediaError, match="ICtCp"):
        read(path)


XMP = b"http://ns.adobe.com/xap/1.0/\0"
ISO_GAIN_MAP = b"\xff\xe2" + struct.pack(">H", 34) + b"urn:iso:std:iso:ts:21496:-1\0" + bytes(4)


@pytest.mark.parametrize("kind", ["Ultra HDR", "ISO 21496-1", "Apple"])
def test_of_a_jpeg_with_a_gain_map_the_base_is_read(
    tmp_path: Path, hopper: Picture, kind: str
) -> None:
    base, gain = Image.fromarray(hopper), Image.fromarray(hopper[::2, ::2, 0])
    path = tmp_path / "a.jpg"
    base.save(path, "MPO", save_all=True, append_images=[gain.convert("RGB")], quality=95)
    data = path.read_bytes()
    packet = XMP + b'<x:xmpmeta><rdf:RDF hdrgm:Version="1.0"/></x:xmpmeta>'
    extra = {
        "Ultra HDR": b"\xff\xe1" + struct.pack(">H", len(packet) + 2) + packet,
        "ISO 21496-1": ISO_GAIN_MAP,
        "Apple": b"",
    }[kind]
    path.write_bytes(data[:2] + extra + data[2:])
    image, info, notes = read(path)
    assert errors(image, hopper).mean() < 3
    assert info.colour_transfer == "unspecified"
    (only,) = notes
    assert ("follow the picture" if kind == "Ultra HDR" else "first of 2 pictures") in only


@pytest.mark.parametrize("bits", [8, 10])
def test_of_a_heic_with_a_gain_map_the_base_is_read(
    tmp_path: Path, hopper: Picture, bits: int
) -> None:
    """A gain map is an auxiliary picture of another type than that of transparency."""
    gain = np.zeros((*hopper.shape[:2], 1), np.uint16)
    base = np.dstack([hopper.astype(np.uint16) * 257, gain])
    path = heic(tmp_path / "a.heic", base, Tags("iec61966-2-1", "bt709"), bits)
    data, alpha = path.read_bytes(), b"urn:mpeg:hevc:2015:auxid:1"
    assert data.count(alpha) == 1
    path.write_bytes(data.replace(alpha, b"urn:com:photo:hdrgainmap".ljust(len(alpha), b"\0")))
    image, _, notes = read(path)
    assert errors(image, hopper).mean() < 3
    deep = ("the picture has 10 bits per channel; it is processed in 8",)
    assert notes == (deep if bits == 10 else ())
