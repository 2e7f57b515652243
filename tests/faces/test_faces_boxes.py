import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from jdsr_cli.faces.boxes import suppress_overlaps

Box = tuple[float, float, float, float]
boxes = st.tuples(st.floats(0, 50), st.floats(0, 50), st.floats(0.5, 30), st.floats(0.5, 30)).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)


def overlap(a: Box, b: Box) -> float:
    wide, high = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if wide <= 0 or high <= 0:
        return 0.0
    area = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return wide * high / (area - wide * high)


@settings(deadline=None)
@given(st.lists(st.tuples(boxes, st.floats(0.0625, 1, width=32)), min_size=1, max_size=12))
def test_selected_boxes_do_not_overlap_and_the_others_overlap_a_better_one(
    candidates: list[tuple[Box, float]],
) -> None:
    coordinates = np.array([box for box, _ in candidates])
    scores = np.array([score for _, score in candidates])
    selected = suppress_overlaps(coordinates, scores, 0.3)
    assert list(scores[selected]) == sorted(scores[selected], reverse=True)
    for one in selected:
        for other in selected:
            assert one == other or overlap(candidates[one][0], candidates[other][0]) <= 0.3 + 1e-9
    for index in set(range(len(candidates))) - set(selected.tolist()):
        assert any(
            scores[one] >= scores[index]
            and overlap(candidates[one][0], candidates[index][0]) > 0.3 - 1e-9
            for one in selected
        )


def test_no_boxes_give_no_selection() -> None:
    assert suppress_overlaps(np.empty((0, 4)), np.empty(0), 0.3).size == 0
