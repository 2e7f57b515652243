"""The loss terms, each a small function with its equation of the paper.

All are averaged over the batch and over elements and computed in float32; truths get no gradient.
Those of the low-resolution grid and of the restored face are the same functions (SPEC 2).
"""

from jdsr_train.losses.terms import (
    asymmetric_loss,
    coarse_loss,
    covered_level,
    critic_loss,
    decibel_loss,
    generator_adversarial,
    gradient_penalty,
    gram,
    identity_loss,
    landmark_loss,
    noise_level,
    occlusion_loss,
    parsing_loss,
    perceptual_loss,
    pixel_loss,
    smooth_loss,
    style_loss,
    total_variation,
    wasserstein,
)

__all__ = [
    "asymmetric_loss",
    "coarse_loss",
    "covered_level",
    "critic_loss",
    "decibel_loss",
    "generator_adversarial",
    "gradient_penalty",
    "gram",
    "identity_loss",
    "landmark_loss",
    "noise_level",
    "occlusion_loss",
    "parsing_loss",
    "perceptual_loss",
    "pixel_loss",
    "smooth_loss",
    "style_loss",
    "total_variation",
    "wasserstein",
]
