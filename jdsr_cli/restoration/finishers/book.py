"""Counts of an input and of every track that is still open, kept while frames pass."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from jdsr_cli.evidence import FaceRecord, TrackRecord
from jdsr_cli.restoration.candidates import TOO_SHORT, Refusal
from jdsr_cli.restoration.journal.snapshot import Snapshot
from jdsr_cli.restoration.summary import Counts


@dataclass
class _Open:
    """A track so far."""

    first_frame: int
    last_frame: int
    first_seconds: float
    last_seconds: float
    seen: int = 0
    bridged: int = 0
    restored: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    masked: int = 0
    unsure: int = 0


class Book:
    """Running counts of one input."""

    def __init__(self) -> None:
        self._totals: Counter[str] = Counter()
        self._refusals: Counter[str] = Counter()
        self._tracks: dict[int, _Open] = {}

    def add(self, record: FaceRecord, refusal: Refusal | None) -> None:
        """Count one face."""
        track = self._tracks.get(record.track)
        if track is None:
            moment = (record.frame, record.frame, record.seconds, record.seconds)
            track = self._tracks[record.track] = _Open(*moment)
            self._totals["tracks"] += refusal is None or refusal.kind != TOO_SHORT
        track.last_frame, track.last_seconds = record.frame, record.seconds
        track.bridged += record.bridged
        track.seen += not record.bridged
        self._totals["bridged" if record.bridged else "found"] += 1
        if refusal is None:
            self._totals["kept"] += 1
            self._totals["masked"] += record.mask == "masked"
            self._totals["unsure"] += record.mask == "unsure"
            track.restored += 1
            track.masked += record.mask == "masked"
            track.unsure += record.mask == "unsure"
        else:
            self._refusals[refusal.kind] += 1
            track.refused[refusal.kind] = track.refused.get(refusal.kind, 0) + 1

    @property
    def open_tracks(self) -> list[int]:
        """Numbers of the tracks that were not closed."""
        return sorted(self._tracks)

    def close(
        self,
        track: int,
        best: tuple[dict[str, Any], ...] = (),
        fused: dict[str, Any] | None = None,
    ) -> TrackRecord | None:
        """Return the record of a track of which nothing more comes; None where it had no face."""
        found = self._tracks.pop(track, None)
        return None if found is None else TrackRecord(track, **vars(found), best=best, fused=fused)

    def counts(self, frames_read: int, frames_written: int | None) -> Counts:
        """Return the counts as they stand."""
        return Counts(
            frames_read=frames_read,
            frames_written=frames_written,
            faces_found=self._totals["found"],
            faces_bridged=self._totals["bridged"],
            faces_restored=self._totals["kept"],
            faces_refused=sum(self._refusals.values()),
            faces_masked=self._totals["masked"],
            faces_unsure=self._totals["unsure"],
            tracks=self._totals["tracks"],
            refusals=dict(sorted(self._refusals.items())),
        )

    def state(self) -> Snapshot:
        """Return all counts."""
        return Snapshot(
            {
                "totals": dict(self._totals),
                "refusals": dict(self._refusals),
                "tracks": [[number, asdict(track)] for number, track in self._tracks.items()],
            }
        )

    def load(self, state: Snapshot) -> None:
        """Go on from where `state` was taken."""
        self._totals = Counter(state.values["totals"])
        self._refusals = Counter(state.values["refusals"])
        self._tracks = {number: _Open(**track) for number, track in state.values["tracks"]}
