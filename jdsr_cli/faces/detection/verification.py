"""False boxes are told from faces by looking closer.

A detector that takes a hand, a jacket or a blob for a face does so at one scale and place of its
grid; a face it finds again when the picture is enlarged, reduced or mirrored. Detections of a
low score are cut out at two scales, each as it is and mirrored, and the detector's own scores
there decide. What the generator makes of the cut-out is not used: on the same boxes neither the
agreement of restored and filmed picture, nor the occlusion map, nor the likeness to a mean face
told more, and it would change with every training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.faces.boxes import overlaps
from jdsr_cli.faces.detection.base import Detection, Detector
from jdsr_cli.faces.detection.network import NetworkDetector
from jdsr_cli.faces.detection.rotated import cut_map
from jdsr_cli.faces.resampling import resample

Box = tuple[float, float, float, float]

SIDE = 128
"""Of a cut-out in pixels."""
FACE_SIDES = (28.0, 52.0)
"""Longer side in pixels of the detection's box in the cut-outs."""
LEAST_OVERLAP = 0.35
"""Intersection over union of the detection and what a closer look finds."""
LOOK_FROM = 0.1
"""Least score in a closer look that counts; below it is 0."""


@dataclass(frozen=True)
class Bounds:
    """Scores of one detector."""

    certain: float
    """From here on no closer look is needed."""
    least: float
    """Least evidence of a face, see `VerifiedDetector.evidence`."""
    least_narrow: float
    """The same of a face narrower than `NARROW`."""

    def of(self, face: Detection) -> float:
        """Return the least evidence of a face of that width."""
        return self.least_narrow if face.width < NARROW else self.least


NARROW = 24.0
"""Pixels."""
BOUNDS = {"centerface": Bounds(certain=0.65, least=0.32, least_narrow=0.38)}
"""By name of the detector; `retinaface-*` were not measured and are believed.

CenterFace on 420 street pictures (`masked_scenes`, most faces masked; detections with plausible
points at the default threshold; `tests/benchmarks/verify_faces.py`). The bounds were chosen on all
of them, so these are no figures of unseen pictures:

::

                      labelled faces     lost     unlabelled boxes refused
    24 px and wider        781          0.3 %           7 of  41
    12 to 24 px            699          1.4 %          43 of 138

About half of the unlabelled boxes are faces that nobody labelled.
"""


class VerifiedDetector:
    """A `Detector` that marks what its own closer looks contradict, see `Detection.confirmed`.

    Args:
        detector: Finds the faces; detectors that `BOUNDS` does not name are believed.
        network: Looks closer.

    """

    def __init__(self, detector: Detector, network: NetworkDetector) -> None:
        self.name = detector.name
        self._detector = detector
        self._close = network.at_scale(1.0, LOOK_FROM)
        self._bounds = BOUNDS.get(detector.name)
        # Who asks for faces of lower scores gets them.
        self._share = min(1.0, network.threshold_ratio)

    def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[list[Detection]]:
        """Find the faces of each image, best score first; see `Detector.detect`."""
        found = self._detector.detect(images)
        return [
            [self._judged(image, face) for face in faces]
            for image, faces in zip(images, found, strict=True)
        ]

    def _judged(self, image: NDArray[np.uint8], face: Detection) -> Detection:
        bounds = self._bounds
        if bounds is None or face.score >= bounds.certain:
            return face
        least = self._share * bounds.of(face)
        return replace(face, confirmed=self.evidence(image, face) >= least)

    def evidence(self, image: NDArray[np.uint8], face: Detection) -> float:
        """Return the mean of a face's score and the mean score of its closer looks, 0 to 1.

        Args:
            image: The frame, RGB uint8 (H, W, 3).
            face: In it.

        """
        cuts = [resample(image, cut_map(face, face.turn, side, SIDE), SIDE) for side in FACE_SIDES]
        cuts += [np.ascontiguousarray(cut[:, ::-1]) for cut in cuts]
        looks = self._close.detect(cuts)
        boxes = [_box_in(face, side) for side in FACE_SIDES * 2]
        scores = [_score_at(box, look) for box, look in zip(boxes, looks, strict=True)]
        return (face.score + sum(scores) / len(scores)) / 2


def _box_in(face: Detection, side: float) -> Box:
    """Return the face's box, with that longer side, in the middle of its cut-out."""
    scale = side / max(face.width, face.height, 1.0)
    middle = (SIDE - 1) / 2
    across, down = scale * face.width / 2, scale * face.height / 2
    return middle - across, middle - down, middle + across, middle + down


def _score_at(box: Box, look: Sequence[Detection]) -> float:
    return max((one.score for one in look if _overlap(one.box, box) > LEAST_OVERLAP), default=0.0)


def _overlap(one: Box, other: Box) -> float:
    return float(overlaps(np.array([one]), np.array([other]))[0, 0])
