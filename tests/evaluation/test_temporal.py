"""Flicker of restored faces relative to their input."""

import cv2
import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray

from jdsr_cli.errors import UsageError
from jdsr_cli.evaluation.metrics.temporal import FlickerMeter

Picture = NDArray[np.uint8]


@pytest.fixture(scope="module")
def face() -> Picture:
    return np.ascontiguousarray(skimage.data.astronaut()[50:178, 160:288])


def noisy(face: Picture, strength: float, seed: int) -> Picture:
    grain = np.random.default_rng(seed).normal(0, strength, (128, 128, 1))
    return np.clip(np.rint(face + grain), 0, 255).astype(np.uint8)


def run(face: Picture, input_noise: float, output_noise: float) -> FlickerMeter:
    meter = FlickerMeter()
    for frame in range(6):
        meter.add(4, frame, noisy(face, input_noise, frame), noisy(face, output_noise, 40 + frame))
    return meter


def test_the_ratio_equals_the_ratio_of_the_noise_levels(face: Picture) -> None:
    assert run(face, 6.0, 3.0).ratio == pytest.approx(0.5, abs=0.05)
    assert run(face, 3.0, 6.0).ratio == pytest.approx(2.0, abs=0.2)


def test_the_ratio_is_undefined_without_pairs(face: Picture) -> None:
    meter = FlickerMeter()
    assert (meter.ratio, meter.input_change, meter.restored_change) == (None, None, None)
    meter.add(1, 0, face, face)
    meter.add(2, 1, face, noisy(face, 5, 0))
    meter.add(1, 2, face, noisy(face, 5, 1))
    meter.add(1, 3, noisy(face, 9, 2), noisy(face, 5, 1), fresh=True)
    assert meter.pairs == 0
    assert meter.ratio is None


def test_the_ratio_is_undefined_for_a_still_input(face: Picture) -> None:
    meter = FlickerMeter()
    meter.add(1, 0, face, face)
    meter.add(1, 1, face, noisy(face, 5, 1))
    assert meter.pairs == 1
    assert meter.ratio is None
    assert meter.restored_change is not None
    assert meter.restored_change > 2.0


def test_jitter_of_the_crop_is_compensated(face: Picture) -> None:
    still, jittering = FlickerMeter(), FlickerMeter()
    for frame in range(6):
        matrix = np.array([[1.0, 0.0, (-1.0) ** frame], [0.0, 1.0, 0.0]])
        shown = cv2.warpAffine(face, matrix, (128, 128), borderMode=cv2.BORDER_REPLICATE)
        jittering.add(1, frame, np.asarray(shown, np.uint8), np.asarray(shown, np.uint8))
        still.add(1, frame, face, np.asarray(shown, np.uint8))
    assert jittering.restored_change is not None
    assert still.restored_change is not None
    assert jittering.restored_change < 0.4 * still.restored_change


def test_a_resumed_run_has_the_same_sums(face: Picture) -> None:
    whole, resumed = FlickerMeter(), FlickerMeter()
    for frame in range(6):
        for track in (7, 2):
            pair = noisy(face, 5, frame + track), noisy(face, 8, 30 + frame + track)
            whole.add(track, frame, *pair)
            restored_meter = FlickerMeter()
            restored_meter.load({key: array.copy() for key, array in resumed.state().items()})
            restored_meter.add(track, frame, *pair)
            resumed = restored_meter
    assert whole.pairs == resumed.pairs == 10
    assert (whole.ratio, whole.input_change) == (resumed.ratio, resumed.input_change)


def test_a_dropped_track_forms_no_further_pairs(face: Picture) -> None:
    meter = run(face, 4.0, 4.0)
    meter.drop(4)
    meter.drop(5)
    meter.add(4, 6, face, face)
    assert meter.pairs == 5
    assert len(meter.state()["tracks"]) == 1


def test_tracks_that_are_never_dropped_are_deleted(face: Picture) -> None:
    meter = FlickerMeter()
    for track in range(40):
        meter.add(track, 100 * track, face, face)
    assert meter.state()["tracks"].tolist() == [36, 37, 38, 39]


def test_invalid_shapes_and_states_are_rejected(face: Picture) -> None:
    with pytest.raises(UsageError, match="flicker"):
        FlickerMeter().add(1, 0, face[:64], face)
    with pytest.raises(UsageError, match="state"):
        FlickerMeter().load({"pairs": np.array(1)})
    state = run(face, 1.0, 1.0).state()
    for wrong in ({"frames": np.zeros(3, np.int64)}, {"frames": np.array(1)}, {"sums": np.ones(3)}):
        with pytest.raises(UsageError, match="state"):
            FlickerMeter().load({**state, **wrong})
