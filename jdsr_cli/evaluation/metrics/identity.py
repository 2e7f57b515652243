"""Cosine similarity of identities by an independent recognition network (SPEC 5).

The network is TorchScript and takes RGB 0 to 255 of 112x112 pixels aligned to the template that
ArcFace (Deng et al. 2019) and its relatives are trained on. The 128-px template of jdsr is
brought there by the one similarity that fits the five points of both best.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jdsr_cli.errors import WeightsCorruptError, WeightsMissingError
from jdsr_cli.faces.alignment import TEMPLATE
from jdsr_cli.faces.resample import invert, resample
from jdsr_cli.weights.places import sha256_of

ARCFACE_SIZE = 112
"""Side of the network's input in pixels."""
ARCFACE_TEMPLATE: NDArray[np.float64] = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366],
     [41.5493, 92.3655], [70.7299, 92.2041]]
)  # fmt: skip
"""(5, 2): eyes, nose, mouth corners, image left first, in pixels of the 112-px picture."""
ARCFACE_TEMPLATE.setflags(write=False)


def to_arcface() -> NDArray[np.float64]:
    """Return (2, 3), the least-squares similarity from our template to ArcFace's."""
    x, y = TEMPLATE.T
    one, zero = np.ones(5), np.zeros(5)
    system = np.vstack([np.stack([x, -y, one, zero], 1), np.stack([y, x, zero, one], 1)])
    (a, b, right, down), *_ = np.linalg.lstsq(system, ARCFACE_TEMPLATE.T.ravel(), rcond=None)
    return np.array([[a, -b, right], [b, a, down]])


class IdentityMetric:
    """Cosine in [-1, 1] between embeddings of restored and true faces; higher is better.

    Args:
        path: TorchScript file: (B, 3, 112, 112) RGB 0 to 255 to (B, D). Such a file holds code;
            give only files from a source you trust.
        device: Where it runs.

    Raises:
        WeightsMissingError: No such file.
        WeightsCorruptError: Not TorchScript, or it does not give one vector a face.

    """

    figure = "identity"

    def __init__(self, path: Path, device: str = "cpu") -> None:
        if not path.is_file():
            raise WeightsMissingError(
                "no identity network", where=path, hint="Give --identity FILE"
            )
        try:
            with warnings.catch_warnings():
                # Networks of others come as such files, whatever torch advises for new ones.
                warnings.simplefilter("ignore", FutureWarning)
                warnings.simplefilter("ignore", DeprecationWarning)
                network = torch.jit.load(  # type: ignore[no-untyped-call]
                    str(path), map_location=device
                )
                self._network = network.eval()
        except (RuntimeError, ValueError, OSError) as error:
            raise WeightsCorruptError("not a TorchScript network", where=path) from error
        self._path, self._device = path, device
        self._square = invert(to_arcface())
        self.describe(torch.zeros(2, 3, 128, 128))

    @property
    def protocol(self) -> str:
        """How the figure is had."""
        return (
            f"cosine of embeddings by {self._path.name} "
            f"(SHA-256 {sha256_of(self._path)}), 112x112 aligned to ArcFace's template by the "
            "similarity between both templates, RGB 0 to 255"
        )

    def describe(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return embeddings of length 1, (B, D), of (B, 3, 128, 128) RGB in [0, 1]."""
        levels = (images.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
        squares = np.stack([resample(face, self._square, ARCFACE_SIZE) for face in levels])
        given = torch.from_numpy(squares).permute(0, 3, 1, 2).float().contiguous()
        try:
            with torch.inference_mode():
                found = self._network(given.to(self._device))
        except RuntimeError as error:
            raise self._unfit("does not take (B, 3, 112, 112)") from error
        if not isinstance(found, Tensor) or found.ndim != 2 or len(found) != len(given):
            raise self._unfit("does not give one vector a face")
        found = found.float().cpu()
        if not torch.isfinite(found).all():
            raise self._unfit("gives values that are not finite")
        return (torch.nn.functional.normalize(found, dim=1),)

    def compare(self, found: tuple[Tensor, ...], wanted: tuple[Tensor, ...]) -> Tensor:
        """Return the cosine of each face, (B,)."""
        return (found[0] * wanted[0]).sum(1).double()

    def _unfit(self, what: str) -> WeightsCorruptError:
        return WeightsCorruptError(f"the identity network {what}", where=self._path)
