"""The stage that marks who is not restored and covers heads, on drawn frames."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from test_selection import opened

from jdsr_cli.faces import TEMPLATE, Detection
from jdsr_cli.faces.anonymisation import make_mosaic
from jdsr_cli.faces.tracking import TrackedFace
from jdsr_cli.restoration.frame import Element, FaceItem, FrameItem, InputStarted, OpenInput
from jdsr_cli.restoration.head_positions import Head
from jdsr_cli.restoration.stages.alignment import TOO_SHORT, AlignmentLimits, align
from jdsr_cli.restoration.stages.privacy import NOT_SELECTED, OVERLAPPED, protect
from jdsr_cli.restoration.survey import HEADS_SUFFIX, SegmentHeads
from jdsr_cli.settings import CropSettings, PrivacySettings

LIMITS = AlignmentLimits(10.0, 0.0, 0.06)
SIDE = 64.0


@pytest.fixture(autouse=True)
def in_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def face(track: int, x: float, *, width: float = SIDE, short: bool = False) -> FaceItem:
    points = (TEMPLATE * (width / 128) + [x, 40.0]).astype(np.float32)
    detection = Detection((x, 40.0, x + width, 40.0 + width), points, 0.9)
    return FaceItem(TrackedFace(track, detection, detection, too_short=short))


def protected(
    faces: list[FaceItem], privacy: PrivacySettings, one: OpenInput | None = None
) -> FrameItem:
    """Pass a frame of noise with faces through the stages `protect` and `align`."""
    one = one or opened()
    image = np.random.default_rng(1).integers(0, 256, (160, 320, 3), np.uint8)
    item = FrameItem(one, 0, 0, 0, Fraction(0), image)
    item.faces = faces
    if privacy.blur_others:
        boxes = [(one.track, one.detection.box) for one in faces]
        heads = [
            Head(track, (box[0] - 30, box[1] - 30, box[2] + 30, box[3] + 30), box)
            for track, box in boxes
        ]
        mosaic = make_mosaic(np.full((12, 12, 3), 77, np.uint8))
        stored = SegmentHeads({0: heads}, {face.track: mosaic for face in faces})
        stored.write(one.workspace.segments.file(0, HEADS_SUFFIX), one.request.run)
    stream: list[Element] = [InputStarted(one), item]
    settings = CropSettings(privacy=privacy)
    passed = list(align(protect(stream, settings), 64, LIMITS))
    assert one.state.error is None
    assert passed == stream
    return item


def kinds(item: FrameItem) -> list[str | None]:
    return [None if one.refusal is None else one.refusal.kind for one in item.faces]


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ((1,), [None, NOT_SELECTED, TOO_SHORT, "too small"]),
        ((2, 9), [NOT_SELECTED, None, TOO_SHORT, "too small"]),
        ((3, 4), [NOT_SELECTED, NOT_SELECTED, TOO_SHORT, "too small"]),
    ],
)
def test_what_is_wrong_with_a_face_comes_before_who_it_is(
    numbers: tuple[int, ...], expected: list[str | None]
) -> None:
    faces = [face(1, 10), face(2, 110), face(3, 210, short=True), face(4, 250, width=8)]
    assert kinds(protected(faces, PrivacySettings(only_track=numbers))) == expected


@pytest.mark.parametrize(
    ("distance", "expected"),
    [(20.0, OVERLAPPED), (50.0, OVERLAPPED), (60.0, None), (90.0, None)],
)
def test_a_face_under_one_that_is_covered_is_refused(distance: float, expected: str | None) -> None:
    privacy = PrivacySettings(only_track=(1,), blur_others=True)
    item = protected([face(1, 100.0), face(2, 100.0 + distance)], privacy)
    assert kinds(item) == [expected, NOT_SELECTED]
    if expected is not None:
        assert item.faces[0].refusal is not None
        assert f"{100 * (1 - distance / SIDE):.0f} % of the face" in item.faces[0].refusal.reason


@pytest.mark.parametrize("distance", [-70.0, 58.0, 75.0])
def test_the_chosen_face_stays_and_the_other_one_goes(distance: float) -> None:
    original = protected([face(1, 100.0)], PrivacySettings(only_track=(1,))).image
    privacy = PrivacySettings(only_track=(1,), blur_others=True)
    item = protected([face(1, 100.0), face(2, 100.0 + distance)], privacy)
    assert item.covered_heads == 1
    other = slice(int(100 + distance), int(100 + distance + SIDE) + 1)
    assert np.abs(item.image[40:105, other].astype(int) - 77).max() <= 1
    own = np.ones(320, bool)
    own[:100], own[165:], own[other] = False, False, False
    np.testing.assert_array_equal(item.image[40:105, own], original[40:105, own])
    # What a later stage cuts out shows nothing of the other face.
    assert item.faces[0].crop is not None


def test_the_frame_that_was_read_is_not_changed() -> None:
    one = opened()
    privacy = PrivacySettings(only_track=(1,), blur_others=True)
    first = protected([face(1, 20.0), face(2, 200.0)], privacy, one).image
    again = protected([face(2, 200.0)], privacy, one).image
    assert (first[:, 20:80] == again[:, 20:80]).all()
    assert (first[50:90, 210:250] == 77).all()


def test_a_damaged_survey_fails_the_input() -> None:
    one = opened("damaged")
    one.workspace.segments.file(0, HEADS_SUFFIX).write_bytes(b"nothing")
    item = FrameItem(one, 0, 0, 0, Fraction(0), np.zeros((90, 90, 3), np.uint8))
    item.faces = [face(2, 10.0)]
    settings = CropSettings(privacy=PrivacySettings(only_track=(1,), blur_others=True))
    assert list(protect([InputStarted(one), item], settings))[1:] == []
    assert "survey" in str(one.state.error)
