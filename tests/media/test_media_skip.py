from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from clips import (
    COUNT,
    corrupt_middle,
    dahua,
    encode,
    gif,
    interlaced,
    interlaced_later,
    numbered,
    raw_h264,
    resolution_change,
    rotated,
    truncated,
    vfr,
)
from PIL import Image

from jdsr_cli.errors import MediaError, UsageError
from jdsr_cli.media import open_reader
from jdsr_cli.media.reading import video
from jdsr_cli.settings import ReadSettings

LONG = tuple(range(60))
DEFAULT = ReadSettings()


def animation(folder: Path) -> Path:
    pages = [Image.new("RGB", (16, 16), (20 * i, 0, 0)) for i in range(8)]
    path = folder / "a.webp"
    pages[0].save(path, save_all=True, append_images=pages[1:], duration=40, lossless=True)
    return path


def sequence(folder: Path) -> Path:
    pattern = numbered(folder / "shots", [1, 2, 3, 5, 6, 7])
    (folder / "shots" / "shot_003.png").write_bytes(b"nothing")
    Image.new("RGB", (20, 20)).save(folder / "shots" / "shot_006.png")
    return pattern


CLIPS: dict[str, Callable[[Path], Path]] = {
    "constant": lambda folder: encode(folder / "clip.mp4"),
    "variable": vfr,
    "b-frames": lambda folder: encode(folder / "b.mkv", LONG, options={"bf": "3", "g": "30"}),
    "interlaced": lambda folder: interlaced(folder / "i.mkv"),
    "interlaced later": interlaced_later,
    "truncated": lambda folder: truncated(encode(folder / "long.mkv", LONG), 0.6),
    "damaged": lambda folder: corrupt_middle(encode(folder / "m.ts", LONG)),
    "size change": resolution_change,
    "rotated": lambda folder: rotated(folder, 90),
    "raw": raw_h264,
    "dav": dahua,
    "gif": gif,
    "webp": animation,
    "sequence": sequence,
}


@pytest.mark.parametrize("settings", [DEFAULT, ReadSettings(start=Fraction(1, 10))])
@pytest.mark.parametrize("kind", CLIPS)
def test_frames_after_a_skip_are_the_same_as_without_it(
    tmp_path: Path, kind: str, settings: ReadSettings
) -> None:
    path = CLIPS[kind](tmp_path)
    with open_reader(path, settings) as reader:
        whole = list(reader)
        report = reader.report
    first = whole[0].index
    for target in (0, first, first + 1, whole[len(whole) // 2].index, whole[-1].index):
        with open_reader(path, settings) as reader:
            reader.skip_to(target)
            rest = list(reader)
        expected = [frame for frame in whole if frame.index >= target]
        assert [(f.index, f.pts) for f in rest] == [(f.index, f.pts) for f in expected]
        for frame, same in zip(rest, expected, strict=True):
            np.testing.assert_array_equal(frame.image, same.image)
        assert reader.report == report


def test_the_report_while_reading_is_the_same_as_without_a_skip(tmp_path: Path) -> None:
    path = corrupt_middle(encode(tmp_path / "m.ts", LONG))
    with open_reader(path) as reading, open_reader(path) as skipping:
        for _ in range(40):
            next(reading)
        skipping.skip_to(39)
        assert next(skipping).index == 39
        assert skipping.report == reading.report
        skipping.skip_to(45)
        assert next(skipping).index == 45


def test_skipped_frames_are_not_converted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    converted = []
    convert = video.to_rgb

    def count(*args):
        converted.append(args[0].pts)
        return convert(*args)

    monkeypatch.setattr(video, "to_rgb", count)
    with open_reader(encode(tmp_path / "clip.mp4")) as reader:
        reader.skip_to(10)
        assert len(list(reader)) == COUNT - 10
    assert len(converted) == COUNT - 10


def test_skipping_to_the_end_beyond_it_and_backwards(tmp_path: Path) -> None:
    path = encode(tmp_path / "clip.mp4")
    with open_reader(path) as reader:
        reader.skip_to(COUNT)
        assert list(reader) == []
        assert reader.report.frames == COUNT
    with open_reader(path) as reader:
        reader.skip_to(4)
        reader.skip_to(4)
        assert next(reader).index == 4
        with pytest.raises(UsageError, match="4 was read"):
            reader.skip_to(4)
        with pytest.raises(MediaError, match=f"ends before frame {COUNT + 1}"):
            reader.skip_to(COUNT + 1)


@pytest.mark.parametrize(("frames", "skipped"), [(0, 0), (3, 3), (99, 12)])
def test_a_number_of_frames_is_skipped(tmp_path: Path, frames: int, skipped: int) -> None:
    clip = encode(tmp_path / "clip.mkv", range(12))
    with open_reader(clip) as whole, open_reader(clip) as reader:
        expected = list(whole)
        assert reader.skip(frames) == skipped
        assert [one.index for one in reader] == [one.index for one in expected[skipped:]]
        assert reader.report.frames == 12


def test_frames_are_skipped_within_the_part_that_is_read(tmp_path: Path) -> None:
    clip = encode(tmp_path / "clip.mkv", range(12))
    with open_reader(clip, ReadSettings(start=Fraction(4, 25))) as reader:
        assert next(reader).index == 4
        assert reader.skip(2) == 2
        assert next(reader).index == 7
