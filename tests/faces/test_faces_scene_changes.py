from collections.abc import Callable

import cv2
import drawn_scenes
import numpy as np
import pytest
import skimage.data
from drawn_scenes import HEIGHT, WIDTH, background, draw_person, exposed, infrared, view
from numpy.typing import NDArray

from jdsr_cli.errors import UsageError
from jdsr_cli.faces.scene import thumbnail
from jdsr_cli.faces.scene_changes import SceneChange, compare_scenes

Picture = NDArray[np.uint8]

STEPS = (1.0, 0.5, 0.2, 0.04)
SEEDS = range(6)


def change(before: Picture, after: Picture, seconds: float) -> SceneChange:
    return compare_scenes(thumbnail(before), thumbnail(after), seconds)


@pytest.fixture(scope="module")
def photos() -> list[Picture]:
    """Photographs of five different scenes."""
    pictures = [
        skimage.data.astronaut()[:288], skimage.data.coffee()[:, :512],
        skimage.data.chelsea()[:250, :444], skimage.data.rocket()[:360],
        np.repeat(skimage.data.camera()[:288, :, None], 3, axis=2),
    ]  # fmt: skip
    return [np.ascontiguousarray(cv2.resize(one, (WIDTH, HEIGHT))) for one in pictures]


@pytest.mark.parametrize("seconds", STEPS)
def test_other_scenes_are_cuts_after_any_time(photos: list[Picture], seconds: float) -> None:
    others = photos + [view(background(seed), 100) for seed in SEEDS]
    for number, first in enumerate(others):
        for second in others[:number]:
            assert change(first, second, seconds).cut
            assert change(second, first, seconds).cut
    mirrored = (photos[0], others[-1], others[-2])
    assert all(change(one, np.ascontiguousarray(one[:, ::-1]), seconds).cut for one in mirrored)


@pytest.mark.parametrize("seconds", STEPS)
@pytest.mark.parametrize("seed", SEEDS)
def test_a_cut_to_another_person_in_the_same_place_is_detected(seed: int, seconds: float) -> None:
    for size in (24, 48, 64):
        first = draw_person(view(background(seed), 100), 160, 60, seed, size)
        second = draw_person(view(background(seed + 50), 100), 160, 60, seed + 50, size)
        assert change(first, second, seconds).cut, size


@pytest.mark.parametrize("seconds", STEPS)
@pytest.mark.parametrize(("rows", "columns"), [(23, 0), (0, 40), (0, 100), (15, 20)])
def test_a_cut_between_bars_is_detected(rows: int, columns: int, seconds: float) -> None:
    def barred(picture: Picture) -> Picture:
        small = np.zeros_like(picture)
        size = (WIDTH - 2 * columns, HEIGHT - 2 * rows)
        part = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        small[rows : HEIGHT - rows, columns : WIDTH - columns] = part
        return small

    for seed in SEEDS:
        first, second = (barred(view(background(one), 100)) for one in (seed, seed + 50))
        assert change(first, second, seconds).cut
        assert not change(first, barred(view(background(seed), 104)), seconds).cut


@pytest.mark.parametrize("seconds", STEPS)
def test_a_cut_under_the_same_date_and_camera_name_is_detected(seconds: float) -> None:
    def labelled(picture: Picture) -> Picture:
        for text, place in (("2031-02-03 04:05:06", (6, 14)), ("GATE 4", (250, 174))):
            cv2.putText(picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 255), 1)
        return picture

    for seed in SEEDS:
        first, second = (labelled(view(background(one), 100)) for one in (seed, seed + 50))
        assert change(first, second, seconds).cut


@pytest.mark.parametrize("seconds", STEPS[:3])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_pan_is_no_cut_and_its_shift_is_measured(seed: int, seconds: float) -> None:
    scene = background(seed)
    for share, down in ((0.1, 0), (-0.25, 8), (0.33, -8), (-0.4, 4)):
        first, second = view(scene, 400, 20), view(scene, 400 + share * WIDTH, 20 + down)
        found = change(first, second, seconds)
        assert not found.cut, share
        assert found.shift == pytest.approx((-share, -down / HEIGHT), abs=0.02)
        darker = change(first, exposed(second, 0.6, 0.8), seconds)
        assert not darker.cut, share
        assert darker.shift == pytest.approx(found.shift, abs=0.02)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_camera_does_not_move_far_in_a_short_time(seed: int) -> None:
    scene = background(seed)
    assert change(view(scene, 400), view(scene, 400 + 0.5 * WIDTH), 0.04).cut
    assert not change(view(scene, 400), view(scene, 400 + 0.05 * WIDTH), 0.04).cut


@pytest.mark.parametrize("seconds", STEPS)
@pytest.mark.parametrize(
    "expose",
    [
        lambda one: exposed(one, 0.3), lambda one: exposed(one, 1.9),
        lambda one: exposed(one, 1.0, 0.4), lambda one: exposed(one, 0.8, 2.2),
        infrared, lambda one: np.full_like(one, 255),
    ],
)  # fmt: skip
def test_exposure_and_lamps_are_no_cuts(
    photos: list[Picture], expose: Callable[[Picture], Picture], seconds: float
) -> None:
    for picture in photos + [view(background(seed), 100) for seed in SEEDS]:
        for first, second in ((picture, expose(picture)), (expose(picture), picture)):
            found = change(first, second, seconds)
            assert not found.cut
            assert found.shift in ((0.0, 0.0), None)


@pytest.mark.parametrize("seconds", STEPS[:3])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_large_person_who_walks_through_is_no_cut(seed: int, seconds: float) -> None:
    empty = view(background(seed), 100)
    for size, x in ((60, 90), (70, 200)):
        crossed = draw_person(empty, x, 50, seed, size)
        assert not change(empty, crossed, seconds).cut
        assert not change(crossed, empty, seconds).cut
        assert change(empty, crossed, seconds).shift in ((0.0, 0.0), None)


@pytest.mark.parametrize("lit", [40, 60, 72, 80, 100])
def test_a_pan_between_wide_bars_is_no_cut(lit: int) -> None:
    """Between some of these bars no block fits, so that the bars are compared as well."""
    top = (drawn_scenes.HEIGHT - lit) // 2
    for seed in SEEDS:
        frames = [view(background(seed), left) for left in (400, 432)]
        for frame in frames:
            frame[:top] = frame[top + lit :] = 0
        assert not change(*frames, 0.5).cut


@pytest.mark.parametrize("level", [0.15, 0.2, 0.5])
def test_the_shift_of_a_dark_scene_is_measured_after_a_long_step(level: float) -> None:
    frames = [(view(background(4), left) * level).astype(np.uint8) for left in (400, 496)]
    found = change(*frames, 1.0)
    assert found.shift is not None
    assert found.shift[0] == pytest.approx(-0.3, abs=0.02)


@pytest.mark.parametrize("seconds", STEPS)
def test_noise_and_small_motion_are_no_cuts(photos: list[Picture], seconds: float) -> None:
    random = np.random.default_rng(0)
    for picture in photos:
        noisy = np.clip(picture + random.normal(0, 25, picture.shape), 0, 255).astype(np.uint8)
        assert not change(picture, noisy, seconds).cut
        assert not change(picture, np.roll(picture, 10, axis=1), seconds).cut


def test_from_black_into_a_scene_is_a_cut(photos: list[Picture]) -> None:
    black = np.zeros_like(photos[0])
    for picture in photos:
        assert change(black, picture, 0.04).cut
    assert change(black, black, 0.04) == change(black, black, 1.0) == SceneChange()


def test_decisions_do_not_depend_on_the_size_of_frames() -> None:
    scene = background(3)
    first, second = view(scene, 400), view(scene, 480)
    for factor in (0.5, 2, 4):
        sized = [cv2.resize(one, None, fx=factor, fy=factor) for one in (first, second)]
        found = change(sized[0].astype(np.uint8), sized[1].astype(np.uint8), 0.5)
        assert not found.cut
        assert found.shift is not None
        assert found.shift[0] == pytest.approx(-0.25, abs=0.02)


def test_invalid_pictures_and_times_are_refused() -> None:
    picture = drawn_scenes.view(background(0), 100)
    with pytest.raises(UsageError, match="thumbnails"):
        compare_scenes(picture, picture, 0.04)
    for seconds in (0.0, -1.0, float("nan")):
        with pytest.raises(UsageError, match="order of time"):
            change(picture, picture, seconds)
