"""`jdsr eval` as a plain function: several restorers on the same faces, one table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from jdsr_cli.atomic import output_error
from jdsr_cli.datasets.face_set import evenly_spaced
from jdsr_cli.datasets.preparation import open_faces
from jdsr_cli.datasets.samples import Degrader, EvaluationFaces, SampleSettings
from jdsr_cli.datasets.sources import default_split
from jdsr_cli.errors import DatasetError, UsageError
from jdsr_cli.evaluation.methods import ExternalResults, Method, resolve, write_inputs
from jdsr_cli.evaluation.metrics.identity import IdentityMetric
from jdsr_cli.evaluation.metrics.landmarks import LandmarkMetric
from jdsr_cli.evaluation.metrics.lpips import LpipsMetric
from jdsr_cli.evaluation.protocol import Fingerprint, describe_protocol, eval_masks, versions
from jdsr_cli.evaluation.report import Block, choose, write_results, write_sheet, write_table
from jdsr_cli.evaluation.scoring import Metric, evaluate
from jdsr_cli.evaluation.statistics import PROPERTIES, Row, check_properties, measure, rows, thirds
from jdsr_cli.progress import Progress, Silent
from jdsr_cli.settings import EvalSettings
from jdsr_cli.weights import resolve_device

KINDS = {"paper": ("masked",), "camera": ("masked", "plain"), "sharp": ("sharp",)}
"""By degradation, the faces that are measured; `sharp` ones are bare and otherwise the paper's."""


@dataclass(frozen=True)
class Comparison:
    """The table, and where its files are."""

    rows: tuple[Row, ...]
    """Of all faces."""
    groups: tuple[Row, ...]
    """Of groups of them."""
    count: int
    results: Path
    per_face: Path
    sheet: Path


def compare(request: EvalSettings, progress: Progress | None = None) -> Comparison:
    """Score every method on the same faces: masked, plain as well for the camera, or sharp.

    Raises:
        UsageError: Methods of different input sizes, or none; masks for sharp faces; an unknown
            property.
        DatasetError, InputMissingError: The faces, masks or ready-made results cannot be used.
        WeightsError: Weights of a method or a metric are missing or altered.
        OutputError: The output folder cannot be written.

    """
    request = replace(request, device=str(resolve_device(request.device)))
    progress = progress or Silent()
    check_properties(request.groups)
    methods, lr_size = resolve(request.methods, request.scale, request.device)
    metrics = _open_metrics(request)
    kinds = KINDS[request.degradation]
    wearing = "masked" in kinds
    if request.masks is not None and not wearing:
        raise UsageError(
            f"{request.degradation} faces wear no masks", where="--masks", hint="Leave it out"
        )
    _make_folder(request.out)
    split = request.split or default_split(request.data)
    opened = open_faces(
        request.data, split, request.cache or request.out / "cache", progress=progress
    )
    if not len(opened):
        raise DatasetError(f"no faces in the split {split or 'all'}", where=request.data)
    if split is None and request.data.is_dir():
        progress.note(
            f"{request.data} has no split of its own for tests: all its faces are measured, so "
            "nothing may have been trained on them"
        )
    chosen = evenly_spaced(opened, request.limit)
    sprites, masks = eval_masks(request.masks) if wearing else ([], None)
    degradation = "camera" if request.degradation == "camera" else "paper"
    settings = SampleSettings(lr_size, degradation, masked=float(wearing))
    faces = EvaluationFaces(chosen, Degrader(sprites, settings))
    properties = {by: measure(chosen, by) for by in request.groups}
    groups = [group for by, values in properties.items() for group in thirds(by, values)]
    found: list[Row] = []
    grouped: list[Row] = []
    blocks: list[Block] = []
    seen = {kind: Fingerprint() for kind in kinds}
    everyone = {
        kind: _with_results(methods, request, chosen.keys, kind if len(kinds) > 1 else "")
        for kind in kinds
    }
    for kind, compared in everyone.items():
        stream = seen[kind].watch(faces.samples(kind))
        if request.write_inputs is not None:
            inside = request.write_inputs / (kind if len(kinds) > 1 else "")
            stream = write_inputs(stream, inside)
        scores = evaluate(
            compared, stream, metrics=metrics, sharp=kind == "sharp", batch=request.batch,
            progress=progress, task=f"{kind} faces", total=len(chosen),
        )  # fmt: skip
        found += rows(kind, scores)
        grouped += [row for group in groups for row in rows(kind, scores, group)]
        blocks.append(_block(kind, compared, found[-1], faces))
    described: dict[str, Any] = {
        "protocol": describe_protocol(metrics, request.device, request.batch)
        | {by: PROPERTIES[by].protocol for by in request.groups},
        "versions": versions(),
        "data": {
            "source": request.data.name, "split": split or "all", "faces": len(chosen),
            "of": len(opened), "inputs_sha256": {kind: one.value for kind, one in seen.items()},
        },
        "masks": masks,
        "degradation": request.degradation,
        "scale": 128 // lr_size,
        "lr_size": lr_size,
        "methods": [{"name": one.name, **one.described} for one in next(iter(everyone.values()))],
    }  # fmt: skip
    results, per_face, sheet = (
        request.out / name for name in ("results.json", "scores.csv", "sheet.png")
    )
    write_table(per_face, found, properties)
    write_sheet(blocks, sheet)
    write_results(results, described, found, grouped)
    return Comparison(tuple(found), tuple(grouped), len(chosen), results, per_face, sheet)


def _open_metrics(request: EvalSettings) -> list[Metric]:
    metrics: list[Metric] = []
    if request.lpips is not None:
        metrics.append(LpipsMetric(request.lpips, request.lpips_heads, request.device))
    elif request.lpips_heads is not None:
        raise UsageError(
            "heads of LPIPS are of no use without a trunk",
            where="--lpips-heads",
            hint="Give --lpips FILE or --lpips download",
        )
    if request.identity is not None:
        metrics.append(IdentityMetric(request.identity, request.device))
    if request.landmarks is not None:
        metrics.append(LandmarkMetric(request.landmarks))
    return metrics


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(error, folder) from error


def _with_results(
    methods: Sequence[Method], request: EvalSettings, keys: Sequence[str], inside: str
) -> list[Method]:
    """Put the ready-made results beside the methods."""
    names = [one.name for one in methods] + [name for name, _ in request.results]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(
                f"{name} is named twice", where="--results", hint="Give every method its own name"
            )
    if not names:
        raise UsageError(
            "nothing to compare", where="--compare", hint="Name a method or --results NAME=FOLDER"
        )
    made = [ExternalResults(name, folder / inside, keys).method for name, folder in request.results]
    return [*methods, *made]


def _block(kind: str, methods: Sequence[Method], last: Row, faces: EvaluationFaces) -> Block:
    """Draw the best, median and worst faces by the last method."""
    columns = choose(last.scores.figures["psnr"])
    shown = faces.samples_at(kind, [column.index for column in columns])
    lines = [[sample.pair.lr for sample in shown]]
    for method in methods:
        levels = (method.restore(shown).clamp(0, 1) * 255).round().to(torch.uint8)
        lines.append(list(np.asarray(levels.permute(0, 2, 3, 1))))
    lines.append([sample.pair.hr for sample in shown])
    return Block(
        f"{kind} faces, by PSNR of {last.method}",
        columns,
        ["input", *(method.name for method in methods), "truth"],
        lines,
    )
