"""The generated faces of a segment in a file, for the process that writes the input.

The file is a sequence of records without a header, one for each face that was restored, in the
order of the frames and of the faces in them, and their hash.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.errors import InputUnreadableError
from jdsr_cli.restoration.frame import FaceItem, FrameItem, RestoredFace
from jdsr_cli.restoration.hashed_files import is_whole, write_hashed

SUFFIX = ".faces"
"""End of the names of these files."""
_FACE = np.dtype(
    [
        ("frame", "<u4"),
        ("finite", "?"),
        ("redone", "?"),
        ("frames", "u1"),
        ("image", "u1", (TEMPLATE_SIZE, TEMPLATE_SIZE, 3)),
        ("occlusion", "u1", (TEMPLATE_SIZE, TEMPLATE_SIZE)),
    ]
)


def write_faces(path: Path, items: Iterable[FrameItem], run: str) -> None:
    """Store the generated faces of a segment of a run; the file appears when it is complete.

    Raises:
        OutputError: The file cannot be written.

    """
    write_hashed(
        path,
        (
            _record(item.number, face).tobytes()
            for item in items
            for face in item.faces
            if face.crop is not None
        ),
        run,
    )


def _record(frame: int, face: FaceItem) -> NDArray[np.void]:
    record, generated = np.zeros((), _FACE), face.generated
    record["frame"], record["frames"] = frame, face.frames
    record["finite"] = generated is not None
    if generated is not None:
        record["redone"] = generated.redone
        record["image"] = generated.image
        record["occlusion"] = np.rint(generated.occlusion * np.float32(255))
    return record


class StoredFaces:
    """The generated faces of a segment, which are read frame by frame.

    Args:
        path: A file that `write_faces` wrote.
        side: Side in pixels of the crops that the generator received.
        run: Identifier of the run that wrote it.

    Raises:
        InputUnreadableError: The file is missing, damaged or of another run.

    """

    def __init__(self, path: Path, side: int, run: str) -> None:
        self._path = path
        self._side = side
        if not is_whole(path, run):
            raise self._damaged()
        self._file = path.open("rb")

    def set_faces(self, item: FrameItem) -> None:
        """Set the generated faces of the next frame, whose crops are the same.

        Raises:
            InputUnreadableError: The file is damaged, or holds the faces of other frames.

        """
        faces = [face for face in item.faces if face.crop is not None]
        content = self._file.read(len(faces) * _FACE.itemsize)
        if len(content) != len(faces) * _FACE.itemsize:
            raise self._damaged()
        for face, record in zip(faces, np.frombuffer(content, _FACE), strict=True):
            if record["frame"] != item.number:
                raise self._damaged()
            face.generated = self._face(record) if record["finite"] else None
            face.frames = int(record["frames"])

    def _face(self, record: NDArray[np.void]) -> RestoredFace:
        occlusion = record["occlusion"].astype(np.float32) / np.float32(255)
        return RestoredFace(record["image"].copy(), occlusion, bool(record["redone"]), self._side)

    def _damaged(self) -> InputUnreadableError:
        """Remove the file, so that a resumed run restores the faces itself; return the error."""
        self._path.unlink(missing_ok=True)
        return InputUnreadableError(
            "the prepared faces of a segment are damaged and were removed",
            where=self._path,
            hint="Repeat the command with --resume.",
        )

    def close(self) -> None:
        """Close the file."""
        self._file.close()
