"""Checks of counts: manifest, tracks and faces are counted independently and compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from jdsr_cli.errors import JdsrError
from jdsr_cli.evidence.manifest import MANIFEST
from jdsr_cli.evidence.verification.facts import TrackFacts, face_faults
from jdsr_cli.evidence.verification.findings import Finding
from jdsr_cli.evidence.verification.records import MOST
from jdsr_cli.evidence.verification.stored_result import FACES, TRACKS, StoredResult, shown
from jdsr_cli.restoration.stages.alignment import TOO_SHORT_REASON
from jdsr_cli.restoration.summary import Counts

Record = Mapping[str, Any]
_SUMMED = {"seen": "faces_found", "bridged": "faces_bridged", "restored": "faces_restored",
           "masked": "faces_masked", "unsure": "faces_unsure"}  # fmt: skip
"""Counts of a track, and what they add up to in the manifest."""


@dataclass
class _Tally:
    """What the faces of one track, or of the whole result, add up to."""

    first: Record = field(default_factory=dict)
    last: Record = field(default_factory=dict)
    numbers: Counter[str] = field(default_factory=Counter)

    def add(self, face: Record) -> None:
        self.first = self.first or face
        self.last = face
        refused = face.get("status") == "refused"
        self.numbers["bridged" if face.get("bridged") else "seen"] += 1
        self.numbers["refused" if refused else "restored"] += 1
        self.numbers["masked"] += face.get("mask") == "masked"
        self.numbers["unsure"] += face.get("mask") == "unsure"


@dataclass
class _Limited:
    """Findings about lines of the face records, of which a number is named one by one."""

    what: str
    """What the lines are that are only counted."""
    found: int = 0

    def limit(self, findings: Iterable[Finding]) -> Iterator[Finding]:
        for finding in findings:
            self.found += 1
            if self.found <= MOST:
                yield finding

    def rest(self) -> Iterator[Finding]:
        if self.found > MOST:
            yield Finding("problem", FACES, f"{self.found - MOST} more lines {self.what}")


def check_counts(result: StoredResult) -> Iterator[Finding]:
    """Count the faces anew, and compare the counts with tracks and manifest."""
    if FACES not in result.sizes or TRACKS not in result.sizes:
        return
    total, by_track = _Tally(), dict[object, _Tally]()
    tracks = list(result.records(TRACKS))
    # Results of versions without a schema_version state less about single frames.
    facts = TrackFacts(tracks if result.schema_version is not None else [], result.manifest)
    order, contradictions = _Limited("are not in their order"), _Limited("contradict others")
    before: Record | None = None
    for number, face in result.records(FACES):
        total.add(face)
        facts.add(face)
        by_track.setdefault(_key(face.get("track")), _Tally()).add(face)
        place = (face.get("frame"), face.get("face"))
        last = None if before is None else (before.get("frame"), before.get("face"))
        yield from order.limit(_follows(number, last, place))
        faults = face_faults(face, before)
        yield from contradictions.limit(Finding("problem", FACES, one, number) for one in faults)
        before = face
    yield from order.rest()
    yield from contradictions.rest()
    yield from _check_tracks(tracks, by_track)
    yield from facts.differences()
    counts = result.manifest.get("counts")
    if isinstance(counts, dict):
        yield from _check_sums(counts)
        yield from _check_totals(counts, total, by_track, [one for _, one in tracks], result)


def _follows(
    number: int, before: tuple[Any, Any] | None, place: tuple[Any, Any]
) -> Iterator[Finding]:
    """Check that faces are in order, and that none is left out within a frame."""
    if not all(type(value) is int for value in (*place, *(before or ()))):
        return
    frame, face = place
    same = before is not None and before[0] == frame
    expected = before[1] + 1 if before is not None and same else 1
    if before is not None and frame < before[0]:
        what = f"frame {frame} follows frame {before[0]}: lines were moved or added"
        yield Finding("problem", FACES, what, number)
    elif face != expected:
        what = f"is face {face} of frame {frame} where face {expected} is expected: "
        what += "lines before it are missing, or it was moved or added"
        yield Finding("problem", FACES, what, number)


def _check_tracks(
    tracks: list[tuple[int, dict[str, Any]]], by_track: Mapping[object, _Tally]
) -> Iterator[Finding]:
    known: set[object] = set()
    for number, track in tracks:
        name = _key(track.get("track"))
        if name in known:
            yield Finding("problem", TRACKS, f"track {shown(name)} is recorded twice", number)
        known.add(name)
        tally = by_track.get(name)
        if tally is None:
            what = f"track {shown(name)} has no face in {FACES}"
            yield Finding("problem", TRACKS, what, number)
            continue
        for what in _track_differences(track, tally):
            yield Finding("problem", TRACKS, f"track {shown(name)}: {what}", number)
    for name in by_track:
        if name not in known:
            what = f"has no line for track {shown(name)}, whose faces are in {FACES}"
            yield Finding("problem", TRACKS, what)


def _track_differences(track: Record, tally: _Tally) -> Iterator[str]:
    refused = track.get("refused")
    recorded = {name: track.get(name) for name in _SUMMED}
    recorded["refused"] = _sum_of(refused)
    counted: dict[str, Any] = {name: tally.numbers[name] for name in recorded}
    for end, face in (("first", tally.first), ("last", tally.last)):
        recorded |= {f"{end}_frame": track.get(f"{end}_frame"),
                     f"{end}_seconds": track.get(f"{end}_seconds")}  # fmt: skip
        counted |= {f"{end}_frame": face.get("frame"), f"{end}_seconds": face.get("seconds")}
    for name, value in recorded.items():
        if value != counted[name]:
            yield f"{name} is {shown(value)} here and {shown(counted[name])} in {FACES}"


def _check_sums(counts: Record) -> Iterator[Finding]:
    """Check that the counts of the manifest add up."""
    names = {one.name for one in fields(Counts)}
    numbers = {name: value for name, value in counts.items() if name in names}
    if not isinstance(numbers.get("refusals", {}), dict):
        return
    try:
        Counts(**numbers).check(Path(MANIFEST))
    except JdsrError as fault:
        yield Finding("problem", MANIFEST, f"its counts do not add up: {fault.what}")
    except TypeError:
        yield Finding("problem", MANIFEST, "its counts are not numbers")


def _check_totals(
    counts: Record,
    total: _Tally,
    by_track: Mapping[object, _Tally],
    tracks: list[dict[str, Any]],
    result: StoredResult,
) -> Iterator[Finding]:
    """Compare the counts of the manifest with those of the faces and with those of the tracks."""
    refusals: Counter[str] = Counter()
    for track in tracks:
        refused = track.get("refused")
        for kind, number in refused.items() if isinstance(refused, dict) else ():
            refusals[kind] += number if type(number) is int else 0
    pairs: list[tuple[str, Any, Any, str]] = [
        (name, counts.get(name), total.numbers[short], FACES) for short, name in _SUMMED.items()
    ]
    pairs.append(("faces_refused", counts.get("faces_refused"), total.numbers["refused"], FACES))
    for short, name in _SUMMED.items():
        numbers = [track.get(short) for track in tracks]
        added = sum(number for number in numbers if type(number) is int)
        pairs.append((name, counts.get(name), added, TRACKS))
    pairs.append(("refusals", counts.get("refusals"), dict(refusals), TRACKS))
    if "unreliable" in counts or result.schema_version is not None:
        numbers = [track.get("unreliable") for track in tracks]
        added = sum(number for number in numbers if type(number) is int)
        pairs.append(("unreliable", counts.get("unreliable"), added, TRACKS))
    if result.schema_version is not None:
        long = sum(not _too_short(tally.first) for tally in by_track.values())
        pairs.append(("tracks", counts.get("tracks"), long, FACES))
    for name, stated, counted, source in pairs:
        if stated != counted:
            what = f"{name} is {shown(stated)}, but {shown(counted)} by {source}"
            yield Finding("problem", MANIFEST, what)


def _too_short(face: Record) -> bool:
    return str(face.get("reason") or "").startswith(TOO_SHORT_REASON)


def _sum_of(numbers: object) -> object:
    """Return the sum of the numbers of a table, or what is there instead of one."""
    if not isinstance(numbers, dict) or not all(type(one) is int for one in numbers.values()):
        return numbers
    return sum(numbers.values())


def _key(value: object) -> object:
    return repr(value) if isinstance(value, (dict, list)) else value
