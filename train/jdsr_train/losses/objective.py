"""The generator's loss: named terms, each with its weight (PAPER eq. 16-18, SPEC 2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from jdsr_cli.networks.layers import GeneratorOutput, enlarge
from jdsr_train import losses
from jdsr_train.data.batches import Batch
from jdsr_train.frozen_features import FeatureExtractor
from jdsr_train.recipe import LossRecipe

Term = Callable[[], Tensor]


@dataclass(frozen=True)
class LossNetworks:
    """The frozen networks and the critic that a step's terms use; None where they do not act."""

    features: FeatureExtractor | None = None
    perceptual_hr: bool = True
    """Whether the features judge the restored face at this step, too."""
    identity: nn.Module | None = None
    critic: Callable[[Tensor], Tensor] | None = None
    sees: str = "face"
    """What the critic judges, see `judged`."""
    masked: float = 1.0
    """Share of a batch's faces, 0 to 1, that judges of what was covered are shown."""


def denoising_terms(
    denoised: Tensor,
    noise_map: Tensor,
    batch: Batch,
    weights: LossRecipe,
    features: FeatureExtractor | None = None,
    noise_truth: str = "difference",
) -> dict[str, Tensor]:
    """L_de of eq. 17: the terms of the denoised image and the noise map, times their weights.

    Works on the grid of `denoised`: where that is finer than the batch's low-resolution pictures
    (the paper's generator on grid `hr`), these are enlarged as the generator enlarges its input.
    """
    side = denoised.shape[-1]
    clean = _on_grid(batch.lr_clean, side)
    level = noise_target(batch, side, noise_truth)
    terms: dict[str, tuple[float, Term]] = {
        "asymmetric": (weights.asymmetric, lambda: losses.asymmetric_loss(noise_map, level)),
        "total_variation": (weights.total_variation, lambda: losses.total_variation(noise_map)),
        "pixel_lr": (weights.pixel_lr, lambda: losses.pixel_loss(denoised, clean)),
        "smooth_lr": (weights.smooth_lr, lambda: losses.smooth_loss(denoised)),
    }
    found = _weigh(terms)
    if features is not None and (weights.style_lr or weights.perceptual_lr):
        maps, wanted = features.maps(denoised), features.maps(clean)
        found |= _weigh(
            {
                "style_lr": (weights.style_lr, lambda: losses.style_loss(maps, wanted)),
                "perceptual_lr": (
                    weights.perceptual_lr,
                    lambda: losses.perceptual_loss(maps, wanted),
                ),
            }
        )
    return found


def noise_target(batch: Batch, side: int, noise_truth: str) -> Tensor:
    """Return what the noise map is to be, (B, 3, side, side) in [0, 1], no gradient.

    Args:
        batch: Samples.
        side: Side in pixels of the grid on which the denoiser works.
        noise_truth: A value of `DataRecipe.noise_truth`: `difference` or `alpha`.

    """
    if noise_truth == "alpha":
        level = losses.covered_level(_on_grid(batch.occlusion, side).clamp(0, 1))
        return level.expand(-1, 3, -1, -1)
    return losses.noise_level(_on_grid(batch.lr, side), _on_grid(batch.lr_clean, side))


def restoring_terms(
    output: GeneratorOutput, batch: Batch, weights: LossRecipe, judges: LossNetworks
) -> dict[str, Tensor]:
    """L_fsr of eq. 17 and our own terms: those of the restored face and of what leads to it.

    A term is left out where its judge is None or the batch has no truth for it.
    """
    restored, truth = output.restored, batch.hr
    terms: dict[str, tuple[float, Term]] = {
        "pixel_hr": (weights.pixel_hr, lambda: losses.pixel_loss(restored, truth)),
        "decibel_hr": (weights.decibel_hr, lambda: losses.decibel_loss(restored, truth)),
        "smooth_hr": (weights.smooth_hr, lambda: losses.smooth_loss(restored)),
        "occlusion": (
            weights.occlusion,
            lambda: losses.occlusion_loss(
                output.occlusion, _on_grid(batch.occlusion, output.occlusion.shape[-1])
            ),
        ),
    }
    coarse, landmarks, parsing = output.coarse, output.landmarks, output.parsing
    if coarse is not None:
        terms["coarse"] = (weights.coarse, lambda: losses.coarse_loss(coarse, truth))
    heat_maps, labels = batch.heat_maps, batch.parsing
    if landmarks is not None and heat_maps is not None:
        terms["prior_landmarks"] = (
            weights.prior * weights.prior_landmarks,
            lambda: losses.landmark_loss(landmarks, heat_maps),
        )
    if parsing is not None and labels is not None:
        terms["prior_parsing"] = (
            weights.prior * weights.prior_parsing,
            lambda: losses.parsing_loss(parsing, labels, weights.parsing_kind),
        )
    features, identity, critic = judges.features, judges.identity, judges.critic
    if features is not None and judges.perceptual_hr:
        terms["perceptual_hr"] = (
            weights.perceptual_hr,
            lambda: losses.perceptual_loss(features.maps(restored), features.maps(truth)),
        )
        terms["perceptual_covered"] = (
            weights.perceptual_covered,
            lambda: losses.perceptual_loss(
                *map(features.maps, select_region(restored, batch, "covered", judges.masked))
            ),
        )
    if identity is not None:
        terms["identity"] = (
            weights.identity,
            lambda: losses.identity_loss(
                identity(restored), identity(truth), weights.identity_reduction
            ),
        )
    if critic is not None:
        terms["adversarial"] = (
            weights.adversarial,
            lambda: losses.generator_adversarial(
                critic(select_region(restored, batch, judges.sees, judges.masked)[0])
            ),
        )
    return _weigh(terms)


def _weigh(terms: dict[str, tuple[float, Term]]) -> dict[str, Tensor]:
    return {name: weight * term() for name, (weight, term) in terms.items() if weight}


def select_region(
    restored: Tensor, batch: Batch, sees: str, masked: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Return what a judge is shown, and the truth of it.

    How many faces that are is known without asking the device: it need not be waited for, and
    every batch has the same shape.

    Args:
        restored: (B, 3, 128, 128).
        batch: Its truth and masks.
        sees: `face`, everything; `covered`, the true faces with what was covered restored, of
            the `round(masked * B)` faces, at least one, of which most was covered, in that order
            (of two that are equal the first in the batch comes first). A face without a mask
            among them is shown as its truth.
        masked: Share of the faces, 0 to 1; that of the recipe which wears a mask.

    Returns:
        (K, 3, 128, 128) each.

    """
    if sees == "face":
        return restored, batch.hr
    count = max(1, round(masked * len(restored)))
    areas = batch.occlusion.flatten(1).sum(1)
    # A stable sort and not `topk`, which may give equal areas in any order.
    places = areas.argsort(descending=True, stable=True)[:count]
    given, truth, occlusion = (
        whole.index_select(0, places) for whole in (restored, batch.hr, batch.occlusion)
    )
    share = F.interpolate(occlusion, size=restored.shape[-2:], mode="bilinear")
    return truth + share * (given - truth), truth


def _on_grid(pictures: Tensor, side: int) -> Tensor:
    return pictures if pictures.shape[-1] == side else enlarge(pictures, side)
