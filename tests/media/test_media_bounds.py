"""Files that state more than fits into memory: refused before they are decoded."""

from __future__ import annotations

import resource
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from bombs import (
    DECODED,
    STATED,
    constant_samples,
    fragments,
    video_of_large_frames,
)
from clips import COUNT, encode, picture
from PIL import Image

from jdsr_cli.errors import InputError, MediaError, TooLargeError, UsageError
from jdsr_cli.media import open_reader
from jdsr_cli.media.bounds import ANIMATION_PICTURES, check_animation, check_pixels
from jdsr_cli.media.frames import over_gray
from jdsr_cli.media.reading.index_bounds import check_index
from jdsr_cli.media.reading.tiff_pages import count_pages_of_tiff
from jdsr_cli.settings import DEFAULT_MEGAPIXELS, ReadSettings

MEMORY = 300 << 20
"""Bytes by which the memory of a process may grow while it refuses files: one picture of those
below would take 500 MB, and an index 1 to 3 GB."""
ALLOWED = ReadSettings().max_pixels

READ = """
import resource, sys
from jdsr_cli.errors import MediaError
from jdsr_cli.media import open_reader
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for name in sys.argv[1:]:
    try:
        with open_reader(name) as reader:
            list(reader)
    except MediaError as fault:
        print(name, type(fault).__name__, fault.what, sep="\\t")
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print("memory", max(after - before, children) << 10, sep="\\t")
"""


def test_no_small_file_fills_the_memory(tmp_path: Path) -> None:
    """One process reads all of them: the peak is that of the worst."""
    makers = {**STATED, **DECODED}
    files = {name: make(tmp_path) for name, make in makers.items()}
    done = subprocess.run(
        [sys.executable, "-c", READ, *map(str, files.values())],
        capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    *refused, memory = (line.split("\t") for line in done.stdout.splitlines())
    found = {name: kind for name, kind, _ in refused}
    assert list(found) == [str(file) for file in files.values()]
    assert {found[str(files[name])] for name in STATED} == {"TooLargeError"}
    assert int(memory[1]) < MEMORY
    assert all(file.stat().st_size < 4 << 20 for file in files.values())


@pytest.mark.parametrize(
    ("codec", "container", "pixel_format"),
    [
        ("libx264", "mp4", "yuv420p"), ("libx264", "mpegts", "yuv420p"),
        ("ffv1", "matroska", "gray"), ("mjpeg", "avi", "yuvj420p"), ("png", "mov", "rgb24"),
        ("mpeg4", "nut", "yuv420p"),
    ],
)  # fmt: skip
def test_frames_of_videos_are_bounded_by_their_pixels(
    tmp_path: Path, codec: str, container: str, pixel_format: str
) -> None:
    path = encode(
        tmp_path / "a", codec=codec, container=container, pixel_format=pixel_format, size=(320, 240)
    )
    with pytest.raises(MediaError, match=r"0\.07 million") as caught:
        open_reader(path, ReadSettings(max_megapixels=0.07))
    assert "--max-megapixels" in (caught.value.hint or "")
    with open_reader(path, ReadSettings(max_megapixels=0.15)) as reader:
        assert len(list(reader)) == COUNT


def test_a_frame_that_grows_in_the_middle_of_a_video_is_left_out(tmp_path: Path) -> None:
    small, large = (
        encode(tmp_path / f"{width}.h264", size=(width, 240), container="h264").read_bytes()
        for width in (320, 640)
    )
    path = tmp_path / "a.h264"
    path.write_bytes(small + large)
    with open_reader(path, ReadSettings(max_megapixels=0.1)) as reader:
        frames = list(reader)
    assert len(frames) == COUNT
    assert reader.report.skipped == COUNT
    with open_reader(path) as reader:
        assert len(list(reader)) == 2 * COUNT


def test_a_header_that_overstates_does_not_refuse_a_small_video(tmp_path: Path) -> None:
    with open_reader(video_of_large_frames(tmp_path)) as reader:
        assert len(list(reader)) == COUNT
    assert (reader.info.width, reader.info.height) == (64, 48)


@pytest.mark.parametrize(
    "size", [(7680, 4320), (8192, 4320), (15360, 8640), (12000, 9000), (11648, 8736)]
)
def test_real_footage_is_within_the_bound(size: tuple[int, int]) -> None:
    """Video of 8K and 16K, photographs of 108 and of 102 million pixels."""
    check_pixels(*size, Path("a"), ALLOWED)
    check_animation(1920, 1080, 6500, Path("a"), ALLOWED)


@pytest.mark.parametrize("size", [(11620, 11620), (135_000_001, 1), (1, 135_000_001)])
def test_more_pixels_are_refused_with_the_number_that_allows_them(size: tuple[int, int]) -> None:
    with pytest.raises(TooLargeError) as caught:
        check_pixels(*size, Path("a.png"), ALLOWED)
    wide, high = size
    assert f"{wide}x{high} pixels, more than {DEFAULT_MEGAPIXELS} million" in str(caught.value)
    given = int((caught.value.hint or "").split()[-1].rstrip("."))
    check_pixels(*size, Path("a.png"), ReadSettings(max_megapixels=given).max_pixels)
    with pytest.raises(TooLargeError):
        check_pixels(*size, Path("a.png"), ReadSettings(max_megapixels=given - 1).max_pixels)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.webp", "a.gif", "a.bmp", "a.avif"])
def test_the_bound_of_pictures_can_be_changed(tmp_path: Path, name: str) -> None:
    Image.fromarray(picture(0, 200, 100)).save(tmp_path / name)
    with pytest.raises(TooLargeError, match=r"200x100 pixels, more than 0\.0199 million"):
        open_reader(tmp_path / name, ReadSettings(max_megapixels=0.0199))
    with open_reader(tmp_path / name, ReadSettings(max_megapixels=0.02)) as reader:
        assert next(reader).image.shape == (100, 200, 3)


def test_a_raised_bound_reaches_beyond_that_of_pillow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(picture(0, 200, 100)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with open_reader(tmp_path / "a.png", ReadSettings(max_megapixels=0.02)) as reader:
        assert next(reader).image.shape == (100, 200, 3)


def test_a_picture_of_a_sequence_that_is_too_large_is_left_out(tmp_path: Path) -> None:
    for number in range(3):
        width = 400 if number == 1 else 200
        Image.fromarray(picture(0, width, 100)).save(tmp_path / f"a_{number}.png")
    with open_reader(tmp_path / "a_%d.png", ReadSettings(max_megapixels=0.03)) as reader:
        assert len(list(reader)) == 2
    assert reader.report.left_out == (tmp_path / "a_1.png",)


def test_animations_are_bounded_by_all_their_pictures() -> None:
    check_animation(64, 48, ANIMATION_PICTURES, Path("a.gif"), 64 * 48)
    with pytest.raises(TooLargeError, match="an animation of 101 pictures of 64x48 pixels"):
        check_animation(64, 48, ANIMATION_PICTURES + 1, Path("a.gif"), 64 * 48)


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp"])
def test_a_long_animation_is_refused_before_it_is_decoded(tmp_path: Path, name: str) -> None:
    count = ANIMATION_PICTURES + 2
    pages = [Image.fromarray(np.full((8, 8, 3), 2 * index, np.uint8)) for index in range(count)]
    pages[0].save(
        tmp_path / name, save_all=True, append_images=pages[1:], duration=40, lossless=True
    )
    with pytest.raises(TooLargeError, match=f"an animation of {count} pictures"):
        open_reader(tmp_path / name, ReadSettings(max_megapixels=64 / 1e6))
    with open_reader(tmp_path / name) as reader:
        assert len(list(reader)) == count


@pytest.mark.parametrize("value", [0, -1, float("nan"), 4001])
def test_bounds_that_make_no_sense_are_refused(value: float) -> None:
    with pytest.raises(UsageError, match="max-megapixels"):
        ReadSettings(max_megapixels=value)


@pytest.mark.parametrize("make", [constant_samples, fragments])
def test_an_index_may_state_as_many_samples_as_a_recording_has(tmp_path: Path, make) -> None:
    check_index(make(tmp_path, 250_000))
    with pytest.raises(TooLargeError, match="samples, which no recording of this size has"):
        check_index(make(tmp_path, 1_100_000))


def test_indexes_of_real_containers_are_accepted(tmp_path: Path) -> None:
    fragmented = {"movflags": "frag_every_frame+empty_moov+default_base_moof"}
    for name, options in (("a.mp4", {}), ("b.mp4", fragmented), ("c.mov", {}), ("d.mkv", {})):
        check_index(encode(tmp_path / name, container_options=options))
    check_index(encode(tmp_path / "e.mov", codec="rawvideo", pixel_format="rgb24"))


@pytest.mark.parametrize("big", [False, True], ids=["TIFF", "BigTIFF"])
@pytest.mark.parametrize("pages", [1, 3])
def test_pages_are_counted(tmp_path: Path, pages: int, *, big: bool) -> None:
    one = Image.fromarray(picture(0))
    one.save(tmp_path / "a.tif", save_all=True, append_images=[one] * (pages - 1), big_tiff=big)
    assert count_pages_of_tiff(tmp_path / "a.tif") == pages


def chain_of_pages(path: Path, count: int, last: int = 0) -> Path:
    """A TIFF of empty pages, of which the last is followed by a given position."""
    pages = bytearray(b"II*\0\x08\0\0\0")
    for number in range(count):
        following = len(pages) + 6 if number < count - 1 else last
        pages += b"\0\0" + following.to_bytes(4, "little")
    path.write_bytes(bytes(pages) + b"end of the file")
    return path


@pytest.mark.parametrize("last", [0, 8, 14, 1 << 30])
def test_chains_of_pages_that_lead_astray_end(tmp_path: Path, last: int) -> None:
    assert count_pages_of_tiff(chain_of_pages(tmp_path / "a.tif", 5, last)) == 5


def test_the_time_to_count_pages_is_linear(tmp_path: Path) -> None:
    """Of 300,000 pages; the square of that would take hours."""
    path = chain_of_pages(tmp_path / "a.tif", 300_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    assert count_pages_of_tiff(path) == 300_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_utime - before < 60


def test_transparency_of_large_pictures_is_composited_in_strips() -> None:
    rng = np.random.default_rng(0)
    rgba = rng.integers(0, 256, (700, 3001, 4), np.uint8)
    alpha = rgba[..., 3:].astype(np.int64)
    expected = (rgba[..., :3] * alpha + 128 * (255 - alpha) + 127) // 255
    assert np.array_equal(over_gray(rgba), expected)


def test_a_bomb_does_not_block_what_follows(tmp_path: Path) -> None:
    good = encode(tmp_path / "z.mp4", rate=Fraction(25))
    answers = []
    for path in (STATED["PNG"](tmp_path), STATED["samples of fragments"](tmp_path), good):
        try:
            with open_reader(path) as reader:
                answers.append(len(list(reader)))
        except InputError as fault:
            answers.append(fault.exit_code)
    assert answers == [3, 3, COUNT]
