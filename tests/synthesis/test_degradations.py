"""The paper's reduction and the camera's way of spoiling a face."""

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
    """Take the arguments of `film`."""
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
def test_the_papers_reduction_is_that_of_pil(size: int, face: NDArray[np.uint8]) -> None:
    masked = face.copy()
    masked[70:110, 30:100] = (120, 170, 205)
    alpha = NO_ALPHA.copy()
    alpha[70:110, 30:100] = 1
    pair = degrade_paper(face, masked, alpha, size)
    for found, source in ((pair.lr, masked), (pair.lr_clean, face)):
        wanted = Image.fromarray(source).resize((size, size), Image.Resampling.BICUBIC)
        assert np.array_equal(found, np.asarray(wanted))
    assert pair.hr is face
    assert pair.occlusion.shape == (size, size)
    factor = 128 // size
    blocks = alpha.reshape(size, factor, size, factor).mean(axis=(1, 3))
    assert np.allclose(pair.occlusion, blocks, atol=1e-6)


@pytest.mark.parametrize("size", [32, 16])
def test_torch_agrees_only_with_antialiasing(size: int, face: NDArray[np.uint8]) -> None:
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
def test_camera_pictures_have_their_sizes(
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


def test_a_pristine_face_is_hardly_spoilt(face: NDArray[np.uint8]) -> None:
    for lr_size in (64, 128):
        for seed in range(12):
            pair = degraded(face, seed, lr_size, pristine=1.0)
            error = np.square(pair.lr.astype(float) - pair.lr_clean).mean()
            assert 10 * np.log10(255**2 / (error + 1e-9)) > 34
    spared = [degraded(face, seed, 128, pristine=1.0) for seed in range(24)]
    untouched = sum(np.array_equal(pair.lr, pair.hr) for pair in spared)
    assert 4 <= untouched <= 20  # about half are not compressed at all
    assert not np.array_equal(spared[0].hr, face)  # light and place are drawn as for all others


def test_the_share_of_pristine_faces_is_the_recipes(face: NDArray[np.uint8]) -> None:
    def sharp(pair: DegradedPair) -> bool:
        return float(np.abs(pair.lr.astype(int) - pair.lr_clean).mean()) < 1.5

    coarse = {"native_width": (12, 16)}
    assert not any(sharp(degraded(face, seed, **coarse)) for seed in range(60))
    found = sum(sharp(degraded(face, seed, pristine=0.5, **coarse)) for seed in range(60))
    assert 18 <= found <= 42


def test_without_pristine_faces_no_number_is_drawn_for_them(face: NDArray[np.uint8]) -> None:
    """Recipes that do not ask for them keep their samples: the draws that follow are the same."""
    rngs = [np.random.default_rng(3) for _ in range(2)]
    shot(face, face, NO_ALPHA, 64, rngs[0], CameraSettings())
    shot(face, face, NO_ALPHA, 64, rngs[1], CameraSettings(pristine=1e-9))
    after = [rng.bit_generator.state["state"]["state"] for rng in rngs]
    assert after[0] != after[1]


def test_tone_and_misalignment_are_given_to_the_truth(face: NDArray[np.uint8]) -> None:
    rng = np.random.default_rng(2)
    crooked = dataclasses.replace(PERFECT, rotation=8.0, zoom=0.1, shift=8.0)
    pair = shot(face, face, NO_ALPHA, 64, rng, crooked)
    assert np.array_equal(pair.lr, resize_bicubic(pair.hr, 64))
    straight = shot(face, face, NO_ALPHA, 64, np.random.default_rng(2), PERFECT)
    assert np.abs(pair.hr.astype(int) - straight.hr).mean() > 3


def test_infrared_has_no_colour_anywhere(face: NDArray[np.uint8]) -> None:
    for seed in range(8):
        pair = degraded(face, seed, infrared=1.0)
        assert is_grey(pair.lr)
        assert is_grey(pair.lr_clean)
        assert is_grey(pair.hr)
        assert not is_grey(degraded(face, seed, infrared=0.0).lr)


def test_without_a_mask_nothing_is_covered(face: NDArray[np.uint8]) -> None:
    for seed in range(4):
        assert not degraded(face, seed).occlusion.any()


def test_the_covered_share_follows_the_mask_and_stays_a_share(face: NDArray[np.uint8]) -> None:
    alpha = NO_ALPHA.copy()
    alpha[70:110, 30:100] = 1
    masked = face.copy()
    masked[70:110, 30:100] = 20
    for seed in range(6):
        for lr_size in (16, 32, 64):
            pair = shot(face, masked, alpha, lr_size, np.random.default_rng(seed), CameraSettings())
            assert pair.occlusion.mean() == pytest.approx(alpha.mean(), rel=0.25)
            # The cross-entropy refuses a truth that is not a share.
            assert pair.occlusion.min() >= 0
            assert pair.occlusion.max() <= 1


def test_the_clean_truth_does_not_know_the_mask(face: NDArray[np.uint8]) -> None:
    masked = 255 - face
    rngs = [np.random.default_rng(4), np.random.default_rng(4)]
    with_mask = shot(face, masked, NO_ALPHA, 32, rngs[0], CameraSettings())
    without = shot(face, face, NO_ALPHA, 32, rngs[1], CameraSettings())
    assert np.array_equal(with_mask.hr, without.hr)
    assert np.array_equal(with_mask.lr_clean, without.lr_clean)
    assert not np.array_equal(with_mask.lr, without.lr)


def test_the_same_generator_gives_the_same_bytes(face: NDArray[np.uint8]) -> None:
    before = face.copy()
    first, again, other = degraded(face, 7), degraded(face, 7), degraded(face, 8)
    for name in ("lr", "lr_clean", "hr", "occlusion"):
        assert np.array_equal(getattr(first, name), getattr(again, name))
    assert not np.array_equal(first.lr, other.lr)
    assert np.array_equal(face, before)


def test_noise_and_coding_spoil_the_picture(face: NDArray[np.uint8]) -> None:
    def error(**changes: object) -> float:
        settings = dataclasses.replace(PERFECT, **changes)
        pair = shot(face, face, NO_ALPHA, 64, np.random.default_rng(1), settings)
        return float(np.abs(pair.lr.astype(int) - pair.lr_clean).mean())

    assert error() == 0
    assert error(noise=(12, 12)) > 1
    assert error(uncompressed=0.0, quality=(10, 10)) > error(uncompressed=0.0, quality=(90, 90)) > 0
    assert error(blur=(1.1, 1.1)) > 0.5
    assert error(motion=1.0) > 0.5
