"""`jdsr eval` as a plain function: several restorers on the same faces, one table."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from jdsr_cli.errors import OutputError, UsageError
from jdsr_cli.progress import Progress, Silent
from jdsr_cli.weights import load_generator
from jdsr_train import evaluation
from jdsr_train.data import Degrader, Exam, SampleSettings, exams, load_faces, to_tensor
from jdsr_train.evaluation import FIGURES, Restorer, Scores
from jdsr_train.masks import draw_pool, load_templates
from jdsr_train.pictures import face_rows

TEST_MASK_SEED = 777
DRAWN_MASKS = 200
PROTOCOL = (
    "PSNR and SSIM on Y (BT.601 limited range), outputs clamped and rounded to 8 bits, peak 255, "
    "no border crop; SSIM with an 11x11 Gaussian window of sigma 1.5, valid places only; means "
    "over faces; bicubic is PIL's"
)


@dataclass(frozen=True)
class CompareRequest:
    """What `jdsr eval` is asked to do."""

    data: Path
    """A tar archive of aligned faces, or a folder of them."""
    methods: tuple[str, ...]
    """Names or files of weights, or `bicubic`; all must take the same input size."""
    out: Path
    degradation: str = "paper"
    """`paper` or `camera`."""
    masks: Path | None = None
    """Folder of mask templates; masks drawn by our code when None."""
    split: str | None = None
    """Of a folder, the archives whose names start with this."""
    limit: int | None = None
    """Evenly spaced faces; all when None."""
    device: str = "cpu"
    batch: int = 32


@dataclass(frozen=True)
class Row:
    """One method on one set of faces."""

    faces: str
    """`masked` or `plain`."""
    method: str
    scores: Scores


@dataclass(frozen=True)
class Comparison:
    """The table, and where its files are."""

    rows: tuple[Row, ...]
    count: int
    results: Path
    per_face: Path
    sheet: Path


def compare(request: CompareRequest, progress: Progress | None = None) -> Comparison:
    """Score every method on the same masked faces, and on plain ones for the camera.

    Raises:
        UsageError: Methods of different input sizes, or none.
        DatasetError, InputMissingError: The faces or masks cannot be read.
        WeightsError: A method's weights are missing or altered.
        OutputError: The output folder cannot be written.

    """
    progress = progress or Silent()
    methods, lr_size = _methods(request)
    try:
        request.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"the folder cannot be made ({error})", where=request.out) from error
    faces = load_faces(request.data, request.split, request.out / "cache", progress)
    masks = (
        load_templates(request.masks) if request.masks else draw_pool(DRAWN_MASKS, TEST_MASK_SEED)
    )
    degrader = Degrader(masks, SampleSettings(lr_size, request.degradation, masked=1.0))
    count = len(faces) if request.limit is None else min(request.limit, len(faces))
    kinds = ("masked",) if request.degradation == "paper" else ("masked", "plain")
    rows: list[Row] = []
    chosen: dict[str, list[Exam]] = {}
    for kind in kinds:
        chosen[kind] = list(exams(faces, degrader, masked=kind == "masked", limit=request.limit))
        for name, restore in methods.items():
            scores = evaluation.score(
                restore, chosen[kind], batch=request.batch, progress=progress,
                task=f"{kind} faces, {name}", total=count,
            )  # fmt: skip
            rows.append(Row(kind, name, scores))
    results, per_face, sheet = (
        request.out / name for name in ("results.json", "scores.csv", "sheet.png")
    )
    _write_results(results, request, rows, count, lr_size)
    _write_table(per_face, rows)
    _write_sheet(sheet, rows, chosen, methods)
    return Comparison(tuple(rows), count, results, per_face, sheet)


def _methods(request: CompareRequest) -> tuple[dict[str, Restorer], int]:
    methods: dict[str, Restorer] = {}
    sizes: dict[str, int] = {}
    for name in request.methods:
        if name == "bicubic":
            methods[name] = evaluation.bicubic
            continue
        loaded = load_generator(name, request.device, "float32")
        methods[name] = evaluation.restorer(loaded.network, request.device)
        sizes[name] = loaded.lr_size
    if len(set(sizes.values())) != 1:
        listed = ", ".join(f"{name} {size} px" for name, size in sizes.items()) or "none given"
        raise UsageError(
            f"methods must take one input size ({listed})",
            where="--compare",
            hint="Compare weights of one scale at a time, and name at least one",
        )
    return methods, next(iter(sizes.values()))


def _write_results(
    path: Path, request: CompareRequest, rows: Sequence[Row], count: int, lr_size: int
) -> None:
    record = {
        "protocol": PROTOCOL,
        "data": request.data.name,
        "faces": count,
        "masks": "drawn" if request.masks is None else request.masks.name,
        "degradation": request.degradation,
        "lr_size": lr_size,
        "torch": torch.__version__,
        "results": [{"faces": r.faces, "method": r.method, **r.scores.means()} for r in rows],
    }
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def _write_table(path: Path, rows: Sequence[Row]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["faces", "method", "key", *FIGURES])
        writer.writeheader()
        for row in rows:
            for face in row.scores.faces:
                writer.writerow({"faces": row.faces, "method": row.method, **asdict(face)})


def _write_sheet(
    path: Path,
    rows: Sequence[Row],
    chosen: dict[str, list[Exam]],
    methods: dict[str, Restorer],
) -> None:
    """Draw the worst, middle and best four faces by the last method: input, methods, truth."""
    lines = []
    for kind, faces in chosen.items():
        last = [row for row in rows if row.faces == kind][-1]
        order = np.argsort([face.psnr for face in last.scores.faces])
        middle = len(order) // 2
        picked = [*order[:4], *order[max(0, middle - 2) : middle + 2], *order[-4:]]
        shown = [faces[int(place)] for place in picked]
        lr = to_tensor([exam.pair.lr for exam in shown])
        lines.append([exam.pair.lr for exam in shown])
        for restore in methods.values():
            levels = (restore(lr).clamp(0, 1) * 255).round().to(torch.uint8)
            lines.append(list(levels.permute(0, 2, 3, 1).numpy()))
        lines.append([exam.pair.hr for exam in shown])
    face_rows(lines, path)
