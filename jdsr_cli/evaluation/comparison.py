"""`jdsr eval` as a function: several methods on the same faces in one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from jdsr_cli.atomic import prepare_folder
from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.datasets.face_set import FaceSet, evenly_spaced, subset
from jdsr_cli.datasets.face_sources import select_sources
from jdsr_cli.datasets.preparation import open_faces
from jdsr_cli.datasets.sources import default_split
from jdsr_cli.errors import DatasetError, UsageError
from jdsr_cli.evaluation.external import write_inputs
from jdsr_cli.evaluation.metrics.identity import IdentityMetric
from jdsr_cli.evaluation.metrics.landmarks import LandmarkMetric
from jdsr_cli.evaluation.metrics.lpips import LpipsMetric
from jdsr_cli.evaluation.plans import EvaluationPlan, Section, plan_pictures, plan_tracks
from jdsr_cli.evaluation.protocol import Fingerprint, describe_protocol, eval_masks, versions
from jdsr_cli.evaluation.report import (
    Block,
    choose_columns,
    write_results,
    write_sheet,
    write_table,
)
from jdsr_cli.evaluation.scoring import Metric, evaluate
from jdsr_cli.evaluation.statistics import PROPERTIES, MeasuredProperties, Row, result_rows
from jdsr_cli.evaluation.table_files import TableFiles, write_table_files
from jdsr_cli.evaluation.table_plan import plan_table
from jdsr_cli.evaluation.table_rows import describe_faces
from jdsr_cli.evaluation.track_methods import TrackMethod
from jdsr_cli.progress import Progress, Silent
from jdsr_cli.settings import EvalSettings
from jdsr_cli.weights import resolve_device


@dataclass(frozen=True)
class Comparison:
    """The results and the paths of their files."""

    rows: tuple[Row, ...]
    """Results of all faces."""
    groups: tuple[Row, ...]
    """Results of groups of faces."""
    count: int
    results: Path
    per_face: Path
    sheet: Path
    bursts: Mapping[str, TrackMethod] = field(default_factory=dict)
    """How each method restores tracks, by its name; empty for single pictures."""
    table: TableFiles | None = None
    """The table of the paper that was evaluated."""


def compare(request: EvalSettings, progress: Progress | None = None) -> Comparison:
    """Evaluate every method on the same faces.

    Single pictures are masked, also bare for the camera, or sharp; tracks (`request.burst`) are
    bare, masked, or masked in some shots, for each width. A table of the paper (`request.table`)
    has masked pictures and the checkpoints of a folder, at one or several scales.

    Raises:
        UsageError: Methods of different input sizes, or none; masks for sharp faces; an unknown
            property; a scale that the table does not have.
        DatasetError, InputMissingError: The faces, masks or external results cannot be used.
        WeightsError: Weights of a method or a metric are missing or altered; no checkpoint of a
            table can be used.
        OutputError: The output folder cannot be written.

    """
    request = replace(request, device=str(resolve_device(request.device)))
    progress = progress or Silent()
    plan = _make_plan(request)
    metrics = [*plan.metrics, *_open_metrics(request)]
    prepare_folder(request.out)
    split = request.split or default_split(request.data)
    all_faces = open_faces(
        request.data, split, request.cache or request.out / "cache", progress=progress
    )
    if not len(all_faces):
        raise DatasetError(f"no faces in the split {split or 'all'}", where=request.data)
    if split is None and request.data.is_dir():
        progress.note(
            f"{request.data} has no test split: all its faces are evaluated, so "
            "nothing may have been trained on them"
        )
    if request.sources:
        all_faces = select_sources(all_faces, request.data, request.sources)
    selected = evenly_spaced(all_faces, request.limit)
    sprites, masks = eval_masks(request.masks) if plan.with_masks else ([], None)
    _enrol(metrics, all_faces, progress)
    sections = plan.sections(selected, sprites)
    all_rows: list[Row] = []
    group_rows: list[Row] = []
    blocks: list[Block] = []
    fingerprints = {one.name: Fingerprint() for one in sections}
    properties = {one.name: MeasuredProperties(selected, request.groups) for one in sections}
    for section in sections:
        name = section.name
        stream = fingerprints[name].update(section.samples(selected))
        stream = properties[name].update(stream)
        if section.inputs_folder is not None:
            stream = write_inputs(stream, section.inputs_folder, section.inputs_form)
        scores = evaluate(
            section.methods, stream, metrics=metrics, sharp=section.sharp, batch=request.batch,
            progress=progress, task=f"{name} faces", total=len(selected),
        )  # fmt: skip
        families = [
            {method: scores[method] for method in family}
            for family in section.families or [list(scores)]
        ]
        all_rows += [row for own in families for row in result_rows(name, own)]
        for group in properties[name].groups():
            group_rows += [row for own in families for row in result_rows(name, own, group)]
        blocks.append(_sheet_block(section, all_rows[-1], selected))
    description: dict[str, Any] = {
        "protocol": {
            **describe_protocol(metrics, request.device, request.batch),
            **{by: PROPERTIES[by].protocol for by in request.groups},
            **plan.protocol,
        },
        "versions": versions(),
        "data": {
            "source": request.data.name, "split": split or "all", "faces": len(selected),
            "of": len(all_faces),
            **({"sources": list(request.sources)} if request.sources else {}),
            "inputs_sha256": {name: one.value for name, one in fingerprints.items()},
        },
        "masks": masks,
        "degradation": request.inputs,
        "scale": None if plan.lr_size is None else TEMPLATE_SIZE // plan.lr_size,
        "lr_size": plan.lr_size,
        "methods": [{"name": one.name, **one.description} for one in sections[0].methods],
        **plan.fields,
    }  # fmt: skip
    results, per_face, sheet = (
        request.out / name for name in ("results.json", "scores.csv", "sheet.png")
    )
    write_table(per_face, all_rows, {name: one.values for name, one in properties.items()})
    write_sheet(blocks, sheet)
    write_results(results, description, all_rows, group_rows)
    table = None
    if plan.table is not None:
        described = describe_faces(
            plan.table.paper, request.data, split, len(selected), len(all_faces), request.sources
        )
        measured = plan.table.measured(all_rows, described, masks or {})
        table = write_table_files(request.out, measured, description)
    return Comparison(
        tuple(all_rows), tuple(group_rows), len(selected), results, per_face, sheet, plan.bursts,
        table,
    )  # fmt: skip


def _make_plan(request: EvalSettings) -> EvaluationPlan:
    if request.table is not None:
        return plan_table(request)
    return plan_tracks(request) if request.burst else plan_pictures(request)


def _open_metrics(request: EvalSettings) -> list[Metric]:
    metrics: list[Metric] = []
    if request.lpips is not None:
        metrics.append(LpipsMetric(request.lpips, request.lpips_heads, request.device))
    elif request.lpips_heads is not None:
        raise UsageError(
            "heads of LPIPS require a trunk",
            where="--lpips-heads",
            hint="Give --lpips FILE or --lpips download",
        )
    if request.identity is not None:
        metrics.append(IdentityMetric(request.identity, request.device))
    if request.landmarks is not None:
        metrics.append(LandmarkMetric(request.landmarks))
    return metrics


def _enrol(metrics: Sequence[Metric], faces: FaceSet, progress: Progress) -> None:
    """Give the identity metric its gallery, or note that the faces carry no names."""
    for metric in metrics:
        if isinstance(metric, IdentityMetric) and not metric.enrol(faces):
            progress.note(
                "rank-1 identification is not measured: it requires the names of at least two "
                "people (identity_CelebA.txt of CelebA, the column identity of faces.csv)"
            )


def _sheet_block(section: Section, last: Row, faces: FaceSet) -> Block:
    """Return the best, median and worst faces according to the last method."""
    columns = choose_columns(last.scores.figures["psnr"])
    samples = list(section.samples(subset(faces, [column.index for column in columns])))
    lines = [[draw(sample) for sample in samples] for draw in section.shown_inputs.values()]
    for method in section.shown_methods:
        levels = (method.restore(samples).clamp(0, 1) * 255).round().to(torch.uint8)
        lines.append(list(np.asarray(levels.permute(0, 2, 3, 1))))
    lines.append([sample.pair.hr for sample in samples])
    return Block(
        f"{section.name} faces, by PSNR of {last.method}",
        columns,
        [*section.shown_inputs, *(method.name for method in section.shown_methods), "truth"],
        lines,
    )
