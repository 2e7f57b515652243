"""Files of an evaluated table of the paper: `table.json`, and `table.md` for a text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jdsr_cli.atomic import atomic_file
from jdsr_cli.evaluation.paper_tables import FULL_MODEL, PAPER
from jdsr_cli.evaluation.report import figure_fields
from jdsr_cli.evaluation.statistics import Estimate
from jdsr_cli.evaluation.table_rows import MeasuredTable, TableRow
from jdsr_cli.file_names import as_text

HEADINGS = (
    "method", "PSNR, dB", "SSIM", "paper: PSNR", "paper: SSIM",
    f"PSNR to {FULL_MODEL}", f"SSIM to {FULL_MODEL}",
    "PSNR covered, beside", "SSIM covered, beside", "steps x faces",
)  # fmt: skip
"""Columns of `table.md`."""


@dataclass(frozen=True)
class TableFiles:
    """An evaluated table and the paths of its files."""

    table: MeasuredTable
    record: Path
    """`table.json`."""
    text: Path
    """`table.md`."""


def write_table_files(
    folder: Path, table: MeasuredTable, description: Mapping[str, Any]
) -> TableFiles:
    """Write a table as JSON and as Markdown.

    Args:
        folder: An existing folder.
        table: The table.
        description: Protocol, data and methods, as JSON values; those of `results.json`.

    Raises:
        OutputError: A file cannot be written.

    """
    files = TableFiles(table, folder / "table.json", folder / "table.md")
    content = {
        **description,
        "title": table.paper.title,
        "conditions": list(table.conditions),
        "rows": [_row_fields(row) for row in table.rows],
    }
    with atomic_file(files.record) as partial:
        text = json.dumps(content, indent=2, allow_nan=False)
        partial.write_text(text + "\n", encoding="utf-8")
    with atomic_file(files.text) as partial:
        partial.write_text(table_as_markdown(table), encoding="utf-8")
    return files


def _row_fields(row: TableRow) -> dict[str, Any]:
    one, paper = row.checkpoint, row.paper
    checkpoint = None
    if one is not None:
        checkpoint = {
            "name": one.entry.name, "recipe": one.entry.recipe, "file": one.path.name,
            "sha256": one.entry.sha256, "commit": one.entry.commit, "data": one.entry.data,
            "steps": one.steps, "batch": one.batch, "deviations": one.deviations,
            "remark": row.remark,
        }  # fmt: skip
    return {
        "scale": paper.scale,
        "method": paper.label,
        "recipe": paper.recipe,
        "status": row.status,
        "error": row.fault,
        "published": None if paper.published is None else asdict(paper.published),
        "checkpoint": checkpoint,
        "figures": None if row.measured is None else figure_fields(row.measured),
    }


def table_as_markdown(table: MeasuredTable) -> str:
    """Return Markdown: a table for each scale, the protocol, and the checkpoints."""
    lines = [f"**{table.paper.title}** ({PAPER})", ""]
    for scale in table.scales:
        lines += [f"x{scale}:", "", _line(HEADINGS), _line(["---"] * len(HEADINGS))]
        lines += [_line(_cells(row)) for row in table.at(scale)]
        lines.append("")
    lines += [f"* {_plain(sentence)}" for sentence in table.conditions]
    if table.captions:
        lines += ["", "Checkpoints:", "", *(f"* {_plain(caption)}" for caption in table.captions)]
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _plain(text: str) -> str:
    """Escape what Markdown would read as emphasis and what is no text, and join lines."""
    return as_text(" ".join(text.split())).replace("*", "\\*").replace("_", "\\_")


def _cells(row: TableRow) -> list[str]:
    published = row.paper.published
    paper = ["", ""] if published is None else [f"{published.psnr:.2f}", f"{published.ssim:.4f}"]
    label = row.paper.label if row.variant is None else f"{row.paper.label} (`{row.variant}`)"
    if row.measured is None:
        return [label, row.status, "", *paper, *[""] * (len(HEADINGS) - 5)]
    means, differences = row.measured.estimates, row.measured.differences
    return [
        label,
        _estimate(means.get("psnr"), ".2f"),
        _estimate(means.get("ssim"), ".4f"),
        *paper,
        _estimate(differences.get("psnr"), "+.2f"),
        _estimate(differences.get("ssim"), "+.4f"),
        *(
            ", ".join(
                f"{means[name].mean:{form}}"
                for name in (f"{figure}_covered", f"{figure}_beside")
                if name in means
            )
            for figure, form in (("psnr", ".2f"), ("ssim", ".4f"))
        ),
        row.training,
    ]


def _estimate(one: Estimate | None, form: str) -> str:
    if one is None:
        return ""
    mean = f"{one.mean:{form}}"
    if one.low is None or one.high is None:
        return mean
    return f"{mean} ({one.low:{form}} to {one.high:{form}})"
