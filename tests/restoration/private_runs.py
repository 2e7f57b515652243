"""Read the results of runs that restore selected people, and look for faces in pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.restoration import InputResult

Picture = NDArray[np.uint8]


def done(results: tuple[InputResult, ...]) -> Path:
    (result,) = results
    assert result.error is None, result.error
    assert result.output is not None
    return result.output


def manifest(folder: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return read


def frames_of(path: Path) -> list[Picture]:
    with av.open(str(path)) as container:
        return [one.to_ndarray(format="rgb24") for one in container.decode(video=0)]


def fine(image: Picture) -> NDArray[np.float32]:
    """Return the gray picture without what is coarser than the features of a face."""
    gray = image.astype(np.float32).mean(axis=2)
    return gray - cv2.GaussianBlur(gray, (0, 0), 3.0)


def best_match(picture: Picture, face: Picture) -> float:
    """Return the largest correlation of a face with any place of a picture."""
    found = cv2.matchTemplate(fine(picture), fine(face), cv2.TM_CCOEFF_NORMED)
    return float(np.nan_to_num(found, posinf=0.0).max())


def face_of(portrait: Picture) -> Picture:
    return portrait[35:85, 40:80]
