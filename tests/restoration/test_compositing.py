"""The compositing stage: order of the faces of a frame, and faces without a finite result."""

from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from jdsr_cli.evidence import FileDigest
from jdsr_cli.faces import TEMPLATE, Detection, estimate_alignment
from jdsr_cli.faces.alignment import pose
from jdsr_cli.faces.canonical_colours import canonical_map
from jdsr_cli.faces.compositing import FramePlan
from jdsr_cli.faces.display import SQUARE
from jdsr_cli.faces.head_appearance import head_thumbnails
from jdsr_cli.faces.occlusion import DEFAULT_CALIBRATION
from jdsr_cli.faces.tracking import TrackedFace
from jdsr_cli.media import Reader
from jdsr_cli.restoration.frame import (
    FaceItem,
    FrameDetections,
    FrameItem,
    InputStarted,
    InputState,
    OpenInput,
    RestoredFace,
)
from jdsr_cli.restoration.request import Request
from jdsr_cli.restoration.stages import compositing
from jdsr_cli.restoration.stages.compositing import composite
from jdsr_cli.restoration.workspace import Workspace
from jdsr_cli.settings import RestoreSettings

WIDTH, HEIGHT = 320, 240


def opened(folder: Path) -> OpenInput:
    path = Path("a.mp4")
    state = InputState(path, Workspace(folder, "a", path))
    digest, plan = FileDigest(path.name, 0, ""), FramePlan(1, WIDTH, HEIGHT)
    return OpenInput(state, cast(Reader, None), digest, Request({}, {}), SQUARE, plan, None, ())


def face(track: int, width: float, level: int, *, finite: bool = True) -> FaceItem:
    """Return a generated face of one grey level in the middle of the frame."""
    left, top = (WIDTH - width) / 2, (HEIGHT - width) / 2
    points = (TEMPLATE * (width / 128) + (left, top)).astype(np.float32)
    detection = Detection((left, top, left + width, top + width), points, 0.9)
    picture = np.full((128, 128, 3), level, np.uint8)
    return FaceItem(
        TrackedFace(track, detection, detection, too_short=False),
        pose=pose(points),
        alignment=estimate_alignment(points),
        sharpness=0.5,
        crop=picture,
        colours=canonical_map(picture, monochrome=False),
        generated=RestoredFace(picture, np.zeros((128, 128), np.float32), redone=False, side=128)
        if finite
        else None,
    )


def frame(one: OpenInput, *faces: FaceItem) -> FrameItem:
    image = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    item = FrameItem(one, 0, 0, 0, Fraction(0), image, faces=list(faces))
    item.detections = FrameDetections(
        0.0, True, False, None, 20.0, (), (), head_thumbnails(image, [])
    )
    return item


def run(item: FrameItem) -> None:
    settings = RestoreSettings(device="cpu", label=False)
    stream = composite([InputStarted(item.input), item], settings, DEFAULT_CALIBRATION)
    assert list(stream)[1:] == [item]


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 2, 1), (2, 3, 1)])
def test_near_faces_are_composited_over_far_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: tuple[int, ...]
) -> None:
    widths: list[float] = []
    original = compositing.compose

    def compose(*given: Any) -> Any:
        widths.append(given[4])
        return original(*given)

    monkeypatch.setattr(compositing, "compose", compose)
    run(frame(opened(tmp_path), *(face(track, 30.0 * track, 100) for track in order)))
    assert widths == pytest.approx([30.0, 60.0, 90.0], rel=0.01)


def test_a_face_without_a_finite_result_is_refused_and_left_as_filmed(tmp_path: Path) -> None:
    item = frame(opened(tmp_path), face(1, 60.0, 200, finite=False))
    before = item.image.copy()
    run(item)
    assert item.faces[0].refusal is not None
    assert item.faces[0].refusal.kind == "not finite"
    assert np.array_equal(item.composited, before)
