"""Which persons a report shows with pictures, which in a table, and what `faces.jsonl` adds."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count

from jdsr_cli.reporting.folder import ResultFolder
from jdsr_cli.reporting.values import (
    Record,
    counts,
    number,
    share,
    table,
    tables,
    text,
    whole,
    wholes,
)
from jdsr_cli.reporting.wording import stated_mask

TRACKS, FACES = "tracks.jsonl", "faces.jsonl"
MAX_PERSONS = 200
"""Persons that are shown with pictures; the others have a row in a table."""
MAX_ROWS = 10_000
"""Rows of that table; the persons after it are counted, with the range of their numbers."""
MAX_REASONS = 3
"""Different reasons of refusal that are kept for each person."""


@dataclass(frozen=True)
class TrackRow:
    """A person who has a row in a table instead of pictures."""

    track: int
    first_seconds: float | None
    last_seconds: float | None
    seen: int
    restored: int
    refused: dict[str, int]
    bare: bool
    file: str | None
    """Of the most important picture: the filmed one, or the best restored one."""


@dataclass
class Selection:
    """The persons of a result."""

    shown: list[Record] = field(default_factory=list)
    """Records of those with pictures, in the order of the file."""
    rows: list[TrackRow] = field(default_factory=list)
    """The others, up to `MAX_ROWS`."""
    uncounted: list[int] = field(default_factory=list)
    """Number of those who have no row, and the lowest and highest number of their tracks."""
    broken: int = 0
    """Lines that are no record of a track."""

    @property
    def total(self) -> int:
        """Number of all persons."""
        return len(self.shown) + len(self.rows) + (self.uncounted[0] if self.uncounted else 0)


def has_picture(track: Record) -> bool:
    """Whether a record names a restored picture."""
    return bool(tables(track, "best") or table(track, "fused"))


def is_restored(track: Record) -> bool:
    """Whether a face of the person was restored."""
    return has_picture(track) or bool(whole(track, "restored"))


def select_tracks(folder: ResultFolder, limit: int) -> Selection:
    """Choose the persons that are shown with pictures.

    First come persons with restored faces, then those who were seen without a mask, then those with
    the better shots and with more frames. Memory does not grow with the number of persons.

    Args:
        folder: The result.
        limit: Number of persons with pictures.

    """
    chosen: list[tuple[tuple[float, ...], Record]] = []
    selection = Selection()
    rows = _Rows(selection)
    order = count()
    for track in folder.lines(TRACKS):
        if track is None or not whole(track, "track"):
            selection.broken += 1
            continue
        entry = ((*_importance(track), -next(order)), track)
        if len(chosen) < limit:
            heapq.heappush(chosen, entry)
        else:
            _, dropped = heapq.heappushpop(chosen, entry)
            rows.add(dropped)
    selection.shown = [track for key, track in sorted(chosen, key=lambda one: -one[0][-1])]
    selection.rows.sort(key=lambda row: row.track)
    return selection


def _importance(track: Record) -> tuple[float, ...]:
    best = tables(track, "best")
    quality = share(best[0], "quality") if best else None
    bare = stated_mask(table(track, "filmed")) == "bare"
    return (has_picture(track), is_restored(track), bare, quality or 0.0, whole(track, "seen") or 0)


class _Rows:
    """Collects the persons without pictures."""

    def __init__(self, selection: Selection) -> None:
        self._selection = selection

    def add(self, track: Record) -> None:
        name = whole(track, "track") or 0
        selection = self._selection
        if len(selection.rows) < MAX_ROWS:
            selection.rows.append(_row(name, track))
            return
        number_of, low, high = selection.uncounted or (0, name, name)
        selection.uncounted = [number_of + 1, min(low, name), max(high, name)]


def _row(name: int, track: Record) -> TrackRow:
    filmed, best = table(track, "filmed"), tables(track, "best")
    return TrackRow(
        track=name,
        first_seconds=number(track, "first_seconds"),
        last_seconds=number(track, "last_seconds"),
        seen=whole(track, "seen") or 0,
        restored=whole(track, "restored") or 0,
        refused=counts(track, "refused"),
        bare=stated_mask(filmed) == "bare",
        file=text(filmed, "file") or (text(best[0], "file") if best else None),
    )


@dataclass
class FaceFacts:
    """What `faces.jsonl` says about a person."""

    frames: dict[int, Record] = field(default_factory=dict)
    """Records of the frames that a picture was made from."""
    bare_seconds: float | None = None
    """Time of the first frame without a mask."""
    bare_frame: int | None = None
    covered: int = 0
    """Number of faces with a mask."""
    reasons: dict[str, int] = field(default_factory=dict)
    """Number of refused faces by their full reason, up to `MAX_REASONS` reasons."""


def gather_facts(folder: ResultFolder, tracks: Iterable[Record]) -> dict[int, FaceFacts]:
    """Read what `faces.jsonl` says about these persons, by the number of their track."""
    wanted = {whole(track, "track") or 0: set(_frames(track)) for track in tracks}
    facts = {name: FaceFacts() for name in wanted}
    for face in folder.lines(FACES):
        name = None if face is None else whole(face, "track")
        if face is None or name is None or name not in facts:
            continue
        fact, frame, mask = facts[name], whole(face, "frame"), stated_mask(face)
        if frame is not None and frame in wanted[name]:
            fact.frames[frame] = face
        if mask == "bare" and fact.bare_frame is None:
            fact.bare_frame, fact.bare_seconds = frame, number(face, "seconds")
        fact.covered += mask == "masked"
        reason = text(face, "reason")
        if reason and (reason in fact.reasons or len(fact.reasons) < MAX_REASONS):
            fact.reasons[reason] = fact.reasons.get(reason, 0) + 1
    return facts


def _frames(track: Record) -> Iterator[int]:
    """Yield the frames that the pictures of a person were made from."""
    for picture in (*tables(track, "best"), table(track, "fused")):
        yield from wholes(picture, "frames")
    frame = whole(table(track, "filmed"), "frame")
    if frame is not None:
        yield frame
