"""`crop-faces`: every aligned face written as it is, with its landmarks and its record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.evidence import sha256_file, table_header, table_row
from jdsr_cli.faces import TEMPLATE_SIZE, Alignment, Detection
from jdsr_cli.media import write_image
from jdsr_cli.restoration.finishers.book import Book
from jdsr_cli.restoration.finishers.describing import describe_face
from jdsr_cli.restoration.journal.snapshot import Snapshot
from jdsr_cli.restoration.pipeline.clock import StageClock
from jdsr_cli.restoration.pipeline.elements import Finished, Lines, Restored
from jdsr_cli.restoration.places import RECORDS, TABLE, TRACKS
from jdsr_cli.restoration.shots import track_name
from jdsr_cli.restoration.summary import Counts
from jdsr_cli.settings import CropSettings


class CropFinisher:
    """Exports the faces of one input; a `Finisher`.

    Args:
        folder: Of its results, which exists.
        stem: With which the names of its pictures begin.
        settings: Of the run.
        clock: For the stage `crops`.

    """

    def __init__(self, folder: Path, stem: str, settings: CropSettings, clock: StageClock) -> None:
        self._folder = folder
        self._stem = stem
        self._settings = settings
        self._clock = clock
        self._book = Book()
        self._header: tuple[str, ...] = (table_header(),)

    def finish(self, restored: Restored) -> Finished:
        """Export the faces that the detector found in a frame."""
        tracked = restored.examined.tracked
        records: list[str] = []
        rows = list(self._header)
        self._header = ()
        found = [one for one in restored.examined.candidates if one.face.raw is not None]
        for number, candidate in enumerate(found, 1):
            record = describe_face(tracked.frame, number, candidate, "refused")
            if candidate.crop is not None and candidate.alignment is not None:
                name = f"{self._stem}_{track_name(record.track)}_frame{record.frame:06d}.png"
                with self._clock.stage("crops"):
                    write_image(self._folder / name, candidate.crop)
                    digest = sha256_file(self._folder / name)
                record = replace(record, status="exported", file=name, sha256=digest)
                there = tracked.job.display.stored_detection(candidate.detection)
                points = _crop_points(there, candidate.alignment, self._settings.size)
                rows.append(table_row(Path(name).stem, record, points))
            elif candidate.refusal is not None:
                record = replace(record, reason=candidate.refusal.reason)
            self._book.add(record, candidate.refusal)
            records.append(record.to_json())
        lines = {
            RECORDS: tuple(records),
            TABLE: tuple(rows),
            TRACKS: tuple(line for track in tracked.ended for line in self._end(track)),
        }
        return Finished.of(tracked, {}, lines)

    def close(self) -> Lines:
        """Record the tracks that were open at the end."""
        tracks = tuple(x for track in self._book.open_tracks for x in self._end(track))
        return {TRACKS: tracks, TABLE: self._header}

    def counts(self, frames_read: int, frames_written: int | None) -> Counts:
        """Return what became of frames and faces; exported ones count as restored."""
        return self._book.counts(frames_read, frames_written)

    def figures(self) -> Mapping[str, Any]:
        """Return nothing: faces that are not restored have no figures."""
        return {}

    def state(self) -> Snapshot:
        """Return what later frames need of those so far."""
        return self._book.state()

    def load(self, state: Snapshot) -> None:
        """Go on from where `state` was taken."""
        self._book.load(state)
        self._header = ()

    def _end(self, track: int) -> list[str]:
        record = self._book.close(track)
        return [] if record is None else [record.to_json()]


def _crop_points(detection: Detection, alignment: Alignment, size: int) -> NDArray[np.float64]:
    """Return the five points in pixels of a crop of `size`, (5, 2)."""
    ones = np.ones((len(detection.points), 1))
    template = np.hstack([detection.points, ones]) @ alignment.matrix.T
    points: NDArray[np.float64] = (template + 0.5) * (size / TEMPLATE_SIZE) - 0.5
    return points
