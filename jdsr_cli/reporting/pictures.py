"""Pictures of a report: read from the folder of the result, and encoded within a limit of bytes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.errors import MediaError
from jdsr_cli.media import Image
from jdsr_cli.media.embedding import decode_png, overlay_address, reduced, webp_address
from jdsr_cli.reporting.folder import ResultFolder, UnusableFileError
from jdsr_cli.reporting.overlays import burned_in, hatched, scaled
from jdsr_cli.reporting.values import Record, text

TOTAL = 3_200_000
"""Characters of all pictures of a report together, as data URIs."""


@dataclass(frozen=True)
class Detail:
    """How large and how well pictures are encoded."""

    side: int
    """Longest side of a face in pixels."""
    quality: int
    """Of WebP."""
    thumbnail: int
    """Longest side of a thumbnail; 0 for none."""
    further: bool
    """Whether shots after the first are shown, and not only linked."""


DETAILS = (
    Detail(320, 82, 64, True),
    Detail(256, 74, 64, True),
    Detail(192, 62, 56, True),
    Detail(160, 50, 48, False),
    Detail(128, 40, 40, False),
    Detail(96, 30, 32, False),
    Detail(72, 20, 0, False),
)
"""From the best to the smallest. The last fits for any pictures, however noisy."""
_PERSONS_BY_DETAIL = (8, 40, 90)
"""Number of persons up to which the first, second and third of `DETAILS` are tried first."""


def first_detail(persons: int) -> int:
    """Return the index in `DETAILS` that is tried first for this number of persons."""
    return sum(persons > limit for limit in _PERSONS_BY_DETAIL)


def allowance(persons: int) -> int:
    """Return the characters that the pictures of one person may take."""
    return TOTAL // max(1, persons)


@dataclass
class ReportPicture:
    """A picture of a person, or the reason why it is not shown."""

    alt: str
    """Text in place of the picture."""
    image: Image | None = None
    reason: str | None = None
    file: str | None = None
    """Name in the record, as text."""
    link: str | None = None
    """Address of the file, relative to the report."""
    thumbnail: bool = False
    address: str = ""
    """Data URI, after `encode`."""
    width: int = 0
    height: int = 0

    def encode(self, detail: Detail) -> int:
        """Encode the picture; return the number of characters."""
        self.address = ""
        side = detail.thumbnail if self.thumbnail else detail.side
        if self.image is None or not side:
            return 0
        small = reduced(self.image, side)
        self.height, self.width = small.shape[:2]
        self.address = webp_address(small, detail.quality)
        return len(self.address)


@dataclass
class Overlay:
    """A hatched map over a restored face: a transparent layer, and a picture for print."""

    name: str
    """Name in identifiers and classes: `invented` or `doubtful`."""
    label: str
    marked: NDArray[np.bool_]
    colour: tuple[int, int, int]
    on: bool
    """Whether the layer is shown from the start."""
    link: str | None = None
    layer: str = ""
    """Data URI of the layer, after `encode`."""
    printed: str = ""
    """Data URI of the restored face in gray with the layer on it."""

    def encode(self, face: ReportPicture, detail: Detail) -> int:
        """Draw and encode the map over a face; return the number of characters."""
        self.layer = self.printed = ""
        if face.image is None or not face.address or not self.marked.any():
            return 0
        drawn = self._drawn(face.height, face.width)
        self.layer = overlay_address(drawn)
        small = reduced(face.image, max(1, detail.side * 3 // 5))
        over = self._drawn(*small.shape[:2])
        self.printed = webp_address(burned_in(small, over), detail.quality)
        return len(self.layer) + len(self.printed)

    def _drawn(self, height: int, width: int) -> NDArray[np.uint8]:
        marked = scaled(self.marked, height, width)
        return hatched(marked, self.colour, dashed=self.name == "doubtful")


class PictureReader:
    """Reads the pictures that records name."""

    def __init__(self, folder: ResultFolder) -> None:
        self._folder = folder

    def read(self, entry: Record, alt: str) -> ReportPicture:
        """Return the picture of an entry with `file` and `sha256`."""
        name = entry.get("file")
        figure = ReportPicture(alt, file=text(entry, "file"))
        if not isinstance(name, str) or not name:
            figure.reason = "the record names no file"
            return figure
        figure.link = self._folder.link(name)
        try:
            figure.image = decode_png(self._folder.read(name, text(entry, "sha256")))
        except UnusableFileError as fault:
            figure.reason = str(fault)
        except MediaError as fault:
            figure.reason = fault.what
        return figure

    def read_map(self, entry: Record, shape: tuple[int, ...]) -> tuple[Image | None, ReportPicture]:
        """Return a map that must have the shape of a face, with its figure."""
        figure = self.read(entry, "")
        if figure.image is not None and figure.image.shape != shape:
            figure.image, figure.reason = None, "its size differs from that of the face"
        return figure.image, figure


def halves(pair: ReportPicture, alts: tuple[str, str]) -> tuple[ReportPicture, ReportPicture]:
    """Split a picture of a pair into the filmed and the restored face."""
    left, right = (ReportPicture(alt, None, pair.reason, pair.file, pair.link) for alt in alts)
    if pair.image is not None:
        half = pair.image.shape[1] // 2
        if half == 0 or half * 2 != pair.image.shape[1]:
            left.reason = right.reason = "it is not a pair of pictures of the same width"
        else:
            left.image, right.image = pair.image[:, :half], pair.image[:, half:]
    return left, right


def squares(strip: ReportPicture, side: int, count: int) -> Iterator[Image | None]:
    """Yield the `count` pictures of a strip of squares, None where it is too short."""
    for number in range(count):
        part = None if strip.image is None else strip.image[:side, number * side :][:, :side]
        yield part if part is not None and part.shape[:2] == (side, side) else None
