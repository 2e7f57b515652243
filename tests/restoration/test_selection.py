"""Faces that are not restored: shots that cannot be among the best, and pictures that stay."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from jdsr_cli.evidence import FileDigest
from jdsr_cli.faces import TEMPLATE, Detection
from jdsr_cli.faces.alignment import pose
from jdsr_cli.faces.display import SQUARE
from jdsr_cli.faces.tracking import TrackedFace
from jdsr_cli.inference.generator import Pictures
from jdsr_cli.media import Reader
from jdsr_cli.restoration.frame import (
    Element,
    FaceItem,
    FrameItem,
    InputFinished,
    InputStarted,
    InputState,
    OpenInput,
)
from jdsr_cli.restoration.request import Request
from jdsr_cli.restoration.stages.alignment import BETTER_SHOT
from jdsr_cli.restoration.stages.generation import FaceGenerator, generate
from jdsr_cli.restoration.stages.selection import select
from jdsr_cli.restoration.workspace import Workspace

RATE = 25


@pytest.fixture(autouse=True)
def in_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def opened(name: str = "a") -> OpenInput:
    path = Path(f"{name}.mp4")
    state = InputState(path, Workspace(Path("out"), name, path))
    state.workspace.work.mkdir(parents=True, exist_ok=True)
    digest = FileDigest(path.name, 0, "")
    return OpenInput(state, cast(Reader, None), digest, Request({}, {}), SQUARE, None, None, ())


def face(sharpness: float = 0.5, *, track: int = 1, level: int = 100) -> FaceItem:
    points = (TEMPLATE * 0.5).astype(np.float32)
    detection = Detection((0.0, 0.0, 64.0, 64.0), points, 0.9)
    picture = np.full((32, 32, 3), level, np.uint8)
    picture[8:24, 8:24] = level // 2
    tracked = TrackedFace(track, detection, detection, too_short=False)
    return FaceItem(tracked, pose=pose(points), sharpness=sharpness, crop=picture)


def frame(
    one: OpenInput, number: int, *faces: FaceItem, ended: tuple[int, ...] = (), last: bool = False
) -> FrameItem:
    image = np.zeros((64, 64, 3), np.uint8)
    item = FrameItem(one, number, number, number, Fraction(number, RATE), image, ends_segment=last)
    item.faces, item.ended_tracks = list(faces), ended
    return item


def chosen(*frames: FrameItem, limit: int = 8) -> list[int]:
    """Return the numbers of the frames whose first face is restored."""
    stream: list[Element] = [InputStarted(frames[0].input), *frames]
    passed = list(select(stream, limit))
    assert passed == stream
    return [item.number for item in frames if item.faces[0].crop is not None]


def test_of_near_shots_only_better_ones_are_restored() -> None:
    one = opened()
    frames = [frame(one, number, face(sharpness)) for number, sharpness in enumerate((5, 4, 6, 6))]
    for item in frames:
        assert item.faces[0].sharpness is not None
        item.faces[0].sharpness /= 10
    assert chosen(*frames) == [0, 2]
    refused = frames[1].faces[0]
    assert refused.refusal is not None
    assert refused.refusal.kind == BETTER_SHOT
    assert refused.crop is None


def test_a_person_has_no_more_shots_than_are_kept() -> None:
    one = opened()
    frames = [frame(one, 10 * number, face(0.5 - number / 100)) for number in range(6)]
    assert chosen(*frames, limit=3) == [0, 10, 20]


def test_a_better_shot_is_restored_although_all_places_are_taken() -> None:
    one = opened()
    frames = [frame(one, 10 * number, face(0.3)) for number in range(3)]
    assert chosen(*frames, frame(one, 30, face(0.6)), limit=3) == [0, 10, 20, 30]


def test_each_person_has_shots_of_their_own() -> None:
    one = opened()
    both = frame(one, 0, face(0.5), face(0.2, track=2))
    chosen(both)
    assert [one.refusal for one in both.faces] == [None, None]


@pytest.mark.parametrize("end", ["segment", "track", "input"])
def test_the_choice_begins_anew(end: str) -> None:
    one, other = opened(), opened("b")
    first = frame(one, 0, face(0.6), last=end == "segment", ended=(1,) if end == "track" else ())
    second = frame(other if end == "input" else one, 1, face(0.5))
    stream: list[Element] = [InputStarted(one), first]
    if end == "input":
        stream += [InputFinished(one.state), InputStarted(other)]
    list(select([*stream, second], 8))
    assert second.faces[0].refusal is None


def test_faces_that_were_refused_before_keep_their_reason() -> None:
    one = opened()
    item = frame(one, 0, face())
    item.faces[0].crop = None
    chosen(item)
    assert item.faces[0].refusal is None


class Counting:
    """A generator that counts the faces that it restores."""

    backend, precision, device, side = "torch", "float32", "cpu", 32
    entry, path, sha256, enough = None, Path("none"), "", None

    def __init__(self) -> None:
        self.faces = 0

    def restore(self, crops: np.ndarray, *, exact: bool = False) -> Pictures:
        self.faces += len(crops)
        images = np.repeat(np.repeat(crops, 4, axis=1), 4, axis=2)
        return Pictures(images, images[..., 0], np.ones(len(crops), np.bool_))


def restored(*frames: FrameItem) -> int:
    """Restore the faces of frames; return how many the generator has restored."""
    network = Counting()
    elements: Iterator[Element] = iter([InputStarted(frames[0].input), *frames])
    list(generate(elements, FaceGenerator(network, batch=3)))
    assert all(face.generated is not None for item in frames for face in item.faces)
    return network.faces


def test_a_face_whose_picture_stays_is_restored_once() -> None:
    one = opened()
    frames = [frame(one, number, face()) for number in range(7)]
    assert restored(*frames) == 1
    assert frames[6].faces[0].generated is frames[0].faces[0].generated


def test_a_face_that_changes_is_restored_again() -> None:
    one = opened()
    moved = face()
    assert moved.crop is not None
    moved.crop = np.roll(moved.crop, 3, axis=1)
    assert restored(frame(one, 0, face()), frame(one, 1, moved), frame(one, 2, face())) == 3


@pytest.mark.parametrize("change", [8, 20, -8])
def test_a_face_whose_light_changes_is_restored_again(change: int) -> None:
    one = opened()
    changed = face()
    assert changed.crop is not None
    changed.crop[8:16] = (changed.crop[8:16].astype(int) + change).astype(np.uint8)
    assert restored(frame(one, 0, face()), frame(one, 1, changed)) == 2


def test_slow_changes_add_up() -> None:
    one = opened()
    frames = []
    for number in range(9):
        changed = face()
        assert changed.crop is not None
        changed.crop[8:24, 8:24] += np.uint8(2 * number)
        frames.append(frame(one, number, changed))
    assert 2 <= restored(*frames) < 9


def test_the_same_picture_of_another_person_is_restored() -> None:
    one = opened()
    assert restored(frame(one, 0, face(), face(track=2))) == 2


@pytest.mark.parametrize("end", ["segment", "track"])
def test_an_unchanged_face_is_restored_again_after_the_end_of_a(end: str) -> None:
    one = opened()
    first = frame(one, 0, face(), last=end == "segment", ended=(1,) if end == "track" else ())
    assert restored(first, frame(one, 1, face())) == 2
