"""Occlusion maps: how much of a face is covered, and whether it wears a mask.

The probability of a mask is calibrated on the generator's occlusion map of one frame. A mask covers
nose, mouth and chin together; a beard, a shadow or the border of the picture does not. Along a
track the evidence of the frames adds up and decays within about a second, so that single wrong
frames do not change the result.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.errors import UsageError, WeightsCorruptError
from jdsr_cli.faces.regions import covered_region
from jdsr_cli.weights import WeightEntry

MaskState = Literal["bare", "unsure", "masked"]

FEATURES = 8
BARE_BELOW, MASKED_ABOVE = 0.2, 0.95
"""Probabilities up to which a face is bare, and from which it is masked; `unsure` between.

Replacing a bare mouth costs about 20 times as much as leaving a mask: at 0.95 both expected costs
are equal.
"""
DIM_GAIN, MAX_IN_THE_DARK = 16.0, 0.9
"""Gain from which (about 6 % of normal light) the probability of one frame is limited, and the
limit: one frame is then not enough to classify a face as masked, two frames that agree are.
Without it 3 % of the bare faces at 6 and 4 % of normal light would be (val; 24, 48, 96 px wide)."""
DARKEST = 5.0
"""Exposure compensation (in powers of 2) at which a face counts as darkest."""


def mask_features(occlusion: NDArray[np.float32], gain: float = 1.0) -> NDArray[np.float64]:
    """Return features of the covered area and of the darkness, (8,), each in [0, 1].

    Means over nose, mouth, chin, left and right cheek, upper face, and the outermost rows and
    columns of the picture; and the geometric mean of those of nose, mouth and chin times twice the
    standard deviation of the lower face (a mask has an edge, uncertainty has none), weighted less
    the darker the face was.

    Args:
        occlusion: (128, 128) in [0, 1], template coordinates.
        gain: Factor of the exposure for the generator, see `ColourMap.gain`.

    Raises:
        UsageError: The map has another shape.

    """
    if occlusion.shape != (TEMPLATE_SIZE, TEMPLATE_SIZE):
        raise UsageError(
            f"an occlusion map is (128, 128), not {occlusion.shape}", hint="Enlarge it first."
        )
    means = [float(occlusion[region].mean()) for region in _regions().values()]
    middle = float(np.cbrt(means[0] * means[1] * means[2]))
    edge = 2.0 * float(occlusion[_lower_face()].std())
    dark = min(max(math.log2(max(gain, 1e-6)), 0.0) / DARKEST, 1.0)
    return np.array([*means, (1.0 - dark) * middle * edge])


@dataclass(frozen=True)
class MaskCalibration:
    """Logistic regression of a mask on the occlusion maps of one generator."""

    coefficients: tuple[float, ...]
    """(8,) coefficients of the log odds, for `mask_features`."""
    intercept: float

    @classmethod
    def of(cls, entry: WeightEntry | None) -> MaskCalibration:
        """Return the calibration of a manifest entry, `DEFAULT_CALIBRATION` where it has none.

        Raises:
            WeightsCorruptError: The entry is not coefficients and an intercept.

        """
        table = {} if entry is None else entry.mask_decision
        if not table:
            return DEFAULT_CALIBRATION
        given = table.get("coefficients"), table.get("intercept")
        numbers = [*given[0], given[1]] if isinstance(given[0], list) else []
        whole = all(isinstance(x, (int, float)) and math.isfinite(x) for x in numbers)
        if set(table) != {"coefficients", "intercept"} or len(numbers) != FEATURES + 1 or not whole:
            raise WeightsCorruptError(
                f"its mask_decision is not a list of {FEATURES} coefficients and an intercept",
                where=entry.name if entry else None,
                hint="Print it again with tests/benchmarks/fit_mask_decision.py.",
            )
        *coefficients, intercept = numbers
        return cls(tuple(coefficients), intercept)

    def probability(self, occlusion: NDArray[np.float32], gain: float = 1.0) -> float:
        """Return the probability that a face wears a mask, from one frame.

        Args:
            occlusion: (128, 128) in [0, 1], template coordinates.
            gain: Factor of the exposure for the generator, see `ColourMap.gain`.

        Raises:
            UsageError: The map has another shape.

        """
        features = mask_features(occlusion, gain)
        probability = logistic(float(np.array(self.coefficients) @ features + self.intercept))
        return min(probability, MAX_IN_THE_DARK) if gain > DIM_GAIN else probability


DEFAULT_CALIBRATION = MaskCalibration(
    (3.847, 3.157, 1.634, 0.313, 0.0, -2.967, -0.845, 5.213), -4.066
)
"""Fitted to `lite-camera` by `tests/benchmarks/fit_mask_decision.py`.

On 120 bare and 60 masked faces of `faces128` val in each condition of `conditions.py` (24, 48 and
96 px wide; MaskTheFace masks), and 96 bare and 495 masked faces of every second street picture in
seven lights; bare and masked faces of both sets with the same weight. Two-fold cross-validation,
predicted probability against observed share: 0.02 0.02, 0.14 0.26, 0.24 0.34,
0.35 0.45, 0.44 0.45, 0.54 0.56, 0.65 0.53, 0.75 0.65, 0.85 0.79, 0.99 0.99.
"""


def classify_mask(probability: float) -> MaskState:
    """Return the state for a probability of a mask, see `BARE_BELOW` and `MASKED_ABOVE`."""
    if probability >= MASKED_ABOVE:
        return "masked"
    return "bare" if probability <= BARE_BELOW else "unsure"


def filmed_where_covered(
    restored: NDArray[np.uint8], filmed: NDArray[np.uint8], occlusion: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """Replace a restored face by the filmed one wherever it counts as covered.

    Args:
        restored: RGB uint8 (128, 128, 3), in the template.
        filmed: The aligned crop of the frame, likewise.
        occlusion: (128, 128) in [0, 1].

    """
    share = covered_region(occlusion)[..., None]
    if not share.any():
        return restored
    joined = restored + share * (filmed.astype(np.float32) - restored)
    return np.asarray(np.rint(joined), np.uint8)


def logistic(odds: float) -> float:
    """Return the probability of log odds."""
    return 0.5 * (1.0 + math.tanh(0.5 * odds))


@cache
def _regions() -> dict[str, NDArray[np.bool_]]:
    """Return the regions of `mask_features` in their order, bool (128, 128)."""
    y, x = np.mgrid[:TEMPLATE_SIZE, :TEMPLATE_SIZE]
    face = face_ellipse()

    def box(left: int, top: int, right: int, bottom: int) -> NDArray[np.bool_]:
        inside: NDArray[np.bool_] = face & (x >= left) & (x < right) & (y >= top) & (y < bottom)
        return inside

    border = np.ones((TEMPLATE_SIZE, TEMPLATE_SIZE), np.bool_)
    border[4:-4, 4:-4] = False
    return {
        "nose": box(53, 78, 75, 94),
        "mouth": box(46, 97, 81, 112),
        "chin": box(46, 114, 81, TEMPLATE_SIZE),
        "left cheek": box(0, 80, 46, 110),
        "right cheek": box(81, 80, TEMPLATE_SIZE, 110),
        "upper face": box(0, 0, TEMPLATE_SIZE, 68),
        "border": border,
    }


@cache
def _lower_face() -> NDArray[np.bool_]:
    """Return nose, mouth, chin and cheeks of the template, bool (128, 128)."""
    lower = [region for name, region in _regions().items() if name not in ("upper face", "border")]
    return np.asarray(np.stack(lower).any(axis=0), np.bool_)


COVERED = 0.5
"""A pixel counts as covered above this occlusion."""
ELLIPSE_CENTRE = (63.0, 78.0)
ELLIPSE_AXES = (40.0, 54.0)
"""Half axes in pixels; the face from brows to chin in the 128-pixel template."""


@cache
def face_ellipse(side: int = 128) -> NDArray[np.bool_]:
    """Return where the face lies in the template, bool (side, side), read-only."""
    y, x = (np.mgrid[:side, :side] + 0.5) * (128.0 / side) - 0.5
    inside: NDArray[np.bool_] = ((x - ELLIPSE_CENTRE[0]) / ELLIPSE_AXES[0]) ** 2 + (
        (y - ELLIPSE_CENTRE[1]) / ELLIPSE_AXES[1]
    ) ** 2 <= 1.0
    inside.setflags(write=False)
    return inside


def covered_share(occlusion: NDArray[np.float32]) -> float:
    """Return the share of the face's ellipse that is covered, 0 to 1.

    Args:
        occlusion: (side, side) in [0, 1], template coordinates.

    Raises:
        UsageError: The map is not square or is empty.

    """
    if occlusion.ndim != 2 or occlusion.shape[0] != occlusion.shape[1] or occlusion.size == 0:
        raise UsageError(
            f"an occlusion map is square, not of shape {occlusion.shape}",
            hint="Give (128, 128), or another square of the template.",
        )
    return float((occlusion > COVERED)[face_ellipse(occlusion.shape[0])].mean())


MAX_EVIDENCE = 4.0
"""Maximum log odds of one frame; errors of the frames of a track are correlated."""
MAX_ODDS = 12.0
"""Maximum log odds of a track; limits how many frames a change of the class takes."""
DECAY = 1.0
"""Seconds in which the log odds of a track decay to 1/e."""


@dataclass
class _TrackOdds:
    odds: float
    """Log odds of a mask."""
    seconds: float
    """Time of the last frame of the track."""


class MaskClassifier:
    """Classifies the faces of the tracks of one input, frame by frame."""

    def __init__(self) -> None:
        self._tracks: dict[int, _TrackOdds] = {}

    def classify(self, track: int, seconds: float, probability: float) -> float:
        """Add a frame; return the probability of a mask given this and all earlier frames.

        Args:
            track: Number of the track.
            seconds: Time of the frame, not before that of the track's last one.
            probability: Probability from this frame alone, see `MaskCalibration.probability`.

        """
        share = min(max(probability, 1e-9), 1.0 - 1e-9)
        evidence = math.log(share / (1.0 - share))
        before = self._tracks.get(track)
        if before is None:
            odds = evidence
        else:
            kept = before.odds * math.exp(-max(0.0, seconds - before.seconds) / DECAY)
            odds = kept + min(max(evidence, -MAX_EVIDENCE), MAX_EVIDENCE)
        odds = min(max(odds, -MAX_ODDS), MAX_ODDS)
        self._tracks[track] = _TrackOdds(odds, seconds)
        return logistic(odds)

    def drop(self, track: int) -> None:
        """Forget a track that has ended."""
        self._tracks.pop(track, None)

    def state(self) -> dict[str, Any]:
        """Return the state as JSON-compatible values."""
        return {
            "tracks": [[key, one.odds, one.seconds] for key, one in sorted(self._tracks.items())]
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue from a `state`."""
        self._tracks = {track: _TrackOdds(*rest) for track, *rest in state["tracks"]}
