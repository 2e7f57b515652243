from __future__ import annotations

import struct
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from clips import encode, picture
from hypothesis import given
from hypothesis import strategies as st

from jdsr_cli.media import probe
from jdsr_cli.media.frames import matrix_in_use, over_gray
from jdsr_cli.media.geometry import Orientation, from_display_matrix
from jdsr_cli.media.reading.decoding import Timeline
from jdsr_cli.media.writing.time_bases import movie_timescale

ONE = 1 << 16


@pytest.mark.parametrize(
    ("matrix", "orientation"),
    [
        ((1, 0, 0, 1), Orientation(0)),
        ((0, 1, -1, 0), Orientation(90)),
        ((-1, 0, 0, -1), Orientation(180)),
        ((0, -1, 1, 0), Orientation(270)),
        ((-1, 0, 0, 1), Orientation(0, mirrored=True)),
        ((1, 0, 0, -1), Orientation(180, mirrored=True)),
        ((0, 1, 1, 0), Orientation(270, mirrored=True)),
        ((0, -1, -1, 0), Orientation(90, mirrored=True)),
    ],
)
def test_display_matrix_moves_points_as_specified(
    matrix: tuple[int, int, int, int], orientation: Orientation
) -> None:
    a, b, c, d = matrix
    data = struct.pack("=9i", a * ONE, b * ONE, 0, c * ONE, d * ONE, 0, 0, 0, 1 << 30)
    parsed, exact = from_display_matrix(data)
    assert (parsed, exact) == (orientation, True)
    image = picture(0, 5, 3)
    oriented = parsed.apply(image)
    ys, xs = np.mgrid[:3, :5]
    p, q = a * xs + c * ys, b * xs + d * ys
    np.testing.assert_array_equal(oriented[q - q.min(), p - p.min()], image)


def test_a_rotation_that_is_not_a_multiple_of_90_degrees_is_reported() -> None:
    angle = np.deg2rad(70)
    cos, sin = int(np.cos(angle) * ONE), int(np.sin(angle) * ONE)
    data = struct.pack("=9i", cos, sin, 0, -sin, cos, 0, 0, 0, 1 << 30)
    assert from_display_matrix(data) == (Orientation(90), False)
    assert from_display_matrix(b"") == (Orientation(), True)
    assert from_display_matrix(bytes(36)) == (Orientation(), True)


@given(st.lists(st.one_of(st.none(), st.integers(-(10**6), 10**6)), max_size=40))
def test_times_always_increase(timestamps: list[int | None]) -> None:
    timeline = Timeline(Fraction(1, 90000), Fraction(25))
    assigned = [timeline.assign(timestamp) for timestamp in timestamps]
    assert all(early < late for early, late in pairwise(assigned))


def test_ticks_longer_than_a_frame_still_increase() -> None:
    timeline = Timeline(Fraction(1, 10), Fraction(25))
    assert [timeline.assign(pts) for pts in (None, None, 2, 4)] == [0, 1, 2, 4]
    assert timeline.missing == 2
    assert timeline.moved == 0


@given(st.sets(st.integers(-(10**9), 10**9), max_size=40))
def test_increasing_times_are_unchanged(timestamps: set[int]) -> None:
    timeline = Timeline(Fraction(1, 1000), None)
    assert [timeline.assign(timestamp) for timestamp in sorted(timestamps)] == sorted(timestamps)
    assert not [text for text in timeline.warnings(gaps=True) if "missing" not in text]


def test_invalid_times_are_corrected_and_reported() -> None:
    timeline = Timeline(Fraction(1, 1000), Fraction(10))
    timestamps = [0, 100, 100, None, 300, 5000, 5100, 0, 100]
    assert [timeline.assign(timestamp) for timestamp in timestamps] == [
        0, 100, 101, 201, 300, 5000, 5100, 5200, 5300,
    ]  # fmt: skip
    text = " ".join(timeline.warnings(gaps=True))
    assert "1 frames had no timestamp" in text
    assert "1 timestamps did not increase" in text
    assert "jumps back 1 times" in text


def test_a_gap_is_reported_only_at_a_constant_rate() -> None:
    constant = Timeline(Fraction(1, 1000), Fraction(10))
    for timestamp in [*range(0, 3000, 100), *range(3500, 6000, 100)]:
        constant.assign(timestamp)
    assert constant.warnings(gaps=True) == [
        "about 5 frames are missing in 1 gaps of an otherwise constant rate, the first after 2.90 s"
    ]
    variable = Timeline(Fraction(1, 1000), Fraction(10))
    for timestamp in [0, 100, 300, 900, 1000, 1500, 2500]:
        variable.assign(timestamp)
    assert variable.warnings(gaps=True) == []


def test_the_timescale_represents_every_start_exactly() -> None:
    assert movie_timescale(Fraction(1, 30000), [48000]) == 240000
    assert movie_timescale(Fraction(1, 25), []) == 25
    assert movie_timescale(Fraction(1, 2**31 - 1), [48000]) == 2**31 - 1


def test_transparent_pixels_are_composited_over_gray() -> None:
    rgba = np.array([[[200, 100, 50, 255], [200, 100, 50, 0], [200, 100, 50, 51]]], np.uint8)
    expected = [[200, 100, 50], [128, 128, 128], [142, 122, 112]]
    np.testing.assert_array_equal(over_gray(rgba)[0], expected)


@pytest.mark.parametrize(
    ("size", "matrix"),
    [((1280, 534), 1), ((1279, 576), 6), ((1024, 577), 1), ((576, 1024), 6), ((534, 1280), 1)],
)
def test_an_untagged_colour_matrix_is_chosen_by_size(
    tmp_path: Path, size: tuple[int, int], matrix: int
) -> None:
    info = probe(encode(tmp_path / "a.mp4"))
    assert info.colour_matrix == "unspecified"
    width, height = size
    assert matrix_in_use(replace(info, width=width, height=height)) == matrix
    tagged = replace(info, width=width, height=height, colour_matrix="bt2020nc")
    assert matrix_in_use(tagged) == 9
