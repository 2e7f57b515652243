import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jdsr_cli.faces.tracking.track import BoxFilter

Box = tuple[float, float, float, float]


def box(x: float, y: float, width: float, height: float) -> Box:
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def middle(box: Box) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


@pytest.mark.parametrize("steps", [[0.04] * 40, [0.02, 0.1, 0.04, 0.2] * 8])
def test_uniform_motion_is_predicted_for_any_intervals(steps: list[float]) -> None:
    motion = BoxFilter(box(100.0, 50.0, 40.0, 50.0))
    time = 0.0
    for step in steps:
        time += step
        motion.predict(step)
        motion.update(box(100.0 + 80.0 * time, 50.0 - 20.0 * time, 40.0, 50.0))
    motion.predict(0.04)
    x, y = middle(motion.box)
    assert x == pytest.approx(100.0 + 80.0 * (time + 0.04), abs=1.0)
    assert y == pytest.approx(50.0 - 20.0 * (time + 0.04), abs=0.5)
    assert motion.size == pytest.approx(2000.0**0.5, rel=1e-6)


def test_without_detections_uncertainty_grows_and_motion_slows_down() -> None:
    motion = BoxFilter(box(0.0, 0.0, 40.0, 50.0))
    for number in range(1, 26):
        motion.predict(0.04)
        motion.update(box(4.0 * number, 0.0, 40.0, 50.0))
    spreads, positions = [motion.spread], [middle(motion.box)[0]]
    for _ in range(25):
        motion.predict(0.04)
        spreads.append(motion.spread)
        positions.append(middle(motion.box)[0])
    assert (np.diff(spreads) > 0).all()
    steps = np.diff(positions)
    assert steps[0] == pytest.approx(4.0, abs=0.4)
    assert 0.0 < steps[-1] < 0.3 * steps[0]


def test_uncertainty_is_proportional_to_the_size_of_the_face() -> None:
    small, large = BoxFilter(box(0.0, 0.0, 10.0, 12.0)), BoxFilter(box(0.0, 0.0, 100.0, 120.0))
    for motion in (small, large):
        motion.predict(0.3)
    assert large.spread == pytest.approx(10.0 * small.spread)


def test_uncertainty_after_one_large_step_equals_that_of_many_small_ones() -> None:
    once, often = BoxFilter(box(0.0, 0.0, 40.0, 50.0)), BoxFilter(box(0.0, 0.0, 40.0, 50.0))
    for motion in (once, often):
        motion.predict(0.04)
    once.predict(0.2)
    for _ in range(20):
        often.predict(0.01)
    assert once.spread == pytest.approx(often.spread, rel=0.1)


@given(
    st.lists(
        st.tuples(
            st.floats(0.0, 4000.0),
            st.floats(-1e4, 1e4),
            st.floats(-1e4, 1e4),
            st.floats(0.0, 1e4),
            st.floats(0.0, 1e4),
            st.booleans(),
        ),
        max_size=40,
    )
)
def test_predictions_stay_finite(
    events: list[tuple[float, float, float, float, float, bool]],
) -> None:
    motion = BoxFilter((0.0, 0.0, 20.0, 30.0))
    for seconds, x, y, width, height, detected in events:
        motion.predict(seconds)
        if detected:
            motion.update(box(x, y, width, height))
        left, top, right, bottom = motion.box
        assert np.isfinite([left, top, right, bottom, motion.spread, motion.size]).all()
        assert left < right
        assert top < bottom
        assert motion.spread > 0.0
