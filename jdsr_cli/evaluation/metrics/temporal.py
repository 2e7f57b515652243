"""Flicker: how much restored faces change from frame to frame, relative to their input.

Both are compared in aligned space, so that walking through the picture is no change; and since
landmarks tremble, the crop of the frame before is first moved to where the input's face is now,
input and restored face alike. A face that speaks changes in both; what the generator makes of
noise changes in the restored face only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.errors import UsageError
from jdsr_cli.faces.motion import estimate_motion
from jdsr_cli.faces.regions import face_region

MIN_INPUT = 0.05
"""Mean grey levels a pair by which an input must change; a still picture has no ratio."""
STALE = 300
"""Frames after which a track that was never dropped is forgotten; only neighbours make pairs."""
SMOOTHING = 2.5
"""Standard deviation in template pixels by which inputs are smoothed to see their motion."""


@dataclass(frozen=True, eq=False)
class _Last:
    frame: int
    reference: NDArray[np.uint8]
    restored: NDArray[np.uint8]


class FlickerMeter:
    """Adds up frame-to-frame changes over a run, whatever the order of tracks within a frame.

    Of each track the last pair of crops, 96 KiB, is kept until it is dropped or another track is
    `STALE` frames ahead.
    """

    def __init__(self) -> None:
        self._last: dict[int, _Last] = {}
        self._pairs = 0
        self._input = 0.0
        self._output = 0.0

    @property
    def pairs(self) -> int:
        """Pairs of consecutive frames of one track."""
        return self._pairs

    @property
    def input_change(self) -> float | None:
        """Mean absolute change of the input's luma in grey levels; None without pairs."""
        return self._input / self._pairs if self._pairs else None

    @property
    def restored_change(self) -> float | None:
        """The same of the restored faces."""
        return self._output / self._pairs if self._pairs else None

    @property
    def ratio(self) -> float | None:
        """Change of the restored faces relative to that of their input.

        Below 1 the restored faces flicker less than the input. A restored face has more contrast
        than a blurred input, and moves more grey levels when it moves. None where there were no
        pairs, or the input stood still.
        """
        if not self._pairs or self._input < MIN_INPUT * self._pairs:
            return None
        return self._output / self._input

    def add(
        self,
        track: int,
        frame: int,
        reference: NDArray[np.uint8],
        restored: NDArray[np.uint8],
        *,
        fresh: bool = False,
        motion: NDArray[np.float64] | None = None,
    ) -> NDArray[np.float64] | None:
        """Add a face; with the same track's face of the frame before it makes a pair.

        Args:
            track: Of the face.
            frame: Number of the frame.
            reference: The input crop enlarged to the template, RGB uint8 (128, 128, 3).
            restored: The face as shown, in the template, RGB uint8 (128, 128, 3).
            fresh: Make no pair with what came before, such as after a cut.
            motion: What another meter returned for the same track, frame and reference.

        Returns:
            The motion of the input, see `estimate_motion`; None without a pair.

        Raises:
            UsageError: a picture has another shape or type.

        """
        for picture in (reference, restored):
            if picture.shape != (TEMPLATE_SIZE, TEMPLATE_SIZE, 3) or picture.dtype != np.uint8:
                raise UsageError(
                    f"flicker is measured on RGB uint8 {(TEMPLATE_SIZE, TEMPLATE_SIZE, 3)}, "
                    f"not {picture.dtype} {picture.shape}",
                    hint="Give crops of the template.",
                )
        last = self._last.get(track)
        if last is not None and not fresh and frame == last.frame + 1:
            self._pairs += 1
            if motion is None:
                motion = estimate_motion(_smooth_luma(last.reference), _smooth_luma(reference))
            self._input += _difference(last.reference, reference, motion)
            self._output += _difference(last.restored, restored, motion)
        else:
            motion = None
        self._last[track] = _Last(frame, reference.copy(), restored.copy())
        for stale in [one for one, last in self._last.items() if last.frame < frame - STALE]:
            del self._last[stale]
        return motion

    def drop(self, track: int) -> None:
        """Forget the last face of a track that has ended; the sums stay."""
        self._last.pop(track, None)

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return sums and last faces as arrays that `load` takes back."""
        tracks = sorted(self._last)
        kept = [self._last[track] for track in tracks]
        shape = (len(tracks), TEMPLATE_SIZE, TEMPLATE_SIZE, 3)
        return {
            "sums": np.array([self._input, self._output], np.float64),
            "pairs": np.array(self._pairs, np.int64),
            "tracks": np.array(tracks, np.int64),
            "frames": np.array([one.frame for one in kept], np.int64),
            "references": np.array([one.reference for one in kept], np.uint8).reshape(shape),
            "restored": np.array([one.restored for one in kept], np.uint8).reshape(shape),
        }

    def load(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Go on from a `state`, to the last bit as if there had been no break.

        Raises:
            UsageError: it is no state of a flicker meter.

        """
        empty = FlickerMeter().state()
        fits = set(state) == set(empty) and all(
            state[name].dtype == array.dtype
            and state[name].ndim == array.ndim
            and state[name].shape[1:] == array.shape[1:]
            for name, array in empty.items()
        )
        fits = fits and len(state["sums"]) == 2
        if not fits or len({len(state[name]) for name in set(empty) - {"sums", "pairs"}}) != 1:
            raise UsageError("this is no state of a flicker meter", hint="Start the run anew.")
        self._pairs = int(state["pairs"])
        self._input, self._output = (float(value) for value in state["sums"])
        self._last = {
            int(track): _Last(
                int(state["frames"][index]),
                np.array(state["references"][index], np.uint8),
                np.array(state["restored"][index], np.uint8),
            )
            for index, track in enumerate(state["tracks"])
        }


def _luma(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    return cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)


def _smooth_luma(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.asarray(cv2.GaussianBlur(_luma(picture), (0, 0), SMOOTHING), np.float32)


def _difference(
    before: NDArray[np.uint8], now: NDArray[np.uint8], motion: NDArray[np.float64]
) -> float:
    """Return the mean absolute change of luma over the face, in grey levels."""
    moved = cv2.warpAffine(
        _luma(before),
        motion,
        (TEMPLATE_SIZE, TEMPLATE_SIZE),
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    region = face_region()
    change = np.abs(_luma(now) - moved)
    return float((region * change).sum(dtype=np.float64) / region.sum(dtype=np.float64))
