"""Flicker: the change of restored faces from frame to frame, relative to that of their input.

Both are compared in aligned crops, so that movement through the frame is not a change. Since
landmarks jitter, the previous crops of input and restored face are first registered to the current
input. A face that speaks changes in both; the generator's response to noise changes the restored
face only.
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
from jdsr_cli.faces.temporal_smoothing import have_same_layout

MIN_INPUT = 0.05
"""Minimum mean change of the input per pair, in grey levels; below it the ratio is undefined."""
MAX_AGE = 300
"""Number of frames after which the last face of a track is deleted."""
SMOOTHING = 2.5
"""Standard deviation, in template pixels, of the smoothing before motion estimation."""


@dataclass(frozen=True, eq=False)
class _PreviousFace:
    frame: int
    reference: NDArray[np.uint8]
    restored: NDArray[np.uint8]


class FlickerMeter:
    """Accumulates frame-to-frame changes over a run, in any order of tracks within a frame.

    For each track the last pair of crops, 96 KiB, is stored until the track is dropped or another
    track is `MAX_AGE` frames ahead.
    """

    def __init__(self) -> None:
        self._last: dict[int, _PreviousFace] = {}
        self._pairs = 0
        self._input = 0.0
        self._output = 0.0

    @property
    def pairs(self) -> int:
        """Number of pairs of consecutive frames of a track."""
        return self._pairs

    @property
    def input_change(self) -> float | None:
        """Mean absolute change of the input's luma in grey levels; None without pairs."""
        return self._input / self._pairs if self._pairs else None

    @property
    def restored_change(self) -> float | None:
        """Mean absolute change of the restored faces; None without pairs."""
        return self._output / self._pairs if self._pairs else None

    @property
    def ratio(self) -> float | None:
        """Change of the restored faces relative to that of their input.

        Below 1 the restored faces flicker less than the input. A restored face has more contrast
        than a blurred input, so that the same movement changes it by more grey levels. None if
        there are no pairs or the input does not change.
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
        """Add a face; it forms a pair with the face of the same track in the previous frame.

        Args:
            track: Number of the track.
            frame: Number of the frame.
            reference: The input crop enlarged to the template, RGB uint8 (128, 128, 3).
            restored: The displayed face, aligned to the template, RGB uint8 (128, 128, 3).
            fresh: Do not form a pair with the previous face, for example after a cut.
            motion: Result of another meter for the same track, frame and reference.

        Returns:
            The motion of the input, see `estimate_motion`; None without a pair.

        Raises:
            UsageError: An image has another shape or type.

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
                motion = motion_between(last.reference, reference)
            self._input += change_between(last.reference, reference, motion)
            self._output += change_between(last.restored, restored, motion)
        else:
            motion = None
        self._last[track] = _PreviousFace(frame, reference.copy(), restored.copy())
        for stale in [one for one, last in self._last.items() if last.frame < frame - MAX_AGE]:
            del self._last[stale]
        return motion

    def drop(self, track: int) -> None:
        """Delete the last face of a finished track; the sums are unchanged."""
        self._last.pop(track, None)

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return sums and last faces as arrays for `load`."""
        tracks = sorted(self._last)
        faces = [self._last[track] for track in tracks]
        shape = (len(tracks), TEMPLATE_SIZE, TEMPLATE_SIZE, 3)
        return {
            "sums": np.array([self._input, self._output], np.float64),
            "pairs": np.array(self._pairs, np.int64),
            "tracks": np.array(tracks, np.int64),
            "frames": np.array([one.frame for one in faces], np.int64),
            "references": np.array([one.reference for one in faces], np.uint8).reshape(shape),
            "restored": np.array([one.restored for one in faces], np.uint8).reshape(shape),
        }

    def load(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Restore a `state`; results are identical to those of an uninterrupted run.

        Raises:
            UsageError: It is not a state of a flicker meter.

        """
        empty = FlickerMeter().state()
        valid = have_same_layout(state, empty)
        valid = valid and len(state["sums"]) == 2
        if not valid or len({len(state[name]) for name in set(empty) - {"sums", "pairs"}}) != 1:
            raise UsageError("this is not a state of a flicker meter", hint="Start a new run.")
        self._pairs = int(state["pairs"])
        self._input, self._output = (float(value) for value in state["sums"])
        self._last = {
            int(track): _PreviousFace(
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


def motion_between(previous: NDArray[np.uint8], current: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the motion of a face between aligned crops of two frames, see `estimate_motion`.

    Args:
        previous: RGB uint8 (128, 128, 3).
        current: The same of the next frame.

    """
    return estimate_motion(_smooth_luma(previous), _smooth_luma(current))


def change_between(
    previous: NDArray[np.uint8], current: NDArray[np.uint8], motion: NDArray[np.float64]
) -> float:
    """Return the mean absolute change of luma over the face, in grey levels.

    Args:
        previous: RGB uint8 (128, 128, 3).
        current: The same of the next frame.
        motion: (2, 3) from pixels of `current` to those of `previous`.

    """
    moved = cv2.warpAffine(
        _luma(previous),
        motion,
        (TEMPLATE_SIZE, TEMPLATE_SIZE),
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    region = face_region()
    change = np.abs(_luma(current) - moved)
    return float((region * change).sum(dtype=np.float64) / region.sum(dtype=np.float64))
