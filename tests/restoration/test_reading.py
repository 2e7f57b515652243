"""The number of frames that a run expects of an input."""

from fractions import Fraction
from types import SimpleNamespace
from typing import cast

import pytest

from jdsr_cli.media import MediaInfo
from jdsr_cli.restoration.stages.reading import expected_frames
from jdsr_cli.settings import ReadSettings


def header(duration: int | None = 4, promised: int | None = 101) -> MediaInfo:
    return cast(
        MediaInfo,
        SimpleNamespace(
            duration=None if duration is None else Fraction(duration),
            frame_rate=Fraction(25),
            frames_promised=promised,
        ),
    )


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (None, None, 101),
        (1, 3, 50),
        (1, None, 75),
        (None, 3, 75),
        (None, 9, 100),
        (6, None, 1),
    ],
)
def test_a_part_has_the_frames_between_its_times(
    start: int | None, end: int | None, expected: int
) -> None:
    reading = ReadSettings(
        start=None if start is None else Fraction(start), end=None if end is None else Fraction(end)
    )
    assert expected_frames(header(), reading) == expected


def test_without_a_duration_the_promised_number_is_expected() -> None:
    assert expected_frames(header(None), ReadSettings(start=Fraction(1))) == 101
    assert expected_frames(header(None, None), ReadSettings()) is None


def test_without_a_promised_number_the_duration_decides() -> None:
    assert expected_frames(header(4, None), ReadSettings()) == 100
