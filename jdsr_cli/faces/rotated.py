"""Faces that are not upright: looked at again in turned pictures until they are.

Detectors are trained on faces that are upright within about 30 degrees. Of a face that is turned
further they often give a box whose points are those of an upright face, and at 90 degrees and
more they miss a third of the faces. Here each detection whose points are implausible or tilted is
looked at again in cut-outs of the frame at eight turns, and on request whole frames are searched
at four turns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.errors import UsageError
from jdsr_cli.faces.detection import Detection, Detector
from jdsr_cli.faces.passes import NetworkDetector
from jdsr_cli.faces.quality.pose import Pose, pose
from jdsr_cli.faces.resample import resample
from jdsr_cli.faces.suppression import suppress
from jdsr_cli.faces.tracking.boxes import overlaps

DOUBTFUL_RESIDUAL = 0.08
DOUBTFUL_ROLL = 25.0
DOUBTFUL_PITCH = 40.0
"""Residual, and degrees, above which a detection is looked at again.

CenterFace on 40 faces of `faces128` test at native widths of 44, 86 and 173 px, pasted on other
pictures at each multiple of 15 degrees: of the faces whose points were off by 0.2 eye distances
or more, 97 % are above one of these; of the upright ones 3 %. Of detections of street pictures
(`masked_scenes`, faces of 24 px and wider) 11 % are.
"""
CLEAR_RESIDUAL = 0.10
"""Largest residual of a face found at another turn; 99 % of upright faces are below."""
UPRIGHT = 45.0
"""Degrees of roll up to which a face counts as upright in the picture in which it was found."""
TURNS = tuple(45.0 * step for step in range(8))
"""Degrees, clockwise, at which a detection is looked at again: turns of 90 degrees alone leave
faces near 45 degrees with points off by 0.1 to 0.3 eye distances."""
QUARTERS = (0, 90, 180, 270)
"""Degrees at which whole frames are searched."""
SIDE = 128
"""Of a cut-out in pixels."""
FACE_SIDE = 52.0
"""Longer side of the doubtful box in its cut-out, in pixels; both kinds of detector find faces of
this size best."""
FARTHEST = 30.0
"""Pixels of the cut-out from its centre within which the centre of the same face lies."""
RESIDUAL_COST = 5.0
"""Score that a residual of 1 costs where the best of several turns is chosen."""
LOST_SCORE = 0.2
"""By which the score of a face may be lower at another turn."""
SAME_PLACE = 0.5
"""Intersection over union from which a doubtful face is that of the image before."""
IN_VAIN = -1.0
"""In place of the turn of a face that no turn shows upright."""
SAME_FACE = 0.3
"""Intersection over union above which two boxes found at different turns are one face."""

Matrix = NDArray[np.float64]


class RotatedDetector:
    """A `Detector` that also finds faces which are not upright.

    What the wrapped detector finds is passed on as it is, unless its points are doubtful and a
    turned look shows the face upright.

    Args:
        detector: Finds upright faces.
        everywhere: Search whole frames at four turns, not only what was found upright.

    """

    def __init__(self, detector: Detector, *, everywhere: bool = False) -> None:
        self.name = detector.name
        self._first = detector
        self._close = detector.at_scale(1.0) if isinstance(detector, NetworkDetector) else detector
        self._everywhere = everywhere

    def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[list[Detection]]:
        """Find the faces of each image, best score first; see `Detector.detect`.

        Images of one size are taken for consecutive frames: what was looked at in vain in the
        image before is not looked at again in the same place, and what was found upright at one
        turn is looked at from there first.
        """
        found = self._search(images) if self._everywhere else self._first.detect(images)
        seen: list[list[Detection]] = []
        before = _Memory()
        for image, faces in zip(images, found, strict=True):
            better, before = self._second_look(image, faces, before)
            seen.append(better)
        return seen

    def _second_look(
        self, image: NDArray[np.uint8], faces: list[Detection], before: _Memory
    ) -> tuple[list[Detection], _Memory]:
        """Return the faces, the doubtful ones replaced where a turned look shows them upright."""
        doubtful = [index for index, face in enumerate(faces) if _seen(face).is_doubtful]
        known = before.recall(image.shape, [faces[index] for index in doubtful])
        results: dict[int, Detection | None] = {
            index: None for index, turn in zip(doubtful, known, strict=True) if turn == IN_VAIN
        }
        hinted = {
            index: (float(turn),)
            for index, turn in zip(doubtful, known, strict=True)
            if turn is not None and turn != IN_VAIN
        }
        results |= {index: face for index, face in self._look(image, faces, hinted).items() if face}
        rest = {index: TURNS for index in doubtful if index not in results}
        results |= self._look(image, faces, rest)
        memory = _Memory(
            image.shape,
            [faces[index] for index in doubtful],
            [IN_VAIN if (one := results[index]) is None else one.turn for index in doubtful],
        )
        changed = {index: face for index, face in results.items() if face is not None}
        if not changed:
            return faces, memory
        return _distinct([changed.get(index, face) for index, face in enumerate(faces)]), memory

    def _search(self, images: Sequence[NDArray[np.uint8]]) -> list[list[Detection]]:
        """Search whole images at four turns."""
        found = [list(faces) for faces in self._first.detect(images)]
        for turn in QUARTERS[1:]:
            turned = [np.ascontiguousarray(np.rot90(image, turn // 90)) for image in images]
            for image, mine, faces in zip(images, found, self._first.detect(turned), strict=True):
                matrix = _quarter(image, turn)
                mine += [
                    _moved(face, matrix, turn, image) for face in faces if _seen(face).is_clear
                ]
        return [_distinct(faces) for faces in found]

    def _look(
        self,
        image: NDArray[np.uint8],
        faces: Sequence[Detection],
        turns: Mapping[int, Sequence[float]],
    ) -> dict[int, Detection | None]:
        """Return faces as they are best seen; None where no turn shows one better than before.

        Args:
            image: The frame.
            faces: In it.
            turns: At which to look at some of them, by index.

        """
        cuts = [
            (index, turn, cut_map(faces[index], turn, FACE_SIDE))
            for index, some in turns.items()
            for turn in some
        ]
        views = self._close.detect([resample(image, matrix, SIDE) for *_, matrix in cuts])
        best: dict[int, Detection | None] = dict.fromkeys(turns)
        worth = dict.fromkeys(turns, -np.inf)
        for (index, turn, matrix), view in zip(cuts, views, strict=True):
            face = faces[index]
            for one in view:
                seen = _seen(one)
                known = one.score >= face.score - LOST_SCORE and _is_central(one)
                if known and seen.is_clear and seen.worth > worth[index]:
                    worth[index] = seen.worth
                    as_before = turn == 0.0 and _seen(face).is_clear
                    best[index] = None if as_before else _moved(one, matrix, turn, image)
        return best


@dataclass(frozen=True)
class _Memory:
    """The doubtful faces of an image, and the turns at which they were found upright."""

    shape: tuple[int, ...] = ()
    faces: Sequence[Detection] = ()
    turns: Sequence[float] = ()
    """`IN_VAIN` where no turn was better."""

    def recall(self, shape: tuple[int, ...], faces: Sequence[Detection]) -> list[float | None]:
        """Return the turn of the doubtful face in the same place, None where there was none."""
        if shape != self.shape or not self.faces or not faces:
            return [None] * len(faces)
        boxes = [np.array([one.box for one in some], np.float64) for some in (faces, self.faces)]
        shared = overlaps(*boxes)
        nearest = shared.argmax(axis=1)
        return [
            self.turns[other] if shared[index, other] >= SAME_PLACE else None
            for index, other in enumerate(nearest.tolist())
        ]


def tilt(turned: Pose, turn: float) -> float:
    """Return the roll of a face, -180 to 180 degrees, in the picture in which it was found.

    Args:
        turned: Pose in the frame.
        turn: See `Detection.turn`.

    """
    return (turned.roll - turn + 180.0) % 360.0 - 180.0


@dataclass(frozen=True)
class _View:
    """A detection as seen in the picture in which it was found."""

    score: float
    pose: Pose | None
    """In the frame; None where the points form no face at all."""
    tilt: float

    @property
    def is_clear(self) -> bool:
        """Whether the points are those of an upright face."""
        turned = self.pose
        return (
            turned is not None and turned.residual <= CLEAR_RESIDUAL and abs(self.tilt) <= UPRIGHT
        )

    @property
    def is_doubtful(self) -> bool:
        """Whether the face is worth another look."""
        turned = self.pose
        return turned is None or (
            turned.residual > DOUBTFUL_RESIDUAL
            or abs(turned.pitch) > DOUBTFUL_PITCH
            or abs(self.tilt) > DOUBTFUL_ROLL
        )

    @property
    def worth(self) -> float:
        """By which the best turn is chosen."""
        return self.score - RESIDUAL_COST * (1.0 if self.pose is None else self.pose.residual)


def _seen(face: Detection) -> _View:
    try:
        turned = pose(face.points)
    except UsageError:
        return _View(face.score, None, 0.0)
    return _View(face.score, turned, tilt(turned, face.turn))


def _is_central(face: Detection) -> bool:
    """Whether the face lies in the middle of its cut-out."""
    left, top, right, bottom = face.box
    middle = (SIDE - 1) / 2
    return float(np.hypot((left + right) / 2 - middle, (top + bottom) / 2 - middle)) <= FARTHEST


def cut_map(face: Detection, turn: float, face_side: float) -> Matrix:
    """Return (2, 3), from a square cut-out of `SIDE` pixels around a face to the frame.

    Args:
        face: In the frame.
        turn: Degrees, clockwise, by which something upright in the cut-out is turned in the frame.
        face_side: Longer side of the face's box in the cut-out, in pixels.

    """
    left, top, right, bottom = face.box
    linear = max(right - left, bottom - top, 1.0) / face_side * _rotation(turn)
    centre = np.array([(left + right) / 2, (top + bottom) / 2])
    return np.column_stack([linear, centre - linear @ np.full(2, (SIDE - 1) / 2)])


def _quarter(image: NDArray[np.uint8], turn: int) -> Matrix:
    """Return (2, 3), from what `np.rot90` by so many quarters gives to the image."""
    height, width = image.shape[:2]
    across, down = {90: (width - 1, 0), 180: (width - 1, height - 1), 270: (0, height - 1)}[turn]
    return np.column_stack([_rotation(turn), np.array([across, down], np.float64)])


def _rotation(turn: float) -> Matrix:
    """Return (2, 2), the rotation clockwise as seen by so many degrees."""
    angle = np.radians(turn)
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, -sine], [sine, cosine]])


def _moved(face: Detection, matrix: Matrix, turn: float, image: NDArray[np.uint8]) -> Detection:
    """Return a face of a turned picture as a face of the frame.

    The box becomes the hull of the ellipse that it encloses, so that it does not grow by being
    turned; the points keep their order.
    """
    left, top, right, bottom = face.box
    linear = matrix[:, :2]
    centre = linear @ [(left + right) / 2, (top + bottom) / 2] + matrix[:, 2]
    reach = np.hypot(*(linear * [(right - left) / 2, (bottom - top) / 2]).T)
    limits = np.array([image.shape[1] - 1, image.shape[0] - 1], np.float64)
    low, high = np.clip(centre - reach, 0.0, limits), np.clip(centre + reach, 0.0, limits)
    points = (face.points @ linear.T + matrix[:, 2]).astype(np.float32)
    box = (float(low[0]), float(low[1]), float(high[0]), float(high[1]))
    return Detection(box, points, face.score, turn)


def _distinct(faces: Sequence[Detection]) -> list[Detection]:
    """Keep one of the detections of each face: one that is upright in its turn, then by score."""
    if not faces:
        return []
    ranks = np.array([face.score + 2.0 * _seen(face).is_clear for face in faces])
    kept = suppress(np.array([face.box for face in faces]), ranks, SAME_FACE)
    return sorted((faces[index] for index in kept), key=lambda face: -face.score)
