"""Synthetic tracks: what changes from shot to shot, and what does not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from jdsr_cli.errors import UsageError
from jdsr_cli.faces.alignment import TEMPLATE
from jdsr_cli.synthesis import tracks
from jdsr_cli.synthesis.camera_settings import CameraSettings
from jdsr_cli.synthesis.mask_drawing import draw_sprites
from jdsr_cli.synthesis.masks import landmarks_from_five
from jdsr_cli.synthesis.tracks import (
    RecordedTrack,
    TrackSettings,
    draw_camera,
    draw_masked,
    record_track,
)

EXACT = CameraSettings(
    native_width=(128.0, 128.0), blur=(0.0, 0.0), motion=0.0, noise=(0.0, 0.0), uncompressed=1.0,
    infrared=0.0, rotation=0.0, zoom=0.0, shift=0.0,
)  # fmt: skip
STILL = TrackSettings(
    shift=(0.0, 0.0), rotation=(0.0, 0.0), zoom=(0.0, 0.0), stretch=0.0, warp=0.0, expression=0.0,
    light=0.0, uncovered=0.0, hand=0.0,
)  # fmt: skip


@pytest.fixture(scope="module")
def face(portraits: list) -> NDArray[np.uint8]:  # type: ignore[type-arg]
    return portraits[0].image  # type: ignore[no-any-return]


@pytest.fixture(autouse=True)
def constant_width(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the sampling of all shots the same, so that only the stated change shows."""
    monkeypatch.setattr(tracks, "WIDTH_VARIATION", 0.0)


def track(
    face: NDArray[np.uint8],
    masked: tuple[bool, ...],
    camera: CameraSettings = EXACT,
    settings: TrackSettings = STILL,
    *,
    seed: int = 0,
    canonical: bool = False,
) -> RecordedTrack:
    landmarks = landmarks_from_five(TEMPLATE)
    return record_track(
        face, landmarks, masked, draw_sprites(4, 3), 128, np.random.default_rng(seed), camera,
        settings, canonical=canonical,
    )  # fmt: skip


def difference(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    return float(np.abs(one.astype(np.float64) - other).mean())


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_still_person_before_a_perfect_camera_looks_the_same_in_every_shot(
    face: NDArray[np.uint8], count: int
) -> None:
    recorded = track(face, (False,) * count)

    assert recorded.frames.shape == (count, 128, 128, 3)
    assert all(difference(shot, recorded.truth) < 2.0 for shot in recorded.frames)
    assert not recorded.occlusions.any()


@pytest.mark.parametrize(
    "change",
    [
        {"shift": (3.0, 0.0)},
        {"shift": (0.0, 3000.0)},
        {"rotation": (4.0, 0.0)},
        {"zoom": (0.05, 0.0)},
        {"stretch": 0.08},
        {"warp": 3.0},
        {"light": 0.2},
    ],
)
def test_each_kind_of_movement_changes_later_shots_and_not_the_first(
    face: NDArray[np.uint8], change: dict[str, tuple[float, float] | float]
) -> None:
    recorded = track(face, (False,) * 4, settings=replace(STILL, **change))  # type: ignore[arg-type]

    assert difference(recorded.frames[0], recorded.truth) < 2.0
    assert all(difference(shot, recorded.truth) > 3.0 for shot in recorded.frames[1:])


def test_a_moving_mouth_changes_the_mouth_and_not_the_eyes(face: NDArray[np.uint8]) -> None:
    recorded = track(face, (False,) * 6, settings=replace(STILL, expression=5.0))

    changes = np.abs(recorded.frames[1:].astype(float) - recorded.frames[0]).mean((0, 3))
    assert changes[90:118, 45:82].mean() > 4 * changes[55:72, 40:88].mean()


@pytest.mark.parametrize("wears", [(True, False, True), (False, True, False), (True, True, False)])
def test_masks_cover_the_shots_that_are_named(
    face: NDArray[np.uint8], wears: tuple[bool, ...]
) -> None:
    recorded = track(face, wears)

    assert recorded.masked == wears
    shares = recorded.occlusions.mean((1, 2))
    assert [share > 0.05 for share in shares] == list(wears)
    for shot, worn in zip(recorded.frames, wears, strict=True):
        assert (difference(shot, recorded.truth) > 4.0) == worn


def test_the_mask_of_a_track_slips_but_is_the_same(face: NDArray[np.uint8]) -> None:
    recorded = track(face, (True,) * 5)

    covered = recorded.occlusions > 0.5
    always, ever = covered.all(0).sum(), covered.any(0).sum()
    assert always < ever < 1.25 * always
    inside = covered.all(0)
    colours = recorded.frames[:, inside].astype(float).mean(1)
    assert np.ptp(colours, axis=0).max() < 6.0


def test_hands_pass_in_less_than_half_of_the_shots_and_never_in_the_first(
    face: NDArray[np.uint8],
) -> None:
    settings = replace(STILL, hand=1.0)
    seen = set()
    for seed in range(12):
        recorded = track(face, (False,) * 6, settings=settings, seed=seed)
        hidden = [difference(shot, recorded.truth) > 2.0 for shot in recorded.frames]
        assert not hidden[0]
        assert sum(hidden) <= 3
        assert not recorded.occlusions.any()
        seen.add(sum(hidden))
    assert len(seen) > 1


@pytest.mark.parametrize("masked", [(False,) * 3, (True, False, True)])
def test_a_track_depends_on_its_random_state_alone(
    face: NDArray[np.uint8], masked: tuple[bool, ...]
) -> None:
    camera = CameraSettings(native_width=(20.0, 60.0), infrared=0.5, tinted=0.5, dark=0.5)
    settings = TrackSettings()

    one, same, other = (
        track(face, masked, camera, settings, seed=seed, canonical=True) for seed in (4, 4, 5)
    )

    assert np.array_equal(one.frames, same.frames)
    assert np.array_equal(one.truth, same.truth)
    assert not np.array_equal(one.frames, other.frames)


def test_the_camera_of_a_track_is_drawn_once() -> None:
    wide = CameraSettings(
        native_width=(12.0, 128.0), video=0.5, uncompressed=0.5, interlaced=0.5, squeezed=0.5,
        pristine=0.2,
    )  # fmt: skip
    cameras = [draw_camera(wide, np.random.default_rng(seed)) for seed in range(60)]

    for camera in cameras:
        low, high = camera.native_width
        assert high / low < 1.2
        assert (camera.noise, camera.quality) in {
            (wide.noise, wide.quality),
            ((0.0, 0.0), (93, 98)),
        }
        assert camera.pristine == camera.squeezed == 0.0
    assert len({round(camera.native_width[0]) for camera in cameras}) > 20
    assert {camera.interlaced for camera in cameras} == {0.0, 1.0}
    assert len({camera.squeeze for camera in cameras}) > 3


def test_masks_are_taken_off_in_some_shots_of_the_stated_share_of_tracks() -> None:
    settings = TrackSettings(uncovered=0.5)
    rng = np.random.default_rng(7)

    drawn = [draw_masked(8, 0.5, rng, settings) for _ in range(600)]

    masked, mixed = sum(map(any, drawn)), sum(any(one) and not all(one) for one in drawn)
    assert 0.42 < masked / 600 < 0.58
    assert 0.4 < mixed / masked < 0.6
    positions = np.array([one for one in drawn if any(one) and not all(one)]).mean(0)
    assert positions.min() > 0.3
    assert positions.max() < 0.7


def test_single_shots_are_masked_or_not() -> None:
    rng = np.random.default_rng(1)

    drawn = {draw_masked(1, 0.5, rng, TrackSettings(uncovered=1.0)) for _ in range(40)}

    assert drawn == {(True,), (False,)}


@pytest.mark.parametrize(
    "values",
    [{"shots": ()}, {"shots": (0,)}, {"hand": 1.5}, {"shift": (-1.0, 0.0)}, {"warp": -0.1}],
)
def test_settings_outside_their_ranges_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        TrackSettings(**values)  # type: ignore[arg-type]


def test_a_share_of_shots_is_misregistered(face: NDArray[np.uint8]) -> None:
    moving = replace(STILL, shift=(1.0, 0.0))
    changes = [
        [
            difference(shot, recorded.truth)
            for seed in range(8)
            for recorded in [track(face, (False,) * 6, settings=settings, seed=seed)]
            for shot in recorded.frames[1:]
        ]
        for settings in (moving, replace(moving, misregistered=0.3))
    ]

    assert np.quantile(changes[1], 0.95) > 1.5 * np.quantile(changes[0], 0.95)
    assert abs(np.median(changes[1]) / np.median(changes[0]) - 1.0) < 0.5


@pytest.mark.parametrize("seed", [0, 3, 8])
def test_a_hand_hides_a_mask_that_is_still_worn(face: NDArray[np.uint8], seed: int) -> None:
    recorded = track(face, (True,) * 6, settings=replace(STILL, hand=1.0), seed=seed)

    hidden = recorded.worn - recorded.occlusions
    assert hidden.min() > -0.02
    assert hidden[0].max() < 0.02
    assert hidden.max() > 0.9
    always = recorded.worn.min(0) > 0.5
    assert always.sum() > 0.85 * (recorded.worn[0] > 0.5).sum()


@pytest.mark.parametrize(
    ("width", "shift", "rotation", "zoom"),
    [(16, 7.9, 3.7, 0.104), (26, 3.4, 2.2, 0.056), (42, 1.6, 1.4, 0.042), (75, 0.9, 1.1, 0.026)],
)
def test_aligned_shots_move_as_measured_on_clips(
    width: float, shift: float, rotation: float, zoom: float
) -> None:
    measured = {"shift": shift, "rotation": rotation, "zoom": zoom}
    for name, value in measured.items():
        simulated = tracks.deviation(*getattr(tracks.ALIGNED, name), width)
        assert 0.8 * value < simulated < 1.25 * value, name
