"""What is drawn on frames: boxes, track numbers, scores and reasons of refusal."""

from __future__ import annotations

import numpy as np

from jdsr_cli.evidence import FaceOverlay, draw_faces
from jdsr_cli.faces import Detection
from jdsr_cli.media import Image
from jdsr_cli.restoration.frame import FrameItem
from jdsr_cli.restoration.summary import describe_face


def face_annotations(item: FrameItem) -> list[FaceOverlay]:
    """Return the annotations of the faces of a frame, in its stored pixels."""
    faces = []
    for number, face in enumerate(item.faces, 1):
        record = describe_face(item, number, face)
        points = np.array(record.points, np.float32)
        detection = Detection(record.box, points, record.score)
        stored = item.input.display.stored_detection(detection)
        text = "bridged" if record.bridged else f"{record.score:.2f}"
        text = text if face.refusal is None else face.refusal.kind
        refused = face.refusal is not None
        faces.append(FaceOverlay(stored.box, stored.points, record.track, text, refused))
    return faces


def draw_overlay(item: FrameItem) -> Image:
    """Return a copy of a frame with its faces, tracks and refusals drawn on it."""
    image = item.image.copy()
    draw_faces(image, face_annotations(item))
    return image
