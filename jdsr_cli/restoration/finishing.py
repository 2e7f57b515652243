"""The last step of a frame: faces pasted, crops exported, records written, frame handed on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.evidence import (
    FaceRecord,
    Label,
    RecordWriter,
    Status,
    picture_metadata,
    round_seconds,
    sha256_file,
)
from jdsr_cli.faces import Alignment, compose, crop
from jdsr_cli.media import Frame, write_image
from jdsr_cli.media.stills import XMP_KEY
from jdsr_cli.restoration.candidates import Candidate, Refusal
from jdsr_cli.restoration.clock import StageClock
from jdsr_cli.restoration.framing import (
    FramePlan,
    canvas_side,
    enlarge,
    template_to_canvas,
    template_to_frame,
)
from jdsr_cli.restoration.generate import RestoredFace
from jdsr_cli.restoration.judge import MASKED_SHARE, covered_share, sharpness
from jdsr_cli.restoration.settings import RestoreSettings
from jdsr_cli.restoration.tally import Tally
from jdsr_cli.restoration.windows import ExaminedFrame

FACES = "faces"
"""Folder of the pictures of single faces."""
PICTURE_METADATA = picture_metadata(XMP_KEY)
NOT_FINITE = Refusal("not finite", "the generator gave values that are not finite")


class FrameSink(Protocol):
    """Takes restored frames in their order."""

    def write(self, image: NDArray[np.uint8], frame: Frame) -> None:
        """Store `image`, which was made of `frame`."""


class FrameFinisher:
    """Finishes the frames of one input.

    Args:
        folder: Where its results go.
        plan: Size of its enlarged frames.
        settings: Of the run.
        records: Open file of face records.
        sink: Takes restored frames; None where none are wanted.
        clock: For the stages `paste` and `crops`.

    """

    def __init__(
        self,
        folder: Path,
        plan: FramePlan,
        settings: RestoreSettings,
        records: RecordWriter,
        sink: FrameSink | None,
        clock: StageClock,
    ) -> None:
        self.tally = Tally()
        self._folder = folder
        self._plan = plan
        self._settings = settings
        self._records = records
        self._sink = sink
        self._clock = clock
        if settings.exports_crops:
            (folder / FACES).mkdir()
        self._label = Label(plan.width, plan.height) if settings.label else None

    def finish(self, examined: ExaminedFrame, restored: Sequence[RestoredFace | None]) -> None:
        """Use `restored`, one for each candidate of the frame that had a crop, in their order."""
        faces = iter(restored)
        results = [
            (candidate, next(faces) if candidate.crop is not None else None)
            for candidate in examined.candidates
        ]
        if self._sink is not None:
            self._write_frame(self._sink, examined.frame, results)
        self.tally.frames += 1
        for number, (candidate, face) in enumerate(results, 1):
            record = self._record(examined.frame, number, candidate, face)
            self.tally.add(record, _refusal(candidate, face))
            self._records.write(record)

    def _write_frame(
        self,
        sink: FrameSink,
        frame: Frame,
        results: Sequence[tuple[Candidate, RestoredFace | None]],
    ) -> None:
        with self._clock.stage("paste"):
            base = enlarge(frame.image, self._plan.scale)
            near_last = sorted(results, key=lambda result: result[0].detection.width)
            for candidate, face in near_last:
                if candidate.alignment is not None and face is not None:
                    matrix = template_to_frame(candidate.alignment, self._plan.scale)
                    _compose(base, face, candidate.alignment, matrix)
            if self._label is not None:
                self._label.stamp(base)
        sink.write(base, frame)

    def _record(
        self, frame: Frame, number: int, candidate: Candidate, face: RestoredFace | None
    ) -> FaceRecord:
        refusal = _refusal(candidate, face)
        covered = file = digest = None
        if face is not None and candidate.alignment is not None:
            covered = covered_share(face.occlusion)
            if self._settings.exports_crops:
                with self._clock.stage("crops"):
                    file = f"{FACES}/{face_name(frame.index, number)}"
                    self._export(self._folder / file, frame, candidate.alignment, face)
                    digest = sha256_file(self._folder / file)
        status: Status = "restored" if refusal is None else "refused"
        return replace(
            describe_face(frame, number, candidate, status),
            covered=None if covered is None else round(covered, 4),
            masked=None if covered is None else covered > MASKED_SHARE,
            reason=None if refusal is None else refusal.reason,
            file=file,
            sha256=digest,
            redone_in_float32=face is not None and face.redone,
        )

    def _export(self, path: Path, frame: Frame, alignment: Alignment, face: RestoredFace) -> None:
        """Write input and restored crop side by side, the input on the left."""
        side = canvas_side(alignment.native_width, self._settings.scale)
        before = crop(frame.image, alignment, side)
        after = before.copy()
        _compose(after, face, alignment, template_to_canvas(side))
        write_image(path, cv2.hconcat([before, after]).astype(np.uint8), PICTURE_METADATA)


def face_name(frame: int, number: int) -> str:
    """Return the file name of face `number` (from 1) of frame `frame` (from 0)."""
    return f"frame{frame:06d}_face{number:02d}.png"


def describe_face(frame: Frame, number: int, candidate: Candidate, status: Status) -> FaceRecord:
    """Make the record of a face without its outcome beyond `status`."""
    detection, alignment = candidate.detection, candidate.alignment
    x0, y0, x1, y1 = (round(float(edge), 2) for edge in detection.box)
    return FaceRecord(
        frame=frame.index,
        pts=frame.pts,
        seconds=round_seconds(frame.time),
        face=number,
        box=(x0, y0, x1, y1),
        points=tuple((round(float(x), 2), round(float(y), 2)) for x, y in detection.points),
        score=round(float(detection.score), 4),
        eye_distance=round(float(detection.eye_distance), 2),
        status=status,
        native_width=None if alignment is None else round(float(alignment.native_width), 2),
        sharpness=None if candidate.crop is None else round(sharpness(candidate.crop), 2),
    )


def _refusal(candidate: Candidate, face: RestoredFace | None) -> Refusal | None:
    if candidate.refusal is not None:
        return candidate.refusal
    return NOT_FINITE if face is None else None


def _compose(
    base: NDArray[np.uint8],
    face: RestoredFace,
    alignment: Alignment,
    matrix: NDArray[np.float64],
) -> None:
    """Put a restored face on `base` in place; `matrix` (2, 3) leads from template to base."""
    compose(base, face.image, face.occlusion, matrix, alignment.native_width)
