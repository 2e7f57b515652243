"""Plan of a table of the paper: which checkpoints belong to its rows, and what they restore."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.datasets.face_set import FaceSet
from jdsr_cli.datasets.samples import Degrader, EvaluationFaces, EvaluationSample, SampleSettings
from jdsr_cli.errors import UsageError, WeightsError, WeightsMissingError
from jdsr_cli.evaluation.checkpoints import TrainedCheckpoint, choose_checkpoint, find_checkpoints
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
    rows, restorers = _load(paper, scales, found, request.device)
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
        table=PlannedTable(paper, tuple(rows), tuple(errors)),
    )


def _load(
    paper: PaperTable, scales: Sequence[int], found: Sequence[TrainedCheckpoint], device: str
) -> tuple[list[TableRow], Restorers]:
    """Return the rows of the scales, and what restores those whose checkpoint can be used."""
    rows: list[TableRow] = []
    restorers: Restorers = {}
    for row in paper.rows:
        checkpoint = choose_checkpoint(found, row.recipe) if row.scale in scales else None
        if row.scale not in scales or (row.optional and checkpoint is None):
            continue
        error = None
        try:
            if checkpoint is not None:
                loaded = checkpoint.load(row.label, row.scale, device)
                restorers.setdefault(row.scale, []).append(loaded)
        except WeightsError as raised:
            error = raised
        rows.append(TableRow(row, checkpoint, error))
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
