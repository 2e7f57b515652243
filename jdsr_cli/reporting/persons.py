"""What a report shows of one person: filmed before restored, and nothing invented as the best."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from jdsr_cli.reporting.overlays import DOUBTFUL, INVENTED, covered_pixels, doubtful_pixels
from jdsr_cli.reporting.pictures import (
    DETAILS,
    Detail,
    Figure,
    Overlay,
    PictureReader,
    halves,
    squares,
)
from jdsr_cli.reporting.quality import QualityTable, quality_table
from jdsr_cli.reporting.selection import FaceFacts, is_restored
from jdsr_cli.reporting.values import (
    Record,
    counts,
    items,
    number,
    numbers,
    share,
    table,
    tables,
    text,
    whole,
    wholes,
)
from jdsr_cli.reporting.wording import (
    STATES,
    clock,
    doubtful,
    identity_rows,
    mask_state,
    percent,
    reliability,
    stated_mask,
)

MAX_SHOTS = 20
"""Restored shots of a person that are read at most; further ones are counted."""
MAX_THUMBNAILS = 12
THUMBNAIL = 64
"""Side of a picture in a time line where the record does not state it."""


@dataclass
class Shot:
    """A restored face beside the filmed one that it was made from."""

    title: str
    filmed: Figure
    restored: Figure
    times: str
    frames: str
    mask: str | None
    invented: bool
    """Whether parts of it were covered, so that the network drew them."""
    quality: str | None
    covered: str | None
    reliability: str | None
    identity: list[tuple[str, str]]
    warning: str | None
    overlays: list[Overlay] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    """Maps that are not shown, with the reason."""
    main: bool = True
    """Whether it is shown at every level of detail."""


@dataclass(frozen=True)
class Thumbnail:
    """A picture in the time line of a person."""

    figure: Figure
    time: str
    state: str
    """Class name: a key of `STATES`, or `unknown`."""
    words: str


@dataclass
class Person:
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
    filmed: Figure
    filmed_time: str
    filmed_from_pair: bool
    """Whether the filmed picture is the left half of a pair, since there is none of its own."""
    filmed_mask: str | None
    filmed_reason: str | None
    bare: str | None
    """Sentence on where the person was seen without a mask, None if nowhere or always."""
    shots: list[Shot]
    demoted: list[Shot]
    """Shots with invented parts of a person who was also seen without a mask."""
    further: int
    """Shots in the record that were not read."""
    timeline: list[Thumbnail]
    timeline_fault: str | None
    quality: QualityTable | None

    def encode(self, first: int, allowed: int) -> None:
        """Encode all pictures, with less detail until they take at most `allowed` characters."""
        for detail in DETAILS[first:]:
            if self._encode(detail) <= allowed:
                break
        for figure in self._figures():
            figure.image = None

    def _encode(self, detail: Detail) -> int:
        used = self.filmed.encode(detail)
        for shot in (*self.shots, *self.demoted):
            shown = shot.main or detail.further
            for figure in (shot.filmed, shot.restored):
                used += figure.encode(detail) if shown else figure.encode(_LINKED)
            for overlay in shot.overlays:
                used += overlay.encode(shot.restored, detail)
        return used + sum(one.figure.encode(detail) for one in self.timeline)

    def _figures(self) -> Iterator[Figure]:
        yield self.filmed
        for shot in (*self.shots, *self.demoted):
            yield from (shot.filmed, shot.restored)
        for one in self.timeline:
            yield one.figure

    @property
    def linked(self) -> bool:
        """Whether a picture was left out to keep the page small, and is only linked."""
        return any(not one.address and one.reason is None for one in self._figures())


_LINKED = Detail(0, 0, 0, False)


def describe_person(track: Record, facts: FaceFacts, reader: PictureReader, key: str) -> Person:
    """Return what a report shows of a person, with pictures that are not encoded yet.

    Args:
        track: A line of `tracks.jsonl`.
        facts: What `faces.jsonl` says about the person.
        reader: Of the pictures.
        key: Unique in the page.

    """
    name = whole(track, "track") or 0
    filmed_entry = table(track, "filmed")
    filmed_mask = stated_mask(filmed_entry)
    seen_bare = filmed_mask == "bare" or facts.bare_frame is not None
    entries = [("Best restored shot" if number == 1 else f"Restored shot {number}", entry)
               for number, entry in enumerate(tables(track, "best"), 1)]  # fmt: skip
    further = max(0, len(entries) - MAX_SHOTS)
    entries = entries[:MAX_SHOTS]
    fused = table(track, "fused")
    if fused:
        entries.insert(min(1, len(entries)), ("Fused face", fused))
    shots = [_describe_shot(title, one, facts, reader, name) for title, one in entries]
    demoted = [shot for shot in shots if seen_bare and shot.invented]
    shots = [shot for shot in shots if shot not in demoted]
    for shot in demoted:
        shot.title = shot.title.replace("Best restored shot", "Restored shot 1")
        shot.main = False
    for shot in shots[2:]:
        shot.main = False
    filmed, time, from_pair = _filmed(filmed_entry, [*shots, *demoted], reader, name)
    timeline, fault = _timeline(table(track, "timeline"), reader, name)
    covered = facts.covered or whole(track, "masked") or 0
    bare = _bare(filmed_entry, facts) if seen_bare and covered else None
    return Person(
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
        filmed_time=time,
        filmed_from_pair=from_pair,
        filmed_mask=mask_state(filmed_mask),
        filmed_reason=text(filmed_entry, "reason"),
        bare=bare,
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


def _describe_shot(
    title: str, entry: Record, facts: FaceFacts, reader: PictureReader, person: int
) -> Shot:
    frames = wholes(entry, "frames")
    faces = [facts.frames[frame] for frame in frames if frame in facts.frames]
    mask = stated_mask(entry) or _common_mask(faces)
    seconds = numbers(entry, "seconds") or [
        one for face in faces if (one := number(face, "seconds")) is not None
    ]
    covered = share(entry, "covered")
    if covered is None and faces:
        covered = share(faces[0], "covered")
    times = ", ".join(clock(one) for one in seconds[:8]) or clock(None)
    quality = share(entry, "quality")
    pair = reader.read(entry, "")
    left, right = halves(
        pair,
        (
            f"Person {person} as filmed at {times}, enlarged",
            f"Person {person}, {title.lower()}: a restoration by a network, not a filmed picture",
        ),
    )
    doubt, identity = table(entry, "doubt"), table(entry, "identity")
    shot = Shot(
        title=title,
        filmed=left,
        restored=right,
        times=times,
        frames=", ".join(f"{frame:,}" for frame in frames[:8]) + (" …" if frames[8:] else ""),
        mask=mask_state(mask),
        invented=mask == "masked",
        quality=None if quality is None else f"{quality:.2f}",
        covered=None if covered is None else percent(covered),
        reliability=reliability(doubt),
        identity=identity_rows(identity),
        warning=text(identity, "warning"),
    )
    _add_overlays(shot, entry, mask, reader)
    return shot


def _common_mask(faces: list[Record]) -> str | None:
    """Return the mask decision of the frames that a picture was made from; a mask comes first."""
    stated = {stated_mask(face) for face in faces}
    return next((one for one in ("masked", "unsure", "bare") if one in stated), None)


def _add_overlays(shot: Shot, entry: Record, mask: str | None, reader: PictureReader) -> None:
    if shot.restored.image is None:
        return
    shape = shot.restored.image.shape
    occlusion, doubt = table(entry, "occlusion"), table(entry, "doubt")
    if occlusion:
        image, figure = reader.read_map(occlusion, shape)
        if image is None:
            shot.faults.append(f"the occlusion map is not shown: {figure.reason}")
        else:
            kept = mask in ("bare", "unsure")
            label = (
                "may be covered: kept as it was filmed"
                if kept
                else "invented: was covered by a mask"
            )
            marked = covered_pixels(image)
            shot.overlays.append(
                Overlay("invented", label, marked, INVENTED, on=not kept, link=figure.link)
            )
    if doubt and text(doubt, "file") is not None:
        image, figure = reader.read_map(doubt, shape)
        if image is None:
            shot.faults.append(f"the doubt map is not shown: {figure.reason}")
        else:
            bound = number(doubt, "bound")
            marked = doubtful_pixels(image, 254.0 if bound is None else bound)
            on = not shot.overlays
            shot.overlays.append(
                Overlay("doubtful", doubtful(doubt), marked, DOUBTFUL, on=on, link=figure.link)
            )


def _filmed(
    entry: Record, shots: list[Shot], reader: PictureReader, person: int
) -> tuple[Figure, str, bool]:
    """Return the filmed picture, its time, and whether it is the half of a pair."""
    time = clock(number(entry, "seconds"))
    if entry:
        return reader.read(entry, f"Person {person} as filmed at {time}, enlarged"), time, False
    for shot in shots:
        if shot.filmed.image is not None:
            left = shot.filmed
            return Figure(left.alt, left.image, None, left.file, left.link), shot.times, True
    missing = Figure(f"Person {person}", reason="the result holds no filmed picture of the person")
    return missing, clock(number(entry, "seconds")), False


def _bare(filmed: Record, facts: FaceFacts) -> str:
    """Return where a person whose face is covered elsewhere was seen without a mask."""
    if stated_mask(filmed) == "bare":
        return f"Seen bare at {clock(number(filmed, 'seconds'))}"
    where = f"Seen bare at {clock(facts.bare_seconds)}"
    return f"{where} (frame {facts.bare_frame:,} of the input; no picture of it is here)"


def _timeline(
    entry: Record, reader: PictureReader, person: int
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
        reason = None if image is not None else "the strip is too short"
        figure = Figure(f"Person {person} as filmed at {time}: {words}", image, reason)
        figure.thumbnail = True
        found.append(Thumbnail(figure, time, state, words))
    return found, None


def _measured_frames(track: Record, facts: FaceFacts) -> list[tuple[str, Record]]:
    """Return the records of the filmed picture and of the best restored shot."""
    best = tables(track, "best")
    asked = (
        ("Filmed picture", whole(table(track, "filmed"), "frame")),
        ("Best restored shot", next(iter(wholes(best[0], "frames")), None) if best else None),
    )
    found = [
        (f"{words} (frame {frame:,})", facts.frames[frame])
        for words, frame in asked
        if frame is not None and frame in facts.frames
    ]
    return found[:1] if len(found) == 2 and found[0][1] is found[1][1] else found
