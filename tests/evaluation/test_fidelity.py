"""PSNR and SSIM on luma against hand-computed values and two other implementations."""

import math

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

from jdsr_cli.errors import UsageError
from jdsr_cli.evaluation.metrics.fidelity import (
    FIDELITY_FIGURES,
    fidelity_by_region,
    luma,
    psnr,
    ssim,
    unaltered_psnr,
)
from jdsr_cli.faces.regions import eyes_and_mouth


def uniform(*rgb: float, size: int = 16) -> Tensor:
    return torch.tensor(rgb, dtype=torch.float32).view(1, 3, 1, 1).expand(1, 3, size, size).clone()


@pytest.fixture(scope="module")
def pair(portraits: list) -> tuple[Tensor, Tensor]:
    """Three photographs and noisy copies of them, on 8-bit levels."""
    images = np.stack([face.image for face in portraits[::2]])
    noise = np.random.default_rng(0).normal(0, 9, images.shape)
    noisy = np.clip(np.rint(images + noise), 0, 255)
    truth, other = (
        torch.from_numpy(np.asarray(x, np.float64) / 255).permute(0, 3, 1, 2)
        for x in (images, noisy)
    )
    return other, truth


@pytest.mark.parametrize(
    ("rgb", "level"),
    [
        ((1, 1, 1), 235.0),
        ((0, 0, 0), 16.0),
        ((1, 0, 0), 81.481),
        ((0, 1, 0), 144.553),
        ((0, 0, 1), 40.966),
    ],
)
def test_luma_of_uniform_colours(rgb: tuple[float, ...], level: float) -> None:
    result = luma(uniform(*rgb))
    assert result.shape == (1, 1, 16, 16)
    assert result.dtype == torch.float64
    assert torch.allclose(result, torch.tensor(level, dtype=torch.float64), atol=1e-9)


def test_outputs_are_clamped_and_rounded_to_eight_bits() -> None:
    assert torch.equal(luma(uniform(1.7, -0.4, 0.5)), luma(uniform(1.0, 0.0, 0.5)))
    assert torch.equal(luma(uniform(100.4 / 255, 0, 0)), luma(uniform(100 / 255, 0, 0)))
    assert not torch.equal(luma(uniform(100.6 / 255, 0, 0)), luma(uniform(100 / 255, 0, 0)))


def test_psnr_of_uniform_errors() -> None:
    # The peak is 255 although luma spans 219 levels: an RGB step of 1 is a Y step of 219/255.
    value = psnr(uniform(*3 * [100 / 255]), uniform(*3 * [101 / 255]))
    assert float(value) == pytest.approx(48.1308 + 20 * math.log10(255 / 219), abs=1e-4)
    # 255/219 levels of RGB do not exist in 8 bits; 255 levels of RGB are 219 levels of Y.
    value = psnr(uniform(0, 0, 0), uniform(1, 1, 1))
    assert float(value) + 20 * math.log10(219) == pytest.approx(48.13, abs=2e-3)


def test_psnr_and_ssim_are_computed_per_image(pair: tuple[Tensor, Tensor]) -> None:
    noisy, truth = pair
    for measure in (psnr, ssim):
        batched = measure(noisy, truth)
        assert batched.shape == (3,)
        single = torch.cat([measure(noisy[i : i + 1], truth[i : i + 1]) for i in range(3)])
        assert torch.allclose(batched, single)


def test_equal_images_have_ssim_one_and_infinite_psnr(pair: tuple[Tensor, Tensor]) -> None:
    _, truth = pair
    assert torch.allclose(ssim(truth, truth), torch.ones(3, dtype=torch.float64))
    assert torch.isinf(psnr(truth, truth)).all()


def test_agreement_with_scikit_image(pair: tuple[Tensor, Tensor]) -> None:
    noisy, truth = (luma(images)[:, 0].numpy() for images in pair)
    found_psnr, found_ssim = psnr(*pair), ssim(*pair)
    for index in range(len(truth)):
        expected = peak_signal_noise_ratio(truth[index], noisy[index], data_range=255)
        assert float(found_psnr[index]) == pytest.approx(expected, abs=1e-9)
        _, local = structural_similarity(
            truth[index], noisy[index], data_range=255, full=True,
            gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
        )  # fmt: skip
        expected = local[5:-5, 5:-5].mean()  # where the 11x11 window is inside the image
        assert float(found_ssim[index]) == pytest.approx(expected, abs=1e-3)


def test_agreement_with_torchmetrics(pair: tuple[Tensor, Tensor]) -> None:
    noisy, truth = (luma(images) for images in pair)
    _, local = structural_similarity_index_measure(
        noisy, truth, data_range=255.0, sigma=1.5, reduction="none", return_full_image=True
    )
    expected = local[..., 5:-5, 5:-5].mean(dim=(1, 2, 3))
    assert torch.allclose(ssim(*pair), expected, rtol=0, atol=1e-3)


def test_regions_split_the_squared_error(pair: tuple[Tensor, Tensor]) -> None:
    noisy, truth = pair
    region = torch.zeros(3, 1, 128, 128, dtype=torch.bool)
    region[..., :32, :] = True
    mixed = truth.clone()
    mixed[..., :32, :] = noisy[..., :32, :]
    assert torch.isinf(psnr(mixed, truth, ~region)).all()
    whole, inside = psnr(mixed, truth), psnr(mixed, truth, region)
    # The whole error is in a quarter of the picture, so the mean there is four times as large.
    assert torch.allclose(whole - inside, torch.tensor(10 * math.log10(4), dtype=torch.float64))
    everywhere = torch.ones_like(region)
    assert torch.allclose(psnr(noisy, truth, everywhere), psnr(noisy, truth))


def test_an_empty_region_gives_nan(pair: tuple[Tensor, Tensor]) -> None:
    region = torch.zeros(3, 1, 128, 128, dtype=torch.bool)
    region[0] = True
    result = psnr(*pair, region)
    assert torch.isfinite(result[0])
    assert torch.isnan(result[1:]).all()


@pytest.mark.parametrize(
    "images",
    [
        torch.zeros(3, 8, 8),
        torch.zeros(1, 1, 8, 8),
        torch.zeros(1, 3, 8, 8, dtype=torch.uint8),
    ],
)
def test_luma_rejects_other_tensors(images: Tensor) -> None:
    with pytest.raises(UsageError, match=r"floating RGB in \[0, 1\]"):
        luma(images)


def test_different_shapes_are_rejected() -> None:
    with pytest.raises(UsageError, match="their truth is"):
        psnr(torch.zeros(1, 3, 16, 16), torch.zeros(2, 3, 16, 16))
    with pytest.raises(UsageError, match="their truth is"):
        ssim(torch.zeros(1, 3, 16, 16), torch.zeros(1, 3, 16, 20))


def test_the_border_is_removed_before_metrics_are_computed(pair: tuple[Tensor, Tensor]) -> None:
    noisy, truth = pair
    inner = [images[..., 4:-4, 4:-4] for images in pair]
    for measure in (psnr, ssim):
        result = measure(noisy, truth, border=4)
        assert torch.allclose(result, measure(*inner), rtol=0, atol=1e-9)
        assert not torch.allclose(result, measure(noisy, truth), rtol=0, atol=1e-6)
    for index in range(len(truth)):
        levels = [luma(images)[index, 0].numpy() for images in inner]
        expected = peak_signal_noise_ratio(levels[1], levels[0], data_range=255)
        assert float(psnr(noisy, truth, border=4)[index]) == pytest.approx(expected, abs=1e-9)
    for border in (-1, 64):
        with pytest.raises(UsageError, match=f"border of {border} pixels"):
            psnr(noisy, truth, border=border)


def test_ssim_regions_select_windows_by_their_centre(pair: tuple[Tensor, Tensor]) -> None:
    noisy, truth = pair
    mixed = truth.clone()
    mixed[..., :32, :] = noisy[..., :32, :]
    near = torch.zeros(3, 1, 128, 128, dtype=torch.bool)
    near[..., : 32 + 5, :] = True  # a window reaches five pixels from its centre
    assert torch.allclose(ssim(mixed, truth, ~near), torch.ones(3, dtype=torch.float64))
    _, local = structural_similarity_index_measure(
        luma(mixed), luma(truth), data_range=255.0, sigma=1.5,
        reduction="none", return_full_image=True,
    )  # fmt: skip
    expected = local[..., 5:37, 5:-5].mean(dim=(1, 2, 3))
    assert torch.allclose(ssim(mixed, truth, near), expected, rtol=0, atol=1e-3)


def test_fidelity_by_region_equals_the_single_metrics(pair: tuple[Tensor, Tensor]) -> None:
    noisy, truth = pair
    covered = torch.zeros(3, 1, 128, 128, dtype=torch.bool)
    covered[:2, :, 60:, 20:100] = True
    result = fidelity_by_region(noisy, truth, covered, border=8)
    assert tuple(result) == FIDELITY_FIGURES
    for name, measure in (("psnr", psnr), ("ssim", ssim)):
        assert torch.equal(result[name], measure(noisy, truth))
        assert torch.equal(result[f"{name}_crop"], measure(noisy, truth, border=8))
        assert torch.equal(result[f"{name}_beside"], measure(noisy, truth, ~covered))
        covered_only = measure(noisy, truth, covered)
        assert torch.equal(result[f"{name}_covered"].isnan(), torch.tensor([False, False, True]))
        assert torch.equal(result[f"{name}_covered"][:2], covered_only[:2])


def test_ssim_rejects_images_smaller_than_the_window() -> None:
    with pytest.raises(UsageError, match="smaller than the window"):
        ssim(torch.zeros(1, 3, 10, 20), torch.zeros(1, 3, 10, 20))


def test_unaltered_psnr_ignores_eyes_and_mouth() -> None:
    given = uniform(*3 * [100 / 255], size=128).repeat(3, 1, 1, 1)
    changed = given.clone()
    for x, y in ((46, 66), (81, 66), (63, 104), (47, 104)):
        changed[0, :, y, x] = 1.0
    changed[1, :, 88, 63] = 1.0  # the tip of the nose
    changed[2] += 1 / 255
    eyes_and_mouth_only, nose, whole_image = (
        float(value) for value in unaltered_psnr(changed, given)
    )
    assert eyes_and_mouth_only == math.inf
    level = 219 * (255 - 100) / 255
    pixels = 128 * 128 - int(eyes_and_mouth().sum())
    assert nose == pytest.approx(10 * math.log10(255**2 * pixels / level**2), abs=1e-6)
    assert whole_image == pytest.approx(48.1308 + 20 * math.log10(255 / 219), abs=1e-4)
