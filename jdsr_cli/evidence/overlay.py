"""Boxes, numbers of tracks and short texts drawn on a frame, to see what was found and why.

What is drawn says nothing about how a face was restored: overlays are for looking at detection
and tracking, and no part of a restored picture.
"""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from jdsr_cli.errors import UsageError

Colour = tuple[int, int, int]

LINE_SHARE = 1 / 400
"""Width of lines as a share of the frame's shorter side."""
HEIGHT_SHARE = 1 / 45
"""Height of letters as a share of the frame's shorter side."""
LEAST_HEIGHT = 11
"""Pixels below which letters cannot be read."""
DASH = 6
"""Length of the dashes around refused faces, in widths of the line."""
HUE_STEP = 0.618034
"""Turn of hue from one track to the next: the golden section keeps neighbours apart."""
SHADES = (1.0, 0.72)
"""Brightness of the colours, in turn."""


@dataclass(frozen=True, eq=False)
class FaceMark:
    """What is drawn for one face."""

    box: tuple[float, float, float, float]
    """Left, top, right and bottom edge in pixels of the frame; may reach beyond it."""
    points: NDArray[np.floating]
    """(n, 2) in pixels of the frame; each is drawn as a dot. (0, 2) for none."""
    track: int
    """Number of the track; chooses the colour and stands before the text."""
    text: str = ""
    """A score, or why the face was refused."""
    refused: bool = False
    """Whether the box is dashed."""


def track_colour(track: int) -> Colour:
    """Return the colour of a track, the same in every run: red, green, blue, 0 to 255."""
    shade = SHADES[track % len(SHADES)]
    red, green, blue = colorsys.hsv_to_rgb(track * HUE_STEP % 1.0, 0.85, shade)
    return round(255 * red), round(255 * green), round(255 * blue)


def draw_faces(image: NDArray[np.uint8], marks: Sequence[FaceMark]) -> None:
    """Draw marks on a frame, in place; later ones lie above earlier ones, texts above all.

    Args:
        image: RGB uint8 (H, W, 3), writeable.
        marks: What lies outside the frame is left out.

    Raises:
        UsageError: the image is not RGB uint8 (H, W, 3), or a mark is not finite.

    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise UsageError(
            f"faces are drawn on RGB uint8 (H, W, 3), not {image.dtype} {image.shape}",
            hint="Give a frame as it was read.",
        )
    for mark in marks:
        if not (np.isfinite(mark.box).all() and np.isfinite(mark.points).all()):
            raise UsageError(
                "a face that is nowhere cannot be drawn",
                where=f"track {mark.track}",
                hint="Leave it out.",
            )
    side = min(image.shape[:2])
    line = max(1, round(side * LINE_SHARE))
    for mark in marks:
        _draw_box(image, mark, line)
        _draw_points(image, mark, line)
    for mark in marks:
        _draw_text(image, mark, max(LEAST_HEIGHT, round(side * HEIGHT_SHARE)), line)


def _draw_box(image: NDArray[np.uint8], mark: FaceMark, line: int) -> None:
    left, top, right, bottom = (round(edge) for edge in mark.box)
    colour = track_colour(mark.track)
    for row in (top, bottom):
        _fill(image, row, left, line, right - left + line, colour, line if mark.refused else 0)
    for column in (left, right):
        _fill(image, top, column, bottom - top + line, line, colour, line if mark.refused else 0)


def _draw_points(image: NDArray[np.uint8], mark: FaceMark, line: int) -> None:
    # A dot must not hide the eye of a small face.
    size = max(1, min(2 * line, round((mark.box[2] - mark.box[0]) / 20)))
    for x, y in np.rint(mark.points).astype(int).tolist():
        _fill(image, y - size // 2, x - size // 2, size, size, track_colour(mark.track), 0)


def _draw_text(image: NDArray[np.uint8], mark: FaceMark, height: int, line: int) -> None:
    letters = _letters(f"{mark.track} {mark.text}".strip(), height)[..., None]
    left, top, _, bottom = (round(edge) for edge in mark.box)
    tall, wide = letters.shape[:2]
    row = top - tall if top >= tall else bottom + line
    row = max(0, min(row, image.shape[0] - tall))
    column = max(0, min(left, image.shape[1] - wide))
    part = image[row : row + tall, column : column + wide]
    letters = letters[: part.shape[0], : part.shape[1]]
    colour = np.array(track_colour(mark.track), np.float32)
    ink = 0.0 if colour @ np.array([0.299, 0.587, 0.114], np.float32) > 110.0 else 255.0
    part[:] = np.rint(colour * (1.0 - letters) + ink * letters).astype(np.uint8)


def _fill(
    image: NDArray[np.uint8], row: int, column: int, tall: int, wide: int, colour: Colour, line: int
) -> None:
    """Fill a rectangle, clipped to the image; in dashes where a width of line is given."""
    rows = np.arange(max(row, 0), min(row + tall, image.shape[0]))
    columns = np.arange(max(column, 0), min(column + wide, image.shape[1]))
    if line:
        along, start = (columns, column) if wide > tall else (rows, row)
        along = along[(along - start) // (DASH * line) % 2 == 0]
        rows, columns = (rows, along) if wide > tall else (along, columns)
    image[np.ix_(rows, columns)] = colour


@lru_cache(maxsize=512)
def _letters(text: str, height: int) -> NDArray[np.float32]:
    """Return the coverage of letters with a margin, float32 (h, w) in [0, 1]."""
    font = ImageFont.load_default(height)
    left, _, right, _ = font.getbbox(text)
    _, top, _, bottom = font.getbbox("0Ágj|")
    margin = max(1, height // 6)
    size = (round(right - left) + 2 * margin, round(bottom - top) + 2 * margin)
    canvas = Image.new("L", size)
    ImageDraw.Draw(canvas).text((margin - left, margin - top), text, fill=255, font=font)
    letters = np.asarray(canvas, np.float32) / 255.0
    letters.setflags(write=False)
    return letters
