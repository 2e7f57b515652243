"""The loss of a generator without adversary: named terms, each with its weight."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from jdsr_cli.errors import TrainingError
from jdsr_cli.networks.output import GeneratorOutput
from jdsr_train import losses
from jdsr_train.data import Batch
from jdsr_train.features import SqueezeNetFeatures
from jdsr_train.recipes import LossRecipe


def terms(
    output: GeneratorOutput,
    batch: Batch,
    weights: LossRecipe,
    features: SqueezeNetFeatures | None = None,
) -> dict[str, Tensor]:
    """Return every term that has a weight, already multiplied by it.

    The perceptual terms are left out where no `features` are given.
    """
    truth = losses.noise_level(batch.lr, batch.lr_clean)
    found: dict[str, Tensor] = {}
    if weights.pixel_hr:
        found["pixel_hr"] = weights.pixel_hr * losses.pixel_loss(output.restored, batch.hr)
    if weights.decibel_hr:
        found["decibel_hr"] = weights.decibel_hr * losses.decibel_loss(output.restored, batch.hr)
    if weights.perceptual_hr and features is not None:
        distance = features.distance(output.restored, batch.hr)
        found["perceptual_hr"] = weights.perceptual_hr * distance
    if weights.perceptual_covered and features is not None:
        share = F.interpolate(batch.occlusion, size=batch.hr.shape[-2:], mode="bilinear")
        covered = batch.hr + share * (output.restored - batch.hr)
        distance = features.distance(covered, batch.hr)
        found["perceptual_covered"] = weights.perceptual_covered * distance
    if weights.pixel_lr:
        found["pixel_lr"] = weights.pixel_lr * losses.pixel_loss(output.denoised, batch.lr_clean)
    if weights.asymmetric:
        found["asymmetric"] = weights.asymmetric * losses.asymmetric_loss(output.noise_map, truth)
    if weights.total_variation:
        smooth = losses.total_variation(output.noise_map)
        found["total_variation"] = weights.total_variation * smooth
    if weights.occlusion:
        covered = losses.occlusion_loss(output.occlusion, batch.occlusion)
        found["occlusion"] = weights.occlusion * covered
    return found


def total(found: dict[str, Tensor], step: int) -> Tensor:
    """Sum the terms.

    Raises:
        TrainingError: A term is not finite; it is named.

    """
    loss = torch.stack(list(found.values())).sum()
    if not torch.isfinite(loss):
        broken = [name for name, value in found.items() if not torch.isfinite(value)]
        raise TrainingError(
            f"the loss is not finite at step {step}: {', '.join(broken)}",
            hint="Lower the learning rate; the last checkpoint is intact",
        )
    return loss
