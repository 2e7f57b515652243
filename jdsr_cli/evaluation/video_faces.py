"""Faces of the reference of a video comparison: searched, or those of a stored result."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.datasets.face_set import output_errors
from jdsr_cli.errors import DatasetError, UsageError
from jdsr_cli.evaluation.picture_folders import frames_path
from jdsr_cli.faces.alignment import Alignment, estimate_alignment
from jdsr_cli.progress import Progress
from jdsr_cli.restoration import crop_faces
from jdsr_cli.settings import CropSettings

FACES = "faces.jsonl"
"""File of the records of faces."""
_WORK = ".search-"
"""Start of the name of the folder in which faces are searched."""
PROTOCOL = (
    "detected in every frame of the reference and tracked; the landmarks, smoothed along the "
    "track, align the same face in every video to the template by one similarity; faces that "
    "crop-faces refuses (too small, too blurred, turned too far, ...) or that the tracker "
    "interpolated are left out"
)
GIVEN_PROTOCOL = (
    "those that a stored result restored or exported, except faces that the tracker interpolated; "
    "their landmarks align the same face in every video to the template by one similarity"
)


@dataclass(frozen=True, eq=False)
class ReferenceFace:
    """A face of a frame of the reference."""

    track: int
    alignment: Alignment
    """From displayed pixels of the reference to the template."""


def search_faces(reference: Path, out: Path, device: str, progress: Progress) -> Path:
    """Search the faces of the reference and return the file of their records, `out/faces.jsonl`.

    Args:
        reference: A video, or a folder of numbered pictures.
        out: Existing folder of the results; the search works in a new hidden folder in it, which
            is removed also if it fails.
        device: Device of the detector.
        progress: Receives the progress.

    Raises:
        JdsrError: The reference cannot be read, or nothing can be written.

    """
    settings = CropSettings(detect_every=1, device=device)
    with (
        output_errors("the faces of the reference", out),
        tempfile.TemporaryDirectory(dir=out, prefix=_WORK, ignore_cleanup_errors=True) as work,
    ):
        (result,) = crop_faces([frames_path(reference)], Path(work), settings, progress).results
        if result.error is not None:
            raise result.error
        assert result.output is not None
        return (result.output / FACES).replace(out / FACES)


class ReferenceFaces:
    """Reads the records of `faces.jsonl`, frame by frame.

    Args:
        path: The file, whose records are in the order of their frames.

    Raises:
        DatasetError: It cannot be read, or is not such a file.

    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._records = self._read()
        self._next = next(self._records, None)

    def faces(self, frame: int) -> list[ReferenceFace]:
        """Return the faces of a frame; frames are asked for in order.

        Raises:
            DatasetError: As for the class.

        """
        found: dict[int, ReferenceFace] = {}
        while self._next is not None and self._next[0] <= frame:
            number, face = self._next
            if number < frame or face.track in found:
                raise self._invalid("its records are not in the order of frames, or repeated")
            found[face.track] = face
            self._next = next(self._records, None)
        return list(found.values())

    def check_end(self, frames: int) -> None:
        """Check that all faces were asked for.

        Args:
            frames: Number of frames of the reference.

        Raises:
            UsageError: The file has faces of later frames.

        """
        if self._next is not None:
            raise UsageError(
                f"has a face in frame {self._next[0]}, and the reference has {frames} frames",
                where=self._path, hint="Give the faces.jsonl of the result of this reference",
            )  # fmt: skip

    def _read(self) -> Iterator[tuple[int, ReferenceFace]]:
        try:
            with self._path.open(encoding="utf-8") as lines:
                for line in lines:
                    record = json.loads(line)
                    if record["status"] != "refused" and not record["bridged"]:
                        yield int(record["frame"]), _face(record["track"], record["points"])
        except OSError as error:
            raise DatasetError(
                f"cannot be read ({error.strerror})", where=self._path,
                hint="Give the faces.jsonl of a result",
            ) from error  # fmt: skip
        except (ValueError, TypeError, KeyError, UsageError) as error:
            raise self._invalid("a line is not the record of a face") from error

    def _invalid(self, what: str) -> DatasetError:
        return DatasetError(
            what, where=self._path, hint="Give the faces.jsonl that restore or crop-faces wrote"
        )


def _face(track: int, points: object) -> ReferenceFace:
    landmarks: NDArray[np.float64] = np.array(points, np.float64)
    return ReferenceFace(int(track), estimate_alignment(landmarks))
