from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from clips import HEIGHT, WIDTH, numbered, picture
from PIL import Image

from jdsr_cli.errors import InputMissingError, InputUnreadableError, MediaError, UsageError
from jdsr_cli.media import Frame, ReadReport, expand_inputs, open_reader, probe, read_image
from jdsr_cli.settings import ReadSettings


def read(path: Path, settings: ReadSettings | None = None) -> tuple[list[Frame], ReadReport]:
    with open_reader(path, settings) as reader:
        frames = list(reader)
    return frames, reader.report


def test_pictures_are_read_in_order_of_their_numbers(tmp_path: Path) -> None:
    pattern = numbered(tmp_path / "shots", [8, 9, 10, 11])
    (tmp_path / "shots" / "shot_9.png").write_bytes(b"other")
    (tmp_path / "shots" / "shot_abc.png").write_bytes(b"other")
    frames, report = read(pattern)
    assert [(frame.index, frame.time) for frame in frames] == [
        (i, Fraction(i, 25)) for i in range(4)
    ]
    for frame in frames:
        np.testing.assert_array_equal(frame.image, picture(frame.index + 8))
    assert report == ReadReport(
        4, 0, 0, ("a sequence of pictures contains no times; 25 frames/s are assumed",)
    )
    info = probe(pattern)
    assert (info.kind, info.path, info.width, info.height) == ("sequence", pattern, WIDTH, HEIGHT)
    assert (info.frames_promised, info.duration, info.codec) == (4, Fraction(4, 25), "png")
    assert not info.timestamps
    np.testing.assert_array_equal(read_image(pattern), picture(8))


def test_numbers_without_leading_zeros_are_ordered(tmp_path: Path) -> None:
    numbered(tmp_path, [2, 9, 10, 100], "f{}.png")
    frames, _ = read(tmp_path / "f%d.png", ReadSettings(frame_rate=Fraction(10)))
    assert [frame.time for frame in frames] == [Fraction(n, 10) for n in (0, 7, 8, 98)]


def test_frame_rate_and_trim_apply(tmp_path: Path) -> None:
    pattern = numbered(tmp_path, range(10))
    settings = ReadSettings(
        frame_rate=Fraction(30000, 1001), start=Fraction(1, 10), end=Fraction(1, 5)
    )
    frames, report = read(pattern, settings)
    assert [frame.index for frame in frames] == [3, 4, 5]
    assert frames[0].time == Fraction(3003, 30000)
    assert "29.97 frames/s are used (--fps)" in report.warnings[0]
    with pytest.raises(UsageError, match=r"the last one is at 0\.360 s"):
        read(pattern, ReadSettings(start=Fraction(5)))
    with pytest.raises(UsageError, match="not 2"):
        open_reader(pattern, ReadSettings(stream=2))


def test_only_damaged_pictures_are_left_out(tmp_path: Path) -> None:
    pattern = numbered(tmp_path, [1, 2, 3, 5, 6])
    data = (tmp_path / "shot_002.png").read_bytes()
    (tmp_path / "shot_002.png").write_bytes(data[: len(data) // 2])
    Image.fromarray(picture(5, 32, 24)).save(tmp_path / "shot_005.png")
    frames, report = read(pattern)
    assert [(f.index, f.pts) for f in frames] == [(0, 0), (1, 2), (2, 4), (3, 5)]
    assert {frame.image.shape for frame in frames} == {(HEIGHT, WIDTH, 3)}
    assert np.abs(frames[2].image.astype(int) - picture(5)).mean() < 20
    assert (report.frames, report.skipped) == (4, 1)
    text = " ".join(report.warnings)
    assert "1 numbers of the sequence are missing, the first is 4" in text
    assert "1 pictures of the sequence could not be read and were left out: shot_002.png" in text
    assert "1 frames have another size than the first; resized to it" in text


def test_an_unreadable_first_picture_is_skipped(tmp_path: Path) -> None:
    pattern = numbered(tmp_path, [1, 2])
    (tmp_path / "shot_001.png").write_bytes(b"")
    frames, _ = read(pattern)
    assert [(frame.index, frame.pts) for frame in frames] == [(0, 1)]
    (tmp_path / "shot_002.png").write_bytes(b"nothing")
    with pytest.raises(MediaError, match="none of the pictures"):
        open_reader(pattern)


def test_a_missing_sequence_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("none_%d.png", "none/shot_%d.png"):
        with pytest.raises(InputMissingError):
            open_reader(tmp_path / name)
        assert isinstance(expand_inputs([str(tmp_path / name)])[1][0], InputMissingError)

    def refuse(self: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(InputUnreadableError, match="Permission denied"):
        open_reader(tmp_path / "shot_%d.png")


def test_a_pattern_is_one_input(tmp_path: Path) -> None:
    pattern = numbered(tmp_path, [1, 2])
    assert expand_inputs([str(pattern), str(pattern)]) == ([pattern], [])
    literal = tmp_path / "odd_%d.png"
    Image.fromarray(picture(0)).save(literal)
    assert expand_inputs([str(literal)]) == ([literal], [])
    assert probe(literal).kind == "image"
    with pytest.raises(InputMissingError, match="no such file"):
        open_reader(tmp_path / "%d_%d.png")


@pytest.mark.parametrize("last", [999_999_999_999, 10**13])
def test_a_huge_gap_is_a_pause(tmp_path: Path, last: int) -> None:
    for number in (1, 2, last):
        Image.fromarray(picture(0)).save(tmp_path / f"shot_{number}.png")
    frames, report = read(tmp_path / "shot_%d.png")
    assert [(frame.index, frame.pts) for frame in frames] == [(0, 0), (1, 1), (2, last - 1)]
    assert f"{last - 3} numbers of the sequence are missing, the first is 3" in report.warnings[1]


@pytest.mark.parametrize(
    ("numbers", "rate", "names"),
    [
        ([1, 2, 10**15], None, r"shot_2\.png and shot_10+\.png"),
        ([1, 2**63], None, r"shot_1\.png and shot_9223372036854775808\.png"),
        ([3, 10**200, 10**200 + 1], None, r"shot_3\.png and shot_10+\.png"),
        ([1, 10**10], Fraction(1, 1000), r"shot_1\.png and shot_10+\.png"),
    ],
)
def test_numbers_that_no_container_can_store_as_times_are_refused(
    tmp_path: Path, numbers: list[int], rate: Fraction | None, names: str
) -> None:
    for number in numbers:
        Image.fromarray(picture(0)).save(tmp_path / f"shot_{number}.png")
    with pytest.raises(MediaError, match=rf"of {names} are too far apart"):
        open_reader(tmp_path / "shot_%d.png", ReadSettings(frame_rate=rate))


@pytest.mark.parametrize(
    ("field", "expected"), [("%d", [1, 10]), ("%02d", [1, 10]), ("%03d", [1, 2]), ("%020d", [7])]
)
def test_only_numbers_of_the_given_width_belong_to_a_sequence(
    tmp_path: Path, field: str, expected: list[int]
) -> None:
    for digits in ("1", "01", "001", "10", "002", f"{7:020d}"):
        Image.fromarray(picture(int(digits))).save(tmp_path / f"shot_{digits}.png")
    frames, _ = read(tmp_path / f"shot_{field}.png")
    assert [frame.pts + expected[0] for frame in frames] == expected


def test_a_single_huge_number_is_one_frame(tmp_path: Path) -> None:
    Image.fromarray(picture(0)).save(tmp_path / f"shot_{10**100}.png")
    frames, _ = read(tmp_path / "shot_%d.png")
    assert [(frame.index, frame.pts) for frame in frames] == [(0, 0)]
