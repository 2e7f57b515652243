"""The rendered clip of the demo."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from jdsr_cli.demo import Camera, ClipSettings, build_clip, render_frames
from jdsr_cli.demo.clip import WALKS
from jdsr_cli.errors import OutputError
from jdsr_cli.media import open_reader
from jdsr_cli.progress import Silent

TINY = ClipSettings(camera=Camera(160, 90), frames=3)


@pytest.fixture(scope="module")
def frames() -> list[np.ndarray]:
    return list(render_frames(TINY))


def test_equal_settings_give_equal_frames(frames: list[np.ndarray]) -> None:
    assert [frame.shape for frame in frames] == [(90, 160, 3)] * 3
    assert all(
        np.array_equal(one, other) for one, other in zip(frames, render_frames(TINY), strict=True)
    )


def test_the_seed_changes_noise_and_masks(frames: list[np.ndarray]) -> None:
    other = next(render_frames(replace(TINY, seed=1)))
    assert np.abs(other.astype(int) - frames[0]).mean() > 1.0


def test_faces_are_at_the_stated_positions_and_one_is_masked(frames: list[np.ndarray]) -> None:
    """Colours at the mouths of both people show a bare face and a mask."""
    still = next(render_frames(replace(TINY, noise=0.0, blur=0.1))).astype(float)
    colours = []
    for walk in WALKS:
        matrix = TINY.matrix(walk, 0)
        points = walk.person.points @ matrix[:, :2].T + matrix[:, 2]
        x, y = np.round(points[3:].mean(axis=0)).astype(int)
        colours.append(still[y, x])
    assert colours[0][0] > colours[0][2] + 10, "the bare mouth is redder than blue"
    assert colours[1][2] > colours[1][0] + 10, "the mask of the second person is blue"
    assert 30 < frames[0].mean() < 200


def test_the_file_contains_the_frames_at_their_rate(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    build_clip(path, TINY, Silent())
    with open_reader(path) as reader:
        read = list(reader)
        assert reader.info.codec == "h264"
    assert [frame.time for frame in read] == [Fraction(2 * n, 25) for n in range(3)]
    assert [frame.image.shape for frame in read] == [(90, 160, 3)] * 3
    build_clip(path, replace(TINY, frames=2), Silent())
    with open_reader(path) as reader:
        assert len(list(reader)) == 2, "an earlier clip is replaced"


def test_a_missing_folder_raises_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="folder"):
        build_clip(tmp_path / "missing" / "clip.mp4", TINY, Silent())
