"""The folder of pictures of single faces: their names, sizes and files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.evidence import picture_metadata, sha256_file
from jdsr_cli.evidence.credentials import Content
from jdsr_cli.media import write_image
from jdsr_cli.media.writing.pictures import XMP_KEY
from jdsr_cli.restoration.result_signer import ResultSigner, sign_file

FACES = "faces"
"""Name of the folder in the folder of results."""
MAX_SIDE = 1024
"""Side in pixels of the largest picture of a face."""
_RESTORED_METADATA = picture_metadata(XMP_KEY)


def track_name(track: int) -> str:
    """Return the start of the names of a track's files."""
    return f"track{track:04d}"


def picture_side(native_width: float, scale: int) -> int:
    """Return the side of the picture of a face whose region is `native_width` px wide."""
    return min(MAX_SIDE, max(TEMPLATE_SIZE, round(min(scale * native_width, MAX_SIDE))))


class FaceFolder:
    """Writes pictures of faces, and lists them for the journal.

    Args:
        results: Folder of the results, in which the folder is created.
        signer: Signs the pictures; None if they are not signed.

    """

    def __init__(self, results: Path, signer: ResultSigner | None = None) -> None:
        self._results = results
        self._signer = signer
        self._written: list[Path] = []
        (results / FACES).mkdir(exist_ok=True)

    def write(self, name: str, image: NDArray[np.uint8], content: Content) -> dict[str, str]:
        """Write a picture and return its `file`, relative to the results, and its `sha256`.

        Args:
            name: Name of the file without suffix.
            image: RGB uint8 (height, width, 3) or gray uint8 (height, width).
            content: What it shows; of restored faces the metadata state that.

        Raises:
            OutputError: The picture cannot be written or signed.

        """
        file = f"{FACES}/{name}.png"
        path = self._results / file
        metadata = _RESTORED_METADATA if content == "restored" else None
        write_image(path, image, metadata, flushes_name=False)
        sign_file(self._signer, path, content)
        self._written.append(path)
        return {"file": file, "sha256": sha256_file(path)}

    def take_written(self) -> list[Path]:
        """Return the pictures written since the last call."""
        written, self._written = self._written, []
        return written
