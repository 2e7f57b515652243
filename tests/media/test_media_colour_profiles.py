"""Colour profiles, and colours that files state without one, are converted to sRGB."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
from media import apertures
from media.clips import picture
from numpy.typing import NDArray
from PIL import Image, ImageCms, TiffImagePlugin

from jdsr_cli.media import open_reader
from jdsr_cli.media.reading.matrix_profiles import (
    ADOBE_GAMMA,
    ADOBE_PRIMARIES,
    D65,
    SRGB_PRIMARIES,
    RgbSpace,
    coded_space,
)

pillow_heif.register_heif_opener()

WIDTH, HEIGHT = 96, 64
PICTURE = (60 + picture(0, WIDTH, HEIGHT).astype(int) // 2).astype(np.uint8)
"""Muted colours, which stay inside sRGB when they are read as those of a wider space."""
TO_SRGB = np.array([[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.204, 1.057]])
"""From XYZ relative to D65, by IEC 61966-2-1."""
DISPLAY_P3 = np.array(
    [[0.48657, 0.26567, 0.19822], [0.22897, 0.69174, 0.07929], [0.0, 0.04511, 1.04394]]
)
ADOBE = np.array(
    [[0.57667, 0.18556, 0.18823], [0.29734, 0.62736, 0.07529], [0.02703, 0.07069, 0.99134]]
)
"""From linear RGB to XYZ relative to D65, as published for both spaces."""


def srgb_decoded(values: NDArray[Any]) -> NDArray[np.float64]:
    shares = values / 255
    return np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)


def srgb_encoded(light: NDArray[np.float64]) -> NDArray[np.float64]:
    light = light.clip(0, 1)
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def as_p3(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return values of Display P3 in sRGB."""
    return srgb_encoded(srgb_decoded(values) @ (TO_SRGB @ DISPLAY_P3).T)


def as_adobe(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return values of Adobe RGB in sRGB."""
    return srgb_encoded((values / 255) ** ADOBE_GAMMA @ (TO_SRGB @ ADOBE).T)


def read(path: Path) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    with open_reader(path) as reader:
        return next(reader).image, reader.report.warnings


def profile_of(primaries: int, transfer: int = 13) -> bytes:
    space = coded_space(primaries, transfer)
    assert space is not None
    return space.profile()


P3 = profile_of(12)
ADOBE_RGB = RgbSpace("Adobe RGB (1998)", D65, ADOBE_PRIMARIES, ADOBE_GAMMA).profile()
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
FORMATS: dict[str, dict[str, Any]] = {
    "a.png": {},
    "a.jpg": {"quality": 100, "subsampling": 0},
    "a.tif": {"compression": "tiff_lzw"},
    "a.webp": {"lossless": True},
    "a.avif": {"quality": 100, "subsampling": "4:4:4"},
    "a.heic": {"quality": 100, "chroma": 444},
}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    ("profile", "title", "expected"),
    [(P3, "Display P3", as_p3), (ADOBE_RGB, "Adobe RGB (1998)", as_adobe)],
    ids=["P3", "Adobe"],
)
def test_a_wide_gamut_is_converted(
    tmp_path: Path, name: str, profile: bytes, title: str, expected: Callable[..., Any]
) -> None:
    path = tmp_path / name
    Image.fromarray(PICTURE).save(path, icc_profile=profile, **FORMATS[name])
    image, notes = read(path)
    assert f"the colours were converted from {title} to sRGB" in notes
    assert np.abs(image - expected(PICTURE)).max() < 8
    assert np.abs(image - expected(PICTURE)).mean() < 1.2
    assert abs(int(image[2, 2, 0]) - int(PICTURE[2, 2, 0])) > 8


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("profile", [SRGB, profile_of(1)], ids=["LittleCMS", "parametric"])
def test_srgb_changes_nothing(tmp_path: Path, name: str, profile: bytes) -> None:
    plain, tagged = tmp_path / f"plain-{name}", tmp_path / name
    Image.fromarray(PICTURE).save(plain, **FORMATS[name])
    Image.fromarray(PICTURE).save(tagged, icc_profile=profile, **FORMATS[name])
    expected, _ = read(plain)
    image, notes = read(tagged)
    np.testing.assert_array_equal(image, expected)
    assert notes == ()


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("damaged", [b"no profile" * 30, P3[:250], b"\0" * 400])
def test_a_damaged_profile_is_ignored_with_a_note(
    tmp_path: Path, name: str, damaged: bytes
) -> None:
    plain, tagged = tmp_path / f"plain-{name}", tmp_path / name
    Image.fromarray(PICTURE).save(plain, **FORMATS[name])
    Image.fromarray(PICTURE).save(tagged, icc_profile=damaged, **FORMATS[name])
    image, notes = read(tagged)
    np.testing.assert_array_equal(image, read(plain)[0])
    assert "the colour profile is damaged" in notes[0]


def icc(
    space: bytes, tags: dict[bytes, bytes], kind: bytes = b"mntr", pcs: bytes = b"XYZ "
) -> bytes:
    """Return an ICC profile of version 2."""
    table, data, start = b"", b"", 132 + 12 * len(tags)
    for name, content in tags.items():
        table += struct.pack(">4sII", name, start + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    head = struct.pack(
        ">I4sI4s4s4s12s4s28s3i48s", start + len(data), b"", 0x02400000, kind, space, pcs,
        bytes(12), b"acsp", bytes(28), 63190, 65536, 54061, bytes(48),
    )  # fmt: skip
    return head + struct.pack(">I", len(tags)) + table + data


def described(name: str) -> bytes:
    text = name.encode() + b"\0"
    return b"desc" + struct.pack(">II", 0, len(text)) + text + bytes(78)


WHITE = b"XYZ " + struct.pack(">I3i", 0, 63190, 65536, 54061)
GAMMA_1_8 = b"curv" + struct.pack(">IIH", 0, 1, round(1.8 * 256))
GRAY_PROFILE = icc(b"GRAY", {b"desc": described("Gray 1.8"), b"wtpt": WHITE, b"kTRC": GAMMA_1_8})


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif"])
def test_a_gray_profile_is_applied(tmp_path: Path, name: str) -> None:
    gray = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (16, 1))
    Image.fromarray(gray).save(tmp_path / name, icc_profile=GRAY_PROFILE, **FORMATS[name])
    image, notes = read(tmp_path / name)
    assert "the colours were converted from Gray 1.8 to sRGB" in notes
    expected = srgb_encoded((gray / 255) ** 1.8)
    assert np.abs(image - expected[..., None]).max() < 3


def cmyk_profile() -> bytes:
    """Return a profile whose colours are those of three inks by multiplication, as Lab tables."""
    inks = np.stack(np.meshgrid(*[[0.0, 1.0]] * 4, indexing="ij"), axis=-1).reshape(-1, 4)
    rgb = Image.fromarray(((1 - inks[:, :3]) * (1 - inks[:, 3:]) * 200).astype(np.uint8)[None])
    lab = np.asarray(
        ImageCms.profileToProfile(
            rgb, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
        )
    ).reshape(-1, 3)
    lab = lab.astype(np.uint8)
    straight = bytes(range(256))
    matrix = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    unsigned = lab ^ np.array([0, 128, 128], np.uint8)
    content = (
        b"mft1" + struct.pack(">I4B", 0, 4, 3, 2, 0) + matrix + straight * 4
        + unsigned.tobytes() + straight * 3
    )  # fmt: skip
    tags = {b"desc": described("Dull inks"), b"wtpt": WHITE, b"A2B0": content, b"A2B1": content}
    return icc(b"CMYK", tags, b"prtr", b"Lab ")


@pytest.mark.parametrize("name", ["a.jpg", "a.tif"])
def test_a_cmyk_profile_is_applied(tmp_path: Path, name: str) -> None:
    inks = np.zeros((16, 16, 4), np.uint8)
    inks[:8, :, 1] = 255
    given = Image.frombytes("CMYK", (16, 16), inks.tobytes())
    given.save(tmp_path / name, icc_profile=cmyk_profile(), **FORMATS[name])
    image, notes = read(tmp_path / name)
    assert "the colours were converted from Dull inks to sRGB" in notes
    red, green, blue = image[2, 2].astype(int)
    assert green + 60 < min(red, blue)
    given.save(tmp_path / f"plain-{name}", **FORMATS[name])
    plain, _ = read(tmp_path / f"plain-{name}")
    assert tuple(plain[12, 12]) == (255, 255, 255)
    np.testing.assert_allclose(plain[2, 2], (255, 0, 255), atol=3)


def test_a_profile_for_another_model_is_ignored_with_a_note(tmp_path: Path) -> None:
    inks = Image.fromarray(PICTURE).convert("CMYK")
    inks.save(tmp_path / "a.tif", icc_profile=P3)
    Image.fromarray(PICTURE).save(tmp_path / "b.png", icc_profile=GRAY_PROFILE)
    for name in ("a.tif", "b.png"):
        image, notes = read(tmp_path / name)
        np.testing.assert_array_equal(image, PICTURE)
        assert "was ignored" in notes[0]


def test_gray_with_an_rgb_profile_stays_gray(tmp_path: Path) -> None:
    Image.fromarray(PICTURE[..., 0]).save(tmp_path / "a.png", icc_profile=ADOBE_RGB)
    image, _ = read(tmp_path / "a.png")
    expected = srgb_encoded((PICTURE[..., 0] / 255) ** ADOBE_GAMMA)
    assert np.abs(image - expected[..., None]).max() < 2


def with_chunks(path: Path, *chunks: tuple[bytes, bytes]) -> None:
    """Write the picture as a PNG with extra chunks before its data."""
    stream = io.BytesIO()
    Image.fromarray(PICTURE).save(stream, "PNG")
    data, at = stream.getvalue(), 33
    extra = b"".join(
        struct.pack(">I", len(content)) + kind + content
        + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )  # fmt: skip
    path.write_bytes(data[:at] + extra + data[at:])


def chromaticities(space: RgbSpace) -> bytes:
    numbers = [number for point in (space.white, *space.primaries) for number in point]
    return struct.pack(">8I", *(round(number * 100000) for number in numbers))


WIDE = RgbSpace("", D65, ADOBE_PRIMARIES, None)
PLAIN = RgbSpace("", D65, SRGB_PRIMARIES, None)


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([(b"cICP", bytes([12, 13, 0, 1]))], as_p3),
        ([(b"cICP", bytes([1, 13, 0, 1]))], None),
        ([(b"gAMA", struct.pack(">I", 45455))], None),
        ([(b"gAMA", struct.pack(">I", 45455)), (b"cHRM", chromaticities(PLAIN))], None),
        ([(b"gAMA", struct.pack(">I", 45472)), (b"cHRM", chromaticities(WIDE))], "primaries"),
        ([(b"sRGB", b"\0"), (b"cHRM", chromaticities(WIDE))], None),
        ([(b"gAMA", struct.pack(">I", 100000))], lambda v: srgb_encoded(v / 255)),
    ],
    ids=["P3", "sRGB", "gamma", "primaries", "wide", "sRGB wins", "linear"],
)
def test_colours_stated_by_chunks_of_png(tmp_path: Path, chunks: list[Any], expected: Any) -> None:
    with_chunks(tmp_path / "a.png", *chunks)
    image, notes = read(tmp_path / "a.png")
    if expected is None:
        np.testing.assert_array_equal(image, PICTURE)
        assert notes == ()
        return
    assert "to sRGB" in notes[0]
    if callable(expected):
        assert np.abs(image - expected(PICTURE)).max() < 3
    else:
        assert np.abs(image - srgb_encoded(srgb_decoded(PICTURE) @ (TO_SRGB @ ADOBE).T)).max() < 3


def test_primaries_of_heic_and_avif_are_converted(tmp_path: Path) -> None:
    Image.fromarray(PICTURE).save(
        tmp_path / "a.heic", quality=100, chroma=444, color_primaries=12,
        transfer_characteristics=13, matrix_coefficients=6, full_range_flag=1,
    )  # fmt: skip
    data = apertures.avif([PICTURE])
    at = data.index(b"nclx") + 4
    assert struct.unpack_from(">HH", data, at) == (1, 13)
    (tmp_path / "a.avif").write_bytes(data[:at] + struct.pack(">H", 12) + data[at + 2 :])
    for name in ("a.heic", "a.avif"):
        image, notes = read(tmp_path / name)
        assert notes == ("the colours were converted from Display P3 to sRGB",)
        assert np.abs(image - as_p3(PICTURE)).mean() < 2.5


@pytest.mark.parametrize(("index", "converted"), [("R03", True), ("R98", False)])
def test_adobe_rgb_of_cameras_is_converted(tmp_path: Path, index: str, converted: bool) -> None:
    exif = Image.Exif()
    exif[0x8769] = {0xA001: 65535, 0xA005: {1: index, 2: b"0100"}}
    path = tmp_path / "a.jpg"
    Image.fromarray(PICTURE).save(path, exif=exif.tobytes(), quality=100, subsampling=0)
    image, notes = read(path)
    expected = as_adobe(PICTURE) if converted else PICTURE.astype(float)
    assert np.abs(image - expected).mean() < 1
    assert any("Adobe RGB" in note for note in notes) == converted


@pytest.mark.parametrize(
    "space",
    [
        RgbSpace("no plane", D65, ((0.3, 0.0), (0.3, 0.6), (0.15, 0.06)), None),
        RgbSpace("a line", D65, ((0.2, 0.2), (0.3, 0.3), (0.4, 0.4)), None),
        RgbSpace("no curve", D65, SRGB_PRIMARIES, 40.0),
    ],
)
def test_invalid_spaces_have_no_profile(space: RgbSpace) -> None:
    with pytest.raises(ValueError, match=r"primaries|exponent"):
        space.profile()


def test_invalid_primaries_are_ignored_with_a_note(tmp_path: Path) -> None:
    with_chunks(tmp_path / "a.png", (b"cHRM", bytes(32)), (b"gAMA", struct.pack(">I", 60000)))
    image, notes = read(tmp_path / "a.png")
    np.testing.assert_array_equal(image, PICTURE)
    assert "was ignored" in notes[0]


def test_the_profile_of_16_bit_gray_tiff_is_applied(tmp_path: Path) -> None:
    deep = PICTURE[..., 0].astype(np.uint16) * 257
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[34675] = GRAY_PROFILE
    Image.fromarray(deep).save(tmp_path / "a.tif", tiffinfo=tags)
    image, _ = read(tmp_path / "a.tif")
    expected = srgb_encoded((PICTURE[..., 0] / 255) ** 1.8)
    assert np.abs(image - expected[..., None]).max() < 3
