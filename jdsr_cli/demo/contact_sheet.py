"""The contact sheet of the demo: camera, restoration and photograph of each detected person."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.demo.clip import WALKS, ClipSettings, Walk
from jdsr_cli.faces import Alignment, crop, estimate_alignment
from jdsr_cli.media import Image, read_image

_NEAR = 0.5
"""Largest distance of the eyes from their true position, in eye distances."""


@dataclass(frozen=True, eq=False)
class DetectedPerson:
    """A person detected in a frame."""

    walk: Walk
    frame: int
    points: NDArray[np.float64]
    """(5, 2) detected points, in pixels of the frame."""
    picture: Path | None
    """Input crop and restored crop side by side; None where the face was refused."""

    def alignment(self) -> Alignment:
        """Return the alignment of the detected face."""
        return estimate_alignment(self.points)

    def photograph_alignment(self, settings: ClipSettings) -> Alignment:
        """Return the alignment that cuts the same region out of the person's photograph."""
        film = np.vstack([settings.matrix(self.walk, self.frame), [0.0, 0.0, 1.0]])
        return Alignment(self.alignment().matrix @ film)


def find_people(folder: Path, settings: ClipSettings) -> list[DetectedPerson]:
    """Match the records of a restored clip with its people.

    Args:
        folder: Results of `restore` with crops for the clip.
        settings: Settings of the clip.

    Returns:
        At most one detection of each person in each frame, by frame.

    """
    found: dict[tuple[int, int], DetectedPerson] = {}
    for line in (folder / "faces.jsonl").read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        frame, points = int(record["frame"]), np.array(record["points"], np.float64)
        number = _person_at(points, frame, settings)
        if number is not None and (frame, number) not in found:
            picture = folder / record["file"] if record["file"] else None
            found[frame, number] = DetectedPerson(WALKS[number], frame, points, picture)
    return [found[key] for key in sorted(found)]


def _person_at(points: NDArray[np.float64], frame: int, settings: ClipSettings) -> int | None:
    """Return the number of the person at that position, None if there is none."""
    for number, walk in enumerate(WALKS):
        matrix = settings.matrix(walk, frame)
        eyes = walk.person.points[:2] @ matrix[:, :2].T + matrix[:, 2]
        apart = float(np.hypot(*(eyes[1] - eyes[0])))
        if float(np.hypot(*(points[:2].mean(0) - eyes.mean(0)))) < _NEAR * apart:
            return number
    return None


TILE = 192
"""Side of a face on the sheet in pixels."""
TIMES = (0.05, 0.35, 0.65, 0.95)
"""Times of the columns as shares of the clip."""
ROWS = ("camera", "restored", "photograph")

_GAP, _LEFT, _TOP = 6, 104, 44
_PAPER, _INK = 250, (40, 40, 40)


def draw_sheet(detections: Sequence[DetectedPerson], settings: ClipSettings) -> Image:
    """Draw the sheet: a column for each person and time, a row for each of `ROWS`.

    The column is empty where the person was not detected near that time.
    """
    columns = [(walk, time) for walk in WALKS for time in TIMES]
    step = TILE + _GAP
    shape = (_TOP + len(ROWS) * step, _LEFT + len(columns) * step, 3)
    sheet = np.full(shape, _PAPER, np.uint8)
    for row, name in enumerate(ROWS):
        _write(sheet, name, (8, _TOP + row * step + TILE // 2))
    for column, (walk, time) in enumerate(columns):
        x = _LEFT + column * step
        shown = _nearest(detections, walk, time, settings)
        if shown is None or shown.picture is None:
            _write(sheet, "not found", (x, 18))
            continue
        width = shown.alignment().native_width
        _write(sheet, f"frame {shown.frame}, {'masked' if _masked(shown, settings) else 'bare'}",
               (x, 18))  # fmt: skip
        _write(sheet, f"region {width:.0f} px wide", (x, 36))
        for row, tile in enumerate(_tiles(shown, settings)):
            y = _TOP + row * step
            sheet[y : y + TILE, x : x + TILE] = tile
    return sheet


def _nearest(
    detections: Sequence[DetectedPerson], walk: Walk, time: float, settings: ClipSettings
) -> DetectedPerson | None:
    """Return the restored detection of the person nearest to a time, within a tenth."""
    own = [one for one in detections if one.walk is walk and one.picture is not None]
    best = min(own, key=lambda one: abs(settings.share(one.frame) - time), default=None)
    near = best is not None and abs(settings.share(best.frame) - time) < 0.1
    return best if near else None


def _masked(shown: DetectedPerson, settings: ClipSettings) -> bool:
    return shown.walk.masked(settings.share(shown.frame))


def _tiles(shown: DetectedPerson, settings: ClipSettings) -> list[Image]:
    """Return the faces of one column from top to bottom."""
    assert shown.picture is not None
    pair = read_image(shown.picture)
    side = pair.shape[0]
    photograph = shown.walk.person.load()
    truth = crop(photograph, shown.photograph_alignment(settings), TILE)
    return [_resized(pair[:, :side]), _resized(pair[:, side:]), truth]


def _resized(face: Image) -> Image:
    method = cv2.INTER_AREA if face.shape[0] > TILE else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(face, (TILE, TILE), interpolation=method), np.uint8)


def _write(sheet: Image, text: str, place: tuple[int, int]) -> None:
    cv2.putText(sheet, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, _INK, 1, cv2.LINE_AA)
