"""Error bounds of pixels: thresholds by group, levels, and the table of a manifest entry."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from jdsr_cli.errors import WeightsCorruptError
from jdsr_cli.faces.doubt import FEATURES, KINDS, FaceConditions, FaceEvidence, gather_evidence
from jdsr_cli.faces.error_bounds import (
    MIN_PIXELS,
    NONE,
    DoubtCalibration,
    accepted,
    group_names,
)
from jdsr_cli.faces.occlusion import MaskState, face_ellipse
from jdsr_cli.faces.repeats import Agreement
from jdsr_cli.settings import CONFIDENCES, ERROR_BOUNDS
from jdsr_cli.weights import WeightEntry, entries

PIXELS = int(face_ellipse().sum())
ROWS = [[2.0, 4.0], [1.0, 2.0]]


def table(**changes: object) -> dict[str, Any]:
    # The predicted error is exp(spread), so a feature of log(x) predicts x.
    plain = [1.0] + [0.0] * len(FEATURES)
    return {
        "bounds": [8, 16],
        "probabilities": [0.8, 0.9],
        "delta": 0.1,
        "protocol": "drawn",
        "predictor": dict.fromkeys(KINDS, plain),
        "thresholds": {"seen bare 20 0": ROWS},
        **changes,
    }


def described(doubt: dict[str, Any]) -> WeightEntry:
    return WeightEntry(
        "own", "own.safetensors", "0" * 64, 1, "lite", 1, 128, "faces", "MIT", "abc", "lite",
        doubt=doubt,
    )  # fmt: skip


def calibration(**changes: object) -> DoubtCalibration:
    found = DoubtCalibration.of(described(table(**changes)))
    assert found is not None
    return found


def evidence(
    predicted: NDArray[np.float64],
    covered: NDArray[np.bool_] | None = None,
    mask: MaskState = "bare",
    width: float = 30.0,
    gain: float = 1.0,
) -> FaceEvidence:
    features = np.zeros((PIXELS, len(FEATURES)), np.float32)
    features[:, 0] = np.log(predicted)
    none = np.zeros(PIXELS, np.bool_)
    return FaceEvidence(mask, width, gain, features, none if covered is None else covered)


RISING = np.linspace(0.5, 5.0, PIXELS)


def test_a_pixel_has_the_smallest_bound_whose_threshold_it_is_below() -> None:
    levels = calibration().levels(evidence(RISING), 0.8)
    expected = np.where(RISING < 2.0, 8, np.where(RISING < 4.0, 16, NONE))
    assert (levels != expected).mean() < 0.001
    stricter = calibration().levels(evidence(RISING), 0.9)
    assert (stricter >= levels).all()
    assert (stricter > levels).any()


def test_a_few_scattered_pixels_are_not_accepted() -> None:
    predicted = np.full(PIXELS, 3.0)
    predicted[: MIN_PIXELS - 1] = 1.5
    assert (calibration().levels(evidence(predicted), 0.8) == 16).all()
    predicted[MIN_PIXELS - 1] = 1.5
    assert (calibration().levels(evidence(predicted), 0.8) == 8).sum() == MIN_PIXELS
    assert accepted(predicted.astype(np.float32), 0.0).sum() == 0


@pytest.mark.parametrize(
    ("mask", "width", "gain", "finest"),
    [
        ("bare", 12.0, 1.0, "seen bare 0 0"),
        ("bare", 20.0, 2.0, "seen bare 20 2"),
        ("unsure", 79.9, 7.9, "seen unsure 40 2"),
        ("masked", float("inf"), 32.0, "seen masked 80 16"),
    ],
)
def test_groups_are_named_by_what_is_known_at_run_time(
    mask: MaskState, width: float, gain: float, finest: str
) -> None:
    face = evidence(RISING, mask=mask, width=width, gain=gain)
    names = list(group_names(face, covered=False))
    light = finest.split()[-1]
    assert names == [finest, f"seen {mask} any {light}", f"seen {mask} any any"]
    covered = "invented" if mask == "masked" else "filmed"
    assert next(group_names(face, covered=True)).startswith(f"{covered} {mask} ")


@pytest.mark.parametrize(
    "groups",
    [
        ("seen bare 20 0", "seen bare any 0", "seen bare any any"),
        ("seen bare any 0", "seen bare any any"),
        ("seen bare any any",),
    ],
)
def test_groups_without_thresholds_use_those_of_a_coarser_one(groups: tuple[str, ...]) -> None:
    lax = [[100.0, 100.0], [100.0, 100.0]]
    thresholds = {name: ROWS if name == groups[0] else lax for name in groups}
    levels = calibration(thresholds=thresholds).levels(evidence(RISING), 0.8)
    assert (levels == calibration().levels(evidence(RISING), 0.8)).all()


@pytest.mark.parametrize(
    "face",
    [
        evidence(RISING, width=60.0),
        evidence(RISING, gain=3.0),
        evidence(RISING, mask="masked"),
        evidence(RISING, covered=np.ones(PIXELS, np.bool_)),
    ],
)
def test_no_pixel_of_a_group_without_any_thresholds_passes(face: FaceEvidence) -> None:
    assert (calibration().levels(face, 0.8) == NONE).all()


def test_covered_pixels_do_not_pass_by_the_thresholds_of_seen_ones() -> None:
    covered = np.arange(PIXELS) > PIXELS // 2
    face = evidence(np.full(PIXELS, 1.0), covered, mask="masked")
    thresholds = {"seen masked any any": ROWS, "invented masked any any": [[0.0, 1.5], [0.0, 0.0]]}
    both = calibration(thresholds=thresholds)
    assert (both.levels(face, 0.8) == np.where(covered, 16, 8)).all()
    assert (both.levels(face, 0.9)[covered] == NONE).all()


def test_each_kind_of_pixel_has_its_own_predictor() -> None:
    intercepts = {"seen": 0.0, "filmed": 1.0, "invented": 9.0}
    predictor = {kind: [1.0, 0, 0, 0, 0, one] for kind, one in intercepts.items()}
    covered = np.arange(PIXELS) % 2 == 0
    own = calibration(predictor=predictor)
    bare = own.predict(evidence(np.full(PIXELS, 2.0), covered))
    assert bare[~covered] == pytest.approx(2.0)
    assert bare[covered] == pytest.approx(2.0 * np.e, rel=1e-5)
    masked = own.predict(evidence(np.full(PIXELS, 2.0), covered, mask="masked"))
    assert masked[covered] == pytest.approx(256.0, rel=1e-4)  # limited


def test_weights_without_a_calibration_have_none() -> None:
    assert DoubtCalibration.of(None) is None
    assert DoubtCalibration.of(described({})) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bounds": [16, 8]}, "ascending grey levels"),
        ({"bounds": [8.0, 16.0]}, "whole, ascending"),
        ({"bounds": [8, 255]}, "ascending grey levels below 255"),
        ({"bounds": []}, "ascending grey levels"),
        ({"bounds": 8}, "ascending grey levels"),
        ({"probabilities": [0.9, 0.8]}, "probabilities that are not ascending"),
        ({"probabilities": [80, 90]}, "probabilities that are not ascending"),
        ({"probabilities": ["0.8", "0.9"]}, "probabilities that are not ascending"),
        ({"delta": 5}, "delta that is not between"),
        ({"delta": float("nan")}, "delta that is not between"),
        ({"predictor": {"seen": [0.0] * 6}}, "does not predict seen, filmed, invented"),
        ({"predictor": {kind: [0.0] * 5 for kind in KINDS}}, "6 finite coefficients"),
        ({"predictor": {kind: [0.0] * 5 + [float("inf")] for kind in KINDS}}, "6 finite"),
        ({"thresholds": [1]}, "no groups"),
        ({"thresholds": {"seen bare 20 0": [[1.0, 2.0]]}}, "thresholds of each probability"),
        ({"thresholds": {"seen bare 20 0": [[1.0], [2.0]]}}, "2 thresholds of at least 0"),
        ({"thresholds": {"seen bare 20 0": [[3.0, 2.0], [1.0, 2.0]]}}, "ascending"),
        ({"thresholds": {"seen bare 20 0": [[-1.0, 2.0], [1.0, 2.0]]}}, "at least 0"),
        ({"thresholds": {"seen bare 20 0": [[True, 2.0], [1.0, 2.0]]}}, "at least 0"),
        ({"seed": 1}, "exactly the keys"),
    ],
)
def test_invalid_calibrations_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(WeightsCorruptError, match=f"own: its table doubt .*{message}"):
        DoubtCalibration.of(described(table(**changes)))


def test_a_missing_key_is_refused() -> None:
    for key in table():
        rest = {name: value for name, value in table().items() if name != key}
        with pytest.raises(WeightsCorruptError, match="exactly the keys"):
            DoubtCalibration.of(described(rest))


def test_the_carried_weights_are_calibrated_for_every_choice_of_the_options() -> None:
    carried = DoubtCalibration.of(next(one for one in entries() if one.name == "lite-camera"))
    assert carried is not None
    assert carried.bounds == ERROR_BOUNDS
    assert carried.probabilities == tuple(percent / 100 for percent in CONFIDENCES)
    for row in carried.thresholds.values():
        # A higher probability never accepts more.
        assert (np.diff(np.array(row), axis=0) <= 0.0).all()


def agreement(occlusion: NDArray[np.float32], spread: float = 4.0) -> Agreement:
    return Agreement(
        np.full((128, 128, 3), 90, np.uint8), occlusion, np.full((128, 128), spread, np.float32)
    )


def test_what_is_known_is_gathered_in_the_ellipse() -> None:
    occlusion = np.zeros((128, 128), np.float32)
    occlusion[80:] = 1.0
    crop = np.full((128, 128, 3), 90, np.uint8)
    masked, bare = (
        gather_evidence(agreement(occlusion), crop, FaceConditions(mask, 500.0, 64.0))
        for mask in ("masked", "bare")
    )
    assert masked.kinds == ("seen", "invented")
    assert bare.kinds == ("seen", "filmed")
    assert masked.features.shape == (PIXELS, len(FEATURES))
    assert masked.features[0] == pytest.approx([np.log(4.5), np.log(0.5), 0.0, 5.0, 7.0])
    covered = np.zeros((128, 128), np.bool_)
    covered[face_ellipse()] = masked.covered
    assert covered[90, 64]
    assert not covered[60, 64]


def test_the_contrast_is_that_of_what_is_shown() -> None:
    crop = np.full((128, 128, 3), 90, np.uint8)
    crop[90:, ::8] = 255  # a printed mask
    occlusion = np.zeros((128, 128), np.float32)
    occlusion[80:] = 1.0
    kept, replaced = (
        gather_evidence(agreement(occlusion), crop, FaceConditions(mask, 40.0, 1.0))
        for mask in ("unsure", "masked")
    )
    assert kept.features[-1, 1] > replaced.features[-1, 1] + 1.0
