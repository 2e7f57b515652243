"""The paper's prior network: where the parts of a face are (PAPER section 3.2, eq. 5)."""

from __future__ import annotations

from torch import Tensor, nn

from jdsr_cli.networks.hourglass import Hourglass
from jdsr_cli.networks.layers import conv, conv_bn_relu, residual_blocks

FACE_PARTS = 11
"""Background, skin, two brows, two eyes, nose, upper lip, inner mouth, lower lip and hair."""
STACKS = 2


class PriorNetwork(nn.Module):
    """Landmark heat maps and parsing logits at half resolution, from a coarse face.

    (B, 3, 128, 128) in; (B, landmarks, 64, 64) in (0, 1) and (B, 11, 64, 64) logits out.
    """

    def __init__(
        self, landmarks: int, stem_width: int, width: int, blocks: int, attention: bool
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            conv_bn_relu(3, stem_width, kernel=7, stride=2),
            conv_bn_relu(stem_width, width),
            residual_blocks(width, 3),
        )
        self.hourglasses = nn.Sequential(
            *(Hourglass(width, blocks, attention) for _ in range(STACKS))
        )
        self.features = conv(width, width // 2, 1)
        self.landmarks = conv(width // 2, landmarks, 1)
        self.parsing = conv(width // 2, FACE_PARTS, 1)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return landmark maps and parsing logits, both float32."""
        features = self.features(self.hourglasses(self.stem(image)))
        return self.landmarks(features).float().sigmoid(), self.parsing(features).float()
