"""TIFF: every usual layout is read rightly, and what is not is refused with the reason."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageOps

from jdsr_cli.errors import MediaError
from jdsr_cli.media import open_reader, probe, read_image

WIDTH, HEIGHT = 90, 70
_Y, _X = np.mgrid[:HEIGHT, :WIDTH]
SHARES = np.stack(
    [_X / (WIDTH - 1), _Y / (HEIGHT - 1), (_X + _Y) / (WIDTH + HEIGHT - 2), 1 - _X / WIDTH], axis=-1
)
"""Four different channels, in [0, 1]."""
RGB = (SHARES[..., :3] * 255).round().astype(np.uint8)
GRAY = RGB[..., 0]
GRAY3 = np.dstack([GRAY] * 3)


def stored(shares: NDArray[np.float64], bits: int, order: str = "<") -> NDArray[Any]:
    return (shares * (2**bits - 1)).round().astype(f"{order}u{bits // 8}")


def check(path: Path, expected: NDArray[Any], tolerance: float = 1.0) -> None:
    image = read_image(path)
    assert image.shape == expected.shape
    assert np.abs(image - expected.astype(float)).max() <= tolerance
    info = probe(path)
    assert (info.height, info.width) == expected.shape[:2]


LAYOUTS = [
    (bits, planes, compression, tile, order, predictor)
    for bits, planes, compression, tile, order, predictor in product(
        (8, 16), (False, True), (None, "zlib"), (None, (32, 32)), "<>", (None, 2)
    )
    if compression or not predictor
]


@pytest.mark.parametrize(("bits", "planes", "compression", "tile", "order", "predictor"), LAYOUTS)
def test_colours_of_every_layout(
    tmp_path: Path, bits: int, planes: bool, compression: str | None, tile: tuple[int, int] | None,
    order: str, predictor: int | None,
) -> None:  # fmt: skip
    path, values = tmp_path / "a.tif", stored(SHARES[..., :3], bits, order)
    tifffile.imwrite(
        path,
        np.moveaxis(values, -1, 0) if planes else values,
        photometric="rgb",
        planarconfig="separate" if planes else "contig",
        compression=compression,
        predictor=predictor,
        tile=tile,
        rowsperstrip=None if tile else 16,
        byteorder=order,
    )
    check(path, RGB)


@pytest.mark.parametrize("kind", ["minisblack", "miniswhite"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [8, 16])
def test_gray_and_inverted_gray(tmp_path: Path, kind: str, order: str, bits: int) -> None:
    shares = SHARES[..., 0] if kind == "minisblack" else 1 - SHARES[..., 0]
    values = stored(shares, bits, order)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric=kind, byteorder=order)
    check(tmp_path / "a.tif", GRAY3)


@pytest.mark.parametrize("kind", ["minisblack", "miniswhite"])
def test_one_bit(tmp_path: Path, kind: str) -> None:
    bright = GRAY > 100
    tifffile.imwrite(
        tmp_path / "a.tif", bright if kind == "minisblack" else ~bright, photometric=kind
    )
    check(tmp_path / "a.tif", (GRAY3 > 100) * 255, 0)


def test_gray_of_12_bits_has_its_whole_range(tmp_path: Path) -> None:
    """Two values in three bytes, as some cameras store them."""
    values = (SHARES[..., 0] * 4095).round().astype(np.uint16)
    even, odd = values[:, ::2].astype(int), values[:, 1::2].astype(int)
    packed = np.stack([even >> 4, (even & 15) << 4 | odd >> 8, odd & 255], axis=-1)
    tifffile.imwrite(
        tmp_path / "a.tif", stored(SHARES[..., 0], 16), photometric="minisblack", byteorder="<"
    )
    data = bytearray((tmp_path / "a.tif").read_bytes())
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        tags = file.pages[0].tags
        bits, start = tags["BitsPerSample"].valueoffset, tags["StripOffsets"].value[0]
        counts = tags["StripByteCounts"].valueoffset
    pixels = packed.astype(np.uint8).tobytes()
    data[bits : bits + 2] = (12).to_bytes(2, "little")
    data[counts : counts + 4] = len(pixels).to_bytes(4, "little")
    data[start : start + len(pixels)] = pixels
    (tmp_path / "a.tif").write_bytes(data)
    check(tmp_path / "a.tif", GRAY3)


MODELS = [
    (mode, compression)
    for mode, compression in product(
        ("RGB", "P", "CMYK", "YCbCr", "L"),
        ("tiff_lzw", "tiff_adobe_deflate", "packbits", "raw", "jpeg"),
    )
    if (mode, compression) != ("P", "jpeg")
]


@pytest.mark.parametrize(("mode", "compression"), MODELS)
def test_colour_models_and_compressions(tmp_path: Path, mode: str, compression: str) -> None:
    given = Image.fromarray(RGB).convert(mode)
    options = {"quality": 95} if compression == "jpeg" else {}
    given.save(tmp_path / "a.tif", compression=compression, **options)
    check(tmp_path / "a.tif", np.asarray(given.convert("RGB")), 16 if compression == "jpeg" else 4)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("planes", [False, True])
def test_cmyk_in_planes(tmp_path: Path, bits: int, planes: bool) -> None:
    inks = Image.fromarray(RGB).convert("CMYK")
    values = stored(np.asarray(inks) / 255, bits)
    tifffile.imwrite(
        tmp_path / "a.tif",
        np.moveaxis(values, -1, 0) if planes else values,
        photometric="separated",
        planarconfig="separate" if planes else "contig",
    )
    check(tmp_path / "a.tif", np.asarray(inks.convert("RGB")))


def test_lab_is_converted(tmp_path: Path) -> None:
    mild = (96 + RGB // 4).astype(np.uint8)
    Image.fromarray(mild).convert("LAB").save(tmp_path / "a.tif")
    check(tmp_path / "a.tif", mild, 4)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_once(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(RGB).save(tmp_path / "a.png", exif=exif)
    with Image.open(tmp_path / "a.png") as upright:
        expected = np.asarray(ImageOps.exif_transpose(upright))
    tag = (0x0112, "H", 1, orientation, True)
    tifffile.imwrite(tmp_path / "a.tif", RGB, photometric="rgb", extratags=[tag])
    check(tmp_path / "a.tif", expected, 0)


def test_files_with_long_positions_and_several_pages(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "big.tif", RGB, photometric="rgb", bigtiff=True)
    check(tmp_path / "big.tif", RGB, 0)
    with tifffile.TiffWriter(tmp_path / "pages.tif") as pages:
        for page in (RGB, 255 - RGB, RGB):
            pages.write(page, photometric="rgb")
    with open_reader(tmp_path / "pages.tif") as reader:
        (frame,) = reader
        np.testing.assert_array_equal(frame.image, RGB)
        assert "only the first of 3 pages of the TIFF was read" in reader.report.warnings


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("i1", "signed integers"),
        ("i2", "signed integers"),
        ("i4", "signed integers"),
        ("u4", "32 bits per channel"),
        ("f2", "floating-point"),
        ("f4", "floating-point"),
        ("f8", "floating-point"),
        ("c8", "complex"),
    ],
)
@pytest.mark.parametrize("colours", [False, True])
def test_values_without_a_range_are_refused(
    tmp_path: Path, kind: str, reason: str, colours: bool
) -> None:
    values = (RGB if colours else GRAY).astype(kind)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb" if colours else "minisblack")
    with pytest.raises(MediaError, match=reason):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize(("bits", "planes"), [(8, True), (16, True), (16, False)])
def test_layouts_of_gray_and_alpha_that_pillow_misreads_are_refused(
    tmp_path: Path, bits: int, planes: bool
) -> None:
    values = stored(SHARES[..., :2], bits)
    tifffile.imwrite(
        tmp_path / "a.tif",
        np.moveaxis(values, -1, 0) if planes else values,
        photometric="minisblack",
        planarconfig="separate" if planes else "contig",
        extrasamples=["unassalpha"],
    )
    with pytest.raises(MediaError, match="not supported"):
        read_image(tmp_path / "a.tif")


def test_raw_camera_files_are_refused(tmp_path: Path) -> None:
    version = (50706, "B", 4, (1, 4, 0, 0), True)
    tifffile.imwrite(tmp_path / "a.dng", RGB, photometric="rgb", extratags=[version])
    with pytest.raises(MediaError, match="raw camera file"):
        read_image(tmp_path / "a.dng")


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("share", [0.0005, 0.01, 0.5, 0.95])
def test_truncated_files_are_refused(tmp_path: Path, compression: str | None, share: float) -> None:
    tifffile.imwrite(tmp_path / "a.tif", RGB, photometric="rgb", compression=compression)
    data = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "cut.tif").write_bytes(data[: max(5, int(len(data) * share))])
    with pytest.raises(MediaError, match="damaged"):
        read_image(tmp_path / "cut.tif")
