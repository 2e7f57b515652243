"""Occluders in front of a face, with and without a mask."""

import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from jdsr_cli.synthesis.mask_drawing import draw_sprites
from jdsr_cli.synthesis.masks import Position, apply_mask, choose_sprite, landmarks_from_five
from jdsr_cli.synthesis.occluder_scene import Scene, measure_face
from jdsr_cli.synthesis.occluders import OCCLUDER_SHARES, add_border, add_occluder, occlude

FIVE = np.array([[42.0, 50.0], [84.0, 49.0], [63.0, 72.0], [46.0, 92.0], [82.0, 91.0]])
LANDMARKS = landmarks_from_five(FIVE)
KINDS = sorted(OCCLUDER_SHARES)
EMPTY = np.zeros((128, 128), np.float32)


def face() -> np.ndarray:
    aligned = np.float32([[196, 110], [243, 108], [222, 135]])
    matrix = cv2.getAffineTransform(aligned, FIVE[:3].astype(np.float32))
    return cv2.warpAffine(astronaut(), matrix, (128, 128), flags=cv2.INTER_AREA)


@pytest.fixture(scope="module")
def bare() -> Scene:
    picture = face()
    return Scene(picture, picture, EMPTY)


@pytest.fixture(scope="module")
def masked(bare: Scene) -> Scene:
    rng = np.random.default_rng(3)
    result = apply_mask(
        bare.clean, LANDMARKS, choose_sprite(draw_sprites(4, 1), LANDMARKS, rng), rng
    )
    return Scene(bare.clean, result.image, result.alpha)


def same(first: Scene, second: Scene) -> bool:
    return all(
        np.array_equal(getattr(first, name), getattr(second, name))
        for name in ("clean", "masked", "alpha")
    )


def test_occlude_is_deterministic_and_does_not_change_its_input(masked: Scene) -> None:
    before = Scene(masked.clean.copy(), masked.masked.copy(), masked.alpha.copy())
    drawn = [occlude(masked, LANDMARKS, np.random.default_rng(seed)) for seed in range(40)]
    again = [occlude(masked, LANDMARKS, np.random.default_rng(seed)) for seed in range(40)]
    assert all(same(first, second) for first, second in zip(drawn, again, strict=True))
    assert same(before, masked)
    assert len({scene.masked.tobytes() for scene in drawn}) > 36
    for scene in drawn:
        assert scene.clean.dtype == scene.masked.dtype == np.uint8
        assert scene.alpha.dtype == np.float32
        assert scene.clean.shape == scene.masked.shape == (128, 128, 3)
        assert scene.alpha.min() >= 0
        assert scene.alpha.max() <= 1


def test_clean_and_masked_stay_equal_without_a_mask(bare: Scene) -> None:
    equal = Scene(bare.clean, bare.clean.copy(), EMPTY)
    for seed in range(40):
        shared = occlude(bare, LANDMARKS, np.random.default_rng(seed))
        apart = occlude(equal, LANDMARKS, np.random.default_rng(seed))
        assert np.array_equal(shared.clean, shared.masked)
        assert same(shared, apart)
        assert not shared.alpha.any()


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_changes_most_images_visibly(kind: str, bare: Scene) -> None:
    frame = measure_face(bare.clean, LANDMARKS)
    changed = []
    for seed in range(12):
        drawn = add_occluder(kind, bare, frame, np.random.default_rng(seed))
        difference = np.abs(drawn.clean.astype(int) - bare.clean).max(axis=2)
        changed.append((difference > 12).mean() > 0.004)
    assert np.mean(changed) >= 0.75


@pytest.mark.parametrize("kind", ["hand", "cup", "telephone", "food", "microphone"])
def test_occluders_over_a_mask_are_equal_in_both_images(kind: str, masked: Scene) -> None:
    frame = measure_face(masked.clean, LANDMARKS)
    hidden_shares = []
    for seed in range(12):
        drawn = add_occluder(kind, masked, frame, np.random.default_rng(seed))
        assert (drawn.alpha <= masked.alpha + 1e-6).all()
        hidden = (masked.alpha > 0.95) & (drawn.alpha < 0.01)
        hidden_shares.append(hidden.mean())
        apart = np.abs(drawn.clean.astype(int) - drawn.masked)[hidden]
        assert not apart.size or apart.max() <= 4
    assert np.mean(np.array(hidden_shares) > 0.005) > 0.5


@pytest.mark.parametrize("kind", ["beard", "moustache"])
def test_a_mask_covers_a_beard(kind: str, masked: Scene) -> None:
    frame = measure_face(masked.clean, LANDMARKS)
    drawn = add_occluder(kind, masked, frame, np.random.default_rng(1))
    covered = masked.alpha > 0.999
    assert np.array_equal(drawn.alpha, masked.alpha)
    assert np.abs(drawn.masked.astype(int) - masked.masked)[covered].max() <= 1
    assert np.abs(drawn.clean.astype(int) - masked.clean)[covered].max() > 20


@pytest.mark.parametrize(
    "landmarks",
    [
        LANDMARKS + np.float32([90, 0]),
        LANDMARKS - np.float32([0, 200]),
        LANDMARKS * np.float32(40),
        np.full((68, 2), 127, np.float32),
        np.zeros((68, 2), np.float32),
        LANDMARKS[::-1].copy() * np.float32(0.1),
    ],
)
def test_occluders_accept_any_landmarks(landmarks: np.ndarray, masked: Scene) -> None:
    frame = measure_face(masked.clean, landmarks)
    for number, kind in enumerate(KINDS):
        drawn = add_occluder(kind, masked, frame, np.random.default_rng(number))
        assert np.isfinite(drawn.alpha).all()
        assert drawn.clean.shape == (128, 128, 3)


def test_only_jaw_and_nose_bridge_landmarks_are_used(masked: Scene) -> None:
    other = LANDMARKS.copy()
    other[17:27] = other[31:] = 77
    for seed in range(8):
        first = occlude(masked, LANDMARKS, np.random.default_rng(seed))
        assert same(first, occlude(masked, other, np.random.default_rng(seed)))


def test_a_border_repeats_the_last_line_or_is_black(masked: Scene) -> None:
    frame = measure_face(masked.clean, LANDMARKS)
    variants = set()
    for seed in range(80):
        drawn = add_border(masked, frame, np.random.default_rng(seed))
        equal = np.array_equal
        for side, axis, first in (
            ("top", 0, True), ("left", 1, True), ("bottom", 0, False), ("right", 1, False)
        ):  # fmt: skip
            oriented = [np.moveaxis(p, axis, 0) for p in (drawn.clean, drawn.masked, drawn.alpha)]
            source = [np.moveaxis(p, axis, 0) for p in (masked.clean, masked.masked, masked.alpha)]
            if not first:
                oriented, source = [p[::-1] for p in oriented], [p[::-1] for p in source]
            line = next(
                n for n in range(128) if equal(oriented[0][n:], source[0][n:])
            ) if equal(oriented[0][-1], source[0][-1]) else 0  # fmt: skip
            if line < 2:
                continue
            black = not oriented[0][0].any()
            variants.add((side, black))
            for after, before in zip(oriented, source, strict=True):
                assert equal(after[line:], before[line:])
                expected = np.zeros_like(before[line]) if black else before[line]
                assert all(equal(row, expected) for row in after[: line - 1])
    assert {side for side, _ in variants} == {"left", "right", "top", "bottom"}
    assert {black for _, black in variants} == {True, False}


@pytest.mark.parametrize("position", ["under nose", "chin"])
def test_lowered_masks_leave_nose_or_mouth_uncovered(position: Position, bare: Scene) -> None:
    pool = draw_sprites(40, 7)
    tip, mouth, chin = [], [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        sprite = choose_sprite(pool, LANDMARKS, rng)
        alpha = apply_mask(bare.clean, LANDMARKS, sprite, rng, position=position).alpha
        tip.append(alpha[int(LANDMARKS[30, 1]) - 1, int(LANDMARKS[30, 0])] < 0.1)
        mouth.append(float(alpha[91, 64]))
        chin.append(alpha[int(LANDMARKS[8, 1]) - 2, int(LANDMARKS[8, 0])] > 0.9)
    assert np.mean(tip) > 0.9
    assert np.mean(chin) > 0.9
    expected = np.array(mouth) > 0.9 if position == "under nose" else np.array(mouth) < 0.1
    assert np.mean(expected) > 0.9


def test_the_default_mask_position_is_the_nose(bare: Scene) -> None:
    sprite = draw_sprites(1, 7)[0]
    default = apply_mask(bare.clean, LANDMARKS, sprite, np.random.default_rng(1))
    named = apply_mask(bare.clean, LANDMARKS, sprite, np.random.default_rng(1), position="nose")
    assert np.array_equal(default.image, named.image)
    assert default.alpha[int(LANDMARKS[30, 1]), int(LANDMARKS[30, 0])] > 0.9


def test_occluder_shares_sum_to_1() -> None:
    assert sum(OCCLUDER_SHARES.values()) == pytest.approx(1)
    assert min(OCCLUDER_SHARES.values()) > 0
