"""Tracks of an input from its stored detections, without its pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import count
from pathlib import Path

from jdsr_cli.restoration.frame import (
    NO_IMAGE,
    Element,
    FrameItem,
    InputFinished,
    InputStarted,
    OpenInput,
)
from jdsr_cli.restoration.plans import plan_intervals
from jdsr_cli.restoration.scene_search import DetectionPlan
from jdsr_cli.restoration.stages.tracking import track
from jdsr_cli.restoration.stored_detections import read_detections
from jdsr_cli.settings import DetectionSettings


def track_stored(
    opened: OpenInput,
    settings: DetectionSettings,
    plan: DetectionPlan,
    path: Callable[[int], Path],
    end: Callable[[], int | None],
) -> Iterator[FrameItem]:
    """Yield the frames of an input with their tracked faces, from the first one.

    Args:
        opened: The input.
        settings: Settings of the run.
        plan: How faces are searched.
        path: Returns the file of the detections of a segment; it exists when it is read.
        end: Returns the number of a segment that the input does not have, None until one is known.

    """
    # Frames of segments that an interrupted run has finished are yielded too.
    opened = replace(opened, snapshot=None, finished=())
    stored = _stored_frames(opened, plan.segment, path, end)
    yield from frames_in(track(stored, settings.tracker, plan_intervals(settings, plan)))


def _stored_frames(
    opened: OpenInput,
    segment: int,
    path: Callable[[int], Path],
    end: Callable[[], int | None],
) -> Iterator[Element]:
    """Yield the frames with their detections."""
    yield InputStarted(opened)
    for number in count():
        if number == end():
            break
        frames = list(read_detections(path(number), opened.request.run))
        for position, detections in enumerate(frames, number * segment):
            ends = (position + 1) % segment == 0
            time = Fraction(detections.time)
            item = FrameItem(opened, position, 0, 0, time, NO_IMAGE, ends)
            item.detections = detections
            yield item
        if len(frames) < segment:
            break
    yield InputFinished(opened.state)


def frames_in(elements: Iterable[Element]) -> Iterator[FrameItem]:
    """Yield the frames among elements."""
    return (one for one in elements if isinstance(one, FrameItem))
