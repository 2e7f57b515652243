import numpy as np
import pytest

from jdsr_cli.faces import TEMPLATE, Detection
from jdsr_cli.faces.display import MIN_FACES, AspectCheck


def face(shape: float, *, left: float = 40.0, turn: float = 0.0, slope: float = 0.0) -> Detection:
    points = (TEMPLATE + left).astype(np.float32)
    points[1, 1] += slope * (points[1, 0] - points[0, 0])
    return Detection((left, 30.0, left + 50.0, 30.0 + 50.0 * shape), points, 0.9, turn)


def hint(faces: list[Detection]) -> str | None:
    check = AspectCheck(640, 480)
    check.add(faces)
    return check.hint()


@pytest.mark.parametrize("shape", [1.19, 1.26, 1.32])
def test_faces_of_usual_shape_give_no_hint(shape: float) -> None:
    assert hint([face(shape)] * 20) is None


@pytest.mark.parametrize("shape", [0.77, 1.04, 1.62, 2.1])
def test_squeezed_faces_are_reported_once_there_are_enough(shape: float) -> None:
    few = [face(shape)] * (MIN_FACES - 1)
    assert hint(few) is None
    assert f"{shape:.2f} times as high as wide" in (hint([*few, face(shape)]) or "")


def test_clipped_and_rotated_faces_are_not_counted() -> None:
    usual = [face(1.25)] * MIN_FACES
    assert hint(usual + [face(0.9, left=0.0)] * 30) is None
    assert hint(usual + [face(0.9, turn=90.0)] * 30) is None
    assert hint(usual + [face(0.9, slope=0.6)] * 30) is None
    assert hint(usual + [face(0.9)] * 30) is not None


def test_faces_clipped_at_the_right_border_are_not_counted() -> None:
    points = np.array([[60, 40], [80, 40], [70, 50], [62, 60], [78, 60]], np.float32)
    check = AspectCheck(100, 100)
    check.add([Detection((59.0, 20.0, 99.0, 99.0), points, 0.9)] * 20)
    assert check.hint() is None
