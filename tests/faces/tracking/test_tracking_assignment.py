"""Assignment of detections to tracks."""

import subprocess
import sys

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from jdsr_cli.faces.tracking.assignment import assign


@given(st.integers(1, 7), st.integers(1, 7), st.floats(0.0, 1.0), st.integers(0, 10**6))
def test_the_total_benefit_is_that_of_the_hungarian_algorithm(
    rows: int, columns: int, share: float, seed: int
) -> None:
    random = np.random.default_rng(seed)
    benefits = random.random((rows, columns)) * (random.random((rows, columns)) < share)
    pairs = assign(benefits)
    assert pairs == sorted(pairs)
    for side in zip(*pairs, strict=True):
        assert len(set(side)) == len(side)
    assert all(benefits[pair] > 0.0 for pair in pairs)
    greatest = benefits[linear_sum_assignment(benefits, maximize=True)].sum()
    assert np.isclose(sum(benefits[pair] for pair in pairs), greatest)


def test_two_faces_that_compete_for_two_tracks_give_the_greatest_total() -> None:
    assert assign(np.array([[0.9, 0.8], [0.85, 0.0]])) == [(0, 1), (1, 0)]


def test_no_pairs_are_made_where_none_are_allowed() -> None:
    assert assign(np.zeros((2, 3))) == []
    assert assign(np.zeros((0, 3))) == []


def test_faces_that_do_not_compete_need_no_scipy() -> None:
    code = (
        "import sys, numpy as np; from jdsr_cli.faces.tracking.assignment import assign; "
        "assert assign(np.array([[0.5, 0.7, 0.0], [0.0, 0.0, 0.4]])) == [(0, 1), (1, 2)]; "
        "print('scipy.optimize' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
