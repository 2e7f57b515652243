"""Classify whether the face of a track is masked, from all of its frames.

The evidence of the frames of a track adds up and decays within about a second, so that single
wrong frames do not change the result.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jdsr_cli.faces.occlusion import logistic

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
