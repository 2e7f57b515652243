"""The person of a reference photograph, to whom the people of the inputs are compared."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.errors import UsageError
from jdsr_cli.faces import Detection, Detector
from jdsr_cli.faces.display import Display
from jdsr_cli.faces.embedding import FaceEmbedder
from jdsr_cli.faces.tracking import TrackedFace
from jdsr_cli.media import open_reader
from jdsr_cli.media.inputs import check_file
from jdsr_cli.restoration.frame import FaceItem
from jdsr_cli.restoration.input_bytes import InputBytes
from jdsr_cli.restoration.stages.alignment import AlignmentLimits, align_face
from jdsr_cli.settings import MIN_SHARPNESS

CLEARLY_WIDER = 2.0
"""Times by which the widest face is wider than the next one if the photograph is of that person."""
MIN_WIDTH = 32.0
"""Least width of the face in the photograph, in pixels."""
_OPTION = "--reference"
_HINT = "Give a sharp photograph of one person, seen from the front."


@dataclass(frozen=True, eq=False)
class ReferencePerson:
    """The person of a photograph."""

    embedding: NDArray[np.float32]
    """(D,), of length 1."""
    sha256: str
    """Hash of the file of the photograph."""


def open_reference(path: Path, detector: Detector, embedder: FaceEmbedder) -> ReferencePerson:
    """Find the person of a photograph.

    Args:
        path: A still picture of any format that is read.
        detector: Finds the face.
        embedder: Computes its embedding.

    Raises:
        InputError: The file is missing, cannot be read, or changes while it is read.
        UsageError: It is no still picture; it shows no face, or several of similar size; or the
            face is too small, too blurred or turned too far to be compared.

    """
    source = InputBytes(check_file(path))
    with open_reader(path) as reader:
        if reader.info.kind != "image":
            raise _unusable(path, f"it is no still picture ({reader.info.kind})")
        image, display = next(reader).image, Display.of(reader.info.sample_aspect_ratio)
    source.check()
    (found,) = detector.detect([display.squared(image)])
    face = _only_face(path, [one for one in found if one.confirmed])
    item = FaceItem(TrackedFace(1, face, face, too_short=False))
    align_face(image, item, 128, AlignmentLimits(MIN_WIDTH, MIN_SHARPNESS, 0.0), display)
    if face.width < MIN_WIDTH:
        reason = f"its face is {face.width:.0f} px wide, less than {MIN_WIDTH:g} px"
        raise _unusable(path, reason)
    if item.refusal is not None:
        raise _unusable(path, f"its face cannot be compared: {item.refusal.reason}")
    (embedding,) = embedder(image, (face,), display)
    return ReferencePerson(embedding, source.digest.sha256)


def _only_face(path: Path, faces: list[Detection]) -> Detection:
    """Return the face of the person whom a photograph shows."""
    if not faces:
        raise _unusable(path, "no face is found in it")
    widest, *others = sorted(faces, key=lambda one: -one.width)
    if others and widest.width < CLEARLY_WIDER * others[0].width:
        sizes = f"{widest.width:.0f} and {others[0].width:.0f} px wide"
        reason = f"it shows {len(faces)} faces, the widest of similar size ({sizes})"
        raise _unusable(path, reason, "Crop it to the person who is meant.")
    return widest


def _unusable(path: Path, reason: str, hint: str = _HINT) -> UsageError:
    return UsageError(f"{path.name} cannot be used: {reason}", where=_OPTION, hint=hint)
