"""Doubt maps: repeats of a face through a generator, and what of it is reliable."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tiny_generator import tiny_arguments

from jdsr_cli.errors import UsageError
from jdsr_cli.faces.doubt import KINDS, NEIGHBOURHOOD
from jdsr_cli.faces.error_bounds import NONE, DoubtCalibration
from jdsr_cli.faces.occlusion import face_ellipse
from jdsr_cli.faces.repeats import REPEATS
from jdsr_cli.inference.torch_generator import TorchGenerator
from jdsr_cli.networks import build
from jdsr_cli.restoration.doubt import DoubtEstimator
from jdsr_cli.restoration.frame import RestoredFace
from jdsr_cli.restoration.stages.generation import FaceGenerator
from jdsr_cli.settings import RestoreSettings
from jdsr_cli.weights import LoadedGenerator, WeightEntry

THRESHOLDS = ((1.2, 3.0), (1.1, 2.0))
GROUPS = [f"{kind} {mask} any any" for kind in KINDS for mask in ("bare", "unsure", "masked")]


def calibration(thresholds: tuple[tuple[float, ...], ...] = THRESHOLDS) -> DoubtCalibration:
    # The predicted error is the spread plus a half.
    predictor = dict.fromkeys(KINDS, (1.0, 0.0, 0.0, 0.0, 0.0, 0.0))
    return DoubtCalibration((16, 24), (0.8, 0.9), 0.1, predictor, dict.fromkeys(GROUPS, thresholds))


class Mirror:
    """Returns its input; on the left half, brighter by `bias` than it was."""

    side = 128

    def __init__(self, bias: int = 0, broken: int | None = None) -> None:
        self.bias, self.broken, self.calls = bias, broken, 0

    def restore(self, crops: Sequence[NDArray[np.uint8]]) -> list[RestoredFace | None]:
        self.calls += 1
        faces: list[RestoredFace | None] = []
        for number, crop in enumerate(crops):
            image = crop.copy()
            image[:, :56] += np.uint8(self.bias)
            occlusion = np.zeros((128, 128), np.float32)
            face = RestoredFace(image, occlusion, number == 3, self.side)
            faces.append(None if number == self.broken else face)
        return faces


def face(seed: int = 0) -> NDArray[np.uint8]:
    small = np.random.default_rng(seed).integers(60, 180, (8, 8, 3)).astype(np.float32)
    crop = cv2.resize(small, (128, 128), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.rint(crop), np.uint8)


def estimator(generator: Any, **changes: Any) -> DoubtEstimator:
    chosen = {"bound": 24, "probability": 0.9, **changes}
    return DoubtEstimator(generator, calibration(), **chosen)


def test_a_face_on_which_all_repeats_agree_is_reliable() -> None:
    doubt = estimator(Mirror()).estimate(face(), native_width=128.0, mask="bare")
    assert doubt is not None
    assert doubt.reliable == 1.0
    assert not doubt.nothing_reliable
    assert (doubt.levels[face_ellipse()] <= 24).all()
    assert (doubt.levels[~face_ellipse()] == NONE).all()
    assert doubt.spread[8:-8, 8:-8].max() < 3.0
    assert np.abs(doubt.face.image.astype(int) - face())[8:-8, 8:-8].max() <= 3
    assert doubt.face.redone


def test_what_the_repeats_disagree_on_is_doubtful() -> None:
    doubt = estimator(Mirror(bias=40)).estimate(face(), native_width=128.0, mask="bare")
    assert doubt is not None
    middle = np.zeros((128, 128), np.bool_)
    middle[:, 62:66] = True
    sides = face_ellipse() & ~cv2.dilate(middle.astype(np.uint8), np.ones((1, 31))).astype(bool)
    assert (doubt.levels[sides] == NONE).all()
    assert (doubt.levels[middle & face_ellipse()] <= 24).any()
    assert 0.0 < doubt.reliable < 0.3


def test_nothing_is_reliable_where_no_pixel_passes() -> None:
    doubt = DoubtEstimator(
        Mirror(), calibration(((0.0, 0.0), (0.0, 0.0))), bound=24, probability=0.9
    ).estimate(face(), native_width=128.0, mask="bare")
    assert doubt is not None
    assert doubt.nothing_reliable
    assert doubt.reliable == 0.0


@pytest.mark.parametrize(("bound", "probability"), [(16, 0.8), (24, 0.8), (16, 0.9), (24, 0.9)])
def test_reliable_is_the_share_that_keeps_the_stated_bound(bound: int, probability: float) -> None:
    one = estimator(Mirror(bias=6), bound=bound, probability=probability)
    doubt = one.estimate(face(), native_width=128.0, mask="bare")
    assert doubt is not None
    predicted = cv2.GaussianBlur(doubt.spread, (0, 0), NEIGHBOURHOOD)[face_ellipse()] + 0.5
    threshold = THRESHOLDS[(0.8, 0.9).index(probability)][(16, 24).index(bound)]
    assert doubt.reliable == pytest.approx((predicted < threshold).mean(), abs=1e-3)
    assert 0.0 < doubt.reliable < 1.0
    assert (doubt.bound, doubt.probability) == (bound, probability)


def test_a_repeat_that_is_not_finite_gives_no_map() -> None:
    for broken in range(len(REPEATS)):
        generator = Mirror(broken=broken)
        assert estimator(generator).estimate(face(), native_width=50.0, mask="bare") is None


@pytest.fixture(scope="module")
def tiny() -> LoadedGenerator:
    torch.manual_seed(3)
    network = build("lite", tiny_arguments(128)).eval()
    return LoadedGenerator(
        entry=None, network=network, device=torch.device("cpu"), dtype=torch.float32,
        sha256="0" * 64, path=None, lr_size=128,  # type: ignore[arg-type]
    )  # fmt: skip


def test_the_map_does_not_depend_on_the_batch_or_on_other_faces(tiny: LoadedGenerator) -> None:
    maps = []
    for batch in (1, 3, 8, 32):
        generator = FaceGenerator(TorchGenerator(tiny, batch), batch)
        one = estimator(generator)
        if batch == 3:
            one.estimate(face(9), native_width=20.0, mask="masked", gain=8.0)
        doubt = one.estimate(face(1), native_width=40.0, mask="masked", gain=2.0)
        assert doubt is not None
        maps.append((doubt.levels, doubt.spread, doubt.face.image, doubt.face.occlusion))
    for other in maps[1:]:
        assert all((a == b).all() for a, b in zip(maps[0], other, strict=True))


def network_with(doubt: dict[str, Any] | None) -> Any:
    entry = WeightEntry(
        "own", "own.safetensors", "0" * 64, 1, "lite", 1, 128, "faces", "MIT", "abc", "lite",
        doubt=doubt or {},
    )  # fmt: skip
    return SimpleNamespace(network=SimpleNamespace(entry=entry))


def tables() -> dict[str, Any]:
    return {
        "bounds": [16, 24], "probabilities": [0.8, 0.9], "delta": 0.1, "protocol": "drawn",
        "predictor": {kind: [1.0, 0, 0, 0, 0, 0] for kind in KINDS},
        "thresholds": {name: [list(row) for row in THRESHOLDS] for name in GROUPS},
    }  # fmt: skip


def test_settings_choose_bound_and_probability() -> None:
    chosen = RestoreSettings(error_bound=16, confidence=80)
    assert DoubtEstimator.of(network_with(tables()), chosen) is not None
    assert DoubtEstimator.of(network_with(tables()), RestoreSettings(doubt=False)) is None
    assert DoubtEstimator.of(network_with(None), chosen) is None
    weights_from_file: Any = SimpleNamespace(network=SimpleNamespace(entry=None))
    assert DoubtEstimator.of(weights_from_file, chosen) is None


@pytest.mark.parametrize(
    ("changes", "choices"),
    [({"error_bound": 48}, "16, 24"), ({"confidence": 95}, "0.8, 0.9"), ({"error_bound": 8}, "16")],
)
def test_bounds_without_a_calibration_are_refused(changes: dict[str, int], choices: str) -> None:
    settings = RestoreSettings(**{"error_bound": 16, "confidence": 80, **changes})
    with pytest.raises(UsageError, match=r"--error-bound, --confidence") as raised:
        DoubtEstimator.of(network_with(tables()), settings)
    assert choices in str(raised.value)


@pytest.mark.parametrize(("option", "value"), [("error_bound", 20), ("confidence", 99)])
def test_other_values_of_the_options_are_refused(option: str, value: int) -> None:
    with pytest.raises(UsageError, match="is not allowed"):
        RestoreSettings(**{option: value})
