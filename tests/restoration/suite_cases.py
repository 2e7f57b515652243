"""Inputs of many kinds, and the expected result of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from media.clips import (
    COUNT,
    Track,
    cameras,
    corrupt_middle,
    dahua,
    encode,
    gif,
    gray,
    interlaced,
    ntsc,
    numbered,
    picture,
    raw_h264,
    resolution_change,
    rotated,
    subtitled,
    ten_bit,
    truncated,
    vfr,
)
from PIL import Image

from jdsr_cli.settings import ReadSettings

LONG = tuple(range(60))
Times = Sequence[Fraction]
Make = Callable[[Path], Path]


def frame_times(first: int, count: int, rate: Fraction | int = 25) -> list[Fraction]:
    """Return the times of frames at a constant rate."""
    return [Fraction(index) / rate for index in range(first, first + count)]


@dataclass(frozen=True)
class Case:
    """An input that can be restored, and the expected result."""

    make: Make
    settings: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    """Words of each expected note, in order; other notes are not allowed."""
    times: Times | None = None
    """Times of the frames in seconds; None: those that ffmpeg reads from the source."""
    stream: int = 0
    """Video stream that ffmpeg reads from the source."""
    max_difference: float | None = 4.0
    """Largest mean difference from the pictures that ffmpeg decodes from the source, 0 to 255;
    None where the picture is changed on purpose."""


def wide(folder: Path) -> Path:
    def configure(stream: av.VideoStream) -> None:
        stream.codec_context.sample_aspect_ratio = Fraction(12, 11)

    return encode(folder / "wide.mp4", configure=configure)


def odd(folder: Path) -> Path:
    return encode(folder / "odd.mkv", size=(65, 49), pixel_format="yuv444p")


def faststart(path: Path) -> Path:
    return encode(path, LONG, container_options={"movflags": "+faststart"})


def unicode_name(folder: Path) -> Path:
    path = folder / "Straße 5 - été" / "кадр 01; $(x) %d.mp4"
    path.parent.mkdir()
    return encode(path)


def cut_h264(folder: Path) -> Path:
    return truncated(encode(folder / "camera.h264", LONG, container="h264"), 0.6)


GERMAN, ENGLISH = Track(language="deu"), Track(language="eng", start=Fraction(1, 5))
LATE = Track(start=Fraction(477, 1000))
RATE = Fraction(25, 2)

CASES: dict[str, Case] = {
    "variable rate": Case(vfr),
    "24000/1001": Case(ntsc, times=frame_times(0, COUNT, Fraction(24000, 1001))),
    "rotated 90": Case(lambda folder: rotated(folder, 90)),
    "rotated 180": Case(lambda folder: rotated(folder, 180)),
    "rotated 270": Case(lambda folder: rotated(folder, 270)),
    "aspect 12:11": Case(wide),
    "odd size": Case(odd),
    "10 bit": Case(ten_bit, notes=("is hevc with 10 bits per channel", "faces are processed in 8")),
    "gray": Case(gray),
    "interlaced": Case(
        lambda folder: interlaced(folder / "fields.mkv"),
        notes=("12 frames were deinterlaced by bwdif",),
        max_difference=None,
    ),
    "raw .h264": Case(raw_h264, notes=("no timestamps; 25 frames/s are assumed",)),
    "raw .h264 with --fps": Case(
        raw_h264,
        {"reading": ReadSettings(frame_rate=RATE)},
        notes=("no timestamps; 12.5 frames/s are used (--fps)",),
        times=frame_times(0, COUNT, RATE),
    ),
    "truncated raw .h264": Case(
        cut_h264, notes=("no timestamps; 25 frames/s are assumed", "1 frames are marked as damaged")
    ),
    ".dav with the time of day": Case(
        dahua, notes=("times were moved by -1767229200.000 s",), times=frame_times(0, COUNT)
    ),
    ".avi": Case(lambda folder: encode(folder / "clip.avi", options={"bf": "0"})),
    ".ts": Case(lambda folder: encode(folder / "clip.ts")),
    ".gif, of eight colours": Case(gif, max_difference=15.0),
    "truncated mp4 with its index in front": Case(
        lambda folder: truncated(faststart(folder / "cut.mp4"), 0.6),
        notes=(
            "states 60 frames, the file contains 32",
            "states 2.40 s, the file contains 1.32 s",
            "1 packets could not be decoded",
        ),
    ),
    "truncated mkv": Case(
        lambda folder: truncated(encode(folder / "cut.mkv", LONG), 0.6),
        notes=("states 2.40 s, the file contains 1.28 s",),
    ),
    "truncated ts": Case(lambda folder: truncated(encode(folder / "cut.ts", LONG), 0.6)),
    "corrupt middle of mp4": Case(
        lambda folder: corrupt_middle(faststart(folder / "damaged.mp4")),
        notes=(
            "about 13 frames are missing in 1 gaps",
            "marked as damaged",
            "packets could not be decoded",
            "states 60 frames, the file contains 47",
        ),
        max_difference=None,
    ),
    "corrupt middle of mkv": Case(
        lambda folder: corrupt_middle(encode(folder / "damaged.mkv", LONG)),
        notes=("about 22 frames are missing in 1 gaps", "packets could not be decoded"),
    ),
    "corrupt middle of ts": Case(
        lambda folder: corrupt_middle(encode(folder / "damaged.ts", LONG)),
        notes=("about 12 frames are missing in 1 gaps", "marked as damaged"),
        max_difference=None,
    ),
    "no sound": Case(lambda folder: encode(folder / "mute.mkv")),
    "two sound tracks": Case(
        lambda folder: encode(folder / "two.mp4", tracks=[GERMAN, ENGLISH]),
    ),
    "late sound": Case(lambda folder: encode(folder / "late.mp4", LONG, tracks=[LATE])),
    "sound and subtitles": Case(lambda folder: subtitled(folder / "film.mkv")),
    "size change": Case(
        resolution_change,
        notes=("time jumps back 1 times", "12 frames have another size than the first"),
        times=frame_times(2, 2 * COUNT),
        max_difference=None,
    ),
    "several video streams": Case(
        cameras, notes=("3 video streams; number 1 is read", "ffv1) could not be kept")
    ),
    "several video streams with --stream": Case(
        cameras,
        {"reading": ReadSettings(stream=2)},
        notes=("ffv1) could not be kept",),
        stream=1,
    ),
    "trimmed": Case(
        lambda folder: encode(folder / "long.mp4", LONG),
        {"reading": ReadSettings(start=Fraction(1, 2), end=Fraction(3, 2))},
        times=frame_times(0, 25),
        max_difference=None,
    ),
    "pictures": Case(
        lambda folder: numbered(folder / "shots", range(1, 8)),
        notes=("25 frames/s are assumed",),
    ),
    "pictures with a gap": Case(
        lambda folder: numbered(folder / "shots", [3, 4, 7]),
        {"reading": ReadSettings(frame_rate=RATE)},
        notes=(
            "12.5 frames/s are used (--fps)",
            "2 numbers of the sequence are missing, the first is 5",
        ),
        times=[Fraction(0), 1 / RATE, 4 / RATE],
        max_difference=None,
    ),
    "Unicode and spaces": Case(unicode_name),
}


def text(folder: Path) -> Path:
    path = folder / "text.mp4"
    path.write_text("this is not a video\n" * 50)
    return path


def empty(folder: Path) -> Path:
    path = folder / "empty.mp4"
    path.touch()
    return path


def truncated_picture(folder: Path) -> Path:
    Image.fromarray(picture(0, 320, 240)).save(folder / "whole.jpg")
    return truncated(folder / "whole.jpg", 0.5)


def only_sound(folder: Path) -> Path:
    path = folder / "sound.m4a"
    track = Track()
    with av.open(str(path), "w", format="mp4") as output:
        track.fill(output, track.add(output))
    return path


INVALID: dict[str, tuple[Make, dict[str, Any], str, int]] = {
    "truncated mp4": (
        lambda folder: truncated(encode(folder / "a.mp4", LONG), 0.6), {}, "before its index", 3
    ),
    "text named .mp4": (text, {}, "contains text, not video", 3),
    "empty": (empty, {}, "is empty", 3),
    "missing": (lambda folder: folder / "absent.mp4", {}, "no such file", 3),
    "only sound": (only_sound, {}, "contains no video (only audio)", 3),
    "a truncated picture": (truncated_picture, {}, "", 3),
    "no pictures": (lambda folder: folder / "shot_%03d.png", {}, "has no pictures", 3),
    "a missing stream": (
        lambda folder: cameras(folder), {"reading": ReadSettings(stream=4)}, "not 4", 2
    ),
    "a trim beyond the end": (
        lambda folder: encode(folder / "a.mp4"),
        {"reading": ReadSettings(start=Fraction(5))},
        "the last one is at 0.440 s",
        2,
    ),
    "a region outside the frame": (
        lambda folder: encode(folder / "a.mp4"), {"roi": (40, 0, 40, 40)}, "64x48", 2
    ),
}  # fmt: skip


STILLS: dict[str, tuple[dict[str, Any], int, float]] = {
    "a.png": ({}, 1, 0),
    "a.bmp": ({}, 1, 0),
    "a.tiff": ({}, 1, 0),
    "a.ppm": ({}, 1, 0),
    "a.webp": ({"lossless": True}, 1, 0),
    "a.jp2": ({}, 1, 1),
    "a.jpg": ({"quality": 95}, 1, 1),
    "a.avif": ({"quality": 90}, 1, 4),
    "rotated.png": ({}, 6, 0),
    "rotated.tiff": ({}, 8, 0),
    "mirrored.webp": ({"lossless": True}, 5, 0),
    "mirrored.jpg": ({"quality": 95}, 2, 1),
}
"""Options of Pillow, EXIF orientation, and the largest mean difference of the restored picture
from the one that Pillow reads."""
