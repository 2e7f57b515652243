"""A table of the paper as it was evaluated: its rows, and what is said about them in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.datasets.sources import data_kind
from jdsr_cli.errors import WeightsError
from jdsr_cli.evaluation.checkpoints import TrainedCheckpoint
from jdsr_cli.evaluation.paper_tables import (
    FULL_MODEL,
    UNSTATED_CONDITIONS,
    PaperRow,
    PaperTable,
)
from jdsr_cli.evaluation.protocol import COVERED_PROTOCOL, INTERVAL_PROTOCOL, Y_PROTOCOL
from jdsr_cli.evaluation.statistics import Row

FIGURES_SHOWN = ("psnr", "ssim", "psnr_covered", "ssim_covered", "psnr_beside", "ssim_beside")
"""Figures of tables; all others are in `table.json`."""


def faces_at(scale: int) -> str:
    """Return the name of the faces of a scale in results."""
    return f"masked x{scale}"


@dataclass(frozen=True, eq=False)
class TableRow:
    """A row of a table with its checkpoint and, after the evaluation, its figures."""

    paper: PaperRow
    checkpoint: TrainedCheckpoint | None
    """None if none belongs to the row."""
    error: WeightsError | None = None
    """Why the checkpoint cannot be used."""
    measured: Row | None = None
    """None before the evaluation, and without a usable checkpoint."""
    remark: str | None = None
    """Why the checkpoint is not what its queue wrote at the end of its training."""

    @property
    def status(self) -> str:
        """`measured`, `missing` or `unusable`."""
        if self.error is not None:
            return "unusable"
        return "missing" if self.measured is None else "measured"

    @property
    def fault(self) -> str | None:
        """Why the checkpoint cannot be used, with the name of its file but without folders."""
        if self.error is None or self.checkpoint is None:
            return None
        return f"{self.checkpoint.path.name}: {self.error.what}"

    @property
    def variant(self) -> str | None:
        """Recipe of the checkpoint if it is not exactly that of the row."""
        if self.checkpoint is None or self.checkpoint.entry.recipe == self.paper.recipe:
            return None
        return self.checkpoint.entry.recipe

    @property
    def label(self) -> str:
        """Name of the method and, in brackets, what a variant adds to the name of the recipe."""
        if self.variant is None:
            return self.paper.label
        added = self.variant.removeprefix(self.paper.recipe).removeprefix("_")
        return f"{self.paper.label} ({added})"

    @property
    def training(self) -> str:
        """Steps and faces of a step, as far as the checkpoint says; otherwise empty."""
        one = self.checkpoint
        if one is None or one.steps is None:
            return ""
        return f"{one.steps:,}" if one.batch is None else f"{one.steps:,} x {one.batch}"


@dataclass(frozen=True, eq=False)
class PlannedTable:
    """A table whose checkpoints are known and whose faces are not yet read."""

    paper: PaperTable
    rows: tuple[TableRow, ...]
    """In the order of the paper."""
    errors: tuple[WeightsError, ...]
    """Manifests that cannot be read."""
    variants: tuple[str, ...] = ()
    """Which variants of recipes are compared, in sentences; of a scale with others or left out."""
    queue_fault: str | None = None
    """Why the record of a queue cannot be used."""

    def measured(self, rows: Sequence[Row], data: str, masks: Mapping[str, Any]) -> MeasuredTable:
        """Return the table with the results of its rows.

        Args:
            rows: Results of all faces.
            data: The evaluated faces in words, see `describe_faces`.
            masks: Description of the masks, see `protocol.eval_masks`.

        """
        results = {(one.faces, one.method): one for one in rows}
        own = tuple(
            replace(row, measured=results.get((faces_at(row.paper.scale), row.paper.label)))
            for row in self.rows
        )
        failed = tuple(row.error for row in own if row.error is not None)
        remarks = [
            f"x{row.paper.scale} {row.paper.label}: {row.remark}" for row in own if row.remark
        ]
        conditions = (
            *_describe_conditions(self.paper, data, masks, own),
            *self.variants,
            *(f"training: {one}" for one in (self.queue_fault, *remarks) if one is not None),
        )
        return MeasuredTable(self.paper, own, conditions, (*self.errors, *failed))


@dataclass(frozen=True, eq=False)
class MeasuredTable:
    """An evaluated table."""

    paper: PaperTable
    rows: tuple[TableRow, ...]
    """In the order of the paper."""
    conditions: tuple[str, ...]
    """The protocol in sentences."""
    errors: tuple[WeightsError, ...]
    """Manifests that cannot be read, and checkpoints of rows that cannot be used."""

    @property
    def scales(self) -> tuple[int, ...]:
        """Enlargements of its rows."""
        return tuple(dict.fromkeys(row.paper.scale for row in self.rows))

    def at(self, scale: int) -> list[TableRow]:
        """Return the rows of a scale."""
        return [row for row in self.rows if row.paper.scale == scale]

    @property
    def captions(self) -> list[str]:
        """What is known of the training of each checkpoint, one line each."""
        return [_caption(row) for row in self.rows if row.checkpoint is not None]


def _caption(row: TableRow) -> str:
    one = row.checkpoint
    assert one is not None
    parts = [f"x{row.paper.scale} {row.paper.label}: recipe {one.entry.recipe}"]
    if row.fault is not None:
        return f"{parts[0]}; not usable: {row.fault}"
    if one.steps is not None:
        of = "" if one.batch is None else f" of {one.batch} faces"
        parts.append(f"{one.steps:,} steps{of}")
    elif one.stated_steps is not None:
        parts.append(f"steps: {one.stated_steps}")
    parts.append(f"trained on {one.entry.data}")
    if one.deviations is not None:
        parts.append(f"deviations from the paper: {one.deviations}")
    return "; ".join(parts)


def _describe_conditions(
    paper: PaperTable, data: str, masks: Mapping[str, Any], rows: Sequence[TableRow]
) -> tuple[str, ...]:
    sentences = [
        f"data: {data}",
        f"masks: {_describe_masks(masks)}",
        f"inputs: the masked face of {TEMPLATE_SIZE} px, reduced by PIL's bicubic to "
        f"{TEMPLATE_SIZE} px divided by the scale",
        f"figures: {Y_PROTOCOL}",
        f"covered: {COVERED_PROTOCOL}; beside: the others",
        f"intervals: {INTERVAL_PROTOCOL}",
        f"difference: to {FULL_MODEL} of the same scale, face by face; none where that was not "
        "evaluated",
        f"published figures: those of {paper.note}; {UNSTATED_CONDITIONS}",
    ]
    trained = {(row.paper.scale, row.training) for row in rows if row.measured is not None}
    if len(trained) > len({scale for scale, _ in trained}):
        sentences.append(
            "training: the checkpoints of a scale were not trained for the same steps and faces, "
            "so that differences are not those of the methods alone"
        )
    return tuple(sentences)


def describe_faces(
    paper: PaperTable,
    source: Path,
    split: str | None,
    count: int,
    of: int,
    sources: Sequence[str] = (),
) -> str:
    """Return what was evaluated, and how it differs from what the paper evaluates.

    Args:
        paper: The table.
        source: The data.
        split: Its split; None for all faces.
        count: Number of evaluated faces.
        of: Number of faces of the split, of the sources if any are given.
        sources: Sources from which the faces come; empty for all.

    Raises:
        DatasetError: The data has another layout than when it was opened.

    """
    name = source.name
    if sources:
        name = f"faces of the source{'s'[: len(sources) > 1]} {', '.join(sources)} of {name}"
    selected = "" if count == of else f" of {of:,}, evenly spaced"
    parts = [f"{name}, {f'split {split}' if split else 'all faces'}: {count:,}{selected}"]
    if data_kind(source) != paper.kind or (paper.kind == "celeba" and split != "test"):
        parts.append(f"not {paper.data}")
    elif paper.faces not in (None, count):
        parts.append(f"the paper evaluates {paper.faces:,}")
    if split == "train":
        parts.append("figures of weights that were trained on these faces mean nothing")
    return "; ".join(parts)


def _describe_masks(masks: Mapping[str, Any]) -> str:
    if masks.get("generator") == "drawn":
        return f"{masks['masks']} drawn by jdsr, seed {masks['seed']}"
    return f"{masks['masks']} templates of {masks['folder']} (SHA-256 {masks['sha256'][:12]})"
