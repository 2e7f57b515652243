"""Following faces from look to look: births, matches, losses and returns of tracks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.faces.detection.base import Detection
from jdsr_cli.faces.tracking.association import Expected, associate, find_again
from jdsr_cli.faces.tracking.track import Shot, Sight, Track


@dataclass(frozen=True)
class Terms:
    """Times and numbers of frames that the following goes by."""

    min_track: int
    bridge: float
    """Seconds."""
    widest: int
    """Most frames from a detection to the next across which a gap is filled in."""
    lost: float
    """Seconds; at least a look and a half at the nominal rate."""
    brief: float
    """Seconds for which any track is carried on, however briefly it was seen; within `lost`."""
    find_again: float
    """Seconds."""


class Follower:
    """The tracks of one input.

    Attributes:
        live: Tracks that are followed by their motion, by number.
        away: Lost ones that can be found again by their appearance.
        closed: Those that can get no further detection.

    """

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._looks = 0
        self._numbers = 0
        self._time: float | None = None
        self.shot = Shot(0)
        self.live: list[Track] = []
        self.away: list[Track] = []
        self.closed: list[Track] = []

    def enter(self, index: int, time: float, cut: bool) -> None:
        """Go on to a frame; what ended before it is closed."""
        pause = self._time is not None and time - self._time > self._terms.lost
        if index > 0 and (cut or pause):
            self.end_shot(index - 1)
            self.shot = Shot(index)
            if cut:
                self._close(self.live + self.away)
        self._time = time
        self.away += [one for one in self.live if self._gone(one, time)]
        self.live = [one for one in self.live if one not in self.away]
        limit = max(self._terms.find_again, self._terms.lost)
        self._close(
            one
            for one in self.away
            if one.appearance is None or one.standing != "confirmed" or time - one.seen.time > limit
        )

    def look(
        self,
        index: int,
        time: float,
        detections: Sequence[Detection],
        embeddings: NDArray[np.float64] | None,
    ) -> None:
        """Give the detections of the frame last entered to tracks, old and new."""
        self._looks += 1
        self.shot.look(index)
        found = np.array([one.box for one in detections], np.float64).reshape(-1, 4)
        for track in self.live:
            track.foretell(time)
        owners: list[Track | None] = [None] * len(detections)
        followed = self.live
        expected = self._expected(followed, time, len(detections), embeddings)
        for row, column in associate(expected, found):
            track = owners[column] = followed[row]
            joined = self._joins(track, index, time)
            track.see(Sight(index, time, detections[column], self.shot, joined))
        self._find_again(index, time, detections, embeddings, owners)
        for number, detection in enumerate(detections):
            if owners[number] is None:
                owners[number] = self._bear(Sight(index, time, detection, self.shot, False))
        for number, owner in enumerate(owners):
            assert owner is not None, "every detection has been given to a track"
            if owner.standing == "new" and owner.count >= self._terms.min_track:
                owner.standing = "confirmed"
            if embeddings is not None:
                owner.remember(embeddings[number])
        for track in self.live:
            if track.seen.index != index and track.missed_since is None:
                track.missed_since = time

    def end_shot(self, last: int) -> None:
        """Note that frame `last` is the last one of the shot, and judge its new tracks.

        In a shot that was looked at less often than `min_track`, a face seen at each look
        is a person: of a still picture more cannot be asked.
        """
        self.shot.last = last
        wanted = min(self._terms.min_track, self.shot.looks)
        for track in self.live:
            if track.standing == "new":
                track.standing = "confirmed" if track.count >= wanted else "rejected"

    def finish(self, last: int) -> None:
        """Close all tracks; frame `last` was the last one."""
        self.end_shot(last)
        self._close(self.live + self.away)

    def judge(self, index: int) -> None:
        """Decide upon tracks that began with frame `index`; later looks come too late for it."""
        for track in [one for one in self.live if one.standing == "new" and one.first <= index]:
            self._settle(track)
            if track.standing == "rejected":
                self._close([track])

    def _gone(self, track: Track, time: float) -> bool:
        """Tell whether a track is lost.

        It is carried at most twice as long as it was seen before: the motion of a face that
        was hardly seen is hardly known.
        """
        known = 2.0 * (track.seen.time - track.begun)
        carried = min(self._terms.lost, max(self._terms.brief, known))
        return time - track.seen.time > carried

    def _settle(self, track: Track) -> None:
        wanted = min(self._terms.min_track, self._looks - track.looks)
        track.standing = "confirmed" if track.count >= wanted else "rejected"

    def _close(self, tracks: Iterable[Track]) -> None:
        closing = list(tracks)
        for track in closing:
            if track.standing == "new":
                self._settle(track)
        self.closed += closing
        self.live = [one for one in self.live if one not in closing]
        self.away = [one for one in self.away if one not in closing]

    def _expected(
        self,
        tracks: Sequence[Track],
        time: float,
        count: int,
        embeddings: NDArray[np.float64] | None,
    ) -> Expected:
        boxes = [one.motion.box for one in tracks]
        hidden = [0.0 if one.missed_since is None else time - one.missed_since for one in tracks]
        return Expected(
            np.array(boxes, np.float64).reshape(-1, 4),
            np.array([one.motion.spread for one in tracks], np.float64),
            np.array(hidden, np.float64),
            _likeness(tracks, count, embeddings),
        )

    def _joins(self, track: Track, index: int, time: float) -> bool:
        """Tell whether the gap before a detection now is filled in.

        Looks that missed the face count; frames that were not looked at do not.
        """
        missed = track.missed_since
        short = missed is None or time - missed <= self._terms.bridge * (1.0 + 1e-9)
        same = track.seen.shot is self.shot
        return short and same and index - track.seen.index <= self._terms.widest

    def _find_again(
        self,
        index: int,
        time: float,
        detections: Sequence[Detection],
        embeddings: NDArray[np.float64] | None,
        owners: list[Track | None],
    ) -> None:
        """Give detections that nobody took to lost people who look like them."""
        free = [number for number, owner in enumerate(owners) if owner is None]
        if embeddings is None or not free:
            return
        known = sorted(self.live + self.away, key=lambda one: one.number)
        # Who is lost from sight, but not yet from motion, can turn up elsewhere.
        lost = [one.seen.index != index and one.standing == "confirmed" for one in known]
        likeness = _likeness(known, len(free), embeddings[free])
        for row, column in find_again(likeness, np.array(lost, np.bool_)):
            track, number = known[row], free[column]
            if track in self.away:
                self.away.remove(track)
                self.live = sorted([*self.live, track], key=lambda one: one.number)
            track.begin(Sight(index, time, detections[number], self.shot, False))
            owners[number] = track

    def _bear(self, sight: Sight) -> Track:
        self._numbers += 1
        track = Track(self._numbers, sight, self._looks - 1)
        self.live.append(track)
        return track


def _likeness(
    tracks: Sequence[Track], count: int, embeddings: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    """Return cosines (n, m) of tracks and detections, NaN where one of them is unknown."""
    likeness = np.full((len(tracks), count), np.nan)
    if embeddings is None or count == 0:
        return likeness
    lengths = np.linalg.norm(embeddings, axis=1)
    known = lengths > 0.0
    for row, track in enumerate(tracks):
        if track.appearance is not None:
            cosines = embeddings[known] @ track.appearance / lengths[known]
            likeness[row, known] = cosines
    return likeness
