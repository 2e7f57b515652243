"""Restored faces held still along their tracks, and how much they flicker with it and without."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.evaluation.metrics.temporal import FlickerMeter
from jdsr_cli.faces.temporal_smoothing import FaceSmoother
from jdsr_cli.restoration.generate import RestoredFace
from jdsr_cli.restoration.journal.snapshot import Snapshot


class Steadying:
    """Blends the faces of one input along their tracks and measures flicker before and after."""

    def __init__(self) -> None:
        self._stabiliser = FaceSmoother()
        self._before, self._after = FlickerMeter(), FlickerMeter()

    def steady(
        self,
        track: int,
        number: int,
        reference: NDArray[np.uint8],
        face: RestoredFace,
        *,
        fresh: bool,
    ) -> RestoredFace:
        """Return a face blended with what its track showed before.

        Args:
            track: Of the face.
            number: Of the frame.
            reference: The face as filmed, in the template, RGB uint8 (128, 128, 3).
            face: As restored.
            fresh: Another scene begins here.

        """
        image, occlusion = self._stabiliser.smooth(
            track, number, reference, face.image, face.occlusion, fresh=fresh
        )
        self._before.add(track, number, reference, face.image, fresh=fresh)
        self._after.add(track, number, reference, image, fresh=fresh)
        return replace(face, image=image, occlusion=occlusion)

    def drop(self, track: int) -> None:
        """Forget a track that has ended."""
        for part in (self._stabiliser, self._before, self._after):
            part.drop(track)

    def figures(self, *, blended: bool) -> Mapping[str, Any]:
        """Return flicker relative to the input's, see `metrics.temporal`.

        Args:
            blended: Whether blended faces were shown.

        """
        shown = self._after if blended else self._before
        return {
            "flicker": _rounded(shown.ratio),
            "flicker_unstabilised": _rounded(self._before.ratio),
        }

    def state(self) -> Snapshot:
        """Return what later frames need of those so far."""
        return Snapshot.join(
            stabiliser=Snapshot(arrays=self._stabiliser.state()),
            before=Snapshot(arrays=self._before.state()),
            after=Snapshot(arrays=self._after.state()),
        )

    def load(self, state: Snapshot) -> None:
        """Go on from where `state` was taken."""
        self._stabiliser.load(state.part("stabiliser").arrays)
        self._before.load(state.part("before").arrays)
        self._after.load(state.part("after").arrays)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
