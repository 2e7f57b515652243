"""What was seen in one frame: all that tracking needs to know of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.faces import Detection


@dataclass(frozen=True, eq=False)
class FrameFacts:
    """Measures of a frame and the faces found in it."""

    time: float
    """Seconds."""
    looked: bool
    """Whether faces were looked for."""
    cut: bool
    """Whether another scene begins with this frame."""
    colour: float
    """How colourful the frame and its faces are, see `faces.tone.footage_colour`."""
    detections: tuple[Detection, ...]
    embeddings: NDArray[np.float32] | None = None
    """(n, D), of length 1, where a face network is used."""
