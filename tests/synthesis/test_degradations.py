"""The degradation of the paper and that of the camera."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional as F

from jdsr_cli.synthesis.camera import record, to_pair
from jdsr_cli.synthesis.camera_settings import CameraSettings
from jdsr_cli.synthesis.compression import DegradedPair, degrade_paper, resize_bicubic

NO_ALPHA = np.zeros((128, 128), np.float32)
PERFECT = CameraSettings(
    native_width=(128, 128), blur=(0, 0), motion=0, noise=(0, 0), uncompressed=1, infrared=0,
    rotation=0, zoom=0, shift=0,
)  # fmt: skip


@pytest.fixture(scope="module")
def face(portraits: list) -> NDArray[np.uint8]:
    return portraits[0].image  # type: ignore[no-any-return]


def shot(*scene: Any) -> DegradedPair:
    """Call `record` and convert the result to a pair."""
    return to_pair(record(*scene), rng=scene[4])


def degraded(
    face: NDArray[np.uint8], seed: int = 0, lr_size: int = 64, **changes: object
) -> DegradedPair:
    settings = dataclasses.replace(CameraSettings(), **changes)
    return shot(face, face, NO_ALPHA, lr_size, np.random.default_rng(seed), settings)


def is_grey(image: NDArray[np.uint8]) -> bool:
    return bool((image == image[..., :1]).all())


def roughness(image: NDArray[np.uint8]) -> float:
    return float(np.abs(np.diff(image.astype(float), axis=1)).mean())


@pytest.mark.parametrize("size", [32, 16])
def test_paper_degradation_equals_pil_bicubic(size: int, face: NDArray[np.uint8]) -> None:
    masked = face.copy()
    masked[70:110, 30:100] = (120, 170, 205)
    alpha = NO_ALPHA.copy()
    alpha[70:110, 30:100] = 1
    pair = degrade_paper(face, masked, alpha, size)
    for reduced, source in ((pair.lr, masked), (pair.lr_clean, face)):
        expected = Image.fromarray(source).resize((size, size), Image.Resampling.BICUBIC)
        assert np.array_equal(reduced, np.asarray(expected))
    assert pair.hr is face
    assert pair.occlusion.shape == (size, size)
    factor = 128 // size
    blocks = alpha.reshape(size, factor, size, factor).mean(axis=(1, 3))
    assert np.allclose(pair.occlusion, blocks, atol=1e-6)


@pytest.mark.parametrize("size", [32, 16])
def test_torch_bicubic_agrees_only_with_antialiasing(size: int, face: NDArray[np.uint8]) -> None:
    images = torch.from_numpy(face.copy()).permute(2, 0, 1)[None].float()
    error = {}
    for antialias in (True, False):
        reduced = F.interpolate(
            images, size=(size, size), mode="bicubic", antialias=antialias, align_corners=False
        )
        levels = reduced.clamp(0, 255).round()[0].permute(1, 2, 0).numpy()
        error[antialias] = float(np.abs(levels - resize_bicubic(face, size)).mean())
    assert error[True] < 1
    assert error[False] > 2


@pytest.mark.parametrize("lr_size", [16, 32, 64])
@pytest.mark.parametrize("native", [12, 128])
def test_camera_degradation_returns_the_documented_shapes_and_types(
    native: float, lr_size: int, face: NDArray[np.uint8]
) -> None:
    for seed in range(4):  # several reducers, enlargers and codecs
        pair = degraded(face, seed, lr_size, native_width=(native, native))
        assert pair.lr.shape == pair.lr_clean.shape == (lr_size, lr_size, 3)
        assert pair.hr.shape == (128, 128, 3)
        assert pair.lr.dtype == pair.lr_clean.dtype == pair.hr.dtype == np.uint8
        assert pair.occlusion.shape == (lr_size, lr_size)
        assert pair.occlusion.dtype == np.float32


def test_a_narrow_face_has_less_detail(face: NDArray[np.uint8]) -> None:
    quiet = {"noise": (0, 0), "uncompressed": 1.0, "motion": 0.0}
    for seed in range(4):
        far = degraded(face, seed, native_width=(12, 12), **quiet)
        near = degraded(face, seed, native_width=(128, 128), **quiet)
        assert roughness(far.lr) < 0.8 * roughness(near.lr)


def test_a_perfect_camera_only_reduces(face: NDArray[np.uint8]) -> None:
    for seed in range(3):
        rng = np.random.default_rng(seed)
        pair = shot(face, face, NO_ALPHA, 64, rng, PERFECT)
        assert np.array_equal(pair.lr, pair.lr_clean)
        assert np.array_equal(pair.lr, resize_bicubic(pair.hr, 64))


def test_pristine_faces_are_hardly_degraded(face: NDArray[np.uint8]) -> None:
    for lr_size in (64, 128):
        for seed in range(12):
            pair = degraded(face, seed, lr_size, pristine=1.0)
            error = np.square(pair.lr.astype(float) - pair.lr_clean).mean()
            assert 10 * np.log10(255**2 / (error + 1e-9)) > 34
    pairs = [degraded(face, seed, 128, pristine=1.0) for seed in range(24)]
    untouched = sum(np.array_equal(pair.lr, pair.hr) for pair in pairs)
    assert 4 <= untouched <= 20  # about half are not compressed at all
    assert not np.array_equal(pairs[0].hr, face)  # light and position are drawn as for all others


def test_the_share_of_pristine_faces_matches_the_setting(face: NDArray[np.uint8]) -> None:
    def sharp(pair: DegradedPair) -> bool:
        return float(np.abs(pair.lr.astype(int) - pair.lr_clean).mean()) < 1.5

    coarse = {"native_width": (12, 16)}
    assert not any(sharp(degraded(face, seed, **coarse)) for seed in range(60))
    count = sum(sharp(degraded(face, seed, pristine=0.5, **coarse)) for seed in range(60))
    assert 18 <= count <= 42


def test_pristine_probability_0_draws_no_random_number(face: NDArray[np.uint8]) -> None:
    """Recipes without pristine faces keep their samples: all later draws are the same."""
    rngs = [np.random.default_rng(3) for _ in range(2)]
    shot(face, face, NO_ALPHA, 64, rngs[0], CameraSettings())
    shot(face, face, NO_ALPHA, 64, rngs[1], CameraSettings(pristine=1e-9))
    after = [rng.bit_generator.state["state"]["state"] for rng in rngs]
    assert after[0] != after[1]


def test_tone_and_misalignment_are_applied_to_the_ground_truth(face: NDArray[np.uint8]) -> None:
    rng = np.random.default_rng(2)
    misaligned = dataclasses.replace(PERFECT, rotation=8.0, zoom=0.1, shift=8.0)
    pair = shot(face, face, NO_ALPHA, 64, rng, misaligned)
    assert np.array_equal(pair.lr, resize_bicubic(pair.hr, 64))
    straight = shot(face, face, NO_ALPHA, 64, np.random.default_rng(2), PERFECT)
    assert np.abs(pair.hr.astype(int) - straight.hr).mean() > 3


def test_infrared_images_have_no_colour(face: NDArray[np.uint8]) -> None:
    for seed in range(8):
        pair = degraded(face, seed, infrared=1.0)
        assert is_grey(pair.lr)
        assert is_grey(pair.lr_clean)
        assert is_grey(pair.hr)
        assert not is_grey(degraded(face, seed, infrared=0.0).lr)


def test_occlusion_is_zero_without_a_mask(face: NDArray[np.uint8]) -> None:
    for seed in range(4):
        assert not degraded(face, seed).occlusion.any()


def test_occlusion_matches_the_mask_and_stays_within_0_and_1(face: NDArray[np.uint8]) -> None:
    alpha = NO_ALPHA.copy()
    alpha[70:110, 30:100] = 1
    masked = face.copy()
    masked[70:110, 30:100] = 20
    for seed in range(6):
        for lr_size in (16, 32, 64):
            pair = shot(face, masked, alpha, lr_size, np.random.default_rng(seed), CameraSettings())
            assert pair.occlusion.mean() == pytest.approx(alpha.mean(), rel=0.25)
            # The cross-entropy rejects a target outside [0, 1].
            assert pair.occlusion.min() >= 0
            assert pair.occlusion.max() <= 1


def test_the_clean_ground_truth_is_independent_of_the_mask(face: NDArray[np.uint8]) -> None:
    masked = 255 - face
    rngs = [np.random.default_rng(4), np.random.default_rng(4)]
    with_mask = shot(face, masked, NO_ALPHA, 32, rngs[0], CameraSettings())
    without = shot(face, face, NO_ALPHA, 32, rngs[1], CameraSettings())
    assert np.array_equal(with_mask.hr, without.hr)
    assert np.array_equal(with_mask.lr_clean, without.lr_clean)
    assert not np.array_equal(with_mask.lr, without.lr)


def test_degradation_is_deterministic_for_a_seed(face: NDArray[np.uint8]) -> None:
    before = face.copy()
    first, again, other = degraded(face, 7), degraded(face, 7), degraded(face, 8)
    for name in ("lr", "lr_clean", "hr", "occlusion"):
        assert np.array_equal(getattr(first, name), getattr(again, name))
    assert not np.array_equal(first.lr, other.lr)
    assert np.array_equal(face, before)


def test_noise_and_compression_degrade_the_image(face: NDArray[np.uint8]) -> None:
    def error(**changes: object) -> float:
        settings = dataclasses.replace(PERFECT, **changes)
        pair = shot(face, face, NO_ALPHA, 64, np.random.default_rng(1), settings)
        return float(np.abs(pair.lr.astype(int) - pair.lr_clean).mean())

    assert error() == 0
    assert error(noise=(12, 12)) > 1
    assert error(uncompressed=0.0, quality=(10, 10)) > error(uncompressed=0.0, quality=(90, 90)) > 0
    assert error(blur=(1.1, 1.1)) > 0.5
    assert error(motion=1.0) > 0.5
