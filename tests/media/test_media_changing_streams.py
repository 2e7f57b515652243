"""Elementary streams whose size or proportions change, and what their decoders crop."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from clips import encode
from numpy.typing import NDArray

from jdsr_cli.media import open_reader
from jdsr_cli.media.frames import reshaped_warning, resized_warning

SIZE = (96, 64)
OPTIONS = {
    "libx264": {"g": "10", "bf": "2", "crf": "8"},
    "libx265": {"x265-params": "log-level=none:keyint=10:bframes=2:crf=8"},
    "mpeg2video": {"g": "10", "bf": "2", "qscale": "2"},
}


def white(_: int) -> NDArray[np.uint8]:
    return np.full((SIZE[1], SIZE[0], 3), 220, np.uint8)


def stream_of(path: Path, codec: str, aspects: Sequence[Fraction], count: int = 12) -> Path:
    """Join elementary streams of one size and these pixel aspect ratios."""
    data = b""
    for number, aspect in enumerate(aspects):
        part = encode(
            path.with_name(f"part{number}{path.suffix}"),
            range(count),
            codec=codec,
            size=SIZE,
            options=OPTIONS[codec],
            paint=white,
            configure=lambda stream, ratio=aspect: setattr(
                stream.codec_context, "sample_aspect_ratio", ratio
            ),
        )
        data += part.read_bytes()
    path.write_bytes(data)
    return path


def bordered(image: NDArray[np.uint8]) -> tuple[bool, bool]:
    """Whether black lines were added at the left, and at the top."""
    middle_row, middle_column = image[SIZE[1] // 2, 2], image[2, SIZE[0] // 2]
    return bool(middle_row.max() < 60), bool(middle_column.max() < 60)


@pytest.mark.parametrize(
    ("name", "codec"), [("a.h264", "libx264"), ("a.hevc", "libx265"), ("a.m2v", "mpeg2video")]
)
@pytest.mark.parametrize("aspects", [(1, Fraction(2)), (Fraction(16, 11), 1, Fraction(16, 11))])
def test_frames_of_another_pixel_aspect_ratio_keep_their_proportions(
    tmp_path: Path, name: str, codec: str, aspects: tuple[Fraction, ...]
) -> None:
    if codec == "mpeg2video":
        # It stores the proportions of the picture: 4:3 or 16:9.
        aspects = tuple(Fraction(32, 27) if ratio != 1 else Fraction(8, 9) for ratio in aspects)
    path = stream_of(tmp_path / name, codec, [Fraction(ratio) for ratio in aspects])
    with open_reader(path) as reader:
        frames = [frame.image for frame in reader]
        notes = reader.report.warnings
    first, second = aspects[:2]
    expected = (False, True) if second > first else (True, False)
    per_part, rest = divmod(len(frames), len(aspects))
    assert rest <= 1
    changed = [bordered(frame) == expected for frame in frames]
    assert not any(changed[:per_part])
    assert all(changed[per_part + rest : 2 * per_part])
    assert not any(changed[2 * per_part + rest :])
    assert reshaped_warning(sum(changed)) in notes


def test_recordings_of_another_pixel_aspect_ratio_keep_their_proportions(tmp_path: Path) -> None:
    ratios = (1, Fraction(1, 2))
    parts = [
        encode(
            tmp_path / f"part{number}.mp4",
            size=SIZE,
            paint=white,
            configure=lambda stream, ratio=ratio: setattr(
                stream.codec_context, "sample_aspect_ratio", ratio
            ),
        )
        for number, ratio in enumerate(ratios)
    ]
    path = tmp_path / "joined.mp4"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    with open_reader(path) as reader:
        found = [bordered(frame.image) for frame in reader]
        notes = reader.report.warnings
    assert found == [(False, False)] * 12 + [(True, False)] * 12
    assert reshaped_warning(12) in notes


@pytest.mark.parametrize("name", ["a.mjpeg", "a.mjpg", "A.MJPG"])
@pytest.mark.parametrize("sizes", [[(96, 64)], [(96, 64), (64, 96)]])
def test_consecutive_pictures_are_a_video(
    tmp_path: Path, name: str, sizes: list[tuple[int, int]]
) -> None:
    """FFmpeg takes some of these files for a picture, by their first bytes."""
    data = b""
    for number, size in enumerate(sizes):
        part = encode(
            tmp_path / f"part{number}.avi", codec="mjpeg", pixel_format="yuvj420p", size=size
        )
        with av.open(str(part)) as container:
            data += b"".join(with_jfif(bytes(packet)) for packet in container.demux(video=0))
    path = tmp_path / name
    path.write_bytes(data)
    with open_reader(path) as reader:
        times = [frame.time for frame in reader]
        info, notes = reader.info, reader.report.warnings
    assert (info.kind, info.timestamps) == ("video", False)
    assert times == [Fraction(number, 25) for number in range(12 * len(sizes))]
    assert (resized_warning(12) in notes) == (len(sizes) > 1)


def with_jfif(picture: bytes) -> bytes:
    """Return a JPEG with a JFIF segment at its start, as most programs write."""
    if not picture:
        return b""
    segment = b"\xff\xe0\0\x10JFIF\0\1\2\0\0\1\0\1\0\0"
    return picture[:2] + segment + picture[2:].removeprefix(segment)


@pytest.mark.parametrize("left", [1, 3, 6, 14])
@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_what_a_stream_crops_on_the_left_is_cropped_exactly(
    tmp_path: Path, codec: str, left: int
) -> None:
    """FFmpeg crops whole blocks of memory there, unless it is asked for more."""
    whole = encode(
        tmp_path / "whole.mp4",
        codec=codec,
        pixel_format="yuv444p",
        size=(128, 64),
        options=OPTIONS[codec],
    )
    cropped = tmp_path / "cropped.mp4"
    filters = {"libx264": "h264_metadata", "libx265": "hevc_metadata"}[codec]
    with av.open(str(whole)) as source, av.open(str(cropped), "w") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        change = av.BitStreamFilterContext(
            f"{filters}=crop_left={left}:crop_right=2:crop_top=5:crop_bottom=0", stream, copy
        )
        for packet in source.demux(stream):
            for changed in change.filter(packet if packet.size else None):
                changed.stream = copy
                target.mux(changed)
    with open_reader(whole) as one, open_reader(cropped) as other:
        for before, after in zip(one, other, strict=True):
            np.testing.assert_array_equal(after.image, before.image[5:, left:-2])
