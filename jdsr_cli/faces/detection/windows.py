"""Search of a frame in windows around the places where faces are expected.

The windows are cut-outs of two sizes, in which a face has the width that it has in the whole frame
as the detector receives it, or less where it is wide. From one frame to the next the centre of a
face can move by its width; a person who walks past a camera at 1.5 m/s moves by 0.4 widths at 25
frames per second.

The sizes were chosen on four clips. Of 522 faces of an office camera, most of them narrow, windows
of 96 pixels find 515, of 64 and 128 pixels 510 and 511. With wide faces reduced to 40 pixels
instead of 48, a dancer is found in 96 instead of 94 of 96 frames, on a street 314 instead of 290
faces at 360p, but 402 instead of 412 at 1080p (383 in whole frames).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.faces.boxes import suppress_overlaps
from jdsr_cli.faces.detection.base import Detection, cutout_map
from jdsr_cli.faces.detection.network import NetworkDetector
from jdsr_cli.faces.resampling import resample

SIDES = (96, 128)
"""Sides of a window in pixels, for narrow and for wide faces."""
WIDEST = (24.0, 40.0)
"""Longer side in pixels of the box of a face in those windows; wider faces are reduced to it."""
SAME_FACE = 0.3
"""Intersection over union from which two boxes are the same face."""
MAX_ZOOM_RATIO = 1.5
"""Largest ratio of the scale of a window and the one that a face should have, to share it."""
ROOM = 0.6
"""Share of the room around a face in a window by which it may be off the centre, to share it."""


class WindowSearch:
    """Detects faces near expected ones.

    Args:
        network: Detects faces in whole frames; its scales and threshold are used.

    """

    def __init__(self, network: NetworkDetector) -> None:
        self._network = network
        self._close = network.at_scale(1.0)

    def search(self, frame: NDArray[np.uint8], expected: Iterable[Detection]) -> list[Detection]:
        """Return the faces of a frame near expected ones, best score first.

        Args:
            frame: RGB uint8 (H, W, 3).
            expected: Faces where they are expected.

        """
        windows = _place_windows(expected, self._network.fine_scale(frame))
        found: list[Detection] = []
        for side in SIDES:
            chosen = [window for window in windows if window.side == side]
            if not chosen:
                continue
            cuts = [resample(frame, window.to_frame, side) for window in chosen]
            for window, faces in zip(chosen, self._close.detect(cuts), strict=True):
                found += [
                    face.transform(window.to_frame, 0.0, frame)
                    for face in faces
                    if window.holds(face, frame)
                ]
        return _without_repetitions(found)


@dataclass(frozen=True, eq=False)
class _Window:
    """A square cut-out of a frame."""

    side: int
    """In pixels."""
    to_frame: NDArray[np.float64]
    """(2, 3), from the window to the frame."""
    zoom: float
    """Pixels of the window for a pixel of the frame."""

    def has_room_for(self, face: Detection, zoom: float) -> bool:
        """Whether a face of the frame can move in the window, which has about the right scale."""
        if not zoom / MAX_ZOOM_RATIO <= self.zoom <= zoom * MAX_ZOOM_RATIO:
            return False
        left, top, right, bottom = face.box
        x, y = (left + right) / 2, (top + bottom) / 2
        centre = self.to_frame[:, :2] @ np.full(2, (self.side - 1) / 2) + self.to_frame[:, 2]
        reach = self.side / 2 / self.zoom - 1.25 * max(face.width, face.height) / 2
        return bool(np.abs(centre - (x, y)).max() <= ROOM * reach)

    def holds(self, face: Detection, frame: NDArray[np.uint8]) -> bool:
        """Whether the border of the window does not cut off a part of a face found in it."""
        low = self.to_frame[:, 2]
        high = self.to_frame[:, :2] @ np.full(2, self.side - 1.0) + low
        height, width = frame.shape[:2]
        left, top, right, bottom = face.box
        return bool(
            (left > 0 or low[0] <= 0)
            and (top > 0 or low[1] <= 0)
            and (right < self.side - 1 or high[0] >= width - 1)
            and (bottom < self.side - 1 or high[1] >= height - 1)
        )


def _place_windows(faces: Iterable[Detection], scale: float) -> list[_Window]:
    """Return windows for all faces; one that has room in the window of another has none.

    Args:
        faces: Where faces are expected.
        scale: Pixels of the detector's input for a pixel of the frame.

    """
    windows: list[_Window] = []
    for face in sorted(faces, key=lambda one: -one.width):
        longer = max(face.width, face.height)
        narrow = longer * scale <= WIDEST[0]
        side, widest = (SIDES[0], WIDEST[0]) if narrow else (SIDES[1], WIDEST[1])
        face_side = min(longer * scale, widest)
        zoom = face_side / max(longer, 1.0)
        if any(window.has_room_for(face, zoom) for window in windows):
            continue
        windows.append(_Window(side, cutout_map(face, 0.0, face_side, side), zoom))
    return windows


def _without_repetitions(faces: Sequence[Detection]) -> list[Detection]:
    """Return one of the detections of each face, best score first."""
    if not faces:
        return []
    boxes = np.array([face.box for face in faces])
    scores = np.array([face.score for face in faces])
    return [faces[index] for index in suppress_overlaps(boxes, scores, SAME_FACE)]
