"""The table `[loss]` of a recipe: the weight of every term of the loss, and when it starts."""

from __future__ import annotations

import math
from dataclasses import dataclass

from jdsr_cli.errors import one_of, within


@dataclass(frozen=True)
class LossRecipe:
    """Weights of the loss terms; `_lr` of the denoised, `_hr` of the restored face."""

    asymmetric: float = 0.5
    """Asymmetric error of the noise map (eq. 8)."""
    total_variation: float = 0.05
    """Smoothness of the noise map (eq. 9)."""
    style_lr: float = 0.0
    """Gram matrices of frozen features (eq. 13); the paper's weight is 10."""
    perceptual_lr: float = 0.0
    """Frozen features (eq. 11); the paper's weight is 0.1."""
    pixel_lr: float = 1.0
    """Mean absolute error (eq. 10)."""
    smooth_lr: float = 0.0
    """Differences of neighbours (eq. 12); the paper's weight is 1, which suits grid `hr` only."""
    prior: float = 0.0
    """Face prior (eq. 14); the paper's weight is 1."""
    prior_landmarks: float = 1.0
    """mu of eq. 14."""
    prior_parsing: float = 0.1
    """nu of eq. 14."""
    parsing_kind: str = "mse"
    """`mse` on probabilities as eq. 14 is printed, or `ce` as in the code of its parent."""
    perceptual_hr: float = 0.0
    """Frozen features (eq. 11); the paper's weight is 0.1."""
    pixel_hr: float = 1.0
    """Mean absolute error."""
    smooth_hr: float = 0.0
    """Differences of neighbours; the paper's weight is 0.01."""
    identity: float = 0.0
    """Frozen identity network (eq. 15); the paper's weight is 1."""
    identity_reduction: str = "mean"
    """`mean` or `sum` of the squared differences over the feature, or `absolute`, the mean of the
    absolute differences of features with a root mean square of 1."""
    adversarial: float = 0.0
    """Minus the critic's score (eq. 16); the paper's weight is 1e-3."""
    coarse: float = 0.0
    """Squared error of the coarse face; not in eq. 17, weight 1 in the paper's parent works."""
    squared_lr: float = 0.0
    """Squared error of the denoised face, the loss of CBDNet; not in eq. 17."""
    squared_hr: float = 0.0
    """Squared error of the restored face, the loss of SICNN and FSRNet; not in eq. 17."""
    steps_hr: float = 0.0
    """Mean absolute error of every step or scale of a network that has several, summed: SRFBN, DRN
    and DIC."""
    dual: float = 0.0
    """DRN: mean absolute error of the smaller pictures that dual networks make of the restored
    scales; these networks are trained beside the generator."""
    super_identity: float = 0.0
    """SICNN: squared difference of the unit-length features of a recognition network, summed over
    the feature. The network is trained beside the generator, on true and restored faces."""
    decibel_hr: float = 0.0
    """Minus the PSNR of the restored face, per dB. Not in the paper; for the light generators."""
    occlusion: float = 0.0
    """Cross-entropy of the occlusion map, for generators with such a map. Not in the paper."""
    perceptual_covered: float = 0.0
    """Frozen features of the restored face with the truth outside of the covered part, so that only
    the covered part is sharpened. Not in the paper."""
    jaw: float = 0.0
    """Edge strength along the jaw line, where it was covered (`losses.jaw_loss`). Not in the
    paper; it sharpens a restored chin."""
    perceptual_from: float = 0.0
    """Share of the joint steps after which the perceptual terms of the restored face are active."""
    identity_from: float = 0.0
    """Share of the joint steps after which the identity or the super-identity term is active."""
    adversarial_from: float = 0.0
    """Share of the joint steps after which the critic and the adversarial term are active."""

    def __post_init__(self) -> None:
        one_of(self.parsing_kind, ("mse", "ce"), "parsing_kind")
        one_of(self.identity_reduction, ("mean", "sum", "absolute"), "identity_reduction")
        for name, value in vars(self).items():
            if isinstance(value, float):
                within(self, 0, 1 if name.endswith("_from") else math.inf, name)

    @property
    def features(self) -> bool:
        """Whether a term needs frozen features."""
        perceptual = self.perceptual_lr, self.perceptual_hr, self.perceptual_covered
        return max(self.style_lr, *perceptual) > 0

    @property
    def parsing(self) -> bool:
        """Whether a term needs the labels of face parts."""
        return self.prior > 0 and self.prior_parsing > 0

    @property
    def recognition(self) -> bool:
        """Whether a term needs a trained recognition network."""
        return max(self.identity, self.super_identity) > 0
