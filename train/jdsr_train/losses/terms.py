"""The loss terms, each with its equation in the paper."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from jdsr_cli.errors import UsageError
from jdsr_cli.networks.generator import UNDER_ESTIMATED
from jdsr_cli.networks.layers import enlarge


def on_grid(pictures: Tensor, side: int) -> Tensor:
    """Return square pictures of this side, resized by the bicubic kernel of Pillow."""
    return pictures if pictures.shape[-1] == side else enlarge(pictures, side)


def pixel_loss(image: Tensor, truth: Tensor) -> Tensor:
    """Return the mean absolute error (eq. 10, also used at high resolution)."""
    return (image.float() - truth.detach().float()).abs().mean()


def smooth_loss(image: Tensor) -> Tensor:
    """Return the mean absolute difference of neighbours, vertical plus horizontal (eq. 12).

    Only differences inside the image count. A ramp from 0 to 1 over 128 px gives 1/127.
    """
    image = image.float()
    down = image[..., 1:, :] - image[..., :-1, :]
    across = image[..., :, 1:] - image[..., :, :-1]
    return down.abs().mean() + across.abs().mean()


def squared_loss(image: Tensor, truth: Tensor) -> Tensor:
    """Return the mean squared error.

    Not in eq. 17 of the paper; the parent networks FSRNet and FCSR-GAN have it for the coarse face
    I_C (SPEC 2), CBDNet, SICNN and FSRNet for their results (SPEC 6).
    """
    return ((image.float() - truth.detach().float()) ** 2).mean()


def steps_loss(steps: Sequence[Tensor], truth: Tensor) -> Tensor:
    """Return the sum over steps or scales of the mean absolute error (SPEC 6.2, 6.3, 6.6).

    Args:
        steps: Results, (B, 3, r, r) each with its own r.
        truth: (B, 3, 128, 128), reduced to each r by the bicubic kernel of Pillow.

    """
    return torch.stack([pixel_loss(step, on_grid(truth, step.shape[-1])) for step in steps]).sum()


def decibel_loss(image: Tensor, truth: Tensor) -> Tensor:
    """Return the negative mean over images of the RGB PSNR in dB, peak 1.

    Not in the paper; for the light generators. The gradient of each image is scaled by its own
    error, so that hard faces (large masks) do not dominate easy ones.
    """
    error = ((image.float() - truth.detach().float()) ** 2).flatten(1).mean(1)
    return (10 * torch.log10(error + 1e-8)).mean()


def noise_level(masked: Tensor, clean: Tensor) -> Tensor:
    """Return |I_M_LR - I_GT_LR| per pixel and channel: the target of the noise map, no gradient.

    The paper defines no target of the map, so this is our choice (SPEC 2). (B, 3, s, s) in and out.
    """
    return (masked.float() - clean.float()).abs().detach()


def covered_level(occlusion: Tensor) -> Tensor:
    """Return the noise level of a covered share a: 0.7 a / (0.7 a + 0.3 (1 - a)).

    This is the expectile of the weights of eq. 8: the level that minimises it for a pixel that is
    covered with probability a and bare otherwise. A visible share and an estimated one therefore
    have the same level, from which `occlusion_from_noise` computes a.
    (B, 1, s, s) in [0, 1], in and out; no gradient.
    """
    share = occlusion.float().detach()
    covered = UNDER_ESTIMATED * share
    return covered / (covered + (1.0 - UNDER_ESTIMATED) * (1.0 - share))


def asymmetric_loss(estimate: Tensor, truth: Tensor) -> Tensor:
    """Return the mean squared error, under-estimates weighted 0.7 and others 0.3 (eq. 8)."""
    error = estimate.float() - truth.detach().float()
    weight = torch.where(error < 0, UNDER_ESTIMATED, 1.0 - UNDER_ESTIMATED)
    return (weight * error**2).mean()


def total_variation(maps: Tensor) -> Tensor:
    """Return the mean squared difference of neighbours, vertical plus horizontal (eq. 9)."""
    maps = maps.float()
    down = maps[..., 1:, :] - maps[..., :-1, :]
    across = maps[..., :, 1:] - maps[..., :, :-1]
    return (down**2).mean() + (across**2).mean()


def occlusion_loss(estimate: Tensor, truth: Tensor) -> Tensor:
    """Return the binary cross-entropy of the occlusion map and the covered share. Not in the paper.

    (B, 1, s, s) each, in [0, 1]. Not for use under autocast. A NaN in the estimate gives a NaN
    loss, where torch's function would abort the process on a GPU.
    """
    estimate = estimate.float()
    share = torch.nan_to_num(estimate, nan=0.5).clamp(1e-6, 1 - 1e-6)
    loss = F.binary_cross_entropy(share, truth.detach().float())
    return torch.where(estimate.isnan().any(), torch.nan, loss)


Maps = Sequence[Tensor]
"""Maps of one batch, (B, C, H, W) each, as `FeatureExtractor.maps` returns them."""


def _pairs(maps: Maps, targets: Maps) -> Iterator[tuple[Tensor, Tensor]]:
    for one, target in zip(maps, targets, strict=True):
        yield one.float(), target.detach().float()


def perceptual_loss(maps: Maps, targets: Maps) -> Tensor:
    """Return the sum over levels of the mean absolute difference of the maps (eq. 11).

    The normaliser of the paper omits the channels; the mean over channels is that of the parent
    network (SPEC 2).
    """
    return torch.stack([(f - w).abs().mean() for f, w in _pairs(maps, targets)]).sum()


def gram(maps: Tensor) -> Tensor:
    """Return the Gram matrices, (B, C, H, W) to (B, C, C), divided by C * H * W (eq. 13)."""
    _, channels, height, width = maps.shape
    with torch.autocast(maps.device.type, enabled=False):
        flat = maps.float().flatten(2)
        return flat @ flat.mT / (channels * height * width)


def style_loss(maps: Maps, targets: Maps) -> Tensor:
    """Return the sum over levels of the mean absolute difference of the Gram matrices (eq. 13)."""
    return torch.stack([(gram(f) - gram(w)).abs().mean() for f, w in _pairs(maps, targets)]).sum()


UNKNOWN = -1
"""Value of unknown labels and heat maps, which a term ignores."""


def _mean_of_known(values: Tensor, known: Tensor) -> Tensor:
    """Return the mean of the known values; 0, with a gradient of 0, if there are none."""
    return (values * known).sum() / known.expand_as(values).sum().clamp_min(1)


def landmark_loss(maps: Tensor, truth: Tensor) -> Tensor:
    """Return the mean squared error of the landmark heat maps (first half of eq. 14).

    Args:
        maps: (B, N, 64, 64) in [0, 1], estimated.
        truth: Those of the unmasked face; elements below 0 are unknown.

    """
    truth = truth.detach().float()
    return _mean_of_known((maps.float() - truth) ** 2, (truth >= 0).float())


def landmark_steps_loss(steps: Sequence[Tensor], truth: Tensor) -> Tensor:
    """Return the sum over estimates of the mean squared error of the heat maps (SPEC 6.6).

    Args:
        steps: Estimates, (B, N, r, r) each; r divides 64.
        truth: (B, N, 64, 64) as of `landmark_loss`, reduced to r by area.

    """
    return torch.stack(
        [landmark_loss(one, F.adaptive_avg_pool2d(truth, one.shape[-1])) for one in steps]
    ).sum()


def parsing_loss(logits: Tensor, labels: Tensor, kind: str = "mse") -> Tensor:
    """Return the error of the parsing maps (second half of eq. 14).

    Args:
        logits: (B, C, H, W), estimated.
        labels: (B, H, W) int64 of the unmasked face, 0 to C - 1; `UNKNOWN` is ignored.
        kind: `mse`, the mean over pixels and classes of the squared error of the probabilities
            (the printed equation), or `ce`, the mean cross-entropy (the parent network's code).

    Raises:
        UsageError: The kind is neither.

    """
    logits, known = logits.float(), (labels != UNKNOWN).float()
    if kind == "ce":
        return _mean_of_known(
            F.cross_entropy(logits, labels, ignore_index=UNKNOWN, reduction="none"), known
        )
    if kind == "mse":
        classes = torch.arange(logits.shape[1], device=labels.device)
        target = (labels[:, None] == classes[:, None, None]).float()
        return _mean_of_known((logits.softmax(dim=1) - target) ** 2, known[:, None])
    raise UsageError(f"no parsing loss is called {kind!r}", hint="Use mse or ce")


def identity_loss(features: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """Return the squared difference of unit-length identity features (eq. 15), batch mean.

    Args:
        features: (B, F) features of I_SR; they are normalised here.
        target: (B, F) features of the true face, no gradient.
        reduction: Reduction over the F values. `mean` is our default, which does not dominate the
            pixel term; `sum`, from 0 to 4, is the equation as printed (SPEC 2); `absolute`, the
            mean of the absolute differences of features with a root mean square of 1, is that of
            DICGAN (SPEC 6.6), whose features have no unit length.

    Raises:
        UsageError: The reduction is neither.

    """
    error = F.normalize(features.float()) - F.normalize(target.detach().float())
    if reduction == "mean":
        return (error**2).mean()
    if reduction == "sum":
        return (error**2).sum(dim=1).mean()
    if reduction == "absolute":
        return error.abs().mean() * math.sqrt(features.shape[1])
    raise UsageError(f"no reduction is called {reduction!r}", hint="Use mean, sum or absolute")


CriticFunction = Callable[[Tensor], Tensor]
"""Returns (B,) scores of (B, 3, H, W) images, each image independently."""

ETA = 0.1
"""Weight of the gradient penalty (PAPER section 4.2)."""
WEIGHT = 1e-3
"""Weight of the Wasserstein part, equal to that of the generator's term.

With 1, the literal reading, eta = 0.1 is too small to limit the critic's gradient (SPEC 0.7).
"""


def generator_adversarial(scores: Tensor) -> Tensor:
    """Return the generator's term, minus the mean score of the restored faces (eq. 7)."""
    return -scores.float().mean()


def wasserstein(restored: Tensor, true: Tensor) -> Tensor:
    """Return the mean score of restored faces minus that of true ones, for the critic (eq. 7)."""
    return restored.float().mean() - true.float().mean()


def gradient_penalty(
    critic: CriticFunction, restored: Tensor, truth: Tensor, share: Tensor | None = None
) -> Tensor:
    """Return the mean of (|gradient| - 1)^2 of the critic between restored and true faces (eq. 7).

    Computed in float32, also under autocast; differentiable with respect to the critic.

    Args:
        critic: Any differentiable score of single images.
        restored: (B, 3, H, W) I_SR; taken without gradient.
        truth: (B, 3, H, W) the true faces.
        share: (B,) in [0, 1], the weight of the true face in each sample; drawn uniformly from
            the device's default generator when None.

    """
    restored, truth = restored.detach().float(), truth.detach().float()
    if share is None:
        share = torch.rand(len(truth), device=truth.device)
    mixed = torch.lerp(restored, truth, share.float().view(-1, 1, 1, 1)).requires_grad_()
    with torch.autocast(mixed.device.type, enabled=False), torch.enable_grad():
        (gradient,) = torch.autograd.grad(critic(mixed).sum(), mixed, create_graph=True)
        norms = torch.linalg.vector_norm(gradient.flatten(1), dim=1)
        penalty: Tensor = ((norms - 1) ** 2).mean()
    return penalty


def critic_loss(
    critic: CriticFunction,
    restored: Tensor,
    truth: Tensor,
    *,
    weight: float = WEIGHT,
    eta: float = ETA,
    share: Tensor | None = None,
) -> dict[str, Tensor]:
    """Return the critic's terms, already weighted; their sum is its loss (eq. 7).

    Returns:
        `wasserstein` and `gradient_penalty`. No gradient is propagated to `restored`.

    """
    restored, truth = restored.detach(), truth.detach()
    scores = critic(torch.cat([restored, truth.to(restored.dtype)]))
    return {
        "wasserstein": weight * wasserstein(*scores.chunk(2)),
        "gradient_penalty": eta * gradient_penalty(critic, restored, truth, share),
    }
