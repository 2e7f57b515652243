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
def test_chosen_boxes_are_apart_and_every_other_has_a_better_neighbour(
    found: list[tuple[Box, float]],
) -> None:
    places = np.array([box for box, _ in found])
    scores = np.array([score for _, score in found])
    chosen = suppress_overlaps(places, scores, 0.3)
    assert list(scores[chosen]) == sorted(scores[chosen], reverse=True)
    for one in chosen:
        for other in chosen:
            assert one == other or overlap(found[one][0], found[other][0]) <= 0.3 + 1e-9
    for index in set(range(len(found))) - set(chosen.tolist()):
        assert any(
            scores[one] >= scores[index] and overlap(found[one][0], found[index][0]) > 0.3 - 1e-9
            for one in chosen
        )


def test_nothing_gives_nothing() -> None:
    assert suppress_overlaps(np.empty((0, 4)), np.empty(0), 0.3).size == 0
