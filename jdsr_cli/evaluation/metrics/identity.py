"""Cosine similarity of identities by an independent face recognition network (SPEC 5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from jdsr_cli.datasets.face_set import FaceSet
from jdsr_cli.evaluation.metrics.identification import Gallery, enrol
from jdsr_cli.faces.embedding import RecognitionNetwork
from jdsr_cli.weights.locations import sha256_of

MOVED_MARGIN = 0.05
"""Cosine by which a restored face must be less like the true one than the enlarged input is to
count as moved.

On 302 simulated recordings of `faces128` val, changes that alter nobody's identity (half a pixel of
shift, JPEG quality 90, a blur of 0.5 px, 5 grey levels; MobileFaceNet) lower the cosine with the
true face in 44 to 59 % of the cases, by more than 0.05 in at most 0.3 %.
"""


class IdentityMetric:
    """Cosine in [-1, 1] between embeddings of restored and ground-truth faces; higher is better.

    Relative to the enlarged input: whether the identity moves away from the true one. With a
    gallery also: whether the person is identified at rank 1.

    Args:
        path: ONNX or TorchScript file, see `RecognitionNetwork`.
        device: Device of the network.

    Raises:
        WeightsMissingError: The file does not exist.
        WeightsCorruptError: It is neither ONNX nor TorchScript, or does not return one vector per
            face.

    """

    figure = "identity"

    def __init__(self, path: Path, device: str = "cpu") -> None:
        self._network = RecognitionNetwork(path, device)
        self._gallery: Gallery | None = None

    @property
    def protocol(self) -> str:
        """Description of the metric."""
        path = self._network.path
        return (
            f"cosine of embeddings by {path.name} "
            f"(SHA-256 {sha256_of(path)}), 112x112 aligned to ArcFace's template by the "
            "similarity between both templates, RGB 0 to 255; *_input: of the input enlarged by "
            "bicubic instead of the result; identity_moved: share of the faces whose result is "
            f"less like the true face than the enlarged input is, by a cosine of {MOVED_MARGIN} or "
            f"more; {self._rank1_protocol()}"
        )

    def _rank1_protocol(self) -> str:
        if self._gallery is None:
            return "rank1: not measured, since the faces carry no names of people"
        return (
            f"rank1: share of the faces that are most like the photograph of their own person in a "
            f"gallery of {len(self._gallery.people)} people, one true photograph of each: the "
            "person's first in the set, or the second for the face that is the first; faces of "
            "people with one photograph are left out, but their people are in the gallery; "
            "rank1_truth: of the true faces, the most that a restoration can reach"
        )

    def enrol(self, faces: FaceSet) -> bool:
        """Take the people of a set as the gallery; return whether it names at least two people.

        Args:
            faces: All faces of the set, whichever of them are evaluated.

        """
        self._gallery = enrol(faces, self._network.embed)
        return self._gallery is not None

    def features(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return embeddings of length 1, (B, D), of (B, 3, 128, 128) RGB in [0, 1]."""
        return (self._network.embed(images),)

    def compare(self, restored: tuple[Tensor, ...], truth: tuple[Tensor, ...]) -> Tensor:
        """Return the cosine of each face, (B,)."""
        return (restored[0] * truth[0]).sum(1).double()

    def relate(
        self,
        keys: Sequence[str],
        restored: tuple[Tensor, ...],
        truth: tuple[Tensor, ...],
        inputs: tuple[Tensor, ...],
    ) -> Mapping[str, Tensor]:
        """Return the figures that relate the results to the enlarged inputs, each (B,).

        Args:
            keys: Keys of the B faces.
            restored: Features of the results.
            truth: Features of the true faces.
            inputs: Features of the enlarged inputs.

        """
        before = self.compare(inputs, truth)
        moved = self.compare(restored, truth) <= before - MOVED_MARGIN
        figures = {"identity_input": before, "identity_moved": moved.double()}
        if self._gallery is not None:
            pictures = {"rank1": restored, "rank1_input": inputs, "rank1_truth": truth}
            for name, (embeddings,) in pictures.items():
                figures[name] = self._gallery.identified(keys, embeddings)
        return figures
