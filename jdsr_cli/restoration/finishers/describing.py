"""The record of a face before anything has become of it."""

from __future__ import annotations

from jdsr_cli.evidence import FaceRecord, Status, round_seconds
from jdsr_cli.media import Frame
from jdsr_cli.restoration.candidates import Candidate


def describe_face(frame: Frame, number: int, candidate: Candidate, status: Status) -> FaceRecord:
    """Make the record of face `number` (from 1) of a frame, without its outcome."""
    detection, alignment = candidate.detection, candidate.alignment
    x0, y0, x1, y1 = (round(float(edge), 2) for edge in detection.box)
    turned = candidate.pose
    return FaceRecord(
        frame=frame.index,
        pts=frame.pts,
        seconds=round_seconds(frame.time),
        face=number,
        track=candidate.face.track,
        bridged=candidate.face.raw is None,
        box=(x0, y0, x1, y1),
        points=tuple((round(float(x), 2), round(float(y), 2)) for x, y in detection.points),
        score=round(float(detection.score), 4),
        eye_distance=round(float(detection.eye_distance), 2),
        status=status,
        native_width=None if alignment is None else round(float(alignment.native_width), 2),
        sharpness=None if candidate.sharpness is None else round(candidate.sharpness, 4),
        yaw=None if turned is None else round(turned.yaw, 1),
        pitch=None if turned is None else round(turned.pitch, 1),
        roll=None if turned is None else round(turned.roll, 1),
        residual=None if turned is None else round(turned.residual, 4),
    )
