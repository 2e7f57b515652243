"""Windows of frames: which neighbours a face has, and runs with `--window`."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from killed_run import run_until_killed
from media.clips import encode
from nightly_cases import mostly_nightly
from PIL import Image
from suite_clips import WALK, lines, walk, walk_settings
from test_assistance import assert_same, interrupt, prepare, run
from test_doubt import calibration
from test_pictures import shot
from test_resume import assert_same_results, resume_run
from test_selection import face as aligned_face
from test_selection import opened

from jdsr_cli.errors import UsageError
from jdsr_cli.faces import Alignment, crop
from jdsr_cli.faces.canonical_colours import canonical_map
from jdsr_cli.faces.window import MAX_SECONDS, FaceWindow
from jdsr_cli.restoration.best_shots import BestShots, Shot
from jdsr_cli.restoration.doubt import DoubtEstimator
from jdsr_cli.restoration.examination import Examiner
from jdsr_cli.restoration.frame import (
    Element,
    FaceItem,
    FrameDetections,
    FrameItem,
    InputFinished,
    InputStarted,
    OpenInput,
    Refusal,
    RestoredFace,
)
from jdsr_cli.restoration.snapshots import Snapshot
from jdsr_cli.restoration.stages.alignment import BETTER_SHOT
from jdsr_cli.restoration.stages.generation import FaceGenerator
from jdsr_cli.restoration.stages.windows import window
from jdsr_cli.settings import RestoreSettings

RATE = 25


@pytest.fixture
def one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OpenInput:
    monkeypatch.chdir(tmp_path)
    return opened()


def seen(*, track: int = 1, refusal: Refusal | None = None) -> FaceItem:
    face = aligned_face(track=track)
    face.alignment = Alignment(np.array([[2.0, 0.0, 0.0], [0.0, 2.0, 0.0]]))
    face.refusal = refusal
    if refusal is not None:
        face.crop = None
    return face


def frame(
    one: OpenInput,
    number: int,
    *faces: FaceItem,
    time: Fraction | None = None,
    last: bool = False,
    cut: bool = False,
) -> FrameItem:
    at = Fraction(number, RATE) if time is None else time
    image = np.full((64, 64, 3), number, np.uint8)
    item = FrameItem(one, number, number, number, at, image, ends_segment=last)
    item.faces = list(faces)
    item.detections = FrameDetections(
        float(at), True, cut, None, 0.0, (), (), np.zeros((0, 12, 12, 3), np.uint8)
    )
    return item


def neighbours(
    stream: Sequence[Element], frames: int, track: int = 1
) -> dict[int, tuple[int, ...]]:
    """Return the numbers of the neighbours of each face that is restored, by its frame."""
    passed = list(window(stream, frames))
    assert passed == list(stream)
    return {
        item.number: _numbers(face.window)
        for item in passed
        if isinstance(item, FrameItem)
        for face in item.faces
        if face.track == track and face.crop is not None
    }


def _numbers(found: FaceWindow | None) -> tuple[int, ...]:
    return () if found is None else tuple(view.number for view in found.neighbours)


def test_a_face_has_the_neighbours_before_and_after_it(one: OpenInput) -> None:
    frames = [frame(one, number, seen()) for number in range(6)]
    stream: list[Element] = [InputStarted(one), *frames, InputFinished(one.state)]
    assert neighbours(stream, 5) == {
        0: (1, 2), 1: (0, 2, 3), 2: (0, 1, 3, 4), 3: (1, 2, 4, 5), 4: (2, 3, 5), 5: (3, 4),
    }  # fmt: skip
    third = frames[3].faces[0].window
    assert third is not None
    assert [view.pixels.mean() for view in (third.centre, *third.neighbours)] == [3, 1, 2, 4, 5]


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_a_clip_may_be_shorter_than_the_window(one: OpenInput, count: int) -> None:
    found = neighbours([frame(one, number, seen()) for number in range(count)], 9)
    assert found == {
        number: tuple(other for other in range(count) if other != number) for number in range(count)
    }


@pytest.mark.parametrize(("frames", "delay"), [(3, 1), (5, 2), (9, 4)])
def test_frames_are_delayed_by_half_a_window(one: OpenInput, frames: int, delay: int) -> None:
    taken = []

    def stream() -> Iterator[Element]:
        for number in range(12):
            taken.append(number)
            yield frame(one, number, seen())

    for item in window(stream(), frames):
        assert isinstance(item, FrameItem)
        assert taken[-1] == min(item.number + delay, 11)


@pytest.mark.parametrize("end", ["segment", "cut", "input"])
def test_windows_end_with(one: OpenInput, end: str) -> None:
    before = [frame(one, number, seen()) for number in (0, 1, 2)]
    before[2].ends_segment = end == "segment"
    after = [frame(one, number, seen(), cut=number == 3 and end == "cut") for number in (3, 4)]
    between: list[Element] = [InputFinished(one.state)] if end == "input" else []
    found = neighbours([*before, *between, *after], 5)
    assert found == {0: (1, 2), 1: (0, 2), 2: (0, 1), 3: (4,), 4: (3,)}


def test_each_track_has_windows_of_its_own(one: OpenInput) -> None:
    faces = {
        0: (1,), 1: (1, 2), 2: (2, 1), 3: (2, 1), 4: (2,), 5: (3, 2), 6: (3,),
    }  # fmt: skip
    stream = [
        frame(one, number, *(seen(track=track) for track in tracks))
        for number, tracks in faces.items()
    ]
    assert neighbours(stream, 5) == {0: (1, 2), 1: (0, 2, 3), 2: (0, 1, 3), 3: (1, 2)}
    for item in stream:
        for face in item.faces:
            face.window = None
    assert neighbours(stream, 5, 2) == {
        1: (2, 3), 2: (1, 3, 4), 3: (1, 2, 4, 5), 4: (2, 3, 5), 5: (3, 4),
    }  # fmt: skip
    assert neighbours(stream, 3, 3) == {5: (6,), 6: (5,)}


def test_frames_without_the_face_are_gaps(one: OpenInput) -> None:
    shown = {0, 1, 4, 9}
    stream = [frame(one, n, *([seen()] if n in shown else [])) for n in range(10)]
    assert neighbours(stream, 5) == {0: (1,), 1: (0,), 4: (), 9: ()}
    assert neighbours([frame(one, n, *([seen()] if n in shown else [])) for n in range(10)], 7) == {
        0: (1,), 1: (0, 4), 4: (1,), 9: (),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([0, 0.2, 0.4, 0.6], {0: (1,), 1: (0, 2), 2: (1, 3), 3: (2,)}),
        ([0, 0.04, 0.9, 0.94], {0: (1,), 1: (0,), 2: (3,), 3: (2,)}),
        ([0, 0.3, 0.6, 0.9], {0: (), 1: (), 2: (), 3: ()}),
        ([0, 0.01, 0.02, MAX_SECONDS], {0: (1, 2), 1: (0, 2, 3), 2: (0, 1, 3), 3: (1, 2)}),
    ],
)
def test_frames_that_are_far_in_time_do_not_count(
    one: OpenInput, times: list[float], expected: dict[int, tuple[int, ...]]
) -> None:
    stream = [frame(one, number, seen(), time=Fraction(time)) for number, time in enumerate(times)]
    assert neighbours(stream, 5) == expected


@pytest.mark.parametrize(
    ("kind", "counts"), [(BETTER_SHOT, True), ("too blurred", False), ("not selected", False)]
)
def test_refused_faces_do_not_count_unless_better_shots_exist(
    one: OpenInput, kind: str, counts: bool
) -> None:
    stream = [
        frame(one, 0, seen(refusal=Refusal(kind, "for a reason"))),
        frame(one, 1, seen()),
        frame(one, 2, seen()),
    ]
    assert neighbours(stream, 5) == {1: (0, 2) if counts else (2,), 2: (0, 1) if counts else (1,)}
    assert stream[0].faces[0].window is None


def test_faces_that_were_not_aligned_do_not_count(one: OpenInput) -> None:
    unseen = seen(refusal=Refusal("landmarks", "the five points do not form a face"))
    unseen.alignment = None
    assert neighbours([frame(one, 0, unseen), frame(one, 1, seen())], 3) == {1: ()}


def test_faces_that_were_interpolated_count_although_they_are_no_shots(one: OpenInput) -> None:
    bridged = seen(refusal=Refusal(BETTER_SHOT, "interpolated"))
    bridged.alignment = None
    coincide = seen(refusal=Refusal(BETTER_SHOT, "interpolated"))
    coincide.alignment = None
    coincide.detection.points[:] = 5.0
    stream = [frame(one, 0, bridged), frame(one, 1, seen()), frame(one, 2, coincide)]
    assert neighbours(stream, 3) == {1: (0,)}
    assert bridged.alignment is None


def test_views_count_as_memory_of_their_frame(one: OpenInput) -> None:
    stream = [frame(one, number, seen()) for number in range(3)]
    before = stream[1].nbytes
    list(window(stream, 3))
    assert stream[1].nbytes == before + 3 * 64 * 64


@pytest.mark.parametrize("value", [0, 2, 4, 11, -1])
def test_windows_of_other_lengths_are_refused(value: int) -> None:
    with pytest.raises(UsageError, match=r"--window: .*1, 3, 5, 7 or 9"):
        RestoreSettings(window=value)


def grainy(path: Path, first: np.ndarray, second: np.ndarray, frames: int = WALK) -> Path:
    """Write the people of `walk` with noise, so that no two pictures of a face are the same."""
    random = np.random.default_rng(5)

    def paint(index: int) -> np.ndarray:
        picture = np.full((140, 280, 3), 90.0)
        left = 5 + index // 4
        picture[10:130, left : left + 120] = first
        if 5 <= index < 11:
            picture[10 + index % 3 : 130 + index % 3, 150:270] = second
        noise = random.normal(0.0, 12.0, picture.shape)
        return np.clip(np.rint(picture + noise), 0, 255).astype(np.uint8)

    return encode(path, range(frames), size=(280, 140), paint=paint)


@pytest.fixture(scope="module")
def clip(
    tmp_path_factory: pytest.TempPathFactory, astronaut: np.ndarray, hopper: np.ndarray
) -> Path:
    return grainy(tmp_path_factory.mktemp("grainy") / "grainy.mkv", astronaut, hopper)


@pytest.fixture(scope="module")
def settings(tiny_weights: Callable[[int], Path]) -> RestoreSettings:
    return walk_settings(tiny_weights(64), window=5, mode="paste", overlay=True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, clip: Path, settings: RestoreSettings) -> Path:
    result = run(clip, tmp_path_factory.mktemp("whole"), settings)
    assert result.output is not None
    return result.output


def windows(folder: Path, track: int) -> dict[int, int]:
    """Return the number of frames that each face of a track was made of, by its frame."""
    return {
        line["frame"]: line["window"]
        for line in lines(folder / "faces.jsonl")
        if line["track"] == track
    }


def test_records_state_the_frames_of_each_face(whole: Path) -> None:
    first = windows(whole, 1)
    # In segments of 8 frames, the last of 4; what moves by a pixel still registers.
    lengths = [3, 4, 5, 5, 5, 5, 4, 3]
    assert [first[number] for number in range(WALK)] == [*lengths * 3, 3, 4, 4, 3]
    second = windows(whole, 2)
    assert sorted(second) == list(range(5, 11))
    assert all(second[number] <= 3 for number in second)
    assert json.loads((whole / "manifest.json").read_text())["settings"]["window"] == 5


def test_faces_are_steadier_and_what_was_filmed_is_not_changed(
    whole: Path, clip: Path, settings: RestoreSettings, tmp_path: Path
) -> None:
    single = run(clip, tmp_path, replace(settings, window=1))
    assert single.output is not None
    here, there = lines(whole / "faces.jsonl"), lines(single.output / "faces.jsonl")
    assert {line["window"] for line in there} == {1}
    for name in ("box", "points", "sharpness", "native_width", "score", "yaw"):
        assert [line[name] for line in here] == [line[name] for line in there]
    steady = json.loads((whole / "manifest.json").read_text())["figures"]
    assert steady["flicker_unstabilised"] < 0.7 * single.figures["flicker_unstabilised"]


@pytest.mark.parametrize(
    "point",
    mostly_nightly(
        ["after the first segment", "in the middle of a segment"], ["in the middle of a segment"]
    ),
)
def test_killed_runs_resume_to_the_same_bytes(
    clip: Path, settings: RestoreSettings, whole: Path, tmp_path: Path, point: str
) -> None:
    run_until_killed(point, clip, tmp_path / "killed", settings)
    resumed = resume_run(clip, tmp_path / "killed", replace(settings, batch=3))
    assert_same_results(resumed, whole)


def test_segments_that_others_prepare_are_the_same(
    clip: Path, settings: RestoreSettings, whole: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    workspace = interrupt(clip, tmp_path, settings)
    prepare(clip, workspace, settings)

    def fail(*_: Any) -> None:
        raise AssertionError("done again")

    monkeypatch.setattr(FaceGenerator, "_restore_batch", fail)
    monkeypatch.setattr(FaceWindow, "combine", fail)
    assert run(clip, tmp_path, replace(settings, resume=True)).error is None
    assert_same(workspace.final, whole)


def test_only_best_shots_have_the_faces_around_them(
    clip: Path, settings: RestoreSettings, tmp_path: Path
) -> None:
    result = run(clip, tmp_path, replace(settings, mode="crops", overlay=False, doubt=False))
    assert result.output is not None
    records = lines(result.output / "faces.jsonl")
    restored = [line["window"] for line in records if line["status"] == "restored"]
    assert min(restored) == 3
    assert {line["window"] for line in records if line["status"] == "refused"} == {None}
    assert len(restored) < len(records)


@pytest.mark.parametrize("colour", [(210, 160, 120), (90, 90, 90), (60, 50, 40)])
def test_the_repeats_of_a_shot_are_of_what_it_was_restored_from(
    astronaut: np.ndarray, tmp_path: Path, colour: tuple[int, int, int]
) -> None:
    class Recorder:
        side = 128

        def __init__(self) -> None:
            self.crops: list[np.ndarray] = []

        def restore(self, crops: Sequence[np.ndarray]) -> list[RestoredFace | None]:
            self.crops = list(crops)
            return [
                RestoredFace(crop, np.zeros((128, 128), np.float32), False, 128) for crop in crops
            ]

    filmed = shot(astronaut)
    seen = np.full((128, 128, 3), colour, np.uint8)
    shots = BestShots(2)
    shots.add(1, replace(filmed, seen=seen))
    shots.add(2, filmed)
    shots.snapshot().write(tmp_path / "state.npz", "run")
    resumed = BestShots(2)
    resumed.restore(Snapshot.read(tmp_path / "state.npz", "run"))
    (windowed,), (single,) = (resumed.pop(track, seen_bare=True).best for track in (1, 2))
    assert windowed.seen is not None
    assert np.array_equal(windowed.seen, seen)
    assert single.seen is None
    network = Recorder()
    examiner = Examiner(DoubtEstimator(network, calibration(), bound=24, probability=0.9))
    aligned = crop(filmed.patch.pixels, filmed.patch.alignment)
    colours = canonical_map(aligned, monochrome=False)
    examiner.examine(windowed)
    assert np.array_equal(network.crops[0], colours.apply(seen))
    examiner.examine(single)
    assert np.array_equal(network.crops[0], colours.apply(aligned))


def test_shots_of_best_pictures_hold_what_they_were_restored_from(
    clip: Path, settings: RestoreSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offered: list[Shot] = []
    real = BestShots.add

    def add(shots: BestShots, track: int, one: Shot) -> None:
        offered.append(one)
        real(shots, track, one)

    monkeypatch.setattr(BestShots, "add", add)
    run(clip, tmp_path, replace(settings, mode="crops", overlay=False))
    assert offered
    for one in offered:
        assert one.seen is not None
        filmed = crop(one.patch.pixels, one.patch.alignment)
        assert 0.5 < np.abs(one.seen.astype(float) - filmed).mean() < 16.0


@pytest.mark.parametrize("suffix", ["png", "mkv"])
def test_a_single_picture_has_no_neighbours(
    astronaut: np.ndarray, hopper: np.ndarray, settings: RestoreSettings, tmp_path: Path,
    suffix: str,
) -> None:  # fmt: skip
    path = tmp_path / f"one.{suffix}"
    if suffix == "png":
        Image.fromarray(np.pad(astronaut, ((10, 10), (60, 60), (0, 0)), mode="edge")).save(path)
    else:
        walk(path, astronaut, hopper, frames=1)
    results = [
        run(path, tmp_path / f"{frames}", replace(settings, window=frames)) for frames in (1, 9)
    ]
    assert results[0].output is not None
    assert results[1].output is not None
    one, other = (lines(result.output / "faces.jsonl") for result in results if result.output)
    assert one == other
    assert [line["window"] for line in one] == [1]
