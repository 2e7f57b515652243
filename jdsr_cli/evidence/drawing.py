"""Text and rectangles drawn on frames: the label of restored frames and the diagnostic overlay.

The overlay shows detections, tracks and refusals. It is a separate video and never a part of a
restored picture.
"""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from jdsr_cli.conventions import LUMA_WEIGHTS
from jdsr_cli.errors import UsageError

LABEL_TEXT = "Faces restored by AI (jdsr)"
SHORT_LABEL_TEXT = "AI (jdsr)"
LABEL_HEIGHT_SHARE = 1 / 40
"""Height of the label's letters as a share of the frame's shorter side."""
MIN_LABEL_HEIGHT = 9
"""Height in pixels below which letters cannot be read."""
MAX_LABEL_WIDTH_SHARE = 0.6
"""Share of the frame's width above which the short text is used."""
LABEL_OPACITY = 0.55
"""Opacity of the black background behind the letters, 0 to 1."""
LINE_SHARE = 1 / 400
"""Line width as a share of the frame's shorter side."""
TEXT_HEIGHT_SHARE = 1 / 45
"""Height of the overlay's letters as a share of the frame's shorter side."""
MIN_TEXT_HEIGHT = 11
"""Height in pixels below which letters cannot be read."""
DASH = 6
"""Length of the dashes around refused faces, in line widths."""
HUE_STEP = 0.618034
"""Step of hue from one track to the next; the golden ratio keeps neighbours distinct."""
SHADES = (1.0, 0.72)
"""Brightness of the colours, used alternately."""
_LUMA = np.array(LUMA_WEIGHTS, np.float32)

Colour = tuple[int, int, int]


class Label:
    """A label that is rendered once and blended into the lower left corner of frames.

    Args:
        width: Width of the frames in pixels.
        height: Height of the frames in pixels.

    """

    def __init__(self, width: int, height: int) -> None:
        size = max(MIN_LABEL_HEIGHT, round(min(width, height) * LABEL_HEIGHT_SHARE))
        letters = _label_letters(LABEL_TEXT, size)
        if letters.shape[1] > MAX_LABEL_WIDTH_SHARE * width:
            letters = _label_letters(SHORT_LABEL_TEXT, size)
        letters = letters[:height, :width]
        self.height, self.width = letters.shape
        self._letters = letters[..., None]
        self._keep = (1.0 - self._letters) * (1.0 - LABEL_OPACITY)

    def stamp(self, image: NDArray[np.uint8] | NDArray[np.uint16], white: float = 255.0) -> None:
        """Blend the label into `image`, RGB (height, width, 3), in place.

        Args:
            image: The frame, uint8 or uint16.
            white: Level of its letters: up to 255 for uint8, up to 65535 for uint16.

        """
        corner = image[image.shape[0] - self.height :, : self.width]
        corner[:] = np.rint(corner * self._keep + white * self._letters).astype(image.dtype)


@dataclass(frozen=True, eq=False)
class FaceOverlay:
    """The annotation of one face."""

    box: tuple[float, float, float, float]
    """Left, top, right and bottom edge in pixels of the frame; may reach beyond it."""
    points: NDArray[np.floating]
    """(n, 2) in pixels of the frame; each is drawn as a dot."""
    track: int
    """Track number; determines the colour and precedes the text."""
    text: str = ""
    """Score, or reason of the refusal."""
    refused: bool = False
    """Whether the box is dashed."""

    def scaled(self, across: float, down: float) -> FaceOverlay:
        """Return the annotation for a frame that is larger by these factors of width and height."""
        factors = np.array([across, down])
        box = (np.reshape(self.box, (2, 2)) + 0.5) * factors - 0.5
        points = (self.points + 0.5) * factors - 0.5
        left, top, right, bottom = box.ravel().tolist()
        return replace(self, box=(left, top, right, bottom), points=points)


def track_colour(track: int) -> Colour:
    """Return the colour of a track as red, green and blue, 0 to 255; the same in every run."""
    shade = SHADES[track % len(SHADES)]
    red, green, blue = colorsys.hsv_to_rgb(track * HUE_STEP % 1.0, 0.85, shade)
    return round(255 * red), round(255 * green), round(255 * blue)


def draw_faces(image: NDArray[np.uint8], faces: Sequence[FaceOverlay]) -> None:
    """Draw annotations on a frame in place: later ones above earlier ones, texts above boxes.

    Args:
        image: RGB uint8 (H, W, 3), writeable.
        faces: Annotations; parts outside the frame are clipped.

    Raises:
        UsageError: the image is not RGB uint8 (H, W, 3), or a coordinate is not finite.

    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise UsageError(
            f"faces are drawn on RGB uint8 (H, W, 3), not {image.dtype} {image.shape}",
            hint="Give a frame as it was read.",
        )
    for face in faces:
        if not (np.isfinite(face.box).all() and np.isfinite(face.points).all()):
            raise UsageError(
                "a face without finite coordinates cannot be drawn",
                where=f"track {face.track}",
                hint="Remove it from the list.",
            )
    side = min(image.shape[:2])
    line = max(1, round(side * LINE_SHARE))
    for face in faces:
        _draw_box(image, face, line)
        _draw_points(image, face, line)
    for face in faces:
        _draw_text(image, face, max(MIN_TEXT_HEIGHT, round(side * TEXT_HEIGHT_SHARE)), line)


def _draw_box(image: NDArray[np.uint8], face: FaceOverlay, line: int) -> None:
    left, top, right, bottom = (round(edge) for edge in face.box)
    colour = track_colour(face.track)
    for row in (top, bottom):
        _fill(image, row, left, line, right - left + line, colour, line if face.refused else 0)
    for column in (left, right):
        _fill(image, top, column, bottom - top + line, line, colour, line if face.refused else 0)


def _draw_points(image: NDArray[np.uint8], face: FaceOverlay, line: int) -> None:
    # A dot must not hide the eye of a small face.
    size = max(1, min(2 * line, round((face.box[2] - face.box[0]) / 20)))
    for x, y in np.rint(face.points).astype(int).tolist():
        _fill(image, y - size // 2, x - size // 2, size, size, track_colour(face.track), 0)


def _draw_text(image: NDArray[np.uint8], face: FaceOverlay, height: int, line: int) -> None:
    letters = _overlay_letters(f"{face.track} {face.text}".strip(), height)[..., None]
    left, top, _, bottom = (round(edge) for edge in face.box)
    tall, wide = letters.shape[:2]
    row = top - tall if top >= tall else bottom + line
    row = max(0, min(row, image.shape[0] - tall))
    column = max(0, min(left, image.shape[1] - wide))
    part = image[row : row + tall, column : column + wide]
    letters = letters[: part.shape[0], : part.shape[1]]
    colour = np.array(track_colour(face.track), np.float32)
    ink = 0.0 if colour @ _LUMA > 110.0 else 255.0
    part[:] = np.rint(colour * (1.0 - letters) + ink * letters).astype(np.uint8)


def _fill(
    image: NDArray[np.uint8],
    row: int,
    column: int,
    height: int,
    width: int,
    colour: Colour,
    line: int,
) -> None:
    """Fill a rectangle, clipped to the image; in dashes if a line width above 0 is given."""
    dash = DASH * line or max(width, height, 1)
    for start in range(0, max(width, height), 2 * dash):
        size = min(dash, max(width, height) - start)
        if width > height:
            left, top, right, bottom = column + start, row, column + start + size, row + height
        else:
            left, top, right, bottom = column, row + start, column + width, row + start + size
        left, top = max(left, 0), max(top, 0)
        right, bottom = min(right, image.shape[1]), min(bottom, image.shape[0])
        if left < right and top < bottom:
            corners = (left, top), (right - 1, bottom - 1)
            cv2.rectangle(image, *corners, colour, cv2.FILLED)


@lru_cache(maxsize=512)
def _overlay_letters(text: str, height: int) -> NDArray[np.float32]:
    """Return letters in a box whose height does not depend on the text."""
    return _render(text, height, margin=max(1, height // 6), height_of="0Ágj|")


def _label_letters(text: str, height: int) -> NDArray[np.float32]:
    return _render(text, height, margin=max(2, height // 3), height_of=text)


def _render(text: str, height: int, *, margin: int, height_of: str) -> NDArray[np.float32]:
    """Return the coverage of letters with a margin, read-only float32 (h, w) in [0, 1]."""
    font = ImageFont.load_default(height)
    left, _, right, _ = font.getbbox(text)
    _, top, _, bottom = font.getbbox(height_of)
    size = (round(right - left) + 2 * margin, round(bottom - top) + 2 * margin)
    canvas = Image.new("L", size)
    ImageDraw.Draw(canvas).text((margin - left, margin - top), text, fill=255, font=font)
    letters = np.asarray(canvas, np.float32) / 255.0
    letters.setflags(write=False)
    return letters
