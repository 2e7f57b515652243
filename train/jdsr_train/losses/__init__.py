"""The loss terms, each with its equation in the paper.

All are averaged over the batch and the elements and computed in float32; targets get no gradient.
The low-resolution grid and the restored face use the same functions (SPEC 2).
"""

from jdsr_train.losses.jaw import jaw_loss
from jdsr_train.losses.terms import (
    asymmetric_loss,
    covered_level,
    critic_loss,
    decibel_loss,
    generator_adversarial,
    gradient_penalty,
    gram,
    identity_loss,
    landmark_loss,
    landmark_steps_loss,
    noise_level,
    occlusion_loss,
    on_grid,
    parsing_loss,
    perceptual_loss,
    pixel_loss,
    smooth_loss,
    squared_loss,
    steps_loss,
    style_loss,
    total_variation,
    wasserstein,
)

__all__ = [
    "asymmetric_loss",
    "covered_level",
    "critic_loss",
    "decibel_loss",
    "generator_adversarial",
    "gradient_penalty",
    "gram",
    "identity_loss",
    "jaw_loss",
    "landmark_loss",
    "landmark_steps_loss",
    "noise_level",
    "occlusion_loss",
    "on_grid",
    "parsing_loss",
    "perceptual_loss",
    "pixel_loss",
    "smooth_loss",
    "squared_loss",
    "steps_loss",
    "style_loss",
    "total_variation",
    "wasserstein",
]
