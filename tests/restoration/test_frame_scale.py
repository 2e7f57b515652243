import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jdsr_cli.faces import TEMPLATE, estimate_alignment
from jdsr_cli.faces.compositing import enlarge, plan_frames, template_to_frame
from jdsr_cli.restoration.best_shots import template_to_canvas
from jdsr_cli.restoration.face_folder import picture_side
from jdsr_cli.settings import RestoreSettings


@pytest.mark.parametrize(
    ("size", "settings", "scale", "noted"),
    [
        ((360, 640), RestoreSettings(), 4, False),
        ((1024, 576), RestoreSettings(), 4, False),
        ((1920, 1080), RestoreSettings(), 2, True),
        ((6000, 4000), RestoreSettings(), 1, True),
        ((640, 360), RestoreSettings(scale=8), 6, True),
        ((1920, 1080), RestoreSettings(frame_scale=4), 4, False),
        ((640, 360), RestoreSettings(frame_scale=1), 1, False),
    ],
)
def test_frames_stay_within_4096_px_unless_a_scale_is_given(
    size: tuple[int, int], settings: RestoreSettings, scale: int, noted: bool
) -> None:
    plan = plan_frames(*size, settings.scale, settings.frame_scale)
    assert (plan.scale, plan.width, plan.height) == (scale, size[0] * scale, size[1] * scale)
    assert (plan.note is not None) == noted


def test_crops_are_at_least_the_template_and_at_most_1024() -> None:
    assert [picture_side(width, 4) for width in (12.0, 40.0, 61.3, 400.0)] == [128, 160, 245, 1024]


def test_enlarging_returns_a_copy() -> None:
    image = np.full((5, 7, 3), 9, np.uint8)
    for factor in (1, 3):
        larger = enlarge(image, factor)
        assert larger.shape == (5 * factor, 7 * factor, 3)
        assert (larger == 9).all()
        larger[:] = 0
        assert image.min() == 9


@given(
    scale=st.floats(0.1, 3.0),
    angle=st.floats(-3.0, 3.0),
    shift=st.tuples(st.floats(-50, 500), st.floats(-50, 500)),
    factor=st.integers(1, 8),
)
def test_template_points_are_mapped_to_the_enlarged_landmarks(
    scale: float, angle: float, shift: tuple[float, float], factor: int
) -> None:
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = TEMPLATE @ linear.T + shift
    matrix = template_to_frame(estimate_alignment(points), factor)
    mapped = TEMPLATE @ matrix[:, :2].T + matrix[:, 2]
    np.testing.assert_allclose(mapped, factor * (points + 0.5) - 0.5, atol=1e-6)


def test_the_corners_of_the_template_are_those_of_the_canvas() -> None:
    matrix = template_to_canvas(256)
    corners = np.array([[-0.5, -0.5], [127.5, 127.5]])
    mapped = corners @ matrix[:, :2].T + matrix[:, 2]
    np.testing.assert_allclose(mapped, [[-0.5, -0.5], [255.5, 255.5]])
