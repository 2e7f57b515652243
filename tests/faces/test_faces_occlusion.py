"""Classification as masked, bare or unsure: from an occlusion map, and along a track."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from jdsr_cli.errors import UsageError, WeightsCorruptError
from jdsr_cli.faces.occlusion import (
    BARE_BELOW,
    DEFAULT_CALIBRATION,
    DIM_GAIN,
    FEATURES,
    MASKED_ABOVE,
    MaskCalibration,
    MaskClassifier,
    classify_mask,
    filmed_where_covered,
    mask_features,
)
from jdsr_cli.weights import WeightEntry

Map = NDArray[np.float32]


def covering(rows: slice, columns: slice, share: float = 1.0) -> Map:
    occlusion = np.zeros((128, 128), np.float32)
    occlusion[rows, columns] = share
    return occlusion


MASK = covering(slice(76, 128), slice(20, 108))
LOW_MASK = covering(slice(80, 124), slice(28, 100), 0.9)
BEARD = covering(slice(112, 128), slice(20, 108))
NARROW_MASK = covering(slice(78, 126), slice(34, 94), 0.95)


@pytest.mark.parametrize("occlusion", [MASK, LOW_MASK, NARROW_MASK])
def test_a_mask_covers_nose_mouth_and_chin(occlusion: Map) -> None:
    assert classify_mask(DEFAULT_CALIBRATION.probability(occlusion)) == "masked"


@pytest.mark.parametrize(
    "occlusion",
    [
        covering(slice(0, 0), slice(0, 0)),
        BEARD,
        covering(slice(98, 128), slice(20, 108)),  # a beard and its moustache, a scarf
        covering(slice(78, 98), slice(20, 108)),  # a hand before the nose
        covering(slice(0, 128), slice(0, 30)),  # a border at the side
        covering(slice(0, 50), slice(0, 128)),  # a hat
        covering(slice(60, 100), slice(90, 128)),  # a telephone
    ],
)
def test_other_shapes_are_not_masks(occlusion: Map) -> None:
    assert classify_mask(DEFAULT_CALIBRATION.probability(occlusion)) != "masked"


def test_one_dark_frame_is_not_enough_for_masked() -> None:
    probability = DEFAULT_CALIBRATION.probability(MASK, 2.0 * DIM_GAIN)
    assert classify_mask(probability) == "unsure"
    classifier = MaskClassifier()
    assert classify_mask(classifier.classify(1, 0.0, probability)) == "unsure"
    assert classify_mask(classifier.classify(1, 0.04, probability)) == "masked"
    assert classify_mask(DEFAULT_CALIBRATION.probability(0.0 * MASK, 2.0 * DIM_GAIN)) == "bare"


def test_an_uncovered_face_is_bare() -> None:
    assert (
        classify_mask(DEFAULT_CALIBRATION.probability(np.zeros((128, 128), np.float32))) == "bare"
    )


def test_the_probability_rises_with_the_coverage() -> None:
    probabilities = [
        DEFAULT_CALIBRATION.probability((MASK * share).astype(np.float32))
        for share in np.linspace(0, 1, 21)
    ]
    assert probabilities == sorted(probabilities)
    assert probabilities[0] < BARE_BELOW < MASKED_ABOVE < probabilities[-1]


def described(**mask_decision: object) -> WeightEntry:
    return WeightEntry(
        "own", "own.safetensors", "0" * 64, 1, "lite", 1, 128, "faces", "MIT", "abc", "lite",
        mask_decision=mask_decision,
    )  # fmt: skip


def test_weights_may_include_a_calibration() -> None:
    assert MaskCalibration.of(None) is MaskCalibration.of(described()) is DEFAULT_CALIBRATION
    own = MaskCalibration.of(described(coefficients=[0.0] * FEATURES, intercept=2))
    assert own.probability(MASK) == own.probability(0.0 * MASK) == pytest.approx(0.8808, abs=1e-4)


@pytest.mark.parametrize(
    "table",
    [
        {"coefficients": [1.0] * FEATURES},
        {"coefficients": [1.0] * (FEATURES - 1), "intercept": 0.0},
        {"coefficients": [1.0] * FEATURES, "intercept": 0.0, "threshold": 0.5},
        {"coefficients": ["1"] * FEATURES, "intercept": 0.0},
        {"coefficients": 1.0, "intercept": 0.0},
        {"coefficients": [1.0] * FEATURES, "intercept": float("nan")},
    ],
)
def test_invalid_calibrations_are_refused(table: dict[str, object]) -> None:
    with pytest.raises(WeightsCorruptError, match="own: its mask_decision is not"):
        MaskCalibration.of(described(**table))


def test_features_measure_coverage_and_darkness() -> None:
    whole = np.ones((128, 128), np.float32)
    assert mask_features(whole) == pytest.approx([1, 1, 1, 1, 1, 1, 1, 0])
    assert not mask_features(0.0 * whole).any()
    # An edge through the lower face indicates a mask; a uniform occlusion does not.
    assert mask_features(LOW_MASK)[7] > 0.4
    assert mask_features(BEARD)[7] < 0.1
    assert mask_features(0.5 * whole)[7] == pytest.approx(0.0)
    assert mask_features(LOW_MASK, 0.8) == pytest.approx(mask_features(LOW_MASK))
    assert mask_features(LOW_MASK, 32.0)[7] == pytest.approx(0.0)
    with pytest.raises(UsageError, match="128"):
        mask_features(np.zeros((64, 64), np.float32))


@pytest.mark.parametrize("rate", [8.0, 15.0, 25.0])
@pytest.mark.parametrize("wrong", [1, 2, 3])
def test_a_bare_face_does_not_become_masked_for_a_few_frames(rate: float, wrong: int) -> None:
    classifier = MaskClassifier()
    for number in range(30):
        wrong_frame = 20 <= number < 20 + wrong
        shown = classifier.classify(1, number / rate, 0.999 if wrong_frame else 0.02)
        assert classify_mask(shown) != "masked"


def test_a_person_who_puts_on_a_mask_is_masked_within_a_second() -> None:
    classifier = MaskClassifier()
    states = [
        classify_mask(classifier.classify(1, n / 25, 0.02 if n < 40 else 0.99)) for n in range(65)
    ]
    assert states[39] == "bare"
    assert states[-1] == "masked"
    back = [classify_mask(classifier.classify(1, 65 / 25 + n / 25, 0.02)) for n in range(25)]
    assert back[-1] == "bare"


def test_frames_far_apart_are_classified_independently() -> None:
    classifier = MaskClassifier()
    classifier.classify(1, 0.0, 0.99)
    assert classify_mask(classifier.classify(1, 30.0, 0.05)) == "bare"


def test_weak_evidence_accumulates() -> None:
    classifier = MaskClassifier()
    assert classify_mask(classifier.classify(1, 0.0, 0.85)) == "unsure"
    for number in range(1, 6):
        last = classifier.classify(1, number / 25, 0.85)
    assert classify_mask(last) == "masked"


def test_tracks_are_independent_and_can_be_dropped() -> None:
    classifier = MaskClassifier()
    for number in range(10):
        classifier.classify(1, number / 25, 0.99)
    assert classify_mask(classifier.classify(2, 0.4, 0.05)) == "bare"
    classifier.drop(1)
    assert classify_mask(classifier.classify(1, 0.4, 0.05)) == "bare"


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0.0, 1.0), min_size=2, max_size=30), st.data())
def test_continuing_from_a_state_gives_the_same_results(
    values: list[float], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(1, len(values) - 1))
    whole, first, second = MaskClassifier(), MaskClassifier(), MaskClassifier()
    expected = [whole.classify(3, n / 25, value) for n, value in enumerate(values)]
    for n, value in enumerate(values[:cut]):
        first.classify(3, n / 25, value)
    second.load(first.state())
    rest = [second.classify(3, n / 25, value) for n, value in enumerate(values) if n >= cut]
    assert rest == expected[cut:]


def test_covered_pixels_are_as_filmed_and_the_others_restored() -> None:
    filmed, restored = np.full((128, 128, 3), 50, np.uint8), np.full((128, 128, 3), 200, np.uint8)
    joined = filmed_where_covered(restored, filmed, MASK)
    assert (joined[90:120, 40:90] == 50).all()
    assert (joined[:60] == 200).all()
    assert np.array_equal(filmed_where_covered(restored, filmed, np.zeros_like(MASK)), restored)
