"""Detection of faces that are not upright, by repeated detection in rotated cut-outs.

Detectors are trained on faces that are upright within about 30 degrees. Of a face that is turned
further they often give a box whose points are those of an upright face, and at 90 degrees and
more they miss a third of the faces. Here each detection whose points are implausible or tilted is
detected again in cut-outs of the frame, upright as its points say or, where that fails, at eight
turns; the points are averaged over several cut-outs, and their spread is recorded. On request whole
frames are searched at four turns.

The faces found in an image depend on that image alone, neither on the grouping of frames nor on
where a run resumes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.errors import UsageError
from jdsr_cli.faces.alignment import Pose, pose, roll_at_turn
from jdsr_cli.faces.boxes import suppress_overlaps
from jdsr_cli.faces.detection.base import Detection, Detector, cutout_map
from jdsr_cli.faces.detection.network import NetworkDetector
from jdsr_cli.faces.resampling import resample, rotation

DOUBTFUL_RESIDUAL = 0.08
DOUBTFUL_ROLL = 12.0
DOUBTFUL_PITCH = 40.0
"""Residual, and degrees, above which a detection is repeated.

CenterFace on faces of `faces128` test with their surroundings, pasted on other pictures at a width
of 48 and of 96 px (40 faces, every 15 degrees; `tests/benchmarks/rolled_faces.py`): faces accepted
after all refusals with eyes within 0.2 eye distances of the truth (right) or not (off), and faces
not detected, in per cent; the rest is refused:

::

                        as found                           --rotated-faces
    roll      48 px             96 px             48 px             96 px
          right  off missed   right  off missed   right  off missed   right  off missed
       0  100.0  0.0    0.0   100.0  0.0    0.0   100.0  0.0    0.0   100.0  0.0    0.0
      15  100.0  0.0    0.0    95.0  5.0    0.0   100.0  0.0    0.0    95.0  5.0    0.0
      30   97.5  0.0    2.5    97.5  2.5    0.0    95.0  2.5    2.5    97.5  2.5    0.0
      45   80.0  0.0   20.0    97.5  2.5    0.0    85.0  0.0   15.0    95.0  5.0    0.0
      60   65.0  2.5   32.5    97.5  0.0    0.0    90.0  5.0    5.0    95.0  2.5    0.0
      90   47.5  0.0   52.5    82.5  2.5   15.0   100.0  0.0    0.0   100.0  0.0    0.0
     135   30.0  0.0   70.0    60.0  0.0   40.0    57.5  0.0   42.5    77.5  2.5   20.0
     180   22.5  0.0   77.5    52.5  2.5   45.0   100.0  0.0    0.0   100.0  0.0    0.0
     225   25.0  0.0   75.0    65.0  0.0   35.0    40.0  5.0   55.0    75.0  5.0   20.0
     270   35.0  0.0   65.0    80.0  2.5    5.0   100.0  0.0    0.0   100.0  0.0    0.0
     315   87.5  0.0   12.5    87.5  5.0    0.0    82.5  7.5   10.0    85.0  7.5    0.0
     330  100.0  0.0    0.0    97.5  2.5    0.0   100.0  0.0    0.0    97.5  2.5    0.0
     all   53.5  0.3   45.9    80.5  1.7   15.6    90.2  1.7    8.1    94.9  2.2    2.4

Of the detections in street pictures (`masked_scenes`), 14 in 100 of 24 px and wider are repeated,
and 15 for their score. On seven clips detection with verification took 0.9 to 1.5 times the CPU
time of a single detection.
"""
DOUBTFUL_SCORE = 0.7
"""Score below which a face may be upside down."""
INVERTED_TURN = 180.0
"""Degrees from the turn at which such a face seems upright, at which it is detected again."""
CLEAR_RESIDUAL = 0.10
"""Largest residual of a face found at another turn; 99 % of upright faces are below."""
UPRIGHT = 45.0
"""Degrees of roll up to which a face counts as upright in the picture in which it was found."""
TURNS = tuple(45.0 * step for step in range(8))
"""Degrees, clockwise, at which a detection with implausible points is repeated."""
QUARTERS = (0, 90, 180, 270)
"""Degrees at which whole frames are searched."""
COARSE = (36.0, 64)
FINE = (52.0, 96)
"""Longer side in pixels of a detection's box in its cut-out, and side of the cut-out: to find the
turn, and to measure the points."""
FARTHEST = 0.3
"""Largest distance of the same face from the centre of a cut-out, as a share of its side."""
RESIDUAL_COST = 5.0
"""Penalty of a residual of 1 on the score where the best of several turns is chosen."""
LOST_SCORE = 0.2
"""Largest loss of score of a face at another turn."""
ROLL_OFFSETS = (-12.0, 0.0, 12.0)
"""Degrees from the turn at which a face is upright, at which its points are measured."""
MIN_VIEWS = 2
"""Least number of views at `ROLL_OFFSETS` that must show the face upright."""
MAX_SPREAD = 0.2
"""Largest difference between views of one face in eye distances, see `Detection.spread`."""
MIN_EYES = 0.4
"""Least eye distance that serves as a unit, as a share of the width of a box; that of profiles goes
to 0, that of faces that look at the camera is 0.46."""
SAME_FACE = 0.3
"""Intersection over union above which two boxes found at different turns are one face."""


class RotatedDetector:
    """A `Detector` that also detects faces which are not upright.

    Detections of the wrapped detector are returned unchanged, unless their points are doubtful and
    a rotated cut-out shows the face upright.

    Args:
        detector: Detects upright faces.
        everywhere: Search whole frames at four turns, not only the upright detections.

    """

    def __init__(self, detector: Detector, *, everywhere: bool = False) -> None:
        self.name = detector.name
        self._first = detector
        self._close = detector.at_scale(1.0) if isinstance(detector, NetworkDetector) else detector
        self._everywhere = everywhere

    def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[list[Detection]]:
        """Detect the faces of each image, best score first; see `Detector.detect`."""
        found = self._search(images) if self._everywhere else self._first.detect(images)
        return [self.refine(image, faces) for image, faces in zip(images, found, strict=True)]

    def refine(self, image: NDArray[np.uint8], faces: list[Detection]) -> list[Detection]:
        """Return the faces of an image, the doubtful ones as measured in several views."""
        views = {index: _view(face) for index, face in enumerate(faces)}
        weak = {
            index: faces[index]
            for index, view in views.items()
            if view.is_clear and (view.is_doubtful or view.score < DOUBTFUL_SCORE)
        }
        best = self._find_inverted(image, weak)
        tilted = {
            index: face
            for index, face in weak.items()
            if views[index].is_doubtful and index not in best
        }
        refined = self._refine(image, tilted)
        agreed = {index for index, face in refined.items() if face.spread <= MAX_SPREAD}
        rest = {
            index: faces[index]
            for index, view in views.items()
            if view.is_doubtful and index not in best and index not in agreed
        }
        best |= self._find_best(image, rest, dict.fromkeys(rest, TURNS))
        unsure = {index: replace(face, spread=np.inf) for index, face in best.items()}
        changed = refined | unsure | self._refine(image, best)
        if not changed:
            return faces
        return _distinct([changed.get(index, face) for index, face in enumerate(faces)])

    def _find_inverted(
        self, image: NDArray[np.uint8], faces: Mapping[int, Detection]
    ) -> dict[int, Detection]:
        """Return the faces that are detected better upside down, as detected there."""
        turns = {index: [_upright_turn(face) + INVERTED_TURN] for index, face in faces.items()}
        return {
            index: one
            for index, one in self._find_best(image, faces, turns).items()
            if one.score > faces[index].score and _view(one).worth > _view(faces[index]).worth
        }

    def _find_best(
        self,
        image: NDArray[np.uint8],
        faces: Mapping[int, Detection],
        turns: Mapping[int, Sequence[float]],
    ) -> dict[int, Detection]:
        """Return the faces that are upright at one of the turns, as detected at the best one."""
        return {
            index: max(views, key=lambda one: _view(one).worth)
            for index, views in self._detect_views(image, faces, turns, COARSE).items()
            if views
        }

    def _search(self, images: Sequence[NDArray[np.uint8]]) -> list[list[Detection]]:
        """Search whole images at four turns."""
        found = [list(faces) for faces in self._first.detect(images)]
        for turn in QUARTERS[1:]:
            turned = [np.ascontiguousarray(np.rot90(image, turn // 90)) for image in images]
            for image, mine, faces in zip(images, found, self._first.detect(turned), strict=True):
                matrix = _quarter_turn_map(image, turn)
                mine += [
                    face.transform(matrix, turn, image) for face in faces if _view(face).is_clear
                ]
        return [_distinct(faces) for faces in found]

    def _refine(
        self, image: NDArray[np.uint8], faces: Mapping[int, Detection]
    ) -> dict[int, Detection]:
        """Return the faces that are detected again around the turn at which they are upright.

        Args:
            image: The frame.
            faces: Its faces, by index, each upright within `UPRIGHT` in its turn.

        """
        turns = {index: _upright_turn(face) for index, face in faces.items()}
        turned = {
            index: [turn + offset for offset in ROLL_OFFSETS] for index, turn in turns.items()
        }
        seen = self._detect_views(image, faces, turned, FINE)
        refined = {}
        for index, views in seen.items():
            # The detection itself counts as a view only where it is needed.
            some = views if len(views) >= MIN_VIEWS else [*views, faces[index]]
            if len(some) >= MIN_VIEWS:
                refined[index] = _agreed(faces[index], _joined(some, turns[index]))
        return refined

    def _detect_views(
        self,
        image: NDArray[np.uint8],
        faces: Mapping[int, Detection],
        turns: Mapping[int, Sequence[float]],
        size: tuple[float, int],
    ) -> dict[int, list[Detection]]:
        """Return upright views of faces, at most one at each turn.

        Args:
            image: The frame.
            faces: Its faces, by index.
            turns: The turns at which to detect each face, by the same index.
            size: `COARSE` or `FINE`.

        """
        face_side, side = size
        cuts = [
            (index, turn, cutout_map(face, turn, face_side, side))
            for index, face in faces.items()
            for turn in turns[index]
        ]
        views = self._close.detect([resample(image, matrix, side) for *_, matrix in cuts])
        seen: dict[int, list[Detection]] = {index: [] for index in faces}
        for (index, turn, matrix), view in zip(cuts, views, strict=True):
            least = faces[index].score - LOST_SCORE
            clear = [
                one
                for one in view
                if one.score >= least and _is_central(one, side) and _view(one).is_clear
            ]
            if clear:
                best = max(clear, key=lambda one: _view(one).worth)
                seen[index].append(best.transform(matrix, turn, image))
        return seen


def _upright_turn(face: Detection) -> float:
    """Return the turn, in degrees from 0 to 360, at which the face is upright."""
    return pose(face.points).roll % 360.0


def _agreed(face: Detection, joined: Detection) -> Detection:
    """Return the joined views, or the face itself where it is upright and they agree with it."""
    apart = _eye_spread(np.stack([face.points, joined.points]).astype(np.float64), joined)
    if abs(_view(face).tilt) <= DOUBTFUL_ROLL and 2 * apart <= MAX_SPREAD:
        return replace(face, spread=joined.spread)
    return joined


def _joined(views: Sequence[Detection], turn: float) -> Detection:
    """Return the mean of several views of a face, as detected at one turn."""
    points = np.stack([view.points for view in views]).astype(np.float64)
    left, top, right, bottom = np.mean([view.box for view in views], axis=0).tolist()
    score = float(np.mean([view.score for view in views]))
    middle = points.mean(axis=0).astype(np.float32)
    joined = Detection((left, top, right, bottom), middle, score, turn)
    return replace(joined, spread=_eye_spread(points, joined))


def _eye_spread(points: NDArray[np.float64], face: Detection) -> float:
    """Return the largest distance of the eyes of several views from their mean, in eye distances.

    Args:
        points: (n, 5, 2), of each view, in pixels of the frame.
        face: The face whose eye distance and width are the unit.

    """
    apart = points[:, :2] - points[:, :2].mean(axis=0)
    unit = max(face.eye_distance, MIN_EYES * face.width, 1e-6)
    return float(np.hypot(apart[..., 0], apart[..., 1]).max()) / unit


@dataclass(frozen=True)
class _View:
    """A detection with its pose in the picture in which it was found."""

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
        """Whether the detection should be repeated."""
        turned = self.pose
        return turned is None or (
            turned.residual > DOUBTFUL_RESIDUAL
            or abs(turned.pitch) > DOUBTFUL_PITCH
            or abs(self.tilt) > DOUBTFUL_ROLL
        )

    @property
    def worth(self) -> float:
        """Criterion by which the best turn is chosen."""
        return self.score - RESIDUAL_COST * (1.0 if self.pose is None else self.pose.residual)


def _view(face: Detection) -> _View:
    try:
        turned = pose(face.points)
    except UsageError:
        return _View(face.score, None, 0.0)
    return _View(face.score, turned, roll_at_turn(turned, face.turn))


def _is_central(face: Detection, side: int) -> bool:
    """Whether the face lies in the middle of its cut-out."""
    left, top, right, bottom = face.box
    middle = (side - 1) / 2
    off = np.hypot((left + right) / 2 - middle, (top + bottom) / 2 - middle)
    return float(off) <= FARTHEST * side


def _distinct(faces: Sequence[Detection]) -> list[Detection]:
    """Keep one detection of each face: first those upright in their turn, then by score."""
    if not faces:
        return []
    ranks = np.array([face.score + 2.0 * _view(face).is_clear for face in faces])
    kept = suppress_overlaps(np.array([face.box for face in faces]), ranks, SAME_FACE)
    return sorted((faces[index] for index in kept), key=lambda face: -face.score)


def _quarter_turn_map(image: NDArray[np.uint8], turn: int) -> NDArray[np.float64]:
    """Return (2, 3), from the image turned by `np.rot90` by so many degrees to the image."""
    height, width = image.shape[:2]
    across, down = {90: (width - 1, 0), 180: (width - 1, height - 1), 270: (0, height - 1)}[turn]
    return np.column_stack([rotation(turn), np.array([across, down], np.float64)])
