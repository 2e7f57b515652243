"""Start, continue, end and re-identify the tracks of an input, frame by frame."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.faces.detection.base import Detection
from jdsr_cli.faces.head_appearance import Thumbnails, head_differences
from jdsr_cli.faces.scene_changes import LONG_STEP
from jdsr_cli.faces.tracking.association import PredictedTracks, associate, reidentify
from jdsr_cli.faces.tracking.track import Observation, Reach, SceneSpan, Track

ROUNDING = 0.001
"""Seconds by which times differ from those that a frame rate implies: many containers round them to
a millisecond."""
PAUSE_TOLERANCE = 0.01
"""Seconds by which a step between frames may exceed `TrackLimits.lost`: one frame a second can be
one every 1.001 s."""


@dataclass(frozen=True)
class TrackLimits:
    """Times that decide over tracks."""

    min_track: float
    """Least seconds for which the face of a track is seen."""
    bridge: float
    """Seconds for which a gap between detections is filled in."""
    reach: Reach
    """How far from a missing face the next detection may be for the gap to be filled in."""
    lost: float
    """Seconds for which a track is predicted without a detection; at least one and a half times
    the interval of detection at the nominal frame rate."""
    brief: float
    """Seconds for which any track is predicted, however briefly it was observed."""
    patience: float
    """Steps between frames on which detection runs for which it is predicted at least."""
    interval: float
    """Seconds from one frame to the next at the nominal frame rate."""
    reidentify_within: float
    """Seconds within which a lost person can be re-identified."""


class TrackManager:
    """The tracks of one input.

    Attributes:
        active: Tracks that are continued by their predicted motion, by number.
        lost: Lost tracks that can be re-identified by their appearance.
        closed: Tracks that can get no further detection.

    """

    def __init__(self, limits: TrackLimits) -> None:
        self._limits = limits
        self._numbers = 0
        self._time: float | None = None
        self._interval = limits.interval
        self._scanned_at: float | None = None
        self._step = 0.0
        self._compare_before = -math.inf
        """Time of the last frame on which detection ran after a long step: the heads of tracks
        that have no later observation are compared."""
        self._camera: tuple[float, float] | None = None
        """Pixels per second by which the picture moves, and which the velocities of the active
        tracks do not include; None if it is not known, and they do."""
        self._followed = self._unfollowed = 0.0
        """Seconds since the last frame on which detection ran by which the tracks were moved with
        the picture, and by which they were not since its shift is not known."""
        self.scene = SceneSpan(0)
        self.active: list[Track] = []
        self.lost: list[Track] = []
        self.closed: list[Track] = []

    def advance(
        self, index: int, time: float, cut: bool, shift: tuple[float, float] | None
    ) -> None:
        """Advance to a frame and close the tracks that ended before it.

        Args:
            index: Number of the frame.
            time: Its time in seconds.
            cut: Whether another scene begins with it.
            shift: Pixels by which the picture moved to the right and down since the frame before,
                None if that is not known.

        """
        step = None if self._time is None else time - self._time
        pause = step is not None and step > self._limits.lost + PAUSE_TOLERANCE
        self._interval = step if step and not (cut or pause) else self._limits.interval
        if index > 0 and (cut or pause):
            self.end_scene(index - 1)
            self.scene = SceneSpan(index)
            if cut:
                self._close(self.active + self.lost)
        self._time = time
        self.lost += [one for one in self.active if self._is_lost(one, time)]
        self.active = [one for one in self.active if one not in self.lost]
        self._follow_camera(shift, step)
        limit = max(self._limits.reidentify_within, self._limits.lost)
        self._close(
            one
            for one in self.lost
            if one.appearance is None or one.status != "confirmed" or time - one.last.time > limit
        )

    def _follow_camera(self, shift: tuple[float, float] | None, step: float | None) -> None:
        """Move the active tracks as the picture moved since the frame before.

        Between frames with and without a known shift, the camera is expected to move on as it does.
        """
        if not step:
            return
        if shift is None:
            self._unfollowed += step
            return
        right, down = shift[0] / step, shift[1] / step
        seconds = step + self._unfollowed
        for track in self.active:
            track.shift(right * seconds, down * seconds)
            if self._camera is None and track.has_velocity:
                track.motion.accelerate(-right, -down)
        self._camera = right, down
        self._followed += seconds
        self._unfollowed = 0.0

    def _forget_camera(self) -> None:
        """Let velocities include that of a camera whose motion is no longer known.

        They will be applied to all the time since the last frame on which detection ran.
        """
        if self._camera is not None and self._unfollowed:
            right, down = self._camera
            for track in self.active:
                track.shift(right * self._unfollowed, down * self._unfollowed)
                seconds = self._followed + self._unfollowed
                track.motion.shift(-right * seconds, -down * seconds)
                track.motion.accelerate(right, down)
            self._camera = None
        self._followed = self._unfollowed = 0.0

    def update(
        self,
        index: int,
        time: float,
        detections: Sequence[Detection],
        embeddings: NDArray[np.float64] | None,
        heads: Thumbnails | None,
    ) -> None:
        """Assign the detections of the current frame to existing and new tracks."""
        self._step = time - self._scanned_at if self._scanned_at is not None else self._interval
        self._scanned_at = time
        self.scene.add_scan(index, self._interval if self.scene.first_scan is None else self._step)
        found = np.array([one.box for one in detections], np.float64).reshape(-1, 4)
        self._forget_camera()
        for track in self.active:
            track.predict(time)
        owners: list[Track | None] = [None] * len(detections)
        candidates = self.active
        similarity = _similarity(candidates, len(detections), embeddings)
        if self._step >= LONG_STEP:
            self._compare_before = time
        difference = self._difference(candidates, len(detections), heads)
        predicted = _predicted_tracks(candidates, time, similarity, difference, self._step)
        for row, column in associate(predicted, found):
            track = owners[column] = candidates[row]
            joined = self._is_joined(track, index, time)
            seen = Observation(index, time, detections[column], self.scene, joined)
            track.update(seen, self._interval)
        self._reidentify(index, time, detections, embeddings, owners)
        for number, detection in enumerate(detections):
            if owners[number] is None:
                first = Observation(index, time, detection, self.scene, False)
                owners[number] = self._start_track(first)
        for number, owner in enumerate(owners):
            assert owner is not None, "every detection belongs to a track"
            if owner.status == "new" and self._is_seen(owner, self._limits.min_track):
                owner.status = "confirmed"
            if embeddings is not None:
                owner.update_appearance(embeddings[number], self._step)
            if heads is not None:
                owner.heads.append(heads[number])
        for track in self.active:
            if track.last.index != index and track.missed_since is None:
                track.missed_since = time

    def end_scene(self, last: int) -> None:
        """End the scene with frame `last`, and confirm or reject its new tracks.

        If the scene is shorter than `min_track`, a face detected on all frames on which detection
        ran is confirmed: of a still picture no more can be required.
        """
        self.scene.last = last
        for track in self.active:
            if track.status == "new":
                self._confirm_or_reject(track, self.scene.seen)

    def finish(self, last: int) -> None:
        """Close all tracks; frame `last` was the last one."""
        self.end_scene(last)
        self._close(self.active + self.lost)

    def confirm_or_reject(self, index: int) -> None:
        """Confirm or reject the new tracks that began up to frame `index`."""
        for track in [one for one in self.active if one.status == "new" and one.first <= index]:
            self._confirm_or_reject(track, track.possible)
            if track.status == "rejected":
                self._close([track])

    def _is_lost(self, track: Track, time: float) -> bool:
        """Return whether a track is lost.

        It is predicted at most twice as long as it was observed before: the motion of a face that
        was observed briefly is hardly known. While detection did not run, no face was missed.
        """
        hidden = time - track.last.time
        if track.missed_since is None:
            return hidden > self._limits.lost + PAUSE_TOLERANCE
        known = 2.0 * (track.last.time - track.motion_start)
        brief = max(self._limits.brief, self._limits.patience * self._step)
        return hidden > min(self._limits.lost, max(brief, known))

    def _is_seen(self, track: Track, seconds: float) -> bool:
        return track.seen >= seconds - ROUNDING

    def _confirm_or_reject(self, track: Track, possible: float) -> None:
        """Decide over a new track, whose face could be seen for at most `possible` seconds."""
        required = min(self._limits.min_track, possible)
        track.status = "confirmed" if self._is_seen(track, required) else "rejected"

    def _close(self, tracks: Iterable[Track]) -> None:
        closing = list(tracks)
        for track in closing:
            if track.status == "new":
                self._confirm_or_reject(track, track.possible)
        self.closed += closing
        self.active = [one for one in self.active if one not in closing]
        self.lost = [one for one in self.lost if one not in closing]

    def _is_joined(self, track: Track, index: int, time: float) -> bool:
        """Return whether the gap before a detection in this frame is filled in.

        Frames without a detection of the face count; frames on which detection did not run do not.
        """
        missed = track.missed_since
        short = missed is None or time - missed <= self._limits.bridge * (1.0 + 1e-9)
        same = track.last.scene is self.scene
        reach, last = self._limits.reach, track.last
        distance = time - last.time - self._interval
        return short and same and reach.covers(index - last.index - 1, distance)

    def _difference(
        self, tracks: Sequence[Track], count: int, heads: Thumbnails | None
    ) -> NDArray[np.float64]:
        """Return the differences (n, m) of the heads of tracks and detections, NaN where unknown.

        Of the last heads of a track that one counts which differs least.
        """
        difference = np.full((len(tracks), count), np.nan)
        known = [
            (row, head)
            for row, track in enumerate(tracks)
            if track.last.time < self._compare_before
            for head in track.heads
        ]
        if heads is not None and known:
            rows = [row for row, _ in known]
            each = head_differences(np.stack([head for _, head in known]), heads)
            np.fmin.at(difference, rows, each)
        return difference

    def _reidentify(
        self,
        index: int,
        time: float,
        detections: Sequence[Detection],
        embeddings: NDArray[np.float64] | None,
        owners: list[Track | None],
    ) -> None:
        """Assign unmatched detections to lost people of similar appearance."""
        free = [number for number, owner in enumerate(owners) if owner is None]
        if embeddings is None or not free:
            return
        known = sorted(self.active + self.lost, key=lambda one: one.number)
        # An active track without a detection in this frame can also reappear elsewhere.
        missing = [one.last.index != index and one.status == "confirmed" for one in known]
        similarity = _similarity(known, len(free), embeddings[free])
        for row, column in reidentify(similarity, np.array(missing, np.bool_)):
            track, number = known[row], free[column]
            if track in self.lost:
                self.lost.remove(track)
                self.active = sorted([*self.active, track], key=lambda one: one.number)
            again = Observation(index, time, detections[number], self.scene, False)
            track.restart(again, self._interval)
            owners[number] = track

    def _start_track(self, first: Observation) -> Track:
        self._numbers += 1
        track = Track(self._numbers, first, self._interval)
        self.active.append(track)
        return track


def _predicted_tracks(
    tracks: Sequence[Track],
    time: float,
    similarity: NDArray[np.float64],
    difference: NDArray[np.float64],
    step: float,
) -> PredictedTracks:
    boxes = [one.motion.box for one in tracks]
    last = [one.last_box for one in tracks]
    hidden = [0.0 if one.missed_since is None else time - one.missed_since for one in tracks]
    return PredictedTracks(
        np.array(boxes, np.float64).reshape(-1, 4),
        np.array(last, np.float64).reshape(-1, 4),
        np.array([one.motion.spread for one in tracks], np.float64),
        np.array(hidden, np.float64),
        similarity,
        difference,
        step,
    )


def _similarity(
    tracks: Sequence[Track], count: int, embeddings: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    """Return cosines (n, m) of tracks and detections, NaN where one of them is unknown."""
    similarity = np.full((len(tracks), count), np.nan)
    if embeddings is None or count == 0:
        return similarity
    lengths = np.linalg.norm(embeddings, axis=1)
    known = lengths > 0.0
    for row, track in enumerate(tracks):
        if track.appearance is not None:
            cosines = embeddings[known] @ track.appearance / lengths[known]
            similarity[row, known] = cosines
    return similarity
