"""Aligned crops and the table of their landmarks, which `crop-faces` writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.evidence import sha256_file, table_header, table_row
from jdsr_cli.file_names import LONGEST, as_text, shortened
from jdsr_cli.media import write_image
from jdsr_cli.restoration.face_folder import track_name
from jdsr_cli.restoration.frame import FrameItem, OpenInput
from jdsr_cli.restoration.sinks import SegmentedText, Sink, SinkResult
from jdsr_cli.restoration.summary import describe_face
from jdsr_cli.settings import CropSettings

TABLE = "faces.csv"
"""Landmarks of exported faces, in the format that training reads."""
CROP_SUFFIX = "_track000000000_frame000000000000.png"
"""What the name of a crop has at most after the stem of its input."""


class CropSink(Sink):
    """Writes each aligned face as it is, and the table of their landmarks, for `crop-faces`."""

    name, stage = "crops", "crops"

    def __init__(self, opened: OpenInput, settings: CropSettings) -> None:
        self._folder = opened.workspace.results
        self._stem = shortened(as_text(opened.state.source.stem), LONGEST - len(CROP_SUFFIX))
        self._size = settings.size
        self._table = SegmentedText(opened.workspace, TABLE)
        self._written: list[Path] = []
        """Crops of the open segment."""
        if opened.snapshot is None:
            self._table.add(table_header())

    def write(self, item: FrameItem) -> None:
        """Write the crops of a frame."""
        for number, face in enumerate(item.faces, 1):
            if face.crop is None or face.alignment is None:
                continue
            face.file = f"{self._stem}_{track_name(face.track)}_frame{item.index:06d}.png"
            path = self._folder / face.file
            write_image(path, face.crop, flushes_name=False)
            face.sha256 = sha256_file(path)
            self._written.append(path)
            stored = item.input.display.stored_detection(face.detection)
            ones = np.ones((len(stored.points), 1))
            template = np.hstack([stored.points, ones]) @ face.alignment.matrix.T
            points = (template + 0.5) * (self._size / TEMPLATE_SIZE) - 0.5
            self._table.add(table_row(path.stem, describe_face(item, number, face), points))

    def end_segment(self) -> list[Path]:
        """Store the rows of the segment; return them and its crops."""
        written, self._written = self._written, []
        return [self._table.end_segment(), *written]

    def finish(self) -> SinkResult:
        """Return the joined table."""
        return SinkResult(files=(self._table.join(),))
