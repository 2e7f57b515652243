"""Plan of a table of the paper: which checkpoints belong to its rows, and what they restore."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.datasets.face_set import FaceSet
from jdsr_cli.datasets.samples import Degrader, EvaluationFaces, EvaluationSample, SampleSettings
from jdsr_cli.errors import UsageError, WeightsError, WeightsMissingError
from jdsr_cli.evaluation.checkpoint_state import QueueState, check_parts
from jdsr_cli.evaluation.checkpoints import (
    TrainedCheckpoint,
    choose_checkpoint,
    choose_variant,
    find_checkpoints,
)
from jdsr_cli.evaluation.methods import NamedRestorer
from jdsr_cli.evaluation.paper_tables import FULL_MODEL, PAPER, PAPER_TABLES, PaperTable
from jdsr_cli.evaluation.plans import EvaluationPlan, Section
from jdsr_cli.evaluation.statistics import check_properties
from jdsr_cli.evaluation.table_rows import PlannedTable, TableRow, faces_at
from jdsr_cli.settings import EvalSettings
from jdsr_cli.synthesis.masks import Sprite

Restorers = dict[int, list[NamedRestorer]]
"""Restorers of each scale, in the order of the paper."""


def plan_table(request: EvalSettings) -> EvaluationPlan:
    """Plan the evaluation of a table of the paper (`request.table`).

    A checkpoint that cannot be used is an error of its row; the other rows are evaluated.

    Raises:
        UsageError: The table has no rows for the scale; an unknown property.
        InputMissingError: There is no folder of checkpoints.
        WeightsMissingError: None of its checkpoints belongs to a row and can be used.

    """
    assert request.table is not None
    assert request.checkpoints is not None
    check_properties(request.groups, request.inputs)
    paper = PAPER_TABLES[request.table]
    if request.scale not in (None, *paper.scales):
        raise UsageError(
            f"the table {paper.name} has no rows for the scale {request.scale}",
            where="--scale", hint=f"It has those of {' and '.join(map(str, paper.scales))}",
        )  # fmt: skip
    scales = paper.scales if request.scale is None else (request.scale,)
    found, errors = find_checkpoints(request.checkpoints)
    variants = {scale: _choose_variant(paper, scale, found) for scale in scales}
    suffixes = {scale: suffix for scale, (suffix, _) in variants.items()}
    queue = QueueState(request.checkpoints)
    rows, restorers = _load(paper, suffixes, found, queue, request.device)
    if not restorers:
        problems = [*errors, *(row.error for row in rows if row.error is not None)]
        raise WeightsMissingError(
            f"no checkpoint can be used for the table {paper.name}; its recipes are "
            + ", ".join(dict.fromkeys(row.paper.recipe for row in rows)),
            where=request.checkpoints,
            hint="; ".join(map(str, problems)) or "Train one: jdsr train --recipe NAME",
        )
    sizes = {TEMPLATE_SIZE // scale for scale in restorers}
    return EvaluationPlan(
        sizes.pop() if len(sizes) == 1 else None,
        True,
        lambda faces, sprites: [
            _section(scale, loaded, sprites) for scale, loaded in restorers.items()
        ],
        {"reference": f"{FULL_MODEL} of the same scale; no differences where it was not evaluated"},
        {
            "paper": PAPER,
            "table": paper.name,
            "sections": [
                {"faces": faces_at(scale), "scale": scale, "lr_size": TEMPLATE_SIZE // scale}
                for scale in restorers
            ],
            "methods": [
                {"name": one.name, "faces": faces_at(scale), **one.description}
                for scale, loaded in restorers.items()
                for one in loaded
            ],
        },
        table=PlannedTable(
            paper,
            tuple(rows),
            tuple(errors),
            tuple(_describe_variant(scale, *one) for scale, one in variants.items() if any(one)),
            queue.fault,
        ),
    )


def _choose_variant(
    paper: PaperTable, scale: int, found: Sequence[TrainedCheckpoint]
) -> tuple[str, list[str]]:
    """Return what `choose_variant` does for the rows of a scale."""
    recipes = {row.label: row.recipe for row in paper.rows if row.scale == scale}
    return choose_variant(found, list(recipes.values()), recipes[FULL_MODEL])


def _describe_variant(scale: int, variant: str, left_out: Sequence[str]) -> str:
    """Return a sentence on the chosen variant of the recipes of a scale, and on the others."""
    chosen = f"the variants *{variant} of the recipes" if variant else "exactly the recipes"
    text = f"recipes: at x{scale} {chosen} are compared"
    return f"{text}; of other variants, left out: {', '.join(left_out)}" if left_out else text


def _load(
    paper: PaperTable,
    variants: Mapping[int, str],
    found: Sequence[TrainedCheckpoint],
    queue: QueueState,
    device: str,
) -> tuple[list[TableRow], Restorers]:
    """Return the rows of the scales, and what restores those whose checkpoint can be used.

    Args:
        paper: The table.
        variants: What the names of the compared variants add to those of recipes, by the scale.
        found: Checkpoints.
        queue: What is recorded of their training.
        device: Device of the networks.

    """
    rows: list[TableRow] = []
    restorers: Restorers = {}
    for row in paper.rows:
        if row.scale not in variants:
            continue
        checkpoint = choose_checkpoint(found, f"{row.recipe}{variants[row.scale]}")
        if row.optional and checkpoint is None:
            continue
        error = None
        try:
            if checkpoint is not None:
                check_parts(checkpoint, found)
                loaded = checkpoint.load(row.label, row.scale, device)
                restorers.setdefault(row.scale, []).append(loaded)
        except WeightsError as raised:
            error = raised
        remark = None if checkpoint is None else queue.remark(checkpoint)
        rows.append(TableRow(row, checkpoint, error, remark=remark))
    return rows, restorers


def _section(scale: int, loaded: Sequence[NamedRestorer], sprites: Sequence[Sprite]) -> Section:
    """Return the faces of a scale and the methods, the one that others are compared with first."""
    degrader = Degrader(sprites, SampleSettings(TEMPLATE_SIZE // scale, "paper", masked=1.0))

    def samples(faces: FaceSet) -> Iterator[EvaluationSample]:
        return EvaluationFaces(faces, degrader).samples("masked")

    shown = [one.method for one in loaded]
    methods = sorted(shown, key=lambda one: one.name != FULL_MODEL)
    compared = methods[0].name == FULL_MODEL
    names = [one.name for one in methods]
    families = [names] if compared else [[name] for name in names]
    return Section(faces_at(scale), methods, samples, shown, families=families)
