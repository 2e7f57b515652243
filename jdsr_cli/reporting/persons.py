"""What a report shows of one person: filmed before restored, and nothing invented as the best."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from jdsr_cli.reporting.pictures import (
    DETAILS,
    Detail,
    PictureReader,
    ReportPicture,
    squares,
)
from jdsr_cli.reporting.quality import QualityTable, quality_table
from jdsr_cli.reporting.selection import FaceFacts, is_restored
from jdsr_cli.reporting.shots import RestoredShot, describe_shot
from jdsr_cli.reporting.values import (
    Record,
    counts,
    items,
    number,
    numbers,
    table,
    tables,
    text,
    whole,
    wholes,
)
from jdsr_cli.reporting.wording import (
    STATES,
    clock,
    mask_state,
    stated_mask,
)

MAX_SHOTS = 20
"""Restored shots of a person that are read at most; further ones are counted."""
MAX_THUMBNAILS = 12
THUMBNAIL = 64
"""Side of a picture in a time line where the record does not state it."""


@dataclass(frozen=True)
class Thumbnail:
    """A picture in the time line of a person."""

    figure: ReportPicture
    time: str
    state: str
    """Class name: a key of `STATES`, or `unknown`."""
    words: str


@dataclass(frozen=True)
class FilmedPicture:
    """The best filmed picture of a person."""

    figure: ReportPicture
    time: str
    mask: str | None
    """Mask decision in words, None if it is not recorded."""
    reason: str | None
    """Why this face was refused, None if it was not."""
    from_pair: bool
    """Whether it is the left half of a pair, since the result holds no picture of its own."""


@dataclass
class ReportedPerson:
    """A person who is shown with pictures."""

    number: int
    """Number of the track."""
    key: str
    """Unique in the page, for identifiers."""
    restored: bool
    first_seconds: float | None
    last_seconds: float | None
    counts: list[tuple[str, int]]
    refused: dict[str, int]
    reasons: dict[str, int]
    unreliable: int
    filmed: FilmedPicture
    bare: str | None
    """Sentence on where the person was seen without a mask, None if nowhere or always."""
    shots: list[RestoredShot]
    demoted: list[RestoredShot]
    """Shots with invented parts of a person who was also seen without a mask."""
    further: int
    """Shots in the record that were not read."""
    timeline: list[Thumbnail]
    timeline_fault: str | None
    quality: QualityTable | None

    def encode(self, first: int, allowed: int) -> None:
        """Encode all pictures, with less detail until they take at most `allowed` characters."""
        for detail in DETAILS[first:-1]:
            if self._least(detail) <= allowed and self._encode(detail) <= allowed:
                break
        else:
            self._encode(DETAILS[-1])
        for figure in self._figures():
            figure.image = None

    def _least(self, detail: Detail) -> float:
        """Return an estimate of the characters from one picture, well below what all take."""
        shots = sum(shot.main or detail.further for shot in (*self.shots, *self.demoted))
        return 0.5 * self.filmed.figure.encode(detail) * (1 + 2 * shots)

    def _encode(self, detail: Detail) -> int:
        used = self.filmed.figure.encode(detail)
        for shot in (*self.shots, *self.demoted):
            shown = shot.main or detail.further
            for figure in (shot.filmed, shot.restored):
                used += figure.encode(detail) if shown else figure.encode(_LINKED)
            for overlay in shot.overlays:
                used += overlay.encode(shot.restored, detail)
        return used + sum(one.figure.encode(detail) for one in self.timeline)

    def _figures(self) -> Iterator[ReportPicture]:
        yield self.filmed.figure
        for shot in (*self.shots, *self.demoted):
            yield from (shot.filmed, shot.restored)
        for one in self.timeline:
            yield one.figure

    @property
    def linked(self) -> bool:
        """Whether a picture was left out to keep the page small, and is only linked."""
        return any(not one.address and one.reason is None for one in self._figures())


_LINKED = Detail(0, 0, 0, False)


def describe_person(
    track: Record, facts: FaceFacts, reader: PictureReader, key: str, part: str
) -> ReportedPerson:
    """Return what a report shows of a person, with pictures that are not encoded yet.

    Args:
        track: A line of `tracks.jsonl`.
        facts: What `faces.jsonl` says about the person.
        reader: Of the pictures.
        key: Unique in the page.
        part: Which part of faces was restored, as in ``--restore``.

    """
    name = whole(track, "track") or 0
    filmed_entry = table(track, "filmed")
    filmed_mask = stated_mask(filmed_entry)
    # Single frames may be decided wrongly; a filmed picture is recorded with the track in view.
    seen_bare = filmed_mask == "bare" if filmed_entry else facts.bare_frame is not None
    entries = [("Best restored shot" if number == 1 else f"Restored shot {number}", entry)
               for number, entry in enumerate(tables(track, "best"), 1)]  # fmt: skip
    further = max(0, len(entries) - MAX_SHOTS)
    entries = entries[:MAX_SHOTS]
    fused = table(track, "fused")
    if fused:
        entries.insert(min(1, len(entries)), ("Fused face", fused))
    shots = [describe_shot(title, one, facts, reader, name, part) for title, one in entries]
    demoted = [shot for shot in shots if seen_bare and not shot.as_filmed]
    shots = [shot for shot in shots if shot not in demoted]
    for shot in demoted:
        shot.title = shot.title.replace("Best restored shot", "Restored shot 1")
        shot.main = False
    for shot in shots[2:]:
        shot.main = False
    filmed = _read_filmed(filmed_entry, [*shots, *demoted], reader, name)
    covered = facts.covered or whole(track, "masked") or 0
    bare_at = None
    if seen_bare and covered:
        shown_bare = filmed.mask == STATES["bare"]
        bare_at = filmed.time if shown_bare else clock(facts.bare_seconds)
    timeline, fault = _timeline(table(track, "timeline"), reader, name, bare_at)
    return ReportedPerson(
        number=name,
        key=key,
        restored=is_restored(track),
        first_seconds=number(track, "first_seconds"),
        last_seconds=number(track, "last_seconds"),
        counts=_counts(track),
        refused=counts(track, "refused"),
        reasons=facts.reasons,
        unreliable=whole(track, "unreliable") or 0,
        filmed=filmed,
        bare=None if bare_at is None else _describe_bare(bare_at, filmed, facts),
        shots=shots,
        demoted=demoted,
        further=further,
        timeline=timeline,
        timeline_fault=fault,
        quality=quality_table(_measured_frames(track, facts)),
    )


def _counts(track: Record) -> list[tuple[str, int]]:
    """Return the counts of a track in words; those that are 0 only where they matter."""
    words = (
        ("seen", "frames in which the face was found"),
        ("bridged", "frames in which it was interpolated"),
        ("restored", "faces restored"),
        ("masked", "restored faces covered by a mask"),
        ("unsure", "restored faces not certain to be covered"),
    )
    found = [(label, whole(track, name)) for name, label in words]
    return [(label, value) for label, value in found if value]


def _read_filmed(
    entry: Record, shots: list[RestoredShot], reader: PictureReader, person: int
) -> FilmedPicture:
    """Return the filmed picture, or the filmed side of a shot, of a bare one if there is any."""
    time = clock(number(entry, "seconds"))
    if entry:
        figure = reader.read(entry, f"Person {person} as filmed at {time}, enlarged")
        mask = mask_state(stated_mask(entry))
        return FilmedPicture(figure, time, mask, text(entry, "reason"), from_pair=False)
    pairs = [shot for shot in shots if shot.filmed.image is not None]
    pairs.sort(key=lambda shot: shot.mask != STATES["bare"])
    for shot in pairs:
        side = shot.filmed
        figure = ReportPicture(side.alt, side.image, None, side.file, side.link)
        return FilmedPicture(figure, shot.times, shot.mask, None, from_pair=True)
    reason = "the result holds no filmed picture of the person"
    return FilmedPicture(ReportPicture(f"Person {person}", reason=reason), time, None, None, False)


def _describe_bare(time: str, filmed: FilmedPicture, facts: FaceFacts) -> str:
    """Return where a person whose face is covered elsewhere was seen without a mask."""
    if filmed.mask == STATES["bare"]:
        return f"Seen bare at {time}. Look at the filmed picture: no part of it is invented."
    return (
        f"Seen bare at {time}. Look at frame {facts.bare_frame:,} of the input: this result holds "
        "no picture of it."
    )


def _timeline(
    entry: Record, reader: PictureReader, person: int, bare_at: str | None
) -> tuple[list[Thumbnail], str | None]:
    if not entry:
        return [], None
    seconds, states = numbers(entry, "seconds"), items(entry, "states")
    count = min(MAX_THUMBNAILS, max(len(seconds), len(states)))
    strip = reader.read(entry, "")
    if strip.image is None:
        return [], strip.reason
    side = whole(entry, "side") or THUMBNAIL
    found = []
    for position, image in enumerate(squares(strip, side, count)):
        time = clock(seconds[position] if position < len(seconds) else None)
        stated = states[position] if position < len(states) else None
        state = stated if isinstance(stated, str) and stated in STATES else "unknown"
        words = STATES.get(state, "not known")
        if bare_at is not None and state == "masked":
            words = f"{words}; seen bare at {bare_at}"
        reason = None if image is not None else "the strip is too short"
        figure = ReportPicture(f"Person {person} as filmed at {time}: {words}", image, reason)
        figure.thumbnail = True
        found.append(Thumbnail(figure, time, state, words))
    return found, None


def _measured_frames(track: Record, facts: FaceFacts) -> list[tuple[str, Record]]:
    """Return the records of the filmed picture and of the frame of the first restored shot."""
    best = tables(track, "best")
    asked = (
        ("Filmed picture", whole(table(track, "filmed"), "frame")),
        ("Restored shot", next(iter(wholes(best[0], "frames")), None) if best else None),
    )
    found = [
        (f"{words}, frame {frame:,}", facts.frames[frame])
        for words, frame in asked
        if frame is not None and frame in facts.frames
    ]
    return found[:1] if len(found) == 2 and found[0][1] is found[1][1] else found
