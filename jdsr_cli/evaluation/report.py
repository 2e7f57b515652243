"""Written results: `results.json`, the table of every face, and the contact sheet."""

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
from jdsr_cli.synthesis.compression import resize_bicubic


def write_results(
    path: Path, described: Mapping[str, Any], rows: Sequence[Row], groups: Sequence[Row]
) -> None:
    """Write what was measured and how as JSON.

    Args:
        path: The file.
        described: Protocol, data and methods, able to be JSON.
        rows: The figures of all faces.
        groups: Those of groups of them.

    Raises:
        OutputError: The file cannot be written.

    """
    results = [
        _named(row) | {"faces_per_second": row.scores.faces_per_second} | _figures(row)
        for row in rows
    ]
    grouped = [
        _named(row)
        | {"by": row.group.by, "group": row.group.name}
        | {"limits": [round(end, 3) for end in (row.group.low, row.group.high)]}
        | _figures(row)
        for row in groups
        if row.group is not None
    ]
    fields = {**described, "results": results, "groups": grouped}
    text = json.dumps(fields, indent=2, allow_nan=False)
    with atomic_file(path) as partial:
        partial.write_text(text + "\n", encoding="utf-8")


def _named(row: Row) -> dict[str, Any]:
    return {"faces": row.faces, "method": row.method, "count": len(row.scores.keys)}


def _figures(row: Row) -> dict[str, Any]:
    fields = {figure: _estimate_fields(one) for figure, one in row.estimates.items()}
    for figure, one in row.differences.items():
        fields[figure]["difference"] = _estimate_fields(one)
    for figure, share in row.better_share.items():
        fields[figure]["better_share"] = round(share, 6)
    return {"figures": fields}


def _estimate_fields(one: Estimate) -> dict[str, Any]:
    ends = [None if end is None else round(end, 6) for end in (one.low, one.high)]
    mean = round(one.mean, 6) if math.isfinite(one.mean) else str(one.mean)
    return {"mean": mean, "interval": ends, "faces": one.faces}


def write_table(
    path: Path, rows: Sequence[Row], properties: Mapping[str, NDArray[np.float64]]
) -> None:
    """Write a line for every face and method as CSV; a figure that a face has not is empty.

    Args:
        path: The file.
        rows: All of the same faces.
        properties: By name, (N,) of the faces.

    Raises:
        OutputError: The file cannot be written.

    """
    used = [figure for figure in FIGURES if figure in rows[0].scores.figures]
    with atomic_file(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["faces", "method", "key", *properties, *used])
        for row in rows:
            columns = [*properties.values(), *(row.scores.figures[figure] for figure in used)]
            for index, key in enumerate(row.scores.keys):
                figures = ["" if np.isnan(v[index]) else f"{v[index]:.6f}" for v in columns]
                writer.writerow([row.faces, row.method, key, *figures])


LETTERS = 13
HEAD = 40
"""Height of the heading above a row of faces."""
GAP = 12
"""Between groups of columns."""
EACH = 4
"""Most faces of a group."""
_PAPER, _INK = (255, 255, 255), (20, 20, 20)


@dataclass(frozen=True)
class Column:
    """One face of the sheet."""

    group: str
    """`best`, `median` or `worst`."""
    index: int
    """Of the face in its scores."""
    psnr: float
    """By which it was chosen."""


@dataclass(frozen=True)
class Block:
    """Rows of pictures of the same faces under one heading."""

    heading: str
    columns: Sequence[Column]
    labels: Sequence[str]
    """Of the rows."""
    rows: Sequence[Sequence[NDArray[np.uint8]]]
    """uint8 RGB squares of any side, a row for each label and one in it for each column."""


def choose(psnr: NDArray[np.float64]) -> list[Column]:
    """Choose up to four of the best, median and worst faces, none of them twice."""
    order = [int(index) for index in np.argsort(-psnr, kind="stable")]
    each = min(EACH, max(1, len(order) // 3))
    middle = (len(order) - each) // 2
    groups = {
        "best": order[:each],
        "median": order[middle : middle + each] if len(order) > 2 else [],
        "worst": order[-each:] if len(order) > 1 else [],
    }
    return [
        Column(group, index, float(psnr[index])) for group, some in groups.items() for index in some
    ]


def write_sheet(blocks: Sequence[Block], path: Path) -> None:
    """Draw blocks below each other as one PNG.

    Raises:
        OutputError: The file cannot be written.

    """
    font = ImageFont.load_default(LETTERS)
    widest = max(font.getlength(label) for block in blocks for label in block.labels)
    left = round(widest) + 2 * GAP
    parts = [_draw(block, left, font) for block in blocks]
    width = max(part.width for part in parts)
    whole = Image.new("RGB", (width, sum(part.height for part in parts)), _PAPER)
    top = 0
    for part in parts:
        whole.paste(part, (0, top))
        top += part.height
    with atomic_file(path) as partial:
        whole.save(partial, format="PNG")


def offsets(columns: Sequence[Column]) -> list[int]:
    """Left edges of the columns, from that of the first; groups stand a little apart."""
    lefts, x = [], 0
    for before, column in zip([None, *columns[:-1]], columns, strict=True):
        if before is not None:
            x += TEMPLATE_SIZE + (GAP if before.group != column.group else 0)
        lefts.append(x)
    return lefts


def _draw(
    block: Block, left: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont
) -> Image.Image:
    lefts = offsets(block.columns)
    heading = max(left + lefts[-1] + TEMPLATE_SIZE, round(font.getlength(block.heading)) + 2 * GAP)
    size = (heading + GAP, LETTERS + GAP + HEAD + TEMPLATE_SIZE * len(block.rows) + GAP)
    picture = Image.new("RGB", size, _PAPER)
    pen = ImageDraw.Draw(picture)
    pen.text((GAP, GAP // 2), block.heading, fill=_INK, font=font)
    top = LETTERS + GAP + HEAD
    for x, column in zip(lefts, block.columns, strict=True):
        pen.text((left + x, top - HEAD), column.group, fill=_INK, font=font)
        pen.text((left + x, top - HEAD // 2), f"{column.psnr:.2f} dB", fill=_INK, font=font)
    for line, (label, row) in enumerate(zip(block.labels, block.rows, strict=True)):
        y = top + line * TEMPLATE_SIZE
        pen.text((GAP, y + TEMPLATE_SIZE // 2 - LETTERS), label, fill=_INK, font=font)
        for x, face in zip(lefts, row, strict=True):
            picture.paste(Image.fromarray(_shown(face)), (left + x, y))
    return picture


def _shown(face: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Bring a square to the side of a face; an input shows its pixels as they are."""
    times, rest = divmod(TEMPLATE_SIZE, face.shape[0])
    if rest:
        return resize_bicubic(face, TEMPLATE_SIZE)
    return face.repeat(times, axis=0).repeat(times, axis=1)
