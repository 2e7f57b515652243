from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from jdsr_cli.errors import UsageError
from jdsr_cli.faces import TEMPLATE, CompositeSettings, compose, crop, estimate_alignment
from jdsr_cli.faces.regions import covered_region, face_region, inner_region

Bytes = NDArray[np.uint8]
UNCOVERED = np.zeros((128, 128), np.float32)
SMALL, LARGE = 40.0, 300.0
"""Native widths at which all and none of an uncovered face is replaced."""


def placement(scale: float, degrees: float = 0.0, x: float = 0.0, y: float = 0.0) -> Any:
    turn = scale * np.exp(1j * np.radians(degrees))
    return np.array([[turn.real, -turn.imag, x], [turn.imag, turn.real, y]])


def noise(height: int, width: int, seed: int = 0) -> Bytes:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def mouth_covered() -> NDArray[np.float32]:
    occlusion = UNCOVERED.copy()
    occlusion[80:118, 30:98] = 1.0
    return occlusion


def test_nothing_outside_the_template_is_touched() -> None:
    base = noise(300, 400)
    before, matrix = base.copy(), placement(1.4, 25.0, 180.0, 40.0)
    result = compose(base, noise(128, 128, 1), mouth_covered(), matrix, SMALL)
    assert result.image is base
    y, x = np.mgrid[:300, :400]
    back = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))[:2]
    mapped = np.stack([x, y], axis=-1) @ back[:, :2].T + back[:, 2]
    outside = (mapped < 0).any(axis=-1) | (mapped > 127).any(axis=-1)
    assert (base[outside] == before[outside]).all()
    assert (base != before).any()
    changed = np.argwhere((base != before).any(axis=2))
    height, width = result.weight.shape
    assert changed.min(axis=0)[0] >= result.top
    assert changed.min(axis=0)[1] >= result.left
    assert changed.max(axis=0)[0] < result.top + height
    assert changed.max(axis=0)[1] < result.left + width
    box = np.s_[result.top : result.top + height, result.left : result.left + width]
    unused = result.weight == 0
    assert (base[box][unused] == before[box][unused]).all()


@pytest.mark.parametrize("scale", [0.3, 1.0, 3.3])
@pytest.mark.parametrize("native", [SMALL, 96.0, LARGE])
def test_a_uniform_picture_stays_uniform_for_any_restored_colour(
    scale: float, native: float
) -> None:
    base = np.full((440, 440, 3), (90, 120, 200), np.uint8)
    restored = np.full((128, 128, 3), (130, 90, 160), np.uint8)
    compose(base, restored, mouth_covered(), placement(scale, 10.0, 60.0, 5.0), native)
    assert np.abs(base.astype(int) - (90, 120, 200)).max() <= 1


def test_a_colour_cast_is_removed_and_structure_kept() -> None:
    face = cv2.GaussianBlur(noise(128, 128), (0, 0), 3.0).astype(np.float32) * 2.0 - 128.0
    face = np.clip(face, 30, 200)
    cast = np.clip(face + np.float32([28.0, -17.0, 9.0]), 0, 255).astype(np.uint8)
    base = face.astype(np.uint8)
    compose(base, cast, mouth_covered(), placement(1.0), SMALL)
    middle = np.s_[50:110, 35:95]
    assert np.abs(base[middle].astype(float) - face[middle]).mean() < 1.5


def test_the_colour_under_a_mask_is_taken_from_the_face_not_the_mask() -> None:
    base = np.full((128, 128, 3), (180, 140, 120), np.uint8)
    base[78:120, 28:100] = (40, 90, 200)
    restored = np.full((128, 128, 3), (170, 150, 120), np.uint8)
    compose(base, restored, mouth_covered(), placement(1.0), LARGE)
    assert np.abs(base[84:114, 34:94].astype(int) - (180, 140, 120)).max() <= 1


def test_a_mask_that_was_not_recognised_does_not_colour_the_face() -> None:
    base = np.full((128, 128, 3), (180, 140, 120), np.uint8)
    base[92:120, 40:88] = (20, 240, 20)
    restored = np.full((128, 128, 3), (180, 140, 120), np.uint8)
    compose(base, restored, UNCOVERED, placement(1.0), SMALL)
    assert np.abs(base[60:80, 40:88].astype(int) - (180, 140, 120)).max() <= 6


def test_a_fully_covered_face_has_the_restored_colours() -> None:
    base = np.full((128, 128, 3), 20, np.uint8)
    restored = np.full((128, 128, 3), (150, 110, 100), np.uint8)
    compose(base, restored, np.ones((128, 128), np.float32), placement(1.0), SMALL)
    assert (base[64, 64] == (150, 110, 100)).all()


def test_native_detail_is_kept_where_a_large_face_is_not_covered() -> None:
    base, restored = noise(384, 384), np.full((128, 128, 3), 128, np.uint8)
    before = base.copy()
    compose(base, restored, UNCOVERED, placement(3.0), LARGE)
    assert (base == before).all()
    compose(base, restored, mouth_covered(), placement(3.0), LARGE)
    assert (base[:200] == before[:200]).all()
    assert base[255:340, 100:280].astype(float).std() < 0.2 * before.astype(float).std()


def test_the_share_of_the_restored_face_falls_monotonically_with_native_width() -> None:
    shares = []
    for native in (20.0, 64.0, 64.5, 80.0, 96.0, 127.5, 128.0, 400.0):
        result = compose(noise(128, 128), noise(128, 128, 1), UNCOVERED, placement(1.0), native)
        shares.append(float(result.weight.max(initial=0.0)))
    assert shares[:2] == [1.0, 1.0]
    assert shares[-2:] == [0.0, 0.0]
    assert sorted(shares, reverse=True) == shares
    assert shares[4] == pytest.approx(0.5)
    assert shares[1] - shares[2] < 0.01
    assert shares[5] < 0.01


@pytest.mark.parametrize("occlusion", [UNCOVERED, mouth_covered(), np.ones_like(UNCOVERED)])
@pytest.mark.parametrize("native", [SMALL, 100.0, LARGE])
def test_weights_rise_without_a_step_and_vanish_at_the_border(
    occlusion: NDArray[np.float32], native: float
) -> None:
    base = noise(512, 512)
    weight = compose(base, noise(128, 128, 1), occlusion, placement(4.0), native).weight
    if not weight.size:
        assert not occlusion.any()
        return
    padded = np.pad(weight, 1)
    assert np.abs(np.diff(padded, axis=0)).max() < 0.12
    assert np.abs(np.diff(padded, axis=1)).max() < 0.12


def test_regions_are_soft_and_contain_the_template_landmarks() -> None:
    face = face_region()
    for x, y in TEMPLATE:
        assert face[round(y), round(x)] > 0.95
    edge = np.concatenate([face[0], face[-1], face[:, 0], face[:, -1]])
    assert edge.max() == 0.0
    assert (inner_region() >= face).all()
    covered = covered_region(mouth_covered())
    assert covered[82:116, 32:96].min() > 0.95
    assert covered[:70].max() == 0.0
    assert not covered_region(np.full_like(UNCOVERED, 0.1)).any()


def test_a_restored_face_shrinks_without_moire() -> None:
    stripes = np.zeros((128, 128, 3), np.uint8)
    stripes[:, ::2] = 255
    base = np.full((60, 60, 3), 128, np.uint8)
    compose(base, stripes, UNCOVERED, placement(0.31, 0.0, 10.0, 10.0), SMALL)
    assert base.astype(float).std() < 6.0


def test_a_face_at_the_border_is_clipped_and_one_beyond_it_changes_nothing() -> None:
    base = noise(100, 100)
    at_edge = compose(base, noise(128, 128, 1), UNCOVERED, placement(1.0, 0.0, -64.0, 20.0), SMALL)
    assert at_edge.left == 0
    assert at_edge.weight.max() > 0.9
    before = base.copy()
    beyond = compose(base, noise(128, 128, 1), UNCOVERED, placement(1.0, 0.0, 900.0, 0.0), SMALL)
    assert beyond.weight.size == 0
    assert (base == before).all()


def test_compositing_the_cropped_face_itself_changes_little(astronaut_photo: Any) -> None:
    image = astronaut_photo.image.copy()
    alignment = estimate_alignment(astronaut_photo.points)
    face = crop(image, alignment, 128)
    compose(image, face, UNCOVERED, alignment.inverse(), SMALL)
    change = np.abs(image.astype(float) - astronaut_photo.image)
    assert change.max() > 0.0
    assert change[60:180, 90:200].mean() < 2.5


@pytest.mark.parametrize(
    "invalid",
    [
        {"base": np.zeros((8, 8), np.uint8)},
        {"restored": np.zeros((64, 64, 3), np.uint8)},
        {"restored": np.zeros((128, 128, 3), np.float32)},
        {"occlusion": np.zeros((64, 64), np.float32)},
        {"occlusion": np.full((128, 128), np.nan, np.float32)},
        {"native_width": 0.0},
        {"native_width": float("nan")},
        {"matrix": np.zeros((2, 3))},
        {"matrix": np.full((2, 3), np.nan)},
        {"base": np.full((128, 128, 3), 9.0, np.float32)},
        {"base": np.full((128, 128, 3), 9, np.int16)},
    ],
)
def test_invalid_arguments_are_refused_before_anything_changes(invalid: dict[str, Any]) -> None:
    valid: dict[str, Any] = {
        "base": np.full((128, 128, 3), 9, np.uint8),
        "restored": noise(128, 128),
        "occlusion": UNCOVERED,
        "matrix": placement(1.0),
        "native_width": SMALL,
    }
    with pytest.raises(UsageError):
        compose(**(valid | invalid))
    assert (valid["base"] == 9).all()


@pytest.mark.parametrize(
    ("side", "whole", "half", "kept"),
    [(16, 16, 24, 32), (32, 32, 48, 64), (64, 64, 96, 128), (128, 112, 120, 128)],
)
def test_faces_up_to_the_generator_input_size_are_replaced_in_full(
    side: int, whole: float, half: float, kept: float
) -> None:
    settings = CompositeSettings.of_input(side)
    shares = [settings.replaced(width) for width in (8, whole, half, kept, 500)]
    assert shares == [1.0, 1.0, 0.5, 0.0, 0.0]


def test_settings_out_of_order_are_refused() -> None:
    with pytest.raises(UsageError):
        CompositeSettings(replaced_to=128.0, kept_from=64.0)
