"""Means of temporal figures over pairs of frames, and intervals over tracks or pairs."""

import numpy as np
import pytest

from jdsr_cli.evaluation.video_statistics import interval_protocol, summarise, unit_name


def test_means_are_those_of_all_pairs_and_relative_to_the_reference() -> None:
    rng = np.random.default_rng(0)
    tracks = [rng.uniform(1, 2, (pairs, 3, 2)) for pairs in (1, 4, 30)]
    for track in tracks:
        track[:, 1] = 2.5 * track[:, 0]
    joined = np.concatenate(tracks)
    summary = summarise(tracks)
    for video in range(3):
        for figure in range(2):
            one = summary[video][figure]
            assert one is not None
            assert one.mean.value == pytest.approx(joined[:, video, figure].mean())
            assert one.mean.low <= one.mean.value <= one.mean.high  # type: ignore[operator]
            assert one.pairs == 35
    assert [one.relative for one in summary[0] if one is not None] == [None, None]
    for one in summary[1]:
        assert one is not None
        assert one.relative is not None
        ends = (one.relative.value, one.relative.low, one.relative.high)
        assert ends == pytest.approx((2.5, 2.5, 2.5))


def test_whole_tracks_are_drawn() -> None:
    """Pairs that resemble each other within their tracks give no narrower interval."""
    means = np.random.default_rng(1).normal(10, 2, 40)
    few = [np.full((3, 1, 1), mean) for mean in means]
    many = [np.full((300, 1, 1), mean) for mean in means]
    intervals = [summarise(tracks)[0][0].mean for tracks in (few, many)]  # type: ignore[union-attr]
    assert intervals[0].low == pytest.approx(intervals[1].low)
    assert intervals[0].high == pytest.approx(intervals[1].high)
    width = intervals[0].high - intervals[0].low  # type: ignore[operator]
    assert width == pytest.approx(2 * 1.96 * means.std() / np.sqrt(40), rel=0.1)


def test_of_a_single_track_pairs_are_drawn() -> None:
    values = np.random.default_rng(2).normal(10, 2, (400, 1, 1))
    one = summarise([values])[0][0]
    assert one is not None
    width = one.mean.high - one.mean.low  # type: ignore[operator]
    assert width == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)
    assert unit_name(1) == "pairs of frames"
    assert "too narrow" in interval_protocol(1)
    assert unit_name(2) == "tracks"
    single = summarise([values[:1]])[0][0]
    assert single is not None
    assert (single.mean.value, single.mean.low, single.mean.high) == (values[0, 0, 0], None, None)


def test_pairs_without_a_value_do_not_count() -> None:
    tracks = [np.ones((4, 2, 2)), np.full((2, 2, 2), 3.0)]
    tracks[0][1:] = np.nan
    tracks[1][:, 0, 1] = np.nan
    tracks[0][:, 0, 1] = np.nan
    summary = summarise(tracks)
    first = summary[0][0]
    assert first is not None
    assert (first.mean.value, first.pairs) == (pytest.approx(7 / 3), 3)
    assert summary[0][1] is None
    other = summary[1][1]
    assert other is not None
    assert other.relative is None


def test_nothing_is_relative_to_a_reference_of_zero() -> None:
    values = np.ones((5, 2, 1))
    values[:, 0] = 0.0
    one = summarise([values, values])[1][0]
    assert one is not None
    assert one.relative is None
