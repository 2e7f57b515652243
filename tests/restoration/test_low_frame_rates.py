"""People in moving, dimmed and joined scenes at low, high and varying frame rates."""

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from drawn_scenes import HEAD, WIDTH, background, draw_person, exposed, infrared, view
from numpy.typing import NDArray

from jdsr_cli.evidence import FileDigest
from jdsr_cli.faces import TEMPLATE, Detection
from jdsr_cli.faces.display import SQUARE
from jdsr_cli.faces.scene import thumbnail
from jdsr_cli.media import Reader
from jdsr_cli.restoration.frame import (
    Element,
    FrameItem,
    InputFinished,
    InputStarted,
    InputState,
    OpenInput,
)
from jdsr_cli.restoration.request import Request
from jdsr_cli.restoration.scene_search import DetectionPlan, FrameBefore, SceneSearch
from jdsr_cli.restoration.stages.detection import detect
from jdsr_cli.restoration.stages.tracking import track
from jdsr_cli.restoration.workspace import Workspace
from jdsr_cli.settings import TrackerSettings

Picture = NDArray[np.uint8]
Places = Sequence[tuple[float, float]]
Scene = Callable[[float], tuple[Picture, Places]]
"""Returns the picture at a time, and where in it the heads are."""

RATES: tuple[float | None, ...] = (1.0, 2.0, 5.0, 25.0, None)
"""None: a rate that varies, as in recordings that are triggered by motion."""
SECONDS = 6.0
SEEDS = (0, 1, 2)


class KnownFaces:
    """Detects faces at known places, in frames that come in order."""

    name = "known"

    def __init__(self, places: Sequence[Places]) -> None:
        self._places = iter(places)

    def detect(self, images: Sequence[Picture]) -> list[list[Detection]]:
        return [[head(*place) for place in next(self._places)] for _ in images]


def head(x: float, y: float) -> Detection:
    box = (x - HEAD / 2, y - 0.6 * HEAD, x + HEAD / 2, y + 0.6 * HEAD)
    points = ((TEMPLATE - 64.0) * HEAD / 70 + (x, y)).astype(np.float32)
    return Detection(box, points, 0.9)


def times(rate: float | None) -> list[Fraction]:
    if rate is not None:
        return [Fraction(number) / Fraction(rate) for number in range(round(SECONDS * rate))]
    steps, now = (0.04, 0.04, 0.5, 0.2, 0.04, 0.9, 0.1), [Fraction(0)]
    while now[-1] < SECONDS:
        now.append(now[-1] + Fraction(steps[len(now) % len(steps)]).limit_denominator(1000))
    return now


def frames_of(scene: Scene, rate: float | None, folder: Path) -> tuple[list[FrameItem], KnownFaces]:
    state = InputState(Path("a.mp4"), Workspace(folder, "a", Path("a.mp4")))
    state.workspace.work.mkdir(parents=True)
    info = SimpleNamespace(frame_rate=Fraction(rate or 10.0), width=WIDTH, height=180)
    reader = cast(Reader, SimpleNamespace(info=info))
    digest = FileDigest("a.mp4", 0, "")
    clip = OpenInput(state, reader, digest, Request({}, {}), SQUARE, None, None, ())
    shown = [(time, *scene(float(time))) for time in times(rate)]
    items = [
        FrameItem(clip, number, number, number, time, picture)
        for number, (time, picture, _) in enumerate(shown)
    ]
    return items, KnownFaces([places for _, _, places in shown])


def tracks(scene: Scene, rate: float | None, folder: Path) -> list[dict[int, float]]:
    """Return, for each frame, the horizontal position of the detected face of each track."""
    items, detector = frames_of(scene, rate, folder)
    clip = items[0].input

    def stream() -> Iterator[Element]:
        yield InputStarted(clip)
        yield from items
        yield InputFinished(clip.state)

    found = detect(stream(), DetectionPlan(detector, every=1))
    tracked = list(track(found, TrackerSettings(), lambda rate: 1))
    assert clip.state.error is None
    clip.state.close()
    return [
        {
            face.track: (face.tracked.raw.box[0] + face.tracked.raw.box[2]) / 2
            for face in item.faces
            if face.tracked.raw is not None
        }
        for item in tracked
        if isinstance(item, FrameItem)
    ]


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("seed", SEEDS)
def test_two_people_keep_their_tracks_while_the_camera_pans(
    seed: int, rate: float | None, tmp_path: Path
) -> None:
    """Each second, one comes to where the other was."""
    apart = 0.28 * WIDTH
    wide = background(seed)
    for number in range(2):
        wide = draw_person(wide, 560 + number * apart, 90, 10 * seed + number)

    def scene(time: float) -> tuple[Picture, Places]:
        left = 400 + 0.28 * WIDTH * (time if time < 1.6 else 3.2 - time if time < 2.6 else 0.6)
        return view(wide, left), [(560 + one * apart - round(left), 70.0) for one in range(2)]

    shown = tracks(scene, rate, tmp_path)
    assert len(shown) == len(times(rate))
    for positions in shown:
        assert sorted(positions) == [1, 2]
        assert positions[2] - positions[1] == pytest.approx(apart)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("burst", "pause"), [(8, 0.9), (5, 0.6), (12, 0.8)])
def test_people_who_look_alike_keep_their_tracks_after_bursts_of_frames(
    seed: int, burst: int, pause: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a burst the pan is too slow to be measured; one comes to where the other was."""
    now = [Fraction(0)]
    for _ in range(2):
        for _ in range(burst):
            now.append(now[-1] + Fraction(1, 25))
        now.append(now[-1] + Fraction(pause).limit_denominator(100))
    monkeypatch.setitem(globals(), "times", lambda _: now)
    apart = round(78 * pause)
    wide = background(seed, width=8 * WIDTH)
    for number in range(2):
        wide = draw_person(wide, 560 + number * apart, 90, 10 * seed)

    def scene(time: float) -> tuple[Picture, Places]:
        left = 330 + 78 * time
        return view(wide, left), [(560 + one * apart - round(left), 70.0) for one in range(2)]

    for positions in tracks(scene, None, tmp_path):
        assert sorted(positions) == [1, 2]
        assert positions[2] - positions[1] == pytest.approx(apart)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("seed", SEEDS)
def test_a_person_keeps_the_track_when_exposure_changes(
    seed: int, rate: float | None, tmp_path: Path
) -> None:
    room = background(seed)

    def scene(time: float) -> tuple[Picture, Places]:
        x = 120 + 12 * time
        picture = draw_person(view(room, 300), x, 70, seed)
        looks = (
            picture, exposed(picture, 0.35), infrared(picture), picture,
            exposed(picture, 1.8, 0.7), picture,
        )  # fmt: skip
        return looks[min(int(time), 5)], [(x, 70.0)]

    assert all(sorted(positions) == [1] for positions in tracks(scene, rate, tmp_path))


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("seed", SEEDS)
def test_nobody_is_followed_over_a_cut_to_another_person_in_the_same_place(
    seed: int, rate: float | None, tmp_path: Path
) -> None:
    def scene(time: float) -> tuple[Picture, Places]:
        shot = int(time) // 2
        picture = view(background(seed + 20 * shot), 100 + 5 * time)
        return draw_person(picture, 160, 70, seed + 20 * shot), [(160.0, 70.0)]

    shown = tracks(scene, rate, tmp_path)
    for time, positions in zip(times(rate), shown, strict=True):
        assert sorted(positions) == [1 + int(time) // 2]


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("segment", [1, 3])
def test_a_segment_that_is_searched_by_itself_has_the_same_cuts_and_shifts(
    segment: int, rate: float | None, tmp_path: Path
) -> None:
    def scene(time: float) -> tuple[Picture, Places]:
        return view(background(int(time) // 3), 300 + 70 * (time % 3)), [(160.0, 70.0)]

    def found(items: Sequence[FrameItem], before: FrameItem | None) -> list[tuple[object, ...]]:
        last = before and FrameBefore(float(before.time), thumbnail(before.image))
        plan = DetectionPlan(KnownFaces([[]] * len(items)), every=1)
        search = SceneSearch(plan, Fraction(rate or 10.0), last)
        done = [one for item in items for one in search.add(item)] + search.end_group(None)
        results = [one.detections for one in done]
        return [(one.cut, one.shift) for one in results if one is not None]

    items, _ = frames_of(scene, rate, tmp_path)
    whole = found(items, None)
    assert len(whole) == len(items)
    assert sum(cut for cut, _ in whole) >= 1
    parts = []
    for first in range(0, len(items), segment):
        before = items[first - 1] if first else None
        parts += found(items[first : first + segment], before)
    assert parts == whole
    if rate is not None and rate <= 2.0:
        assert sum(shift not in ((0.0, 0.0), None) for _, shift in whole) >= SECONDS - 3


@pytest.mark.parametrize("rate", [1.0, 2.0, 5.0])
@pytest.mark.parametrize("people", [(0, 1), (2, 3), (4, 5), (7, 6)])
def test_somebody_else_at_the_same_place_without_a_cut_is_another_track(
    people: tuple[int, int], rate: float, tmp_path: Path
) -> None:
    wall = view(background(4), 300.0)

    def scene(time: float) -> tuple[Picture, Places]:
        return draw_person(wall, 160, 90, people[time >= 3.0]), [(160.0, 90.0)]

    shown = [next(iter(one)) for one in tracks(scene, rate, tmp_path)]
    half = round(3 * rate)
    assert shown == [1] * half + [2] * (len(shown) - half)
