"""Writers of `results.json`, the table of all faces, and the contact sheet."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from jdsr_cli.atomic import atomic_file
from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.evaluation.scoring import FIGURES
from jdsr_cli.evaluation.statistics import Estimate, Row
from jdsr_cli.file_names import BYTES
from jdsr_cli.synthesis.compression import resize_bicubic


def write_results(
    path: Path, description: Mapping[str, Any], rows: Sequence[Row], groups: Sequence[Row]
) -> None:
    """Write results and their description as JSON.

    Args:
        path: The file.
        description: Protocol, data and methods, as JSON values.
        rows: Results of all faces.
        groups: Results of groups of faces.

    Raises:
        OutputError: The file cannot be written.

    """
    results = [
        _row_fields(row)
        | {"faces_per_second": row.scores.faces_per_second, "figures": figure_fields(row)}
        for row in rows
    ]
    group_results = [
        _row_fields(row)
        | {"by": row.group.by, "group": row.group.name}
        | {"limits": [round(end, 3) for end in (row.group.low, row.group.high)]}
        | {"figures": figure_fields(row)}
        for row in groups
        if row.group is not None
    ]
    fields = {**description, "results": results, "groups": group_results}
    text = json.dumps(fields, indent=2, allow_nan=False)
    with atomic_file(path) as partial:
        partial.write_text(text + "\n", encoding="utf-8")


def _row_fields(row: Row) -> dict[str, Any]:
    return {"faces": row.faces, "method": row.method, "count": len(row.scores.keys)}


def figure_fields(row: Row) -> dict[str, Any]:
    """Return the figures of a row with intervals and differences, as JSON values."""
    fields = {figure: _estimate_fields(one) for figure, one in row.estimates.items()}
    for figure, one in row.differences.items():
        fields[figure]["difference"] = _estimate_fields(one)
    for figure, share in row.better_share.items():
        fields[figure]["better_share"] = round(share, 6)
    return fields


def _estimate_fields(one: Estimate) -> dict[str, Any]:
    ends = [None if end is None else round(end, 6) for end in (one.low, one.high)]
    mean = round(one.mean, 6) if math.isfinite(one.mean) else str(one.mean)
    return {"mean": mean, "interval": ends, "faces": one.faces}


def write_table(
    path: Path, rows: Sequence[Row], properties: Mapping[str, Mapping[str, NDArray[np.float64]]]
) -> None:
    """Write a line for every face and method as CSV; missing metrics are empty.

    Args:
        path: The file.
        rows: Results of the same faces.
        properties: (N,) values of the faces, by name of the property, for each kind of faces.

    Raises:
        OutputError: The file cannot be written.

    """
    used = [figure for figure in FIGURES if figure in rows[0].scores.figures]
    with (
        atomic_file(path) as partial,
        partial.open("w", newline="", encoding="utf-8", errors=BYTES) as file,
    ):
        writer = csv.writer(file)
        writer.writerow(["faces", "method", "key", *properties[rows[0].faces], *used])
        for row in rows:
            measured = properties[row.faces].values()
            columns = [*measured, *(row.scores.figures[figure] for figure in used)]
            for index, key in enumerate(row.scores.keys):
                figures = ["" if np.isnan(v[index]) else f"{v[index]:.6f}" for v in columns]
                writer.writerow([row.faces, row.method, key, *figures])


FONT_SIZE = 13
HEADING_HEIGHT = 40
"""Height of the heading above a row of faces."""
GAP = 12
"""Distance between groups of columns."""
MAX_COLUMNS = 4
"""Maximum number of faces of a group."""
_PAPER, _INK = (255, 255, 255), (20, 20, 20)


@dataclass(frozen=True)
class Column:
    """One face of the sheet."""

    group: str
    """`best`, `median` or `worst`."""
    index: int
    """Index of the face in the scores."""
    psnr: float
    """PSNR of the face, by which it was chosen."""


@dataclass(frozen=True)
class Block:
    """Rows of images of the same faces below one heading."""

    heading: str
    columns: Sequence[Column]
    labels: Sequence[str]
    """Labels of the rows."""
    rows: Sequence[Sequence[NDArray[np.uint8]]]
    """uint8 RGB squares of any size: a row per label, an image per column."""


def choose_columns(psnr: NDArray[np.float64]) -> list[Column]:
    """Choose up to four of the best, median and worst faces each, without repetition."""
    order = [int(index) for index in np.argsort(-psnr, kind="stable")]
    count = min(MAX_COLUMNS, max(1, len(order) // 3))
    middle = (len(order) - count) // 2
    groups = {
        "best": order[:count],
        "median": order[middle : middle + count] if len(order) > 2 else [],
        "worst": order[-count:] if len(order) > 1 else [],
    }
    return [
        Column(group, index, float(psnr[index]))
        for group, indices in groups.items()
        for index in indices
    ]


def write_sheet(blocks: Sequence[Block], path: Path) -> None:
    """Draw blocks one below the other in a PNG file.

    Raises:
        OutputError: The file cannot be written.

    """
    font = ImageFont.load_default(FONT_SIZE)
    widest = max(font.getlength(label) for block in blocks for label in block.labels)
    left = round(widest) + 2 * GAP
    parts = [_draw(block, left, font) for block in blocks]
    width = max(part.width for part in parts)
    sheet = Image.new("RGB", (width, sum(part.height for part in parts)), _PAPER)
    top = 0
    for part in parts:
        sheet.paste(part, (0, top))
        top += part.height
    with atomic_file(path) as partial:
        sheet.save(partial, format="PNG")


def column_offsets(columns: Sequence[Column]) -> list[int]:
    """Return the left edges of the columns relative to the first, with gaps between groups."""
    lefts, x = [], 0
    for previous, column in zip([None, *columns[:-1]], columns, strict=True):
        if previous is not None:
            x += TEMPLATE_SIZE + (GAP if previous.group != column.group else 0)
        lefts.append(x)
    return lefts


def _draw(
    block: Block, left: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont
) -> Image.Image:
    lefts = column_offsets(block.columns)
    heading = max(left + lefts[-1] + TEMPLATE_SIZE, round(font.getlength(block.heading)) + 2 * GAP)
    size = (heading + GAP, FONT_SIZE + GAP + HEADING_HEIGHT + TEMPLATE_SIZE * len(block.rows) + GAP)
    picture = Image.new("RGB", size, _PAPER)
    pen = ImageDraw.Draw(picture)
    pen.text((GAP, GAP // 2), block.heading, fill=_INK, font=font)
    top = FONT_SIZE + GAP + HEADING_HEIGHT
    for x, column in zip(lefts, block.columns, strict=True):
        pen.text((left + x, top - HEADING_HEIGHT), column.group, fill=_INK, font=font)
        pen.text(
            (left + x, top - HEADING_HEIGHT // 2), f"{column.psnr:.2f} dB", fill=_INK, font=font
        )
    for line, (label, row) in enumerate(zip(block.labels, block.rows, strict=True)):
        y = top + line * TEMPLATE_SIZE
        pen.text((GAP, y + TEMPLATE_SIZE // 2 - FONT_SIZE), label, fill=_INK, font=font)
        for x, face in zip(lefts, row, strict=True):
            picture.paste(Image.fromarray(_enlarged(face)), (left + x, y))
    return picture


def _enlarged(face: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Resize a square to the size of a face, by pixel repetition if possible."""
    factor, remainder = divmod(TEMPLATE_SIZE, face.shape[0])
    if remainder:
        return resize_bicubic(face, TEMPLATE_SIZE)
    return face.repeat(factor, axis=0).repeat(factor, axis=1)
