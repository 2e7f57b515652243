"""Temporal smoothing of restored faces along a track: an exponential blend in aligned space.

A generator responds to the noise of each frame, so that its faces flicker. Each face is blended
with the previous output of its track, but only where the input did not change: moving mouths and
blinking eyes are taken from the new face alone. The previous output is first registered to the
current crop, since landmark noise moves the crops.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.errors import UsageError
from jdsr_cli.faces.motion import estimate_motion
from jdsr_cli.faces.regions import face_region

LEVELS = 128.0
"""Steps per grey level in the state; finer than in a picture, so that a slow blend converges."""
SHARES = 65535.0
"""Steps of the occlusion map in the state."""
NOISE_FACTOR = 2.5
"""Multiple of the median change over a face above which a change is not noise."""
REACH = 7
"""Template pixels by which a change is dilated."""
STALE = 12.0
"""Seconds after which a track that was never dropped is removed; it restarts long before."""
STRENGTH_STEP = 0.04
"""Seconds between two faces for which `SmootherSettings.strength` is stated."""
ROUNDING = 0.002
"""Seconds by which the distance of two times that were rounded to a millisecond can be too long."""
STATE_FORMAT = 2
_FIELDS = ("time", "image", "occlusion", "reference")


@dataclass(frozen=True)
class SmootherSettings:
    """How strongly faces are smoothed.

    Raises:
        UsageError: A value is out of range.

    """

    strength: float = 0.8
    """Weight of the output of 0.04 s ago where nothing changed, 0 (off) to below 1.

    It decreases exponentially with time: 0.8 averages over about 0.2 s at any frame rate.
    """
    smoothing: float = 1.5
    """Standard deviation in template pixels of the Gaussian applied to compared inputs."""
    tolerance: tuple[float, float] = (5.0, 16.0)
    """Change of the smoothed input in grey levels at which the weight has fallen to 0.37.

    Within these limits it is `NOISE_FACTOR` times the median change over the face, so that noisy
    footage is smoothed as well, and a blink of an otherwise still face is not.
    """
    output_tolerance: tuple[float, float] = (12.0, 32.0)
    """The same for the change of the smoothed restored face."""
    max_change: float = 14.0
    """Mean change in grey levels over the face above which the track restarts."""
    max_gap: float = 0.16
    """Most seconds from one face of a track to the next; less than `STALE`. Above, the track
    restarts: at less than 6 frames a second there is no flicker to be smoothed."""

    def __post_init__(self) -> None:
        ranges = (self.tolerance, self.output_tolerance)
        positive = (self.smoothing, self.max_change, *(low for low, _ in ranges))
        ordered = all(low <= high for low, high in ranges)
        in_range = 0.0 <= self.strength < 1.0 and min(positive) > 0.0
        in_range = in_range and 0.0 <= self.max_gap < STALE
        if not in_range or not ordered:
            raise UsageError(
                f"faces cannot be smoothed with {self}",
                hint="The strength is 0 to below 1, the gap 0 or more, the rest above 0.",
            )


@dataclass(frozen=True, eq=False)
class _LastFace:
    """The last output of a track."""

    time: float
    """In seconds."""
    image: NDArray[np.uint16]
    """(128, 128, 3) in `LEVELS` a grey level."""
    occlusion: NDArray[np.uint16]
    """(128, 128) in `SHARES`."""
    reference: NDArray[np.uint16]
    """(128, 128): smoothed luma of the input, in `LEVELS` a grey level."""


class FaceSmoother:
    """Smooths restored faces along their tracks.

    Flicker (`metrics.temporal`) of the first 150 frames of development clips, CenterFace and
    `lite-camera`, landmarks as detected and smoothed (Gaussian of 2 frames), and the
    remaining contrast of fine detail:

    ::

        clip              detected         smoothed         detail
        mask_on         1.05 -> 0.80     0.92 -> 0.74        0.96
        two_people      0.96 -> 0.75     0.78 -> 0.51        0.97
        street_crowd    1.18 -> 0.95     1.21 -> 1.03        0.95

    The state is quantised, so that a resumed run gives the same bytes: see `state` and `load`. A
    track takes 160 KiB until it is dropped, or until another track is `STALE` seconds ahead.

    Args:
        settings: How strongly faces are smoothed.

    """

    def __init__(self, settings: SmootherSettings | None = None) -> None:
        self.settings = settings or SmootherSettings()
        self._last: dict[int, _LastFace] = {}

    def smooth(
        self,
        track: int,
        time: float,
        reference: NDArray[np.uint8],
        image: NDArray[np.uint8],
        occlusion: NDArray[np.float32],
        *,
        fresh: bool = False,
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Return the smoothed face and its occlusion map.

        Args:
            track: Number of the track.
            time: Time of the frame in seconds, ascending along a track.
            reference: The input crop enlarged to the template, RGB uint8 (128, 128, 3).
            image: The restored face, RGB uint8 (128, 128, 3).
            occlusion: (128, 128) in [0, 1].
            fresh: Restart the track, such as after a cut.

        Returns:
            RGB uint8 (128, 128, 3) and float32 (128, 128) in [0, 1]; the given ones if the
            track starts.

        Raises:
            UsageError: A shape or type is wrong.

        """
        _check(reference, image, occlusion)
        seen = _smooth_luma(reference, self.settings.smoothing)
        before = self._last.get(track)
        elapsed = 0.0 if before is None or fresh else time - before.time
        if before is None or not 0.0 < elapsed <= self.settings.max_gap + ROUNDING:
            return self._start(track, time, seen, image, occlusion)
        shift = estimate_motion(_levels(before.reference), _levels(seen))
        moved = _levels(_move(before.reference, shift))
        change, mean_change = _change(moved, _levels(seen))
        if mean_change > self.settings.max_change:
            return self._start(track, time, seen, image, occlusion)
        shown = _levels(_move(before.image, shift))
        # Changes between both restored faces beyond flicker, such as an opened eye.
        difference = cv2.GaussianBlur(image - shown, (0, 0), self.settings.smoothing)
        output_change = _dilate(np.abs(difference).mean(axis=2))
        strength = self.settings.strength ** (elapsed / STRENGTH_STEP)
        weight = strength * np.exp(
            -((change / _tolerance(change, self.settings.tolerance)) ** 2)
            - (output_change / _tolerance(output_change, self.settings.output_tolerance)) ** 2
        )
        old = _move(before.occlusion, shift).astype(np.float32) / SHARES
        blended = np.asarray(image + weight[..., None] * (shown - image), np.float32)
        covered = np.asarray(occlusion + weight * (old - occlusion), np.float32)
        return self._keep(track, time, seen, blended, covered)

    def drop(self, track: int) -> None:
        """Remove a track that has ended; unknown tracks are ignored."""
        self._last.pop(track, None)

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return the state as arrays for `load`, tracks in ascending order."""
        tracks = sorted(self._last)
        state: dict[str, NDArray[np.generic]] = {
            "format": np.array(STATE_FORMAT, np.int64),
            "tracks": np.array(tracks, np.int64),
        }
        size = TEMPLATE_SIZE
        shapes = {"time": (), "image": (size, size, 3)}
        for field in _FIELDS:
            kind = np.float64 if field == "time" else np.uint16
            values = [getattr(self._last[track], field) for track in tracks]
            shape = (len(tracks), *shapes.get(field, (size, size)))
            state[field] = np.array(values, kind).reshape(shape)
        return state

    def load(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Replace the state.

        Raises:
            UsageError: It is not a state of a smoother of this version.

        """
        empty = FaceSmoother().state()
        fits = have_same_layout(state, empty)
        if not fits or len({len(state[name]) for name in ("tracks", *_FIELDS)}) != 1:
            raise UsageError("this is not a state of the face smoother", hint="Start again.")
        if int(state["format"]) != STATE_FORMAT:
            raise UsageError(
                f"this state of the face smoother has format {int(state['format'])}, "
                f"not {STATE_FORMAT}",
                hint="Start again.",
            )
        self._last = {
            int(track): _LastFace(
                float(state["time"][index]),
                *(np.array(state[field][index], np.uint16) for field in _FIELDS[1:]),
            )
            for index, track in enumerate(state["tracks"])
        }

    def _start(
        self,
        track: int,
        time: float,
        seen: NDArray[np.uint16],
        image: NDArray[np.uint8],
        occlusion: NDArray[np.float32],
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        self._keep(track, time, seen, image.astype(np.float32), occlusion)
        return image.copy(), occlusion.copy()

    def _keep(
        self,
        track: int,
        time: float,
        seen: NDArray[np.uint16],
        image: NDArray[np.float32],
        occlusion: NDArray[np.float32],
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Store a face quantised, and return it as stored."""
        pixels = np.rint(np.clip(image, 0.0, 255.0) * LEVELS).astype(np.uint16)
        covered = np.rint(np.clip(occlusion, 0.0, 1.0) * SHARES).astype(np.uint16)
        self._last[track] = _LastFace(time, pixels, covered, seen)
        for stale in [one for one, held in self._last.items() if held.time < time - STALE]:
            del self._last[stale]
        shown = np.rint(pixels.astype(np.float32) / LEVELS).astype(np.uint8)
        return shown, np.asarray(covered.astype(np.float32) / SHARES, np.float32)


def have_same_layout(
    arrays: Mapping[str, NDArray[np.generic]], others: Mapping[str, NDArray[np.generic]]
) -> bool:
    """Return whether the names, types and shapes of arrays are equal, except for their lengths."""
    return set(arrays) == set(others) and all(
        arrays[name].dtype == other.dtype
        and arrays[name].ndim == other.ndim
        and arrays[name].shape[1:] == other.shape[1:]
        for name, other in others.items()
    )


def _check(
    reference: NDArray[np.uint8], image: NDArray[np.uint8], occlusion: NDArray[np.float32]
) -> None:
    size = (TEMPLATE_SIZE, TEMPLATE_SIZE)
    pictures = all(one.shape == (*size, 3) and one.dtype == np.uint8 for one in (reference, image))
    if not pictures or occlusion.shape != size:
        raise UsageError(
            f"faces are smoothed as RGB uint8 {(*size, 3)} with a map {size}, not "
            f"{reference.shape}, {image.shape} and {occlusion.shape}",
            hint="Give crops of the template.",
        )


def _smooth_luma(reference: NDArray[np.uint8], deviation: float) -> NDArray[np.uint16]:
    luma = cv2.cvtColor(reference, cv2.COLOR_RGB2GRAY).astype(np.float32)
    smooth = np.asarray(cv2.GaussianBlur(luma, (0, 0), deviation))
    return np.asarray(np.rint(smooth * LEVELS), np.uint16)


def _levels(stored: NDArray[np.uint16]) -> NDArray[np.float32]:
    return np.asarray(stored.astype(np.float32) / LEVELS, np.float32)


def _move(stored: NDArray[np.uint16], matrix: NDArray[np.float64]) -> NDArray[np.uint16]:
    """Warp a stored array by (2, 3) from current pixels to previous ones."""
    if np.array_equal(matrix, np.eye(2, 3)):
        return stored
    size = (TEMPLATE_SIZE, TEMPLATE_SIZE)
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(stored, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.uint16)


def _change(
    before: NDArray[np.float32], now: NDArray[np.float32]
) -> tuple[NDArray[np.float32], float]:
    """Return the change of the input at each pixel (128, 128) and its mean over the face.

    A uniform change of brightness does not count: compositing matches it.
    """
    region = face_region()
    total = float(region.sum())
    difference = now - before
    even = float((region * difference).sum(dtype=np.float64)) / total
    mean = float((region * np.abs(difference)).sum(dtype=np.float64)) / total
    return _dilate(np.abs(difference - even)), mean


def _tolerance(change: NDArray[np.float32], limits: tuple[float, float]) -> float:
    """Return the change in grey levels up to which it counts as noise."""
    return float(np.clip(NOISE_FACTOR * float(np.median(change[_inside()])), *limits))


@cache
def _inside() -> NDArray[np.bool_]:
    return face_region() > 0.5


def _dilate(change: NDArray[np.float32]) -> NDArray[np.float32]:
    """Dilate and blur a change, so that an eye opens as a whole."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (REACH, REACH))
    return np.asarray(cv2.GaussianBlur(cv2.dilate(change, disc), (0, 0), REACH / 4.0), np.float32)
