"""The upright alignment of a face by its box."""

import numpy as np
import pytest

from jdsr_cli.errors import UsageError
from jdsr_cli.faces.framing import frame_box


@pytest.mark.parametrize("box", [(10, 20, 50, 70), (-30, -5, 10, 47), (0.5, 0.5, 2.5, 60.0)])
def test_the_middle_of_the_box_is_the_middle_of_the_face(box: tuple[float, ...]) -> None:
    left, top, right, bottom = box
    alignment = frame_box((left, top, right, bottom))
    middle = np.array([(left + right) / 2, (top + bottom) / 2, 1.0])
    np.testing.assert_allclose(alignment.matrix @ middle, (63.0, 78.0))
    corners = np.array([[left, top, 1.0], [right, bottom, 1.0]]) @ alignment.matrix.T
    assert (corners >= 0).all()
    assert (corners <= 128).all()


@pytest.mark.parametrize(
    "box", [(5, 5, 5, 9), (5, 9, 8, 9), (np.nan, 0, 1, 1), (0, 0, np.inf, 1), (9, 0, 3, 5)]
)
def test_a_box_without_an_area_is_refused(box: tuple[float, ...]) -> None:
    left, top, right, bottom = box
    with pytest.raises(UsageError, match="no picture"):
        frame_box((left, top, right, bottom))
