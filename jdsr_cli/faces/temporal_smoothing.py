"""Restored faces along a track without flicker: an exponential blend in aligned space.

A generator answers the noise of each frame anew, and its faces flicker. Here each face is
blended with what was shown before it, but only where the camera's own picture did not change:
what moves, speaks or blinks is taken from the new face alone. What was shown before is first
moved to where the face is now, since the landmarks tremble and the crop with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.errors import UsageError
from jdsr_cli.faces.alignment import TEMPLATE_SIZE
from jdsr_cli.faces.motion import estimate_motion
from jdsr_cli.faces.regions import face_region

LEVELS = 128.0
"""Steps per grey level in the state: finer than a picture's, so that a slow blend arrives."""
SHARES = 65535.0
"""Steps of occlusion in the state."""
RELATIVE = 2.5
"""Times the median change over a face by which a change is told from noise."""
REACH = 7
"""Template pixels over which a change reaches."""
STALE = 300
"""Frames after which a track that was never dropped is forgotten; it starts anew long before."""
STATE_FORMAT = 1
_FIELDS = ("frame", "image", "occlusion", "reference")


@dataclass(frozen=True)
class SmootherSettings:
    """How strongly faces are held.

    Raises:
        UsageError: a value is out of its range.

    """

    strength: float = 0.8
    """Share of what was shown before where nothing changed, 0 (off) to below 1.

    0.8 averages over about 5 frames.
    """
    smoothing: float = 1.5
    """Standard deviation in template pixels by which inputs are smoothed before comparing."""
    tolerance: tuple[float, float] = (5.0, 16.0)
    """Grey levels of change in the smoothed input at which the share has fallen to 0.37.

    Within these limits it is `RELATIVE` times the median change over the face, so that noisy
    footage is held as well, and a blink of a face that is otherwise still is not.
    """
    unlike: tuple[float, float] = (12.0, 32.0)
    """The same of change in the smoothed restored face."""
    most_change: float = 14.0
    """Mean change in grey levels over the face from which the track starts anew."""
    most_gap: int = 3
    """Frames without the face that a track goes on over; at most `STALE` - 1."""

    def __post_init__(self) -> None:
        ranges = (self.tolerance, self.unlike)
        positive = (self.smoothing, self.most_change, *(low for low, _ in ranges))
        ordered = all(low <= high for low, high in ranges)
        in_range = 0.0 <= self.strength < 1.0 and min(positive) > 0.0
        in_range = in_range and 0 <= self.most_gap < STALE
        if not in_range or not ordered:
            raise UsageError(
                f"faces cannot be held by {self}",
                hint="The strength is 0 to below 1, the gap 0 or more, the rest above 0.",
            )


@dataclass(frozen=True, eq=False)
class _Held:
    """What a track showed last."""

    frame: int
    image: NDArray[np.uint16]
    """(128, 128, 3) in `LEVELS` a grey level."""
    occlusion: NDArray[np.uint16]
    """(128, 128) in `SHARES`."""
    reference: NDArray[np.uint16]
    """(128, 128): smoothed luma of the input, in `LEVELS` a grey level."""


class FaceSmoother:
    """Holds restored faces still along their tracks.

    Flicker (`metrics.temporal`) of the first 150 frames of development clips, CenterFace and
    `lite-camera`, landmarks as detected and smoothed (Gaussian of 2 frames), and the contrast
    of fine detail that is left:

    ::

        clip              detected         smoothed         detail
        mask_on         1.05 -> 0.80     0.92 -> 0.74        0.96
        two_people      0.96 -> 0.75     0.78 -> 0.51        0.97
        street_crowd    1.18 -> 0.95     1.21 -> 1.03        0.95

    What it keeps is quantised, so that a run that was interrupted goes on with the same bytes:
    see `state` and `load`. A track holds 160 KiB until it is dropped, or until another track is
    `STALE` frames ahead.

    Args:
        settings: How strongly.

    """

    def __init__(self, settings: SmootherSettings | None = None) -> None:
        self.settings = settings or SmootherSettings()
        self._held: dict[int, _Held] = {}

    def smooth(
        self,
        track: int,
        frame: int,
        reference: NDArray[np.uint8],
        image: NDArray[np.uint8],
        occlusion: NDArray[np.float32],
        *,
        fresh: bool = False,
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Return the face as it should be shown, and its occlusion.

        Args:
            track: Of the face.
            frame: Number of the frame, rising along a track.
            reference: The input crop enlarged to the template, RGB uint8 (128, 128, 3).
            image: The restored face, RGB uint8 (128, 128, 3).
            occlusion: (128, 128) in [0, 1].
            fresh: Start the track anew, such as after a cut.

        Returns:
            RGB uint8 (128, 128, 3) and float32 (128, 128) in [0, 1]; the given ones where the
            track starts.

        Raises:
            UsageError: a shape or type is another.

        """
        _check(reference, image, occlusion)
        seen = _smooth_luma(reference, self.settings.smoothing)
        before = self._held.get(track)
        if before is None or fresh or not 0 < frame - before.frame <= self.settings.most_gap + 1:
            return self._start(track, frame, seen, image, occlusion)
        shift = estimate_motion(_levels(before.reference), _levels(seen))
        moved = _levels(_move(before.reference, shift))
        change, mean_change = _change(moved, _levels(seen))
        if mean_change > self.settings.most_change:
            return self._start(track, frame, seen, image, occlusion)
        shown = _levels(_move(before.image, shift))
        # What changed between both restored faces beyond flicker, such as an eye that opened.
        apart = cv2.GaussianBlur(image - shown, (0, 0), self.settings.smoothing)
        unlike = _spread(np.abs(apart).mean(axis=2))
        held = self.settings.strength * np.exp(
            -((change / _tolerance(change, self.settings.tolerance)) ** 2)
            - (unlike / _tolerance(unlike, self.settings.unlike)) ** 2
        )
        old = _move(before.occlusion, shift).astype(np.float32) / SHARES
        blended = np.asarray(image + held[..., None] * (shown - image), np.float32)
        covered = np.asarray(occlusion + held * (old - occlusion), np.float32)
        return self._keep(track, frame, seen, blended, covered)

    def drop(self, track: int) -> None:
        """Forget a track that has ended; one that is not known is no error."""
        self._held.pop(track, None)

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return all that is held, as arrays that `load` takes back, tracks in rising order."""
        tracks = sorted(self._held)
        state: dict[str, NDArray[np.generic]] = {
            "format": np.array(STATE_FORMAT, np.int64),
            "tracks": np.array(tracks, np.int64),
        }
        size = TEMPLATE_SIZE
        shapes = {"frame": (), "image": (size, size, 3)}
        for field in _FIELDS:
            kind = np.int64 if field == "frame" else np.uint16
            values = [getattr(self._held[track], field) for track in tracks]
            shape = (len(tracks), *shapes.get(field, (size, size)))
            state[field] = np.array(values, kind).reshape(shape)
        return state

    def load(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Go on from a `state`; what was held before is forgotten.

        Raises:
            UsageError: it is no state of a stabiliser of this version.

        """
        empty = FaceSmoother().state()
        fits = set(state) == set(empty) and all(
            state[name].dtype == array.dtype
            and state[name].ndim == array.ndim
            and state[name].shape[1:] == array.shape[1:]
            for name, array in empty.items()
        )
        if not fits or len({len(state[name]) for name in ("tracks", *_FIELDS)}) != 1:
            raise UsageError("this is no state of the stabiliser", hint="Start the run anew.")
        if int(state["format"]) != STATE_FORMAT:
            raise UsageError(
                f"this state of the stabiliser has format {int(state['format'])}, "
                f"not {STATE_FORMAT}",
                hint="Start the run anew.",
            )
        self._held = {
            int(track): _Held(
                int(state["frame"][index]),
                *(np.array(state[field][index], np.uint16) for field in _FIELDS[1:]),
            )
            for index, track in enumerate(state["tracks"])
        }

    def _start(
        self,
        track: int,
        frame: int,
        seen: NDArray[np.uint16],
        image: NDArray[np.uint8],
        occlusion: NDArray[np.float32],
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        self._keep(track, frame, seen, image.astype(np.float32), occlusion)
        return image.copy(), occlusion.copy()

    def _keep(
        self,
        track: int,
        frame: int,
        seen: NDArray[np.uint16],
        image: NDArray[np.float32],
        occlusion: NDArray[np.float32],
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Hold a face, and return it as it is held."""
        pixels = np.rint(np.clip(image, 0.0, 255.0) * LEVELS).astype(np.uint16)
        covered = np.rint(np.clip(occlusion, 0.0, 1.0) * SHARES).astype(np.uint16)
        self._held[track] = _Held(frame, pixels, covered, seen)
        for stale in [one for one, held in self._held.items() if held.frame < frame - STALE]:
            del self._held[stale]
        shown = np.rint(pixels.astype(np.float32) / LEVELS).astype(np.uint8)
        return shown, np.asarray(covered.astype(np.float32) / SHARES, np.float32)


def _check(
    reference: NDArray[np.uint8], image: NDArray[np.uint8], occlusion: NDArray[np.float32]
) -> None:
    size = (TEMPLATE_SIZE, TEMPLATE_SIZE)
    pictures = all(one.shape == (*size, 3) and one.dtype == np.uint8 for one in (reference, image))
    if not pictures or occlusion.shape != size:
        raise UsageError(
            f"faces are held as RGB uint8 {(*size, 3)} with a map {size}, not {reference.shape}, "
            f"{image.shape} and {occlusion.shape}",
            hint="Give crops of the template.",
        )


def _smooth_luma(reference: NDArray[np.uint8], deviation: float) -> NDArray[np.uint16]:
    luma = cv2.cvtColor(reference, cv2.COLOR_RGB2GRAY).astype(np.float32)
    smooth = np.asarray(cv2.GaussianBlur(luma, (0, 0), deviation))
    return np.asarray(np.rint(smooth * LEVELS), np.uint16)


def _levels(held: NDArray[np.uint16]) -> NDArray[np.float32]:
    return np.asarray(held.astype(np.float32) / LEVELS, np.float32)


def _move(held: NDArray[np.uint16], matrix: NDArray[np.float64]) -> NDArray[np.uint16]:
    """Read what is held at `matrix`, (2, 3) from pixels of now to pixels of then."""
    if np.array_equal(matrix, np.eye(2, 3)):
        return held
    size = (TEMPLATE_SIZE, TEMPLATE_SIZE)
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(held, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.uint16)


def _change(
    before: NDArray[np.float32], now: NDArray[np.float32]
) -> tuple[NDArray[np.float32], float]:
    """Return the change of the input at each pixel (128, 128) and its mean over the face.

    A change of all the face's light alike is no change: it is matched where faces are pasted.
    """
    region = face_region()
    total = float(region.sum())
    difference = now - before
    even = float((region * difference).sum(dtype=np.float64)) / total
    away = np.abs(difference)
    mean = float((region * away).sum(dtype=np.float64)) / total
    return _spread(np.abs(difference - even)), mean


def _tolerance(change: NDArray[np.float32], limits: tuple[float, float]) -> float:
    """Return how much change is taken for noise, in grey levels."""
    return float(np.clip(RELATIVE * float(np.median(change[_inside()])), *limits))


@cache
def _inside() -> NDArray[np.bool_]:
    return face_region() > 0.5


def _spread(change: NDArray[np.float32]) -> NDArray[np.float32]:
    """Let a change reach a little further: an eye opens as a whole."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (REACH, REACH))
    return np.asarray(cv2.GaussianBlur(cv2.dilate(change, disc), (0, 0), REACH / 4.0), np.float32)
