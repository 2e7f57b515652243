"""HEIF still pictures, and what distinguishes them from sequences."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
from media import apertures
from media.clips import encode, picture
from numpy.typing import NDArray
from PIL import AvifImagePlugin, Image, ImageOps

from jdsr_cli.errors import MediaError
from jdsr_cli.media import open_reader, probe, read_image
from jdsr_cli.media.reading.heif_items import picture_format

WIDTH, HEIGHT = 192, 144
PICTURE = picture(0, WIDTH, HEIGHT)
ORIENTATION = 0x0112

pillow_heif.register_heif_opener()


def save(path: Path, *images: NDArray[np.uint8], **options: Any) -> Path:
    """Write a HEIC of one or several pictures."""
    first, *more = map(Image.fromarray, images)
    settings = {"quality": 95, "chroma": 444, **options}
    first.save(path, "HEIF", save_all=bool(more), append_images=more, **settings)
    return path


def read(path: Path) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Return the only picture of a file, and the warnings."""
    with open_reader(path) as reader:
        (frame,) = reader
        assert reader.info.kind == "image"
        assert (reader.info.height, reader.info.width) == frame.image.shape[:2]
        return frame.image, reader.report.warnings


def difference(image: NDArray[np.uint8], expected: NDArray[np.uint8]) -> float:
    assert image.shape == expected.shape
    return float(np.abs(image.astype(int) - expected).mean())


@pytest.mark.parametrize(
    "options",
    [{}, {"tile_size": 64}, {"tile_size": 128}, {"thumbnails": [48, 96]}, {"chroma": 420}],
    ids=["single", "whole tiles", "cut tiles", "thumbnails", "420"],
)
@pytest.mark.parametrize("name", ["a.heic", "a.HIF", "a.mp4"])
def test_a_heic_is_one_whole_picture(tmp_path: Path, name: str, options: dict[str, Any]) -> None:
    image, notes = read(save(tmp_path / name, PICTURE, **options))
    assert difference(image, PICTURE) < 2
    assert notes == ()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("tile_size", [0, 64])
def test_rotation_and_mirroring_are_applied_once(
    tmp_path: Path, orientation: int, tile_size: int
) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    Image.fromarray(PICTURE).save(tmp_path / "expected.png", exif=exif)
    with Image.open(tmp_path / "expected.png") as stored:
        expected = np.asarray(ImageOps.exif_transpose(stored))
    image, _ = read(save(tmp_path / "a.heic", PICTURE, exif=exif.tobytes(), tile_size=tile_size))
    assert difference(image, expected) < 2


def test_the_main_one_of_several_pictures_is_read(tmp_path: Path) -> None:
    pictures = [picture(index, WIDTH, HEIGHT) for index in (0, 20, 40)]
    for main in range(3):
        image, notes = read(save(tmp_path / f"{main}.heic", *pictures, primary_index=main))
        assert difference(image, pictures[main]) < 2
        assert notes == ("only the main one of 3 pictures of the HEIF was read",)


def test_ten_bits_are_reduced_to_eight(tmp_path: Path) -> None:
    deep = np.ascontiguousarray(PICTURE.astype(np.uint16) * 257)
    file = pillow_heif.from_bytes(mode="RGB;16", size=(WIDTH, HEIGHT), data=deep.tobytes())
    file.save(tmp_path / "deep.heic", quality=95, chroma=444)
    image, notes = read(tmp_path / "deep.heic")
    assert difference(image, PICTURE) < 2
    assert probe(tmp_path / "deep.heic").bit_depth == 10
    assert notes == ("the picture has 10 bits per channel; it is processed in 8",)


def test_gray_is_repeated(tmp_path: Path) -> None:
    gray = PICTURE[..., 0]
    Image.fromarray(gray).save(tmp_path / "gray.heic", "HEIF", quality=95)
    image, _ = read(tmp_path / "gray.heic")
    assert difference(image, np.dstack([gray] * 3)) < 2


@pytest.mark.parametrize("clap", [(0, 0, 0, 0), (100, 80, 31, 0)])
def test_an_invalid_aperture_is_an_error_or_clipped(tmp_path: Path, clap: apertures.Clap) -> None:
    data = apertures.with_item_clap(apertures.heic(tmp_path, picture(0, 160, 120)), clap)
    (tmp_path / "a.heic").write_bytes(data)
    if clap[0]:
        assert read(tmp_path / "a.heic")[0].shape == (80, 99, 3)
    else:
        with pytest.raises(MediaError, match="zero size"):
            read_image(tmp_path / "a.heic")


@pytest.mark.parametrize("share", [0.02, 0.5, 0.9, 0.99])
def test_a_truncated_heic_is_a_clear_error(tmp_path: Path, share: float) -> None:
    data = save(tmp_path / "whole.heic", PICTURE, tile_size=64).read_bytes()
    (tmp_path / "cut.heic").write_bytes(data[: int(len(data) * share)])
    with pytest.raises(MediaError, match=r"cut off|damaged"):
        read_image(tmp_path / "cut.heic")


def test_a_truncated_avif_is_a_clear_error(tmp_path: Path) -> None:
    data = apertures.avif([PICTURE])
    (tmp_path / "cut.avif").write_bytes(data[: len(data) // 2])
    with pytest.raises(MediaError, match="damaged"):
        read_image(tmp_path / "cut.avif")


def test_an_avif_is_an_error_where_pillow_has_no_decoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.avif").write_bytes(apertures.avif([PICTURE]))
    monkeypatch.setattr(AvifImagePlugin, "SUPPORTED", False)
    with pytest.raises(MediaError, match="AVIF support not installed"):
        read_image(tmp_path / "a.avif")


def renamed(data: bytes, main: bytes, *others: bytes) -> bytes:
    """Return a file with other brands; positions in it stay right if `ftyp` keeps its size."""
    size = int.from_bytes(data[:4], "big")
    brands = main + bytes(4) + b"".join(others)
    return data[:8] + brands.ljust(size - 8, b"\0")[: size - 8] + data[size:]


@pytest.mark.parametrize("brand", [b"hevc", b"msf1"])
def test_a_heif_sequence_is_a_video(tmp_path: Path, brand: bytes) -> None:
    clip = encode(
        tmp_path / "a.mp4", codec="libx265", size=(WIDTH, HEIGHT),
        options={"x265-params": "log-level=none"},
    )  # fmt: skip
    sequence = tmp_path / "a.heics"
    sequence.write_bytes(renamed(clip.read_bytes(), brand, b"hevc"))
    assert picture_format(sequence) is None
    with open_reader(sequence) as reader:
        assert reader.info.kind == "video"
        assert [frame.time for frame in reader] == [Fraction(index, 25) for index in range(12)]


@pytest.mark.parametrize(
    ("main", "others", "expected"),
    [
        (b"heic", (), "HEIF"),
        (b"heix", (b"mif1",), "HEIF"),
        (b"mif1", (b"heic",), "HEIF"),
        (b"mif1", (b"avif",), "AVIF"),
        (b"mif1", (b"heic", b"avif"), "HEIF"),
        (b"msf1", (b"hevc",), "HEIF"),
        (b"avif", (), "AVIF"),
        (b"avis", (b"msf1",), "AVIF"),
        (b"isom", (b"mp41",), None),
        (b"qt  ", (), None),
    ],
)
def test_brands_decide_the_format(
    tmp_path: Path, main: bytes, others: tuple[bytes, ...], expected: str | None
) -> None:
    brands = main + bytes(4) + b"".join(others)
    (tmp_path / "a").write_bytes((8 + len(brands)).to_bytes(4, "big") + b"ftyp" + brands)
    assert picture_format(tmp_path / "a") == expected


def test_an_mpo_is_its_first_picture(tmp_path: Path) -> None:
    first, second = Image.fromarray(PICTURE), Image.fromarray(picture(30, WIDTH, HEIGHT))
    first.save(tmp_path / "a.mpo", "MPO", save_all=True, append_images=[second], quality=95)
    image, notes = read(tmp_path / "a.mpo")
    assert difference(image, PICTURE) < 3
    assert notes == ("only the first of 2 pictures of the MPO was read",)
