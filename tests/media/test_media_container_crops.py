"""Clean apertures of HEIF and AVIF pictures, and the crop of Matroska and WebM."""

from __future__ import annotations

import random
import struct
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from media import apertures
from media.apertures import ENTRY, Clap
from media.clips import HEIGHT, WIDTH, cameras, encode, picture
from numpy.typing import NDArray
from PIL import Image

from jdsr_cli.media import open_reader, probe
from jdsr_cli.media.geometry import Aperture, Margins
from jdsr_cli.media.reading.heif_items import displayed_margins, primary_margins
from jdsr_cli.media.reading.isobmff import track_margins
from jdsr_cli.media.reading.matroska import pixel_crop
from jdsr_cli.settings import ReadSettings

Image.init()
with_avif = pytest.mark.skipif("AVIF" not in Image.SAVE, reason="this Pillow writes no AVIF")

SIDES = (160, 120)
PICTURE = picture(0, *SIDES)
CLAPS: list[tuple[Clap, Aperture]] = [
    ((100, 81, -7, Fraction(1, 2)), Aperture(23, 20, 100, 81)),
    ((33, 47, Fraction(1, 2), Fraction(-1, 2)), Aperture(64, 36, 33, 47)),
    ((160, 60, 0, 30), Aperture(0, 60, 160, 60)),
]
INVALID_CLAPS: list[Clap] = [
    (160, 120, 0, 0),
    (162, 120, 0, 0),
    (100, 80, 31, 0),
    (0, 0, 0, 0),
    (15, 80, 0, 0),
]


def read(
    path: Path, settings: ReadSettings | None = None
) -> tuple[list[NDArray[np.uint8]], tuple[str, ...]]:
    """Return all frames of an input, and its warnings."""
    with open_reader(path, settings) as reader:
        frames = [frame.image for frame in reader]
        info = reader.info
        assert {frame.shape for frame in frames} == {(info.height, info.width, 3)}
        return frames, reader.report.warnings


def stored(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def reported(notes: tuple[str, ...], aperture: Aperture, width: int, height: int) -> bool:
    return aperture.note(width, height) in notes


@pytest.mark.parametrize(("clap", "expected"), CLAPS)
def test_a_heic_is_cropped(tmp_path: Path, clap: Clap, expected: Aperture) -> None:
    whole = apertures.heic(tmp_path, PICTURE)
    (uncropped,), notes = read(stored(tmp_path / "uncropped.heic", whole))
    assert uncropped.shape == PICTURE.shape
    assert not any("aperture" in note for note in notes)
    (cut,), notes = read(stored(tmp_path / "a.heic", apertures.with_item_clap(whole, clap)))
    # libheif crops subsampled colour, so that it moves by up to a pixel at odd positions.
    difference = (cut.astype(int) - expected.crop(uncropped)) @ (0.299, 0.587, 0.114)
    assert np.abs(difference).mean() < 0.5
    assert reported(notes, expected, *SIDES)


@with_avif
@pytest.mark.parametrize(("clap", "expected"), CLAPS)
def test_an_avif_is_cropped(tmp_path: Path, clap: Clap, expected: Aperture) -> None:
    whole = apertures.avif([PICTURE])
    (uncropped,), notes = read(stored(tmp_path / "uncropped.avif", whole))
    assert not any("aperture" in note for note in notes)
    path = stored(tmp_path / "a.avif", apertures.with_item_clap(whole, clap))
    assert probe(path).container == "avif"
    (cut,), notes = read(path)
    np.testing.assert_array_equal(cut, expected.crop(uncropped))
    assert reported(notes, expected, *SIDES)


@with_avif
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_cropped_before_it_is_rotated(tmp_path: Path, orientation: int) -> None:
    clap, aperture = CLAPS[0]
    exif = Image.Exif()
    exif[0x0112] = orientation
    (uncropped,), _ = read(stored(tmp_path / "uncropped.avif", apertures.avif([PICTURE])))
    Image.fromarray(aperture.crop(uncropped)).save(tmp_path / "expected.png", exif=exif)
    (expected,), _ = read(tmp_path / "expected.png")
    rotated = apertures.with_item_clap(apertures.avif([PICTURE], orientation), clap)
    (cut,), notes = read(stored(tmp_path / "a.avif", rotated))
    np.testing.assert_array_equal(cut, expected)
    assert reported(notes, aperture, *SIDES)


def animation() -> bytes:
    return apertures.avif([picture(index, *SIDES) for index in range(3)])


@with_avif
def test_an_animation_is_cropped_by_its_track(tmp_path: Path) -> None:
    clap, aperture = CLAPS[0]
    whole, notes = read(stored(tmp_path / "uncropped.avif", animation()))
    assert len(whole) == 3
    box = apertures.clap_box(clap)
    tracked = apertures.with_box(animation(), (*ENTRY, "av01"), box)
    cut, notes = read(stored(tmp_path / "track.avif", tracked))
    for cropped, uncropped in zip(cut, whole, strict=True):
        np.testing.assert_array_equal(cropped, aperture.crop(uncropped))
    assert reported(notes, aperture, *SIDES)
    # The aperture of the cover does not apply to the animation.
    cover = stored(tmp_path / "cover.avif", apertures.with_item_clap(animation(), clap))
    assert read(cover)[0][0].shape == PICTURE.shape


@with_avif
def test_pictures_of_a_sequence_are_cropped(tmp_path: Path) -> None:
    clap, aperture = CLAPS[0]
    for number in (1, 2):
        data = apertures.with_item_clap(apertures.avif([picture(number, *SIDES)]), clap)
        stored(tmp_path / f"shot_{number}.avif", data)
    frames, notes = read(tmp_path / "shot_%d.avif")
    assert [frame.shape for frame in frames] == [(aperture.height, aperture.width, 3)] * 2
    assert reported(notes, aperture, *SIDES)


@with_avif
@pytest.mark.parametrize("clap", INVALID_CLAPS)
def test_invalid_apertures_of_avif_are_ignored(tmp_path: Path, clap: Clap) -> None:
    data = apertures.with_item_clap(apertures.avif([PICTURE]), clap)
    (image,), notes = read(stored(tmp_path / "a.avif", data))
    assert image.shape == PICTURE.shape
    assert not any("aperture" in note for note in notes)


MATROSKA = [
    ("a.mkv", "libx264", {}),
    ("live.mkv", "libx264", {"live": "1"}),
    ("a.webm", "libvpx-vp9", {"live": "1"}),
]
"""Names, codecs and options of the container; live files state no lengths."""


@pytest.mark.parametrize(("name", "codec", "options"), MATROSKA)
def test_the_crop_of_matroska_is_applied(
    tmp_path: Path, name: str, codec: str, options: dict[str, str]
) -> None:
    clip = encode(tmp_path / name, codec=codec, container_options=options)
    whole, notes = read(clip)
    assert not any("aperture" in note for note in notes)
    margins = apertures.pixel_crop(7, 4, 9, 12)
    cut, notes = read(stored(clip, apertures.with_elements(clip.read_bytes(), margins)))
    aperture = Aperture(7, 4, WIDTH - 16, HEIGHT - 16)
    for cropped, uncropped in zip(cut, whole, strict=True):
        np.testing.assert_array_equal(cropped, aperture.crop(uncropped))
    assert reported(notes, aperture, WIDTH, HEIGHT)


def test_the_display_size_of_matroska_applies_to_the_cropped_picture(tmp_path: Path) -> None:
    clip = encode(tmp_path / "a.mkv", codec="ffv1", pixel_format="yuv444p")
    shown = apertures.element(0x54B0, WIDTH) + apertures.element(0x54BA, HEIGHT // 2)
    extra = apertures.pixel_crop(0, 0, 0, HEIGHT // 2) + shown
    stored(clip, apertures.with_elements(clip.read_bytes(), extra))
    info = probe(clip)
    assert (info.width, info.height) == (WIDTH, HEIGHT // 2)
    assert info.sample_aspect_ratio == 1


def test_the_crop_of_the_chosen_track_is_applied(tmp_path: Path) -> None:
    clip = cameras(tmp_path)
    margins = apertures.pixel_crop(10, 0, 20, 0)
    stored(clip, apertures.with_elements(clip.read_bytes(), margins, number=1))
    sides = [probe(clip, ReadSettings(stream=number)).width for number in (1, 2, 3)]
    assert sides == [32, 34, 96]


@pytest.mark.parametrize(
    "margins", [(0, 0, 0, 0), (40, 0, 23, 0), (0, 0, 0, 33)], ids=["none", "narrow", "low"]
)
def test_crops_that_leave_too_little_are_ignored(
    tmp_path: Path, margins: tuple[int, int, int, int]
) -> None:
    clip = encode(tmp_path / "a.mkv")
    data = apertures.with_elements(clip.read_bytes(), apertures.pixel_crop(*margins))
    frames, notes = read(stored(clip, data))
    assert frames[0].shape == (HEIGHT, WIDTH, 3)
    assert not any("aperture" in note for note in notes)


def test_a_picture_of_the_cropped_size_is_not_cropped_again() -> None:
    margins = Margins(160, 120, 20, 10, 20, 10)
    assert margins.aperture(160, 120) == Aperture(20, 10, 120, 100)
    assert margins.aperture(120, 100) is None


def all_margins(path: Path) -> list[Margins | None]:
    readers = (
        lambda: track_margins(path, 1),
        lambda: primary_margins(path),
        lambda: displayed_margins(path),
        lambda: pixel_crop(path, 0),
    )
    return [reader() for reader in readers]


def test_damaged_headers_never_raise(tmp_path: Path) -> None:
    """The aperture read from a truncated or overwritten file fits the picture, or is None."""
    clip = encode(tmp_path / "a.mp4", [0]).read_bytes()
    size = (WIDTH, HEIGHT)
    clap = apertures.clap_box((31, 21, -4, 3))
    matroska = encode(tmp_path / "a.mkv", [0]).read_bytes()
    sources = [
        apertures.with_box(clip, (*ENTRY, "avc1"), clap),
        apertures.with_item_clap(apertures.heic(tmp_path, picture(0)), (31, 21, -4, 3)),
        apertures.with_elements(matroska, apertures.pixel_crop(7, 4, 9, 12)),
    ]
    damaged, generator, cuts = tmp_path / "damaged", random.Random(5), 0
    for source in sources:
        whole = [one.aperture(*size) for one in all_margins(stored(damaged, source)) if one]
        assert any(whole)
        start = 0 if source is not sources[0] else source.index(b"moov")
        end = min(len(source), start + 1200)
        for round_ in range(300):
            data = bytearray(source)
            for _ in range(generator.randrange(1, 6)):
                data[generator.randrange(start, end)] = generator.choice([0, 1, 127, 128, 255])
            if round_ % 3 == 0:
                del data[generator.randrange(start, end) :]
            for margins in all_margins(stored(damaged, bytes(data))):
                aperture = None if margins is None else margins.aperture(*size)
                if aperture is not None:
                    cuts += 1
                    assert 0 <= aperture.left < aperture.left + aperture.width <= WIDTH
                    assert 0 <= aperture.top < aperture.top + aperture.height <= HEIGHT
    assert cuts > 100


def boxes(*levels: bytes, content: bytes = b"") -> bytes:
    """Return nested boxes."""
    for kind in reversed(levels):
        content = struct.pack(">I4s", 8 + len(content), kind) + content
    return content


def matroska_element(name: str, content: bytes) -> bytes:
    """Return a Matroska element."""
    return bytes.fromhex(name) + (len(content) | 1 << 56).to_bytes(8, "big") + content


@pytest.mark.parametrize(
    "data",
    [
        b"",
        boxes(b"moov", content=boxes(b"trak", content=boxes(b"free") * 4000) * 400),
        matroska_element(
            "18538067",
            matroska_element("1654ae6b", matroska_element("ae", b"\xec\x80" * 4000) * 400),
        ),
        bytes(64),
        b"\xff" * 64,
        struct.pack(">I4s", 0, b"moov") * 100,
        struct.pack(">I4sQ", 1, b"moov", 2**64 - 1) * 4,
        struct.pack(">I4sQ", 1, b"moov", 0) * 4,
        boxes(b"moov", b"trak", b"tkhd"),
        boxes(b"meta", content=bytes(4) + boxes(b"iprp", b"ipma")),
        boxes(b"meta", content=bytes(4) + boxes(b"pitm")),
        boxes(
            b"meta",
            content=bytes(4)
            + boxes(
                b"iprp",
                content=boxes(b"ipco", b"clap") + boxes(b"ipma", content=bytes(4) + b"\xff" * 9000),
            ),
        ),
        b"\x18\x53\x80\x67\x01" + b"\xff" * 7 + b"\x16\x54\xae\x6b\x01" + b"\xff" * 7,
        b"\x18\x53\x80\x67\x01" + b"\xff" * 7 + b"\xec\x80" * 100_000,
        b"\x18\x53\x80\x67\x01" + b"\xff" * 6 + b"\xfe",
    ],
)
def test_malformed_headers_are_parsed_in_limited_time(tmp_path: Path, data: bytes) -> None:
    before = time.process_time()
    path = stored(tmp_path / "malformed", data)
    assert not any(one and one.aperture(64, 48) for one in all_margins(path))
    assert time.process_time() - before < 20
    assert not any(all_margins(tmp_path / "missing"))
