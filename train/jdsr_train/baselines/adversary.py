"""The adversarial losses of FSRGAN and DICGAN: binary cross-entropy (SPEC 6.5 and 6.6).

Both are means over all logits, which are one per patch or one per face, and are computed in
float32. Weights are 1e-3 for FSRGAN and 0.005 for DICGAN.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def discriminator_loss(restored: Tensor, true: Tensor) -> Tensor:
    """Return the cross-entropy of restored faces as false plus that of true ones as true.

    Args:
        restored: Logits of restored faces, which must have no gradient for the generator.
        true: Logits of true faces.

    """
    return F.softplus(restored.float()).mean() + F.softplus(-true.float()).mean()


def generator_loss(restored: Tensor) -> Tensor:
    """Return the generator's term: the cross-entropy of restored faces as true.

    Args:
        restored: Logits of restored faces.

    """
    return F.softplus(-restored.float()).mean()
