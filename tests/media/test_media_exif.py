"""EXIF is copied from stills to what is written of them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
from media.clips import encode, picture
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IFDRational

from jdsr_cli.errors import UsageError
from jdsr_cli.media import open_reader, write_image
from jdsr_cli.media.exif import PictureExif, read_exif

pillow_heif.register_heif_opener()

WIDTH, HEIGHT = 160, 120
PICTURE = Image.fromarray(picture(0, WIDTH, HEIGHT))
EXIF, GPS, IFD1 = ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo, ExifTags.IFD.IFD1
NOTE = b"MAKER\0\1\2" * 9
MAIN = {271: "Maker", 272: "Model X", 305: "firmware 1", 306: "2024:05:06 07:08:09"}
INNER = {
    33434: IFDRational(1, 250),
    34855: 400,
    36864: b"0232",
    36867: "2024:05:06 07:08:09",
    36881: "+02:00",
    37380: IFDRational(-1, 3),
    37500: NOTE,
    42036: "Lens 35mm",
}
PLACE = {
    0: b"\2\3\0\0",
    1: "N",
    2: (IFDRational(48), IFDRational(51), IFDRational(61, 2)),
    3: "E",
    4: (IFDRational(2), IFDRational(17), IFDRational(0)),
    5: b"\0",
    29: "2024:05:06",
}
FORMATS: dict[str, dict[str, Any]] = {
    "a.jpg": {"quality": 95},
    "a.png": {},
    "a.webp": {"lossless": True},
    "a.tif": {},
    "a.heic": {"quality": 95},
    "a.avif": {"quality": 95},
}


def camera_exif(endian: str = "<", orientation: int = 6, **changes: Any) -> bytes:
    """Return the EXIF of a camera, with tags on the stored pixels."""
    exif = Image.Exif()
    exif.endian = endian
    for tag, value in {**MAIN, 274: orientation, 282: IFDRational(72), 296: 2}.items():
        exif[tag] = value
    pixels = {37121: b"\1\2\3\0", 40961: 65535, 40962: WIDTH, 40963: HEIGHT}
    exif[EXIF] = {**INNER, **pixels, 40965: {1: "R98", 2: b"0100"}}
    exif[GPS] = PLACE
    return exif.tobytes()


def copied(path: Path, target: Path) -> tuple[Image.Exif, tuple[str, ...]]:
    """Read a picture, write it with its EXIF, and return that of the result."""
    with open_reader(path) as reader:
        image = next(reader).image
        write_image(target, np.repeat(image, 2, axis=1), {"Software": "jdsr"}, reader.exif)
        notes = reader.report.warnings
    with Image.open(target) as stored:
        stored.load()
        return stored.getexif(), notes


@pytest.mark.parametrize("target", ["out.png", "out.jpg"])
@pytest.mark.parametrize("endian", ["<", ">"])
@pytest.mark.parametrize("name", FORMATS)
def test_what_describes_the_recording_is_copied(
    tmp_path: Path, name: str, endian: str, target: str
) -> None:
    PICTURE.save(tmp_path / name, exif=camera_exif(endian), **FORMATS[name])
    exif, notes = copied(tmp_path / name, tmp_path / target)
    assert notes == ()
    assert {tag: exif[tag] for tag in exif if tag not in (EXIF, GPS)} == {**MAIN, 274: 1}
    size = {40961: 1, 40962: 2 * HEIGHT, 40963: WIDTH}
    assert exif.get_ifd(EXIF) == {**INNER, **size}
    assert exif.get_ifd(GPS) == PLACE
    # Pillow writes TIFF in the order of the machine.
    assert exif.endian == endian or name == "a.tif"


def with_thumbnail(exif: bytes) -> bytes:
    """Append a second directory with a JPEG to an EXIF block of little-endian order."""
    stream = io.BytesIO()
    PICTURE.resize((40, 30)).save(stream, "JPEG")
    block, thumbnail = bytearray(exif[6:]), stream.getvalue()
    count = int.from_bytes(block[8:10], "little")
    pointer, start = 10 + 12 * count, len(block)
    block[pointer : pointer + 4] = start.to_bytes(4, "little")
    entries = [(259, 3, 6), (513, 4, start + 2 + 36 + 4), (514, 4, len(thumbnail))]
    block += len(entries).to_bytes(2, "little")
    for tag, kind, value in entries:
        block += tag.to_bytes(2, "little") + kind.to_bytes(2, "little") + (1).to_bytes(4, "little")
        block += value.to_bytes(4, "little")
    return exif[:6] + bytes(block) + bytes(4) + thumbnail


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.heic"])
def test_the_thumbnail_is_not_copied(tmp_path: Path, name: str) -> None:
    block = with_thumbnail(camera_exif())
    PICTURE.save(tmp_path / name, exif=block, **FORMATS[name])
    with Image.open(tmp_path / name) as given:
        assert given.getexif().get_ifd(IFD1)[514] > 100
    exif, _ = copied(tmp_path / name, tmp_path / "out.png")
    assert exif[272] == "Model X"
    assert exif.get_ifd(IFD1) == {}
    data = (tmp_path / "out.png").read_bytes()
    assert b"\xff\xd8\xff" not in data[data.index(b"eXIf") :][:2000]


@pytest.mark.parametrize("name", FORMATS)
def test_without_exif_none_is_written(tmp_path: Path, name: str) -> None:
    PICTURE.save(tmp_path / name, **FORMATS[name])
    with open_reader(tmp_path / name) as reader:
        assert reader.exif is None
        write_image(tmp_path / "out.png", next(reader).image, exif=reader.exif)
    assert b"eXIf" not in (tmp_path / "out.png").read_bytes()


DAMAGES = {
    "cut": lambda block: block[:150],
    "no directory": lambda block: block[:6] + b"II*\0" + b"\xff\xff\xff\x7f",
    "noise": lambda block: b"Exif\0\0" + bytes(range(256)),
    "wild offsets": lambda block: block[:6] + block[6:].replace(b"\x05\0\x01", b"\x05\0\xff"),
}


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.heic"])
@pytest.mark.parametrize("kind", DAMAGES)
def test_damaged_exif_is_noted_and_the_picture_is_read(
    tmp_path: Path, name: str, kind: str
) -> None:
    PICTURE.save(tmp_path / name, exif=DAMAGES[kind](camera_exif(orientation=1)), **FORMATS[name])
    _, notes = copied(tmp_path / name, tmp_path / "out.png")
    assert "the EXIF data are damaged" in notes[0]


def test_values_that_cannot_be_stored_are_left_out_with_a_note() -> None:
    given = Image.new("RGB", (8, 8))
    exif = given.getexif()
    exif[271], exif[272] = "Maker", object()
    kept, note = read_exif(given)
    assert kept is not None
    assert "what can be read was copied" in str(note)
    stored = Image.Exif()
    stored.load(kept.block(8, 8))
    assert stored[271] == "Maker"
    assert 272 not in stored


def test_videos_and_sequences_have_none(tmp_path: Path) -> None:
    PICTURE.save(tmp_path / "0.jpg", exif=camera_exif())
    for path in (encode(tmp_path / "a.mp4"), tmp_path / "%d.jpg"):
        with open_reader(path) as reader:
            assert reader.exif is None


def test_exif_that_is_too_large_for_a_jpeg_is_refused(tmp_path: Path) -> None:
    exif = PictureExif({0: {}, int(EXIF): {37500: bytes(70000)}, int(GPS): {}}, "<")
    image = picture(0)
    write_image(tmp_path / "a.png", image, exif=exif)
    with pytest.raises(UsageError, match="too large"):
        write_image(tmp_path / "a.jpg", image, exif=exif)


@pytest.mark.parametrize(
    ("place", "tag"),
    [
        (EXIF, 59932),
        (EXIF, 65000),
        (EXIF, 37510),
        (EXIF, 37500),
        (GPS, 27),
        (GPS, 33),
        (EXIF, 37121),
    ],
)
def test_no_value_can_hold_a_picture_where_none_may_be_kept(
    tmp_path: Path, place: int, tag: int
) -> None:
    preview = b"\xff\xd8" + bytes(range(256)) * 8
    exif = Image.Exif()
    exif[271] = "Maker"
    inner = {EXIF: dict(INNER), GPS: dict(PLACE)}
    inner[place][tag] = preview
    for one, tags in inner.items():
        exif[one] = tags
    PICTURE.save(tmp_path / "a.jpg", exif=exif.tobytes(), quality=95)
    with open_reader(tmp_path / "a.jpg") as reader:
        assert reader.exif is not None
        kept = reader.exif.without_pictures()
    assert preview[:64] not in kept.block(WIDTH, HEIGHT)
    assert kept.directories[place].get(tag) != preview
    assert kept.directories[EXIF][42036] == "Lens 35mm"
    assert kept.directories[GPS][29] == "2024:05:06"
