"""Is a face masked? A calibrated probability, and a decision that holds along a track.

The probability comes from where the generator's occlusion map says that the face is covered: a
mask covers nose, mouth and chin together, a beard, a shadow or a border of the picture does not.
Along a track the evidence of its frames adds up, and fades within about a second, so that single
frames that are mistaken change nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.errors import UsageError
from jdsr_cli.faces.quality.covering import face_ellipse
from jdsr_cli.faces.regions import covered_region

MaskState = Literal["bare", "unsure", "masked"]

SIDE = 128
BARE_BELOW, MASKED_ABOVE = 0.2, 0.95
"""Probabilities up to which a face is bare, and from which it is masked; `unsure` between.

A mouth painted over a bare one costs about 20 times as much as a mask that is left on: 0.95 is
where both expected costs are equal.
"""
DARKEST = 5.0
"""Exposure values (powers of 2) by which a face is raised that counts as darkest."""
COEFFICIENTS = (3.492, 3.654, 0.355, 1.052, 0.854, 0.0, 0.141, 0.0, -1.603, -0.408)
INTERCEPT = -3.299
"""Of the log odds of a mask, for `mask_features` of `lite-camera`'s occlusion maps.

Fitted by `tests/benchmarks/fit_mask_decision.py` on 720 bare and 360 masked faces of `faces128` val
(normal, green, 10 % light; 24, 48 and 96 px wide; MaskTheFace masks) and 112 bare and 728 masked
faces of street pictures in seven lights, each kind with the same weight; the former by a mean with
half instead of 40 % of the newest weights. Probability told against
share found on them: 0.03 0.02, 0.15 0.28, 0.45 0.35, 0.56 0.43, 0.66 0.70, 0.87 0.87, 0.99 0.99.
"""
MOST_EVIDENCE = 4.0
"""Most that one frame counts, in log odds: frames of a track err together."""
MOST_BELIEF = 12.0
"""Most log odds of a track: how long it takes to change one's mind."""
FADE = 1.0
"""Seconds within which the belief in a track falls to 1/e of what it was."""


def mask_features(occlusion: NDArray[np.float32], gain: float = 1.0) -> NDArray[np.float64]:
    """Describe the shape of what is covered, and how dark it was, (10,), each in [0, 1].

    Means over nose, mouth, chin, left and right cheek and upper face, the least of nose, mouth and
    chin, the outermost rows and columns of the picture; the darkness, and its product with the
    mean of nose and mouth: in the dark an occlusion map is worth less.

    Args:
        occlusion: (128, 128) in [0, 1], template coordinates.
        gain: By which the exposure was raised for the generator, see `ColourMap.gain`.

    Raises:
        UsageError: the map has another shape.

    """
    if occlusion.shape != (SIDE, SIDE):
        raise UsageError(
            f"an occlusion map is (128, 128), not {occlusion.shape}", hint="Enlarge it first."
        )
    means = [float(occlusion[region].mean()) for region in _regions().values()]
    darkness = min(max(math.log2(max(gain, 1e-6)), 0.0) / DARKEST, 1.0)
    middle = 0.5 * (means[0] + means[1])
    return np.array([*means[:-1], min(means[:3]), means[-1], darkness, darkness * middle])


def mask_probability(occlusion: NDArray[np.float32], gain: float = 1.0) -> float:
    """Return the probability that a face wears a mask, from one frame.

    Args:
        occlusion: (128, 128) in [0, 1], template coordinates.
        gain: By which the exposure was raised for the generator, see `ColourMap.gain`.

    Raises:
        UsageError: the map has another shape.

    """
    return _sigmoid(float(np.array(COEFFICIENTS) @ mask_features(occlusion, gain) + INTERCEPT))


def decide(probability: float) -> MaskState:
    """Return what a probability of a mask means, see `BARE_BELOW` and `MASKED_ABOVE`."""
    if probability >= MASKED_ABOVE:
        return "masked"
    return "bare" if probability <= BARE_BELOW else "unsure"


@dataclass
class _Belief:
    odds: float
    """Log odds of a mask."""
    seconds: float
    """Time of the last frame that showed the track."""


class MaskJudge:
    """Decides for each face of each track of an input, frame after frame."""

    def __init__(self) -> None:
        self._beliefs: dict[int, _Belief] = {}

    def judge(self, track: int, seconds: float, probability: float) -> float:
        """Take in a frame; return the probability of a mask with all that was seen before.

        Args:
            track: Number of the track.
            seconds: Time of the frame, not before that of the track's last one.
            probability: From this frame alone, see `mask_probability`.

        """
        share = min(max(probability, 1e-9), 1.0 - 1e-9)
        evidence = math.log(share / (1.0 - share))
        before = self._beliefs.get(track)
        if before is None:
            odds = evidence
        else:
            kept = before.odds * math.exp(-max(0.0, seconds - before.seconds) / FADE)
            odds = kept + min(max(evidence, -MOST_EVIDENCE), MOST_EVIDENCE)
        odds = min(max(odds, -MOST_BELIEF), MOST_BELIEF)
        self._beliefs[track] = _Belief(odds, seconds)
        return _sigmoid(odds)

    def drop(self, track: int) -> None:
        """Forget a track that has ended."""
        self._beliefs.pop(track, None)

    def state(self) -> dict[str, Any]:
        """Return what later frames need, as JSON holds it."""
        return {
            "beliefs": [[key, one.odds, one.seconds] for key, one in sorted(self._beliefs.items())]
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from where `state` was taken."""
        self._beliefs = {track: _Belief(*rest) for track, *rest in state["beliefs"]}


def uncovered(
    restored: NDArray[np.uint8], filmed: NDArray[np.uint8], occlusion: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """Leave a restored face as it was filmed wherever it was taken for covered.

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


def _sigmoid(odds: float) -> float:
    return 0.5 * (1.0 + math.tanh(0.5 * odds))


@cache
def _regions() -> dict[str, NDArray[np.bool_]]:
    """Return regions of the template, bool (128, 128): those of `mask_features` in their order."""
    y, x = np.mgrid[:SIDE, :SIDE]
    face = face_ellipse()

    def box(left: int, top: int, right: int, bottom: int) -> NDArray[np.bool_]:
        inside: NDArray[np.bool_] = face & (x >= left) & (x < right) & (y >= top) & (y < bottom)
        return inside

    border = np.ones((SIDE, SIDE), np.bool_)
    border[4:-4, 4:-4] = False
    return {
        "nose": box(53, 78, 75, 94),
        "mouth": box(46, 97, 81, 112),
        "chin": box(46, 114, 81, SIDE),
        "left cheek": box(0, 80, 46, 110),
        "right cheek": box(81, 80, SIDE, 110),
        "upper face": box(0, 0, SIDE, 68),
        "border": border,
    }
