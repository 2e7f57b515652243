"""Filmed pictures and thumbnails of each person."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jdsr_cli import RestoreSettings, restore
from jdsr_cli.faces import estimate_alignment
from jdsr_cli.media import read_image
from jdsr_cli.restoration.filmed import (
    MAX_THUMBNAILS,
    MIN_INTERVAL,
    FilmedView,
    ThumbnailRow,
    TrackViews,
    ViewState,
)
from jdsr_cli.restoration.stages.compositing import cut_patch

POINTS = np.array([[47, 50], [62, 50], [54, 59], [48, 66], [61, 66]], np.float32)


def view(
    image: np.ndarray, frame: int, seconds: float, quality: float = 0.5, state: ViewState = "bare"
) -> FilmedView:
    patch = cut_patch(image, estimate_alignment(POINTS))
    return FilmedView(frame, seconds, quality, state, None, patch)


@pytest.mark.parametrize(
    ("worse", "better"),
    [
        (("masked", 0.9), ("bare", 0.1)),
        (("unsure", 0.9), ("bare", 0.1)),
        (("refused", 0.9), ("skipped", 0.1)),
        (("refused", 0.9), ("masked", 0.1)),
        (("masked", 0.3), ("unsure", 0.4)),
        (("skipped", 0.9), ("masked", 0.1)),
        (("skipped", 0.9), ("unsure", 0.1)),
        (("skipped", 0.9), ("bare", 0.1)),
        (("bare", 0.3), ("bare", 0.4)),
        (("refused", 0.3), ("refused", 0.4)),
    ],
)
@pytest.mark.parametrize("first", [0, 1])
def test_a_bare_face_is_shown_rather_than_a_better_shot(
    worse: tuple[ViewState, float],
    better: tuple[ViewState, float],
    first: int,
    astronaut: np.ndarray,
) -> None:
    views = TrackViews()
    both = [view(astronaut, 0, 0.0, *reversed(worse)), view(astronaut, 1, 9.0, *reversed(better))]
    for one in (both[first], both[1 - first]):
        views.add(one)
    chosen = views.choose(seen_bare="bare" in (worse[0], better[0]))
    assert (chosen.state, chosen.quality) == better
    assert chosen.mask == (None if better[0] in ("skipped", "refused") else better[0])


def with_mask(image: np.ndarray, kind: int) -> np.ndarray:
    """Return a copy of the photograph with something over nose, mouth and chin."""
    random = np.random.default_rng(kind)
    masked, (height, width) = image.copy(), (22, 40)
    folds = (np.sin(np.arange(height)[:, None] * (0.8 + kind)) * 25).repeat(width, 1)
    pattern = random.normal(0, 25, (height, width)) if kind == 2 else folds
    masked[54:76, 34:74] = np.clip(180 + pattern, 0, 255)[..., None].astype(np.uint8)
    return masked


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_who_is_bare_only_where_the_mask_is_misjudged_is_not_seen_bare(
    kind: int, astronaut: np.ndarray
) -> None:
    noise = np.random.default_rng(7).normal(0, 6, (2, *astronaut.shape))
    masked = with_mask(astronaut, kind)
    one, other = (np.clip(masked + n, 0, 255).astype(np.uint8) for n in noise)
    for bare, seen in ((astronaut, True), (other, False)):
        views = TrackViews()
        for number in range(5):
            views.add(view(one, number, number / 5, 0.6, "masked"))
        views.add(view(bare, 6, 1.2, 0.7, "bare"))
        assert views.is_seen_bare() is seen
        assert views.choose(seen_bare=seen).state == ("bare" if seen else "masked")
        # With more frames in which it is bare, the other decision is the wrong one.
        for number in range(7, 12):
            views.add(view(bare, number, number / 5, 0.7, "bare"))
        assert views.is_seen_bare()


@pytest.mark.parametrize(("rate", "seconds"), [(25.0, 1.0), (25.0, 60.0), (1.0, 3600.0), (5, 0.2)])
def test_thumbnails_are_spread_over_the_track(
    rate: float, seconds: float, astronaut: np.ndarray
) -> None:
    line = ThumbnailRow()
    for number in range(int(rate * seconds)):
        line.add(view(astronaut, number, number / rate))
    assert 1 <= len(line.frames) <= MAX_THUMBNAILS
    assert line.frames == [round(time * rate) for time in line.seconds]
    gaps = np.diff([*line.seconds, seconds])
    assert (gaps[:-1] >= MIN_INTERVAL - 1e-9).all()
    assert gaps.max() <= max(2.1 * line.interval, MIN_INTERVAL, 1 / rate)
    assert len(line.frames) > MAX_THUMBNAILS // 2 - 1 or seconds < MAX_THUMBNAILS * MIN_INTERVAL
    assert {one.shape for one in line.thumbnails} == {(64, 64, 3)}


def tracks_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "tracks.jsonl").read_text("utf-8").splitlines()]


@pytest.mark.parametrize(
    ("change", "states"),
    [
        ({}, {"bare", "unsure", "masked"}),
        ({"min_face": 500.0}, {"refused"}),
        ({"mode": "crops"}, {"bare", "unsure", "masked", "skipped"}),
    ],
)
def test_every_person_is_shown_as_filmed(
    change: dict[str, Any],
    states: set[str],
    clip: Path,
    tiny_weights: Callable[[int], Path],
    tmp_path: Path,
) -> None:
    settings = RestoreSettings(
        **{"weights": str(tiny_weights(64)), "detector": "centerface", "device": "cpu", **change}
    )
    (result,) = restore([clip], tmp_path, settings).results
    assert result.output is not None
    tracks = tracks_of(result.output)
    assert tracks
    for track in tracks:
        filmed, timeline = track["filmed"], track["timeline"]
        picture = read_image(result.output / filmed["file"])
        assert picture.shape[0] == picture.shape[1] >= 128
        # It shows something of the frame: a face, not an empty or constant picture.
        assert picture.std() > 10
        assert (filmed["reason"] is not None) == (change.get("min_face") == 500.0)
        assert set(timeline["states"]) <= states
        row = read_image(result.output / timeline["file"])
        assert row.shape == (64, 64 * len(timeline["frames"]), 3)
        assert timeline["seconds"] == sorted(timeline["seconds"])
        assert track["first_frame"] <= filmed["frame"] <= track["last_frame"]


def test_no_pictures_are_made_where_only_frames_are_wanted(
    clip: Path, tiny_weights: Callable[[int], Path], tmp_path: Path
) -> None:
    settings = RestoreSettings(
        weights=str(tiny_weights(64)), detector="centerface", device="cpu", mode="paste"
    )
    (result,) = restore([clip], tmp_path, settings).results
    assert result.output is not None
    assert not (result.output / "faces").exists()
    for track in tracks_of(result.output):
        assert track["filmed"] is None
        assert track["timeline"] is None
