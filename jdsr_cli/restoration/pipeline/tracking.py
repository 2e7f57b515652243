"""Third stage: faces of a frame become faces of people who move."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from jdsr_cli.faces.display import AspectCheck
from jdsr_cli.faces.monochrome import MonochromeClassifier
from jdsr_cli.faces.tracking import TrackedFrame, Tracker, TrackerSettings
from jdsr_cli.restoration.journal.facts import FrameFacts, read_facts
from jdsr_cli.restoration.journal.files import facts_file
from jdsr_cli.restoration.pipeline.elements import Begun, Ended, Seen, Tracked
from jdsr_cli.restoration.pipeline.job import Job

USUAL_RATE = 25.0
"""Frames per second of an input that does not tell."""


def track(
    stream: Iterable[Begun | Seen | Ended], settings: TrackerSettings, every: int
) -> Iterator[Begun | Tracked | Ended]:
    """Follow the faces of each input; stage `track`.

    Frames wait here until what follows has been seen: the tracker's lag.

    Args:
        stream: Frames and what was seen in them.
        settings: How faces are followed.
        every: Faces are looked for in each n-th frame.

    """
    follower: _Follower | None = None
    for element in stream:
        job = element.job
        if isinstance(element, Seen):
            yield from _tracked(job, follower, element)
            continue
        if isinstance(element, Begun):
            follower = job.attempt(_Follower, job, settings, every)
        elif follower is not None:
            yield from _tracked(job, follower, None)
            follower = None
        yield element


def _tracked(job: Job, follower: _Follower | None, seen: Seen | None) -> list[Tracked]:
    if follower is None:
        return []
    with job.clock.stage("track"):
        return job.attempt(follower.add, seen) or []


class _Follower:
    """The tracker of one input, and the frames that wait for it."""

    def __init__(self, job: Job, settings: TrackerSettings, every: int) -> None:
        rate = float(job.info.frame_rate or USUAL_RATE)
        self._tracker = Tracker(settings, rate, every=every)
        self._waiting: deque[Seen] = deque()
        self._undecided: deque[FrameFacts] = deque()
        self._colours = MonochromeClassifier(2 * self._tracker.lag + 1)
        self._job = job
        self._squeeze = AspectCheck(*job.display.size_of(job.info.width, job.info.height))
        self._done = job.workplace.journal.frames
        for segment in job.workplace.journal.segments:
            for facts in read_facts(facts_file(job.workplace.work, segment.number)):
                self._follow(facts)

    def add(self, seen: Seen | None) -> list[Tracked]:
        """Take in a frame (None: there are no more) and return those that are decided."""
        if seen is None:
            decided = self._judged(self._tracker.finish())
            hint = self._squeeze.hint()
            self._job.seen_notes = () if hint is None else (hint,)
        else:
            self._waiting.append(seen)
            decided = self._follow(seen.facts)
        # Frames of finished segments were decided upon by the interrupted run.
        return [
            Tracked(self._waiting.popleft(), one.faces, one.ended, monochrome)
            for one, monochrome in decided
            if one.index >= self._done
        ]

    def _follow(self, facts: FrameFacts) -> list[tuple[TrackedFrame, frozenset[int]]]:
        self._undecided.append(facts)
        self._squeeze.add(facts.detections)
        if facts.detections:
            self._colours.add_frame(facts.colour)
        decided = self._tracker.add(
            facts.time,
            facts.detections,
            looked=facts.looked,
            cut=facts.cut,
            embeddings=facts.embeddings,
        )
        return self._judged(decided)

    def _judged(self, decided: Iterable[TrackedFrame]) -> list[tuple[TrackedFrame, frozenset[int]]]:
        """Add to decided frames which of their tracks are monochrome."""
        judged = []
        for one in decided:
            facts = self._undecided.popleft()
            colours = dict(zip(map(id, facts.detections), facts.face_colours, strict=True))
            monochrome = frozenset(
                face.track
                for face in one.faces
                if self._colours.classify(face.track, colours.get(id(face.raw)))
            )
            for track in one.ended:
                self._colours.drop(track)
            judged.append((one, monochrome))
        return judged
