"""Doubt maps: repeats of a face through a generator, and what of it is reliable."""

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, get_args

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tiny_generator import tiny_arguments

from jdsr_cli.errors import UsageError
from jdsr_cli.faces.doubt import KINDS, NEIGHBOURHOOD, FaceConditions
from jdsr_cli.faces.error_bounds import NONE, DoubtCalibration
from jdsr_cli.faces.occlusion import MaskState, face_ellipse
from jdsr_cli.faces.repeats import REPEATS
from jdsr_cli.inference.torch_generator import TorchGenerator
from jdsr_cli.networks import build
from jdsr_cli.restoration.doubt import DoubtEstimator, shown
from jdsr_cli.restoration.frame import RestoredFace
from jdsr_cli.restoration.stages.generation import FaceGenerator
from jdsr_cli.settings import RestoredPart, RestoreSettings
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
    doubt = estimator(Mirror()).estimate(face(), FaceConditions("bare", 100.0, 1.0))
    assert doubt is not None
    assert doubt.reliable == 1.0
    assert not doubt.nothing_reliable
    visible = shown(doubt.face, FaceConditions("bare", 100.0, 1.0))
    assert 0.8 < visible[face_ellipse()].mean() < 1.0
    assert (doubt.levels[visible] <= 24).all()
    assert (doubt.levels[~visible] == NONE).all()
    assert doubt.spread[8:-8, 8:-8].max() < 3.0
    assert np.abs(doubt.face.image.astype(int) - face())[8:-8, 8:-8].max() <= 3
    assert doubt.face.redone


def test_what_was_received_is_repeated_instead_of_the_crop() -> None:
    conditions = FaceConditions("bare", 100.0, 1.0)
    doubt = estimator(Mirror()).estimate(face(1), conditions, seen=face(2))
    other = estimator(Mirror()).estimate(face(2), conditions)
    assert doubt is not None
    assert other is not None
    assert np.array_equal(doubt.face.image, other.face.image)
    assert np.array_equal(doubt.spread, other.spread)


def test_what_the_repeats_disagree_on_is_doubtful() -> None:
    doubt = estimator(Mirror(bias=40)).estimate(face(), FaceConditions("bare", 100.0, 1.0))
    assert doubt is not None
    middle = np.zeros((128, 128), np.bool_)
    middle[:, 62:66] = True
    inside = shown(doubt.face, FaceConditions("bare", 100.0, 1.0))
    sides = inside & ~cv2.dilate(middle.astype(np.uint8), np.ones((1, 31))).astype(bool)
    assert (doubt.levels[sides] == NONE).all()
    assert (doubt.levels[middle & inside] <= 24).any()
    assert 0.0 < doubt.reliable < 0.3


def test_nothing_is_reliable_where_no_pixel_passes() -> None:
    doubt = DoubtEstimator(
        Mirror(), calibration(((0.0, 0.0), (0.0, 0.0))), bound=24, probability=0.9
    ).estimate(face(), FaceConditions("bare", 100.0, 1.0))
    assert doubt is not None
    assert doubt.nothing_reliable
    assert doubt.reliable == 0.0


@pytest.mark.parametrize(("bound", "probability"), [(16, 0.8), (24, 0.8), (16, 0.9), (24, 0.9)])
def test_reliable_is_the_share_that_keeps_the_stated_bound(bound: int, probability: float) -> None:
    one = estimator(Mirror(bias=6), bound=bound, probability=probability)
    doubt = one.estimate(face(), FaceConditions("bare", 100.0, 1.0))
    assert doubt is not None
    predicted = (
        cv2.GaussianBlur(doubt.spread, (0, 0), NEIGHBOURHOOD)[
            shown(doubt.face, FaceConditions("bare", 100.0, 1.0))
        ]
        + 0.5
    )
    threshold = THRESHOLDS[(0.8, 0.9).index(probability)][(16, 24).index(bound)]
    assert doubt.reliable == pytest.approx((predicted < threshold).mean(), abs=1e-3)
    assert 0.0 < doubt.reliable < 1.0
    assert (doubt.bound, doubt.probability) == (bound, probability)


def test_a_repeat_that_is_not_finite_gives_no_map() -> None:
    for broken in range(len(REPEATS)):
        generator = Mirror(broken=broken)
        assert estimator(generator).estimate(face(), FaceConditions("bare", 50.0, 1.0)) is None


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
            one.estimate(face(9), FaceConditions("masked", 20.0, 8.0))
        doubt = one.estimate(face(1), FaceConditions("masked", 40.0, 2.0))
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


class Covers(Mirror):
    """Takes the lower half of the face for covered."""

    def restore(self, crops: Sequence[NDArray[np.uint8]]) -> list[RestoredFace | None]:
        occlusion = np.zeros((128, 128), np.float32)
        occlusion[80:] = 1.0
        return [None if one is None else replace(one, occlusion=occlusion)
                for one in super().restore(crops)]  # fmt: skip


@pytest.mark.parametrize("mask", ["bare", "unsure", "masked"])
def test_only_pixels_that_the_picture_takes_from_the_restored_face_have_levels(
    mask: MaskState,
) -> None:
    maps = {
        part: estimator(Covers()).estimate(face(), FaceConditions(mask, 60.0, 1.0), part)
        for part in get_args(RestoredPart)
    }
    upper, lower = np.s_[50:70, 40:88], np.s_[95:110, 50:78]
    whole, covered, uncovered = maps["all"], maps["covered"], maps["uncovered"]
    assert whole is not None
    assert uncovered is not None
    assert (whole.levels[upper] != NONE).all()
    assert (whole.levels[lower] != NONE).all()
    assert (uncovered.levels[upper] != NONE).all()
    assert (uncovered.levels[lower] == NONE).all()
    assert uncovered.reliable == 1.0  # what stays as filmed is not counted
    if mask != "masked":
        assert covered is None
        return
    assert covered is not None
    assert (covered.levels[upper] == NONE).all()
    assert (covered.levels[lower] != NONE).all()
    assert covered.reliable == 1.0


@pytest.mark.parametrize(
    ("width", "part", "mask", "some"),
    [
        (60.0, "all", "bare", True),
        (119.0, "all", "bare", True),
        (122.0, "all", "bare", False),  # mostly the camera's own pixels
        (128.0, "uncovered", "masked", False),
        (128.0, "all", "masked", True),  # what is invented
        (128.5, "all", "masked", False),
        (300.0, "covered", "masked", False),
    ],
)
def test_wide_faces_have_levels_where_they_are_restored_and_calibrated(
    width: float, part: RestoredPart, mask: MaskState, some: bool
) -> None:
    doubt = estimator(Covers()).estimate(face(), FaceConditions(mask, width, 1.0), part)
    assert (doubt is not None) == some
    if width == 128.0 and doubt is not None:
        assert (doubt.levels[50:70] == NONE).all()


@pytest.mark.parametrize(
    ("group", "conditions", "part", "possible"),
    [
        ("seen bare any any", FaceConditions("bare", 30.0, 1.0), "all", True),
        ("seen bare any any", FaceConditions("bare", 30.0, 1.0), "covered", False),
        ("filmed bare any any", FaceConditions("bare", 30.0, 1.0), "all", True),
        ("invented masked any any", FaceConditions("masked", 30.0, 1.0), "covered", True),
        ("invented masked any any", FaceConditions("masked", 30.0, 1.0), "uncovered", False),
        ("seen masked any any", FaceConditions("unsure", 30.0, 1.0), "all", False),
        ("seen bare any any", FaceConditions("bare", 11.9, 1.0), "all", False),
    ],
)
def test_it_is_known_beforehand_where_nothing_can_be_reliable(
    group: str, conditions: FaceConditions, part: RestoredPart, possible: bool
) -> None:
    known = replace(calibration(), thresholds={group: THRESHOLDS})
    one = DoubtEstimator(Mirror(), known, bound=24, probability=0.9)
    assert one.can_keep(conditions, part) == possible
    none = replace(calibration(), thresholds={group: ((0.0, 3.0), (0.0, 0.0))})
    assert not DoubtEstimator(Mirror(), none, bound=24, probability=0.9).can_keep(conditions, part)
