"""Counts what becomes of frames and faces while an input is worked on."""

from __future__ import annotations

from collections import Counter

from jdsr_cli.evidence import FaceRecord
from jdsr_cli.restoration.candidates import Refusal
from jdsr_cli.restoration.summary import Counts


class Tally:
    """Running counts of one input."""

    def __init__(self) -> None:
        self.frames = 0
        self._found = self._kept = self._masked = 0
        self._refusals: Counter[str] = Counter()

    def add(self, record: FaceRecord, refusal: Refusal | None) -> None:
        """Count one face."""
        self._found += 1
        if refusal is None:
            self._kept += 1
            self._masked += bool(record.masked)
        else:
            self._refusals[refusal.kind] += 1

    def counts(self, frames_written: int | None) -> Counts:
        """Return the counts as they stand."""
        return Counts(
            frames_read=self.frames,
            frames_written=frames_written,
            faces_found=self._found,
            faces_restored=self._kept,
            faces_refused=sum(self._refusals.values()),
            faces_masked=self._masked,
            refusals=dict(self._refusals),
        )
