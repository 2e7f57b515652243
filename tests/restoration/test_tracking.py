"""The tracking stage: tracks of frames in their order, and the tracks that end."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np

from jdsr_cli.evidence import FileDigest
from jdsr_cli.faces import TEMPLATE, Detection
from jdsr_cli.faces.display import SQUARE
from jdsr_cli.media import Reader
from jdsr_cli.restoration.frame import (
    NO_IMAGE,
    Element,
    FrameDetections,
    FrameItem,
    InputFinished,
    InputStarted,
    InputState,
    OpenInput,
)
from jdsr_cli.restoration.request import Request
from jdsr_cli.restoration.stages.tracking import track
from jdsr_cli.restoration.workspace import Workspace
from jdsr_cli.settings import TrackerSettings

RATE = 25


def opened(folder: Path) -> OpenInput:
    path = Path("a.mp4")
    workspace = Workspace(folder, "a", path)
    request = Request({}, {})
    workspace.open(request, force=False, resume=False)
    info = SimpleNamespace(frame_rate=Fraction(RATE), width=320, height=240)
    reader = cast(Reader, SimpleNamespace(info=info))
    state = InputState(path, workspace)
    return OpenInput(state, reader, FileDigest(path.name, 0, ""), request, SQUARE, None, None, ())


def face_at(left: float) -> Detection:
    points = (TEMPLATE * 0.5 + (left, 40.0)).astype(np.float32)
    return Detection((left, 40.0, left + 60.0, 100.0), points, 0.9)


def stream(one: OpenInput, frames: Sequence[Sequence[Detection]]) -> Iterator[Element]:
    yield InputStarted(one)
    for number, faces in enumerate(frames):
        item = FrameItem(one, number, number, number, Fraction(number, RATE), NO_IMAGE)
        time = number / RATE
        heads = np.zeros((len(faces), 12, 12, 3), np.uint8)
        item.detections = FrameDetections(
            time, True, False, None, 0.0, tuple(faces), tuple(20.0 for _ in faces), heads
        )
        yield item
    yield InputFinished(one.state)


def run(folder: Path, frames: Sequence[Sequence[Detection]]) -> list[FrameItem]:
    one = opened(folder)
    output = list(track(stream(one, frames), TrackerSettings(), lambda rate: 1))
    one.state.close()
    assert isinstance(output[0], InputStarted)
    assert isinstance(output[-1], InputFinished)
    return cast(list[FrameItem], output[1:-1])


def test_every_frame_has_the_faces_of_its_tracks(tmp_path: Path) -> None:
    items = run(tmp_path, [[face_at(20.0), face_at(200.0)]] * 30)
    assert [item.number for item in items] == list(range(30))
    assert all([face.track for face in item.faces] == [1, 2] for item in items)


def test_each_track_ends_once_at_or_after_its_last_face(tmp_path: Path) -> None:
    """Track 1 is lost after a second without detections, track 2 lasts until the end."""
    early = [[face_at(20.0), face_at(200.0)]] * 20
    items = run(tmp_path, early + [[face_at(200.0)]] * 60)
    (first, first_tracks), (last, last_tracks) = (
        (item.number, item.ended_tracks) for item in items if item.ended_tracks
    )
    assert (first_tracks, last_tracks) == ((1,), (2,))
    assert 19 <= first < last == 79


def test_an_input_without_faces_ends_without_tracks(tmp_path: Path) -> None:
    items = run(tmp_path, [[]] * 10)
    assert len(items) == 10
    assert not any(item.ended_tracks for item in items)
