"""The generator's loss: named terms, each with its weight (PAPER eq. 16-18, SPEC 2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from jdsr_cli.networks.layers import GeneratorOutput
from jdsr_train import losses
from jdsr_train.data.samples import Batch
from jdsr_train.frozen_features import FeatureExtractor
from jdsr_train.loss_recipe import LossRecipe

Term = Callable[[], Tensor]


@dataclass(frozen=True)
class LossNetworks:
    """The frozen networks of a step's loss terms; None if they are not active."""

    features: FeatureExtractor | None = None
    perceptual_hr: bool = True
    """Whether the perceptual terms of the restored face are active."""
    identity: nn.Module | None = None
    masked: float = 1.0
    """Share of a batch's faces, 0 to 1, in the region `covered`; see `select_region`."""


def denoising_terms(
    denoised: Tensor,
    noise_map: Tensor,
    batch: Batch,
    weights: LossRecipe,
    features: FeatureExtractor | None = None,
    noise_truth: str = "difference",
) -> dict[str, Tensor]:
    """Return L_de of eq. 17: the weighted terms of the denoised image and the noise map.

    They are computed on the grid of `denoised`. If that is finer than the low-resolution pictures
    (the paper's generator with grid `hr`), these are enlarged as the generator enlarges its input.
    """
    side = denoised.shape[-1]
    clean = losses.on_grid(batch.lr_clean, side)
    level = noise_target(batch, side, noise_truth)
    terms: dict[str, tuple[float, Term]] = {
        "asymmetric": (weights.asymmetric, lambda: losses.asymmetric_loss(noise_map, level)),
        "total_variation": (weights.total_variation, lambda: losses.total_variation(noise_map)),
        "pixel_lr": (weights.pixel_lr, lambda: losses.pixel_loss(denoised, clean)),
        "squared_lr": (weights.squared_lr, lambda: losses.squared_loss(denoised, clean)),
        "smooth_lr": (weights.smooth_lr, lambda: losses.smooth_loss(denoised)),
    }
    weighted = _weighted(terms)
    if features is not None and (weights.style_lr or weights.perceptual_lr):
        maps, targets = features.maps(denoised), features.maps(clean)
        weighted |= _weighted(
            {
                "style_lr": (weights.style_lr, lambda: losses.style_loss(maps, targets)),
                "perceptual_lr": (
                    weights.perceptual_lr,
                    lambda: losses.perceptual_loss(maps, targets),
                ),
            }
        )
    return weighted


def noise_target(batch: Batch, side: int, noise_truth: str) -> Tensor:
    """Return the target of the noise map, (B, 3, side, side) in [0, 1], no gradient.

    Args:
        batch: Samples.
        side: Side of the denoiser's grid in pixels.
        noise_truth: A value of `DataRecipe.noise_truth`: `difference` or `alpha`.

    """
    if noise_truth == "alpha":
        level = losses.covered_level(losses.on_grid(batch.occlusion, side).clamp(0, 1))
        return level.expand(-1, 3, -1, -1)
    return losses.noise_level(losses.on_grid(batch.lr, side), losses.on_grid(batch.lr_clean, side))


def restoring_terms(
    output: GeneratorOutput, batch: Batch, weights: LossRecipe, networks: LossNetworks
) -> dict[str, Tensor]:
    """Return L_fsr of eq. 17 and our own terms of the restored face and its intermediate results.

    A term is omitted if its network is None or the batch has no target for it.
    """
    restored, truth = output.restored, batch.hr
    terms: dict[str, tuple[float, Term]] = {
        "pixel_hr": (weights.pixel_hr, lambda: losses.pixel_loss(restored, truth)),
        "squared_hr": (weights.squared_hr, lambda: losses.squared_loss(restored, truth)),
        "decibel_hr": (weights.decibel_hr, lambda: losses.decibel_loss(restored, truth)),
        "smooth_hr": (weights.smooth_hr, lambda: losses.smooth_loss(restored)),
        "occlusion": (
            weights.occlusion,
            lambda: losses.occlusion_loss(
                output.occlusion, losses.on_grid(batch.occlusion, output.occlusion.shape[-1])
            ),
        ),
    }
    jaw = batch.jaw
    if jaw is not None:
        terms["jaw"] = (
            weights.jaw,
            lambda: losses.jaw_loss(restored, truth, batch.occlusion, jaw),
        )
    coarse, landmarks, parsing = output.coarse, output.landmarks, output.parsing
    if coarse is not None:
        terms["coarse"] = (weights.coarse, lambda: losses.squared_loss(coarse, truth))
    if output.steps:
        terms["steps_hr"] = (weights.steps_hr, lambda: losses.steps_loss(output.steps, truth))
    heat_maps, labels = batch.heat_maps, batch.parsing
    estimates = output.landmark_steps or (() if landmarks is None else (landmarks,))
    if estimates and heat_maps is not None:
        terms["prior_landmarks"] = (
            weights.prior * weights.prior_landmarks,
            lambda: losses.landmark_steps_loss(estimates, heat_maps),
        )
    if parsing is not None and labels is not None:
        terms["prior_parsing"] = (
            weights.prior * weights.prior_parsing,
            lambda: losses.parsing_loss(parsing, labels, weights.parsing_kind),
        )
    features, identity = networks.features, networks.identity
    if features is not None and networks.perceptual_hr:
        terms["perceptual_hr"] = (
            weights.perceptual_hr,
            lambda: losses.perceptual_loss(features.maps(restored), features.maps(truth)),
        )
        terms["perceptual_covered"] = (
            weights.perceptual_covered,
            lambda: losses.perceptual_loss(
                *map(features.maps, select_region(restored, batch, "covered", networks.masked))
            ),
        )
    if identity is not None:
        terms["identity"] = (
            weights.identity,
            lambda: losses.identity_loss(
                identity(restored), identity(truth), weights.identity_reduction
            ),
        )
    return _weighted(terms)


def _weighted(terms: dict[str, tuple[float, Term]]) -> dict[str, Tensor]:
    return {name: weight * term() for name, (weight, term) in terms.items() if weight}


def select_region(
    restored: Tensor, batch: Batch, region: str, masked: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Return the part of the restored faces that a loss term compares, and its truth.

    The number of faces does not depend on values on the device, so that the device is not waited
    for and every batch has the same shape.

    Args:
        restored: (B, 3, 128, 128).
        batch: Its truth and masks.
        region: `face`: all restored faces. `covered`: true faces in which the covered part is
            replaced with the restored one; of the `round(masked * B)` faces, at least one, with
            the largest covered area, in this order (equal areas in the order of the batch).
        masked: Share of masked faces in the recipe, 0 to 1.

    Returns:
        (K, 3, 128, 128) each.

    """
    if region == "face":
        return restored, batch.hr
    count = max(1, round(masked * len(restored)))
    areas = batch.occlusion.flatten(1).sum(1)
    # A stable sort instead of `topk`, whose order of equal areas is undefined.
    indices = areas.argsort(descending=True, stable=True)[:count]
    given, truth, occlusion = (
        tensor.index_select(0, indices) for tensor in (restored, batch.hr, batch.occlusion)
    )
    share = F.interpolate(occlusion, size=restored.shape[-2:], mode="bilinear")
    return truth + share * (given - truth), truth
