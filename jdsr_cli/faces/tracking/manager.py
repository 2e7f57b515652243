"""Start, continue, end and re-identify the tracks of an input, frame by frame.

Detections are associated with tracks in rounds, each an assignment of greatest total benefit
(Hungarian algorithm). In the first, tracks that were detected recently are matched by the overlap
of detected and predicted box. The second is for the rest: faces that were hidden for a while, and
fast small ones whose boxes in two frames do not even touch. There, boxes are compared after
enlarging them (the buffered overlap of Yang et al., "Hard to track objects with irregular motions
and similar appearances", WACV 2023), and the search radius of a track is limited by the uncertainty
of its motion filter.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.faces.boxes import Boxes, box_overlaps, box_sizes, centre_distances, enlarge_boxes
from jdsr_cli.faces.detection.base import Detection
from jdsr_cli.faces.tracking.assignment import assign
from jdsr_cli.faces.tracking.track import Observation, SceneSpan, Track

RECENT = 0.15
"""Seconds for which a face that is not detected still takes part in the first round."""
MIN_OVERLAP = 0.3
"""Least overlap of the predicted and the detected box in the first round."""
MARGIN = 0.5
"""By which boxes are enlarged on each side in the second round, as a share of their sides."""
REACH = 3.0
"""Search radius in standard deviations of the predicted centre."""
FARTHEST = 2.0
"""Largest search radius in face sizes, whatever the uncertainty of the filter."""
FARTHEST_HIDDEN = 0.75
"""The same for a face that was not detected last time: in a crowd, others are soon as near."""
MAX_GROWTH = 1.5
"""Largest ratio of the predicted and the detected size in the second round."""
MAX_GROWTH_HIDDEN = 1.25
"""The same for a face that was not detected last time."""
APPEARANCE_SHARE = 0.3
"""Weight of the cosine of embeddings beside the overlap: enough to decide between overlaps that
differ by less than about a tenth, not to send a track across the picture."""
FOREIGN = 0.05
"""Cosine at or below which two faces are different people: half of all pairs of different
people, and hardly any pair of the same, are there."""
SAME = 0.65
"""Cosine at or above which a lost person can be re-identified."""
LEAD = 0.1
"""Least lead of that cosine over the one to any other known person: blurred faces of about 40
pixels all look alike to a network, with cosines of 0.8 between different people."""


@dataclass(frozen=True, eq=False)
class PredictedTracks:
    """The predicted state of n tracks."""

    boxes: Boxes
    """(n, 4) predicted boxes."""
    spread: NDArray[np.float64]
    """(n,) standard deviation of the centre along an axis, in pixels."""
    hidden: NDArray[np.float64]
    """(n,) seconds for which the face has not been detected; 0 where it was detected last time."""
    similarity: NDArray[np.float64]
    """(n, m) cosine of the track's and each detection's embedding; NaN where unknown."""


def associate(predicted: PredictedTracks, found: Boxes) -> list[tuple[int, int]]:
    """Assign detections to tracks.

    Args:
        predicted: State of n tracks.
        found: (m, 4) boxes of the detections.

    Returns:
        Pairs of a track and its detection, in the order of the tracks; each occurs at most once.

    """
    familiar = ~(predicted.similarity <= FOREIGN)  # NaN is not foreign.
    overlap = box_overlaps(predicted.boxes, found)
    first = (overlap >= MIN_OVERLAP) & (predicted.hidden <= RECENT)[:, None] & familiar
    pairs = _assign(overlap, first, predicted.similarity)
    here, there = box_sizes(predicted.boxes)[:, None], box_sizes(found)[None, :]
    hidden = predicted.hidden[:, None] > 0.0
    limit = np.where(hidden, FARTHEST_HIDDEN, FARTHEST)
    growth = np.where(hidden, MAX_GROWTH_HIDDEN, MAX_GROWTH)
    reach = np.minimum(REACH * predicted.spread[:, None], limit * np.minimum(here, there))
    second = (
        (centre_distances(predicted.boxes, found) <= reach)
        & (np.maximum(here, there) <= growth * np.minimum(here, there))
        & familiar
    )
    for row, column in pairs:
        second[row, :] = second[:, column] = False
    near = box_overlaps(enlarge_boxes(predicted.boxes, MARGIN), enlarge_boxes(found, MARGIN))
    return sorted(pairs + _assign(near, second & (near > 0.0), predicted.similarity))


def reidentify(similarity: NDArray[np.float64], lost: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Match lost people with new faces by appearance alone.

    Args:
        similarity: (n, m) cosines of all known people and each new face; NaN where unknown.
        lost: (n,) whether each of them is lost.

    Returns:
        Pairs of a lost person and a face, in the order of the people; each occurs at most once.

    """
    known = np.nan_to_num(similarity, nan=-1.0)
    allowed = (known >= SAME) & lost[:, None]
    for row in range(len(known)):
        others = np.delete(known, row, axis=0).max(axis=0, initial=-1.0)
        allowed[row] &= known[row] >= others + LEAD
    return sorted(_assign(known, allowed, np.full_like(known, np.nan)))


def _assign(
    benefit: NDArray[np.float64], allowed: NDArray[np.bool_], similarity: NDArray[np.float64]
) -> list[tuple[int, int]]:
    """Return the allowed pairs of greatest total benefit.

    Forbidden pairs and unmatched rows have no benefit: two poor pairs never displace a good one
    of greater benefit.
    """
    if not allowed.any():
        return []
    bonus = np.nan_to_num(APPEARANCE_SHARE * similarity, nan=0.0)
    benefits = np.where(allowed, np.maximum(benefit + bonus, 1e-3), 0.0)
    return assign(benefits)


@dataclass(frozen=True)
class TrackLimits:
    """Times and numbers of frames that decide over tracks."""

    min_track: int
    """Least number of detections of a track."""
    bridge: float
    """Seconds for which a gap between detections is filled in."""
    max_frames: int
    """Most frames from a detection to the next across which a gap is filled in."""
    lost: float
    """Seconds for which a track is predicted without a detection; at least one and a half times
    the interval of detection at the nominal frame rate."""
    brief: float
    """Seconds for which any track is predicted, however briefly it was observed; within `lost`."""
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
        self._scans = 0
        self._numbers = 0
        self._time: float | None = None
        self.scene = SceneSpan(0)
        self.active: list[Track] = []
        self.lost: list[Track] = []
        self.closed: list[Track] = []

    def advance(self, index: int, time: float, cut: bool) -> None:
        """Advance to a frame and close the tracks that ended before it."""
        pause = self._time is not None and time - self._time > self._limits.lost
        if index > 0 and (cut or pause):
            self.end_scene(index - 1)
            self.scene = SceneSpan(index)
            if cut:
                self._close(self.active + self.lost)
        self._time = time
        self.lost += [one for one in self.active if self._is_lost(one, time)]
        self.active = [one for one in self.active if one not in self.lost]
        limit = max(self._limits.reidentify_within, self._limits.lost)
        self._close(
            one
            for one in self.lost
            if one.appearance is None or one.status != "confirmed" or time - one.last.time > limit
        )

    def update(
        self,
        index: int,
        time: float,
        detections: Sequence[Detection],
        embeddings: NDArray[np.float64] | None,
    ) -> None:
        """Assign the detections of the current frame to existing and new tracks."""
        self._scans += 1
        self.scene.add_scan(index)
        found = np.array([one.box for one in detections], np.float64).reshape(-1, 4)
        for track in self.active:
            track.predict(time)
        owners: list[Track | None] = [None] * len(detections)
        candidates = self.active
        predicted = _predicted_tracks(candidates, time, len(detections), embeddings)
        for row, column in associate(predicted, found):
            track = owners[column] = candidates[row]
            joined = self._is_joined(track, index, time)
            track.update(Observation(index, time, detections[column], self.scene, joined))
        self._reidentify(index, time, detections, embeddings, owners)
        for number, detection in enumerate(detections):
            if owners[number] is None:
                first = Observation(index, time, detection, self.scene, False)
                owners[number] = self._start_track(first)
        for number, owner in enumerate(owners):
            assert owner is not None, "every detection belongs to a track"
            if owner.status == "new" and owner.count >= self._limits.min_track:
                owner.status = "confirmed"
            if embeddings is not None:
                owner.update_appearance(embeddings[number])
        for track in self.active:
            if track.last.index != index and track.missed_since is None:
                track.missed_since = time

    def end_scene(self, last: int) -> None:
        """End the scene with frame `last`, and confirm or reject its new tracks.

        If detection ran on fewer frames of the scene than `min_track`, a face detected on all of
        them is confirmed: of a still picture no more can be required.
        """
        self.scene.last = last
        required = min(self._limits.min_track, self.scene.scans)
        for track in self.active:
            if track.status == "new":
                track.status = "confirmed" if track.count >= required else "rejected"

    def finish(self, last: int) -> None:
        """Close all tracks; frame `last` was the last one."""
        self.end_scene(last)
        self._close(self.active + self.lost)

    def confirm_or_reject(self, index: int) -> None:
        """Confirm or reject the new tracks that began up to frame `index`."""
        for track in [one for one in self.active if one.status == "new" and one.first <= index]:
            self._confirm_or_reject(track)
            if track.status == "rejected":
                self._close([track])

    def _is_lost(self, track: Track, time: float) -> bool:
        """Return whether a track is lost.

        It is predicted at most twice as long as it was observed before: the motion of a face that
        was observed briefly is hardly known.
        """
        known = 2.0 * (track.last.time - track.motion_start)
        coasting = min(self._limits.lost, max(self._limits.brief, known))
        return time - track.last.time > coasting

    def _confirm_or_reject(self, track: Track) -> None:
        required = min(self._limits.min_track, self._scans - track.scans)
        track.status = "confirmed" if track.count >= required else "rejected"

    def _close(self, tracks: Iterable[Track]) -> None:
        closing = list(tracks)
        for track in closing:
            if track.status == "new":
                self._confirm_or_reject(track)
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
        return short and same and index - track.last.index <= self._limits.max_frames

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
            track.restart(Observation(index, time, detections[number], self.scene, False))
            owners[number] = track

    def _start_track(self, first: Observation) -> Track:
        self._numbers += 1
        track = Track(self._numbers, first, self._scans - 1)
        self.active.append(track)
        return track


def _predicted_tracks(
    tracks: Sequence[Track], time: float, count: int, embeddings: NDArray[np.float64] | None
) -> PredictedTracks:
    boxes = [one.motion.box for one in tracks]
    hidden = [0.0 if one.missed_since is None else time - one.missed_since for one in tracks]
    return PredictedTracks(
        np.array(boxes, np.float64).reshape(-1, 4),
        np.array([one.motion.spread for one in tracks], np.float64),
        np.array(hidden, np.float64),
        _similarity(tracks, count, embeddings),
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
