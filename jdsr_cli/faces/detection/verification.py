"""Verification of detections: false boxes are not found again at other scales.

A detector that takes a hand, a jacket or a blob for a face does so at one scale and position of its
grid; a face is detected again when the picture is enlarged, reduced or mirrored. Detections of a
low score are cut out at two scales, each unchanged and mirrored, and the scores of the same
detector there decide. The output of the generator is not used: on the same boxes neither the
agreement of restored and filmed picture, nor the occlusion map, nor the likeness to a mean face
separated better, and it would change with every training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.faces.boxes import box_overlaps
from jdsr_cli.faces.detection.base import Detection, cutout_map
from jdsr_cli.faces.detection.network import NetworkDetector
from jdsr_cli.faces.detection.rotated import RotatedDetector
from jdsr_cli.faces.resampling import resample

Box = tuple[float, float, float, float]

SIDE = 128
"""Side of a cut-out in pixels."""
FACE_SIDES = (28.0, 52.0)
"""Longer side in pixels of the detection's box in the cut-outs."""
MIN_OVERLAP = 0.35
"""Least intersection over union of the detection and one in a cut-out."""
MIN_SCORE = 0.1
"""Least score in a cut-out; lower ones count as 0."""


@dataclass(frozen=True)
class EvidenceThresholds:
    """Scores of one detector that decide over its detections."""

    certain: float
    """Score from which no verification is needed."""
    least: float
    """Least evidence of a face, see `VerifiedDetector.evidence`."""
    least_narrow: float
    """The same for a face narrower than `NARROW_WIDTH`."""

    def for_face(self, face: Detection) -> float:
        """Return the least evidence for a face of its width."""
        return self.least_narrow if face.width < NARROW_WIDTH else self.least


NARROW_WIDTH = 24.0
"""Width in pixels below which a face counts as narrow."""
EVIDENCE_THRESHOLDS = {
    "centerface": EvidenceThresholds(certain=0.65, least=0.32, least_narrow=0.38)
}
"""By name of the detector; `retinaface-*` were not measured and are not verified.

CenterFace on 420 street pictures (`masked_scenes`, most faces masked; detections with plausible
points at the default threshold; `tests/benchmarks/verify_faces.py`). The thresholds were chosen on
all of them, so the figures are not those of unseen pictures:

::

                      labelled faces     lost     unlabelled boxes refused
    24 px and wider        781          0.3 %           7 of  41
    12 to 24 px            699          1.4 %          43 of 138

About half of the unlabelled boxes are faces without a label.
"""


class VerifiedDetector:
    """A `Detector` that marks detections which fail verification, see `Detection.confirmed`.

    Args:
        detector: Detects the faces; detectors that `EVIDENCE_THRESHOLDS` lacks are not verified.
        network: Detects in the cut-outs.

    """

    def __init__(self, detector: RotatedDetector, network: NetworkDetector) -> None:
        self.name = detector.name
        self._detector = detector
        self._close = network.at_scale(1.0, MIN_SCORE)
        self._thresholds = EVIDENCE_THRESHOLDS.get(detector.name)
        # A lower detection threshold lowers the evidence that is required as well.
        self._share = min(1.0, network.threshold_ratio)

    def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[list[Detection]]:
        """Detect the faces of each image, best score first; see `Detector.detect`."""
        found = self._detector.detect(images)
        return [self.verify(image, faces) for image, faces in zip(images, found, strict=True)]

    def refine(self, image: NDArray[np.uint8], faces: list[Detection]) -> list[Detection]:
        """Return raw detections of an image as `detect` would return them."""
        return self.verify(image, self._detector.refine(image, faces))

    def verify(self, image: NDArray[np.uint8], faces: Sequence[Detection]) -> list[Detection]:
        """Return the faces of an image, marked as confirmed or not."""
        return [self._verify(image, face) for face in faces]

    def _verify(self, image: NDArray[np.uint8], face: Detection) -> Detection:
        thresholds = self._thresholds
        if thresholds is None or face.score >= thresholds.certain:
            return face
        least = self._share * thresholds.for_face(face)
        return replace(face, confirmed=self.evidence(image, face) >= least)

    def evidence(self, image: NDArray[np.uint8], face: Detection) -> float:
        """Return the mean of a face's score and its mean score in the cut-outs, 0 to 1.

        Args:
            image: The frame, RGB uint8 (H, W, 3).
            face: A face of the frame.

        """
        cuts = [
            resample(image, cutout_map(face, face.turn, side, SIDE), SIDE) for side in FACE_SIDES
        ]
        cuts += [np.ascontiguousarray(cut[:, ::-1]) for cut in cuts]
        views = self._close.detect(cuts)
        boxes = [_box_in(face, side) for side in FACE_SIDES * 2]
        scores = [_score_at(box, view) for box, view in zip(boxes, views, strict=True)]
        return (face.score + sum(scores) / len(scores)) / 2


def _box_in(face: Detection, side: float) -> Box:
    """Return the face's box, with that longer side, in the middle of its cut-out."""
    scale = side / max(face.width, face.height, 1.0)
    middle = (SIDE - 1) / 2
    across, down = scale * face.width / 2, scale * face.height / 2
    return middle - across, middle - down, middle + across, middle + down


def _score_at(box: Box, found: Sequence[Detection]) -> float:
    return max((one.score for one in found if _overlap(one.box, box) > MIN_OVERLAP), default=0.0)


def _overlap(one: Box, other: Box) -> float:
    return float(box_overlaps(np.array([one]), np.array([other]))[0, 0])
