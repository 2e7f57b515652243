"""Formats of single pictures: never a video, and icons are refused as what they are."""

from __future__ import annotations

import struct
from pathlib import Path

import av
import numpy as np
import pytest
from clips import picture
from PIL import Image

from jdsr_cli.errors import MediaError
from jdsr_cli.media import open_reader

BY_PILLOW = ("bmp", "pcx", "ppm", "dds", "qoi", "gif", "webp", "png", "tif", "sgi", "jp2", "avif")
BY_FFMPEG = {
    "dpx": "rgb24", "jpegls": "rgb24", "xwd": "rgb24", "sunrast": "bgr24", "pfm": "gbrpf32le",
    "exr": "gbrpf32le", "jpeg2000": "rgb24", "pcx": "rgb24", "fits": "gray",
}  # fmt: skip


def check_still(path: Path) -> None:
    with open_reader(path) as reader:
        frames = list(reader)
    assert (reader.info.kind, len(frames)) == ("image", 1)
    assert frames[0].image.shape == (48, 64, 3)


@pytest.mark.parametrize("suffix", BY_PILLOW)
def test_a_picture_is_no_video(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(picture(0)).save(path)
    check_still(path)
    for name in ("a.mp4", "a"):
        check_still(path := path.rename(path.with_name(name)))


@pytest.mark.parametrize("codec", list(BY_FFMPEG))
def test_a_picture_that_ffmpeg_reads_is_no_video(tmp_path: Path, codec: str) -> None:
    path, pixel_format = tmp_path / "a.bin", BY_FFMPEG[codec]
    with av.open(str(path), "w", format="fits" if codec == "fits" else "image2") as output:
        stream = output.add_stream(codec, rate=1)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pixel_format
        frame = av.VideoFrame.from_ndarray(picture(0), format="rgb24")
        output.mux(stream.encode(frame.reformat(format=pixel_format)))
        output.mux(stream.encode(None))
    check_still(path)


def test_black_and_white_texts_are_pictures(tmp_path: Path) -> None:
    Image.fromarray(picture(0)).convert("1").save(tmp_path / "a.xbm")
    check_still(tmp_path / "a.xbm")
    rows = ",\n".join(['"' + "..##" * 16 + '"'] * 48)
    head = '/* XPM */\nstatic char *a[] = {\n"64 48 2 1",\n". c #000000",\n"# c #ffffff",\n'
    (tmp_path / "a.xpm").write_text(f"{head}{rows}\n}};\n")
    check_still(tmp_path / "a.xpm")


def test_an_animation_or_document_of_one_picture_is_a_picture(tmp_path: Path) -> None:
    one = Image.fromarray(picture(0))
    one.save(tmp_path / "a.apng", format="PNG", save_all=True)
    check_still(tmp_path / "a.apng")
    one.save(tmp_path / "a.tif", save_all=True, append_images=[one, one])
    check_still(tmp_path / "a.tif")


def make_icon(path: Path, form: str) -> Path:
    sizes = [(16, 16), (48, 48)]
    Image.fromarray(np.full((48, 48, 3), 99, np.uint8)).save(
        path, format="ICO", sizes=sizes, bitmap_format=form
    )
    return path


def make_pointer(path: Path) -> Path:
    data = bytearray(make_icon(path, "bmp").read_bytes())
    data[2] = 2
    path.write_bytes(data)
    return path


def make_animated_pointer(path: Path) -> Path:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)

    icon = chunk(b"icon", make_pointer(path).read_bytes())
    header = chunk(b"anih", struct.pack("<9I", 36, 2, 2, 0, 0, 0, 0, 6, 1))
    path.write_bytes(chunk(b"RIFF", b"ACON" + header + chunk(b"LIST", b"fram" + icon * 2)))
    return path


def make_icons_of_apple(path: Path) -> Path:
    Image.fromarray(np.full((64, 64, 3), 99, np.uint8)).save(path, format="ICNS")
    return path


ICONS = {
    "icons (ICO)": lambda path: make_icon(path, "png"),
    "a file of icons (ICO)": lambda path: make_icon(path, "bmp"),
    "mouse pointers (CUR)": make_pointer,
    "an animated mouse pointer (ANI)": make_animated_pointer,
    "icons (ICNS)": make_icons_of_apple,
}


@pytest.mark.parametrize("name", ["a.ico", "a.png", "a.avi"])
@pytest.mark.parametrize("kind", list(ICONS))
def test_icons_are_refused_as_such(tmp_path: Path, kind: str, name: str) -> None:
    with pytest.raises(MediaError) as caught:
        open_reader(ICONS[kind](tmp_path / name))
    assert f"{kind}, not a recording" in str(caught.value)
    assert "PNG" in (caught.value.hint or "")
