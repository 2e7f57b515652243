"""Transparent parts are composited over gray with a note, in pictures, animations and videos."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pillow_heif
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from jdsr_cli.media import open_reader
from jdsr_cli.media.frames import TRANSPARENT_NOTE

pillow_heif.register_heif_opener()

WIDTH, HEIGHT = 128, 96
COLOUR = (200, 100, 50)
GRAY = (128, 128, 128)
RGB = np.full((HEIGHT, WIDTH, 3), COLOUR, np.uint8)
ALPHA = np.full((HEIGHT, WIDTH), 255, np.uint8)
ALPHA[:, : WIDTH // 2] = 0
RGBA = np.dstack([RGB, ALPHA])
OPAQUE = np.dstack([RGB, np.full_like(ALPHA, 255)])


def check(path: Path, shown: tuple[int, int, int] = COLOUR, *, opaque: bool = False) -> None:
    """Check the left half, which is transparent unless `opaque`, the right half and the note."""
    with open_reader(path) as reader:
        images = [frame.image for frame in reader]
        warnings = reader.report.warnings
    left, right = images[0][HEIGHT // 2, 20], images[0][HEIGHT // 2, WIDTH - 20]
    np.testing.assert_allclose(left, shown if opaque else GRAY, atol=2)
    np.testing.assert_allclose(right, shown, atol=2)
    assert warnings.count(TRANSPARENT_NOTE) == int(not opaque)


FORMATS: dict[str, dict[str, Any]] = {
    "a.png": {},
    "a.webp": {"lossless": True, "exact": True},
    "a.avif": {"quality": 100, "subsampling": "4:4:4"},
    "a.heic": {"quality": 100, "chroma": 444},
    "a.tif": {"compression": "tiff_lzw"},
    "a.jp2": {},
}


@pytest.mark.parametrize("opaque", [False, True])
@pytest.mark.parametrize("name", FORMATS)
def test_pictures(tmp_path: Path, name: str, opaque: bool) -> None:
    Image.fromarray(OPAQUE if opaque else RGBA).save(tmp_path / name, **FORMATS[name])
    check(tmp_path / name, opaque=opaque)


@pytest.mark.parametrize("opaque", [False, True])
@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.avif", "a.gif"])
def test_animations(tmp_path: Path, name: str, opaque: bool) -> None:
    first = Image.fromarray(OPAQUE if opaque else RGBA)
    options = {**FORMATS.get(name, {}), "duration": 100}
    if name == "a.gif":
        options["disposal"] = 2
    second = first.copy()
    second.paste((10, 200, 90, 255), (WIDTH - 60, 0, WIDTH - 40, 20))
    first.save(tmp_path / name, save_all=True, append_images=[second], **options)
    check(tmp_path / name, opaque=opaque)


VIDEOS = [
    ("a.webm", "libvpx-vp9", "yuva420p", {"auto-alt-ref": "0"}),
    ("b.webm", "libvpx", "yuva420p", {"auto-alt-ref": "0"}),
    ("a.mov", "prores_ks", "yuva444p10le", {"profile": "4444"}),
    ("b.mov", "qtrle", "argb", {}),
    ("c.mov", "png", "rgba", {}),
    ("a.mkv", "ffv1", "yuva420p", {}),
    ("a.avi", "utvideo", "gbrap", {}),
]


def write_video(
    path: Path, codec: str, pixel_format: str, options: dict[str, str], rgba: NDArray[np.uint8]
) -> Path:
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pixel_format
        for index in range(3):
            frame = av.VideoFrame.from_ndarray(rgba, format="rgba").reformat(format=pixel_format)
            frame.pts, frame.time_base = index, Fraction(1, 25)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("opaque", [False, True])
@pytest.mark.parametrize(("name", "codec", "pixel_format", "options"), VIDEOS)
def test_videos(
    tmp_path: Path, name: str, codec: str, pixel_format: str, options: dict[str, str], opaque: bool
) -> None:
    rgba = OPAQUE if opaque else RGBA
    path = write_video(tmp_path / name, codec, pixel_format, options, rgba)
    check(path, opaque=opaque)
    with open_reader(path) as reader:
        assert [frame.time for frame in reader] == [Fraction(index, 25) for index in range(3)]


def test_a_video_whose_transparency_cannot_be_decoded_is_still_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, codec, pixel_format, options = VIDEOS[0]
    path = write_video(tmp_path / name, codec, pixel_format, options, RGBA)
    monkeypatch.setattr("jdsr_cli.media.reading.decoding._WITH_ALPHA", {"vp9": "no-such-decoder"})
    check(path, opaque=True)


@pytest.mark.parametrize("mode", ["LA", "P", "PA"])
@pytest.mark.parametrize("opaque", [False, True])
def test_gray_and_palettes_with_transparency(tmp_path: Path, mode: str, opaque: bool) -> None:
    given = Image.fromarray(OPAQUE if opaque else RGBA)
    name = "a.tif" if mode == "PA" else "a.png"
    converted = given.quantize(8) if mode == "P" else given.convert(mode)
    converted.save(tmp_path / name)
    gray = int(given.convert("L").getpixel((WIDTH - 1, 0)))  # type: ignore[arg-type]
    check(tmp_path / name, (gray, gray, gray) if mode == "LA" else COLOUR, opaque=opaque)


@pytest.mark.parametrize("kind", ["RGB", "L", "I;16", "1"])
def test_a_transparent_colour(tmp_path: Path, kind: str) -> None:
    values: NDArray[Any] = RGB.copy()
    values[:, WIDTH // 2 :] = (90, 90, 90)
    hidden: Any = COLOUR
    shown = (90, 90, 90)
    if kind != "RGB":
        values, hidden = values[..., 0], 200
    if kind == "I;16":
        values, hidden = values.astype(np.uint16) * 257, hidden * 257
    if kind == "1":
        values, hidden, shown = values > 100, 255, (0, 0, 0)
    Image.fromarray(values).save(tmp_path / "a.png", transparency=hidden)
    check(tmp_path / "a.png", shown)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("planes", [False, True])
@pytest.mark.parametrize("kind", ["assocalpha", "unassalpha", "unspecified"])
def test_alpha_of_tiff_by_kind(tmp_path: Path, bits: int, planes: bool, kind: str) -> None:
    """Associated alpha is premultiplied; an unspecified channel is no alpha."""
    half = np.full((HEIGHT, WIDTH, 1), 1.0)
    half[:, : WIDTH // 2] = 0.5
    colours = RGB / 255 * (half if kind == "assocalpha" else 1)
    values = (np.dstack([colours, half]) * (2**bits - 1)).round().astype(f"<u{bits // 8}")
    tifffile.imwrite(
        tmp_path / "a.tif",
        np.moveaxis(values, -1, 0) if planes else values,
        photometric="rgb",
        planarconfig="separate" if planes else "contig",
        extrasamples=[kind],
    )
    with open_reader(tmp_path / "a.tif") as reader:
        image, warnings = next(reader).image, reader.report.warnings
    mixed = COLOUR if kind == "unspecified" else [(one + 128) / 2 for one in COLOUR]
    np.testing.assert_allclose(image[5, 5], mixed, atol=3)
    np.testing.assert_allclose(image[5, WIDTH - 5], COLOUR, atol=2)
    assert (TRANSPARENT_NOTE in warnings) == (kind != "unspecified")


def test_a_sequence_reports_transparency_once(tmp_path: Path) -> None:
    for number, values in enumerate((OPAQUE, RGBA, RGBA)):
        Image.fromarray(values).save(tmp_path / f"{number}.png")
    with open_reader(tmp_path / "%d.png") as reader:
        images = [frame.image for frame in reader]
        assert reader.report.warnings.count(TRANSPARENT_NOTE) == 1
    assert tuple(images[0][0, 0]) == COLOUR
    assert tuple(images[1][0, 0]) == GRAY
