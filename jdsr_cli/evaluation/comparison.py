"""`jdsr eval` as a function: several methods on the same faces in one table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from jdsr_cli.atomic import prepare_folder
from jdsr_cli.datasets.face_set import FaceSet, evenly_spaced
from jdsr_cli.datasets.preparation import open_faces
from jdsr_cli.datasets.samples import Degrader, EvaluationFaces, SampleSettings
from jdsr_cli.datasets.sources import default_split
from jdsr_cli.errors import DatasetError, UsageError
from jdsr_cli.evaluation.methods import ExternalResults, Method, load_methods, write_inputs
from jdsr_cli.evaluation.metrics.identity import IdentityMetric
from jdsr_cli.evaluation.metrics.landmarks import LandmarkMetric
from jdsr_cli.evaluation.metrics.lpips import LpipsMetric
from jdsr_cli.evaluation.protocol import Fingerprint, describe_protocol, eval_masks, versions
from jdsr_cli.evaluation.report import (
    Block,
    choose_columns,
    write_results,
    write_sheet,
    write_table,
)
from jdsr_cli.evaluation.scoring import Metric, evaluate
from jdsr_cli.evaluation.statistics import (
    PROPERTIES,
    MeasuredProperties,
    Row,
    check_properties,
    result_rows,
)
from jdsr_cli.progress import Progress, Silent
from jdsr_cli.settings import EvalSettings
from jdsr_cli.weights import resolve_device

KINDS = {"paper": ("masked",), "camera": ("masked", "plain"), "sharp": ("sharp",)}
"""Kinds of evaluated faces by degradation; `sharp` is the paper's degradation without masks."""


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


def compare(request: EvalSettings, progress: Progress | None = None) -> Comparison:
    """Evaluate every method on the same faces: masked, also bare for the camera, or sharp.

    Raises:
        UsageError: Methods of different input sizes, or none; masks for sharp faces; an unknown
            property.
        DatasetError, InputMissingError: The faces, masks or external results cannot be used.
        WeightsError: Weights of a method or a metric are missing or altered.
        OutputError: The output folder cannot be written.

    """
    request = replace(request, device=str(resolve_device(request.device)))
    progress = progress or Silent()
    check_properties(request.groups, request.degradation)
    methods, lr_size = load_methods(request.methods, request.scale, request.device)
    metrics = _open_metrics(request)
    kinds = KINDS[request.degradation]
    with_masks = "masked" in kinds
    if request.masks is not None and not with_masks:
        raise UsageError(
            f"{request.degradation} faces have no masks", where="--masks", hint="Leave it out"
        )
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
    selected = evenly_spaced(all_faces, request.limit)
    sprites, masks = eval_masks(request.masks) if with_masks else ([], None)
    degradation = "camera" if request.degradation == "camera" else "paper"
    settings = SampleSettings(lr_size, degradation, masked=float(with_masks))
    faces = EvaluationFaces(selected, Degrader(sprites, settings))
    _enrol(metrics, all_faces, progress)
    all_rows: list[Row] = []
    group_rows: list[Row] = []
    blocks: list[Block] = []
    fingerprints = {kind: Fingerprint() for kind in kinds}
    properties = {kind: MeasuredProperties(selected, request.groups) for kind in kinds}
    methods_by_kind = {
        kind: _with_external_results(
            methods, request, selected.keys, kind if len(kinds) > 1 else ""
        )
        for kind in kinds
    }
    for kind, kind_methods in methods_by_kind.items():
        stream = properties[kind].update(fingerprints[kind].update(faces.samples(kind)))
        if request.write_inputs is not None:
            subfolder = request.write_inputs / (kind if len(kinds) > 1 else "")
            stream = write_inputs(stream, subfolder)
        scores = evaluate(
            kind_methods, stream, metrics=metrics, sharp=kind == "sharp", batch=request.batch,
            progress=progress, task=f"{kind} faces", total=len(selected),
        )  # fmt: skip
        all_rows += result_rows(kind, scores)
        for group in properties[kind].groups():
            group_rows += result_rows(kind, scores, group)
        blocks.append(_sheet_block(kind, kind_methods, all_rows[-1], faces))
    description: dict[str, Any] = {
        "protocol": describe_protocol(metrics, request.device, request.batch)
        | {by: PROPERTIES[by].protocol for by in request.groups},
        "versions": versions(),
        "data": {
            "source": request.data.name, "split": split or "all", "faces": len(selected),
            "of": len(all_faces),
            "inputs_sha256": {kind: one.value for kind, one in fingerprints.items()},
        },
        "masks": masks,
        "degradation": request.degradation,
        "scale": 128 // lr_size,
        "lr_size": lr_size,
        "methods": [
            {"name": one.name, **one.description} for one in next(iter(methods_by_kind.values()))
        ],
    }  # fmt: skip
    results, per_face, sheet = (
        request.out / name for name in ("results.json", "scores.csv", "sheet.png")
    )
    write_table(per_face, all_rows, {kind: one.values for kind, one in properties.items()})
    write_sheet(blocks, sheet)
    write_results(results, description, all_rows, group_rows)
    return Comparison(tuple(all_rows), tuple(group_rows), len(selected), results, per_face, sheet)


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


def _with_external_results(
    methods: Sequence[Method], request: EvalSettings, keys: Sequence[str], subfolder: str
) -> list[Method]:
    """Return the methods and the external results."""
    names = [one.name for one in methods] + [name for name, _ in request.results]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(
                f"{name} is given twice", where="--results", hint="Give every method its own name"
            )
    if not names:
        raise UsageError(
            "nothing to compare", where="--compare", hint="Name a method or --results NAME=FOLDER"
        )
    external = [
        ExternalResults(name, folder / subfolder, keys).method for name, folder in request.results
    ]
    return [*methods, *external]


def _sheet_block(kind: str, methods: Sequence[Method], last: Row, faces: EvaluationFaces) -> Block:
    """Return the best, median and worst faces according to the last method."""
    columns = choose_columns(last.scores.figures["psnr"])
    selected_samples = faces.samples_at(kind, [column.index for column in columns])
    lines = [[sample.pair.lr for sample in selected_samples]]
    for method in methods:
        levels = (method.restore(selected_samples).clamp(0, 1) * 255).round().to(torch.uint8)
        lines.append(list(np.asarray(levels.permute(0, 2, 3, 1))))
    lines.append([sample.pair.hr for sample in selected_samples])
    return Block(
        f"{kind} faces, by PSNR of {last.method}",
        columns,
        ["input", *(method.name for method in methods), "truth"],
        lines,
    )
