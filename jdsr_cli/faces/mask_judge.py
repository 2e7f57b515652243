"""Decides whether a face is masked by all frames that showed it.

Along a track the evidence of its frames adds up, and fades within about a second, so that single
frames that are mistaken change nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jdsr_cli.faces.occlusion import logistic

MOST_EVIDENCE = 4.0
"""Most that one frame counts, in log odds: frames of a track err together."""
MOST_BELIEF = 12.0
"""Most log odds of a track; it limits how many frames a change of the decision takes."""
FADE = 1.0
"""Seconds within which the belief in a track falls to 1/e of what it was."""


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
            probability: From this frame alone, see `MaskCalibration.probability`.

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
        return logistic(odds)

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
