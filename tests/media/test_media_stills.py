from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from clips import encode, picture
from PIL import Image, ImageCms

from jdsr_cli.errors import MediaError, OutputError, UsageError
from jdsr_cli.media import open_reader, probe, read_image, write_image
from jdsr_cli.media.writing.pictures import XMP_KEY


@pytest.mark.parametrize("name", ["out.png", "Bild für 監視.PNG"])
def test_png_is_lossless_and_stores_text(tmp_path: Path, name: str) -> None:
    image = picture(3, 65, 49)
    write_image(tmp_path / name, image, {"Software": "jdsr", "Grund": "Übung", XMP_KEY: "<x/>"})
    np.testing.assert_array_equal(read_image(tmp_path / name), image)
    with Image.open(tmp_path / name) as stored:
        assert stored.text == {"Software": "jdsr", "Grund": "Übung", XMP_KEY: "<x/>"}
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_jpeg_is_close_and_stores_text(tmp_path: Path) -> None:
    path = tmp_path / "out.jpg"
    write_image(path, picture(3), {"Software": "jdsr", XMP_KEY: "<x/>"})
    assert np.abs(read_image(path).astype(int) - picture(3)).mean() < 3
    with Image.open(path) as stored:
        assert stored.info["comment"] == b"Software: jdsr"
        assert stored.info["xmp"] == b"<x/>"


@pytest.mark.parametrize("value", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, value: int) -> None:
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = value
    path = tmp_path / "rotated.png"
    Image.fromarray(picture(0)).save(path, exif=exif)
    with Image.open(path) as stored:
        expected = np.asarray(ImageOps.exif_transpose(stored))
    np.testing.assert_array_equal(read_image(path), expected)
    info = probe(path)
    assert (info.height, info.width, 3) == expected.shape
    rotated = picture(0)[:, ::-1] if info.mirrored else picture(0)
    np.testing.assert_array_equal(np.rot90(rotated, -info.rotation // 90), expected)


def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path) -> None:
    wide = np.linspace(0, 65535, 64 * 8).astype(np.uint16).reshape(8, 64)
    Image.fromarray(wide).save(tmp_path / "wide.png")
    image = read_image(tmp_path / "wide.png")
    assert image.shape == (8, 64, 3)
    np.testing.assert_allclose(image[..., 0], wide / 257, atol=0.51)
    dark = np.full((8, 8), 200, np.uint16)
    Image.fromarray(dark).save(tmp_path / "dark.png")
    assert read_image(tmp_path / "dark.png").max() == 1


def test_gray_and_palette_are_converted(tmp_path: Path) -> None:
    gray = picture(0)[..., 0]
    Image.fromarray(gray).save(tmp_path / "gray.png")
    np.testing.assert_array_equal(read_image(tmp_path / "gray.png"), np.dstack([gray] * 3))
    Image.fromarray(gray > 100).save(tmp_path / "bits.png")
    np.testing.assert_array_equal(read_image(tmp_path / "bits.png")[..., 1], (gray > 100) * 255)
    Image.fromarray(picture(0)).convert("P").save(tmp_path / "palette.gif")
    assert probe(tmp_path / "palette.gif").kind == "image"
    assert read_image(tmp_path / "palette.gif").shape == (48, 64, 3)


def test_other_still_formats_are_read(tmp_path: Path) -> None:
    for name in ("a.bmp", "a.tif", "a.webp", "a.ppm"):
        Image.fromarray(picture(0)).save(tmp_path / name, lossless=True)
        np.testing.assert_array_equal(read_image(tmp_path / name), picture(0), err_msg=name)


def test_pages_that_are_not_read_are_reported(tmp_path: Path) -> None:
    pages = [Image.fromarray(picture(i)) for i in range(3)]
    pages[0].save(tmp_path / "pages.tif", save_all=True, append_images=pages[1:])
    with open_reader(tmp_path / "pages.tif") as reader:
        assert len(list(reader)) == 1
    assert "first of 3 pages" in reader.report.warnings[0]


READ_OFTEN = """
import gc, sys
from jdsr_cli.media import open_reader
for _ in range(40):
    with open_reader(sys.argv[1]) as reader:
        count = len(list(reader))
    gc.collect()
print(count)
"""


def test_an_animated_png_with_a_profile_does_not_end_the_process(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    first, second = (Image.fromarray(picture(index)) for index in (0, 9))
    first.save(tmp_path / "a.png", save_all=True, append_images=[second], icc_profile=profile)
    result = subprocess.run(
        [sys.executable, "-c", READ_OFTEN, str(tmp_path / "a.png")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (result.returncode, result.stdout) == (0, "2\n")


def test_damaged_pictures_are_errors(tmp_path: Path) -> None:
    write_image(tmp_path / "whole.jpg", picture(0))
    write_image(tmp_path / "whole.png", picture(0))
    Image.fromarray(np.zeros((4, 4), np.float32)).save(tmp_path / "float.tif")
    for name in ("whole.jpg", "whole.png"):
        data = (tmp_path / name).read_bytes()
        cut = tmp_path / f"cut-{name}"
        cut.write_bytes(data[: len(data) // 2])
        with pytest.raises(MediaError, match="cut off or damaged"):
            read_image(cut)
    with pytest.raises(MediaError, match="floating-point"):
        read_image(tmp_path / "float.tif")


def test_an_image_read_from_a_video_is_its_first_frame(tmp_path: Path) -> None:
    path = encode(tmp_path / "clip.mp4")
    assert np.abs(read_image(path).astype(int) - picture(0)).mean() < 4


def test_invalid_output_folders_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="does not exist"):
        write_image(tmp_path / "none" / "a.png", picture(0))
    with pytest.raises(OutputError, match="is a file, not a folder"):
        write_image(tmp_path / "file" / "a.png", picture(0))

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    target = tmp_path / "a.png"
    write_image(target, picture(0))
    monkeypatch.setattr("jdsr_cli.atomic.os.fsync", refuse)
    with pytest.raises(OutputError, match="the disk is full"):
        write_image(target, picture(1))
    np.testing.assert_array_equal(read_image(target), picture(0))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "file"]


def test_invalid_arguments_are_refused(tmp_path: Path) -> None:
    for name, image in (
        ("a.png", picture(0).astype(np.float32)),
        ("a.png", picture(0)[..., :2]),
        ("a.png", picture(0)[0, 0]),
        ("a.png", np.zeros((0, 0, 3), np.uint8)),
        ("a.exe", picture(0)),
        ("a", picture(0)),
    ):
        with pytest.raises(UsageError):
            write_image(tmp_path / name, image)
    assert list(tmp_path.iterdir()) == []
