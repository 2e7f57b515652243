"""Face embeddings by a recognition network from a file, for tracking and for evaluation.

The network is ONNX or TorchScript (`recognition_files`) and takes RGB 0 to 255 of 112x112 pixels
aligned to the template on which ArcFace (Deng et al. 2019) and its relatives are trained. The
128-px template of jdsr is mapped to it by the similarity that fits the five landmarks of both best.

Most runs use no such network: torch is imported when one is opened.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.errors import UsageError, WeightsCorruptError
from jdsr_cli.faces.alignment import crop, estimate_alignment, similarity_from_template
from jdsr_cli.faces.detection.base import Detection
from jdsr_cli.faces.display import Display
from jdsr_cli.faces.recognition_files import open_recognition
from jdsr_cli.faces.resampling import invert, resample

if TYPE_CHECKING:
    from torch import Tensor

ARCFACE_SIZE = 112
"""Side of the network's input in pixels."""
ARCFACE_TEMPLATE: NDArray[np.float64] = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366],
     [41.5493, 92.3655], [70.7299, 92.2041]]
)  # fmt: skip
"""(5, 2): eyes, nose, mouth corners, image left first, in pixels of the 112-px picture."""
ARCFACE_TEMPLATE.setflags(write=False)


def to_arcface() -> NDArray[np.float64]:
    """Return (2, 3), the least-squares similarity from the template of jdsr to ArcFace's."""
    return similarity_from_template(ARCFACE_TEMPLATE)


class RecognitionNetwork:
    """A face recognition network that gives embeddings of length 1.

    Args:
        path: ONNX or TorchScript file: (B, 3, 112, 112) RGB 0 to 255 to (B, D). TorchScript holds
            code that can read and write files; give only such files from a source you trust.
        device: Where TorchScript runs.

    Raises:
        WeightsMissingError: The file does not exist.
        WeightsCorruptError: It is neither ONNX nor TorchScript, or the network does not give one
            vector for each face.
        UsageError: It is ONNX, and no package is installed that runs it.

    """

    def __init__(self, path: Path, device: str = "cpu") -> None:
        import torch

        self._network = open_recognition(path, device)
        self.path = path
        self._square = invert(to_arcface())
        self.embed(torch.zeros(2, 3, TEMPLATE_SIZE, TEMPLATE_SIZE))

    def embed(self, images: Tensor) -> Tensor:
        """Return embeddings of length 1, (B, D), of (B, 3, 128, 128) RGB in [0, 1]."""
        import torch

        levels = (images.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
        squares = np.stack([resample(face, self._square, ARCFACE_SIZE) for face in levels])
        given = torch.from_numpy(squares).permute(0, 3, 1, 2).float().contiguous()
        try:
            with torch.inference_mode():
                found = self._network(given)
        except (RuntimeError, TypeError) as error:
            raise self._corrupt("does not take (B, 3, 112, 112)") from error
        if not isinstance(found, torch.Tensor) or found.ndim != 2 or len(found) != len(given):
            raise self._corrupt("does not give one vector a face")
        found = found.float().cpu()
        if not torch.isfinite(found).all():
            raise self._corrupt("gives values that are not finite")
        return torch.nn.functional.normalize(found, dim=1)

    def _corrupt(self, what: str) -> WeightsCorruptError:
        return WeightsCorruptError(f"the identity network {what}", where=self.path)


class FaceEmbedder:
    """Embeds the faces of a frame.

    Args:
        path: ONNX or TorchScript file, see `RecognitionNetwork`.
        device: Where it runs.

    Raises:
        WeightsMissingError: The file does not exist.
        WeightsCorruptError: The file is not such a network.

    """

    def __init__(self, path: Path, device: str = "cpu") -> None:
        self.network = RecognitionNetwork(path, device)
        self._length = len(self._embed(np.zeros((TEMPLATE_SIZE, TEMPLATE_SIZE, 3), np.uint8)))

    def __call__(
        self, image: NDArray[np.uint8], faces: Sequence[Detection], display: Display
    ) -> NDArray[np.float32]:
        """Return embeddings (n, D) float32 of length 1; zeros for faces that cannot be aligned.

        Faces are embedded one at a time, so that no embedding depends on the other faces.

        Args:
            image: The frame as it is stored, RGB uint8 (H, W, 3).
            faces: Its faces, in pixels of the displayed picture.
            display: How stored pixels are displayed.

        """
        found = np.zeros((len(faces), self._length), np.float32)
        for number, face in enumerate(faces):
            try:
                aligned = crop(image, display.stored_alignment(estimate_alignment(face.points)))
            except UsageError:
                continue
            found[number] = self._embed(aligned)
        return found

    def _embed(self, face: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the vector (D,) of an aligned face (128, 128, 3)."""
        import torch

        image = torch.from_numpy(face).permute(2, 0, 1)[None].float().div(255.0)
        return np.asarray(self.network.embed(image)[0].numpy(), np.float32)
