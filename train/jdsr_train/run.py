"""`jdsr train` as plain functions: a recipe, faces, a folder; weights come out."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from jdsr_cli.errors import TrainingError, UsageError
from jdsr_cli.progress import Progress, Silent
from jdsr_cli.weights import save_network
from jdsr_train.budget import settle
from jdsr_train.clock import Deadline
from jdsr_train.fabric import open_fabric
from jdsr_train.gates import measure
from jdsr_train.inputs import digests
from jdsr_train.interrupting import InterruptedAtLimit, interrupted_at
from jdsr_train.logbook import draw_curves, last_validation
from jdsr_train.materials import Materials
from jdsr_train.recipe import STAGES, Recipe
from jdsr_train.recipes import to_dict
from jdsr_train.request import TrainRequest
from jdsr_train.running import one_thread, terminated_like_interrupted
from jdsr_train.stages import JointStage, Stage, build_stage
from jdsr_train.trained import ExportsBeside, Trained, about, export_checkpoint
from jdsr_train.trainer import Trainer

PREPARE = "prepare"
ALL = "all"

_DEPENDS = {
    "parser": ("parser", "seed"),
    "identity": ("identity", "data", "seed"),
    "denoise": ("generator", "data", "loss", "denoise", "seed"),
    "joint": ("generator", "data", "loss", "optimiser", "critic", "stages", "seed"),
}
"""The parts of a recipe that decide what a stage makes."""

SHARES = {"parser": 0.08, "identity": 0.12, "denoise": 0.12, "joint": 0.68}
"""Of the time until a deadline; what a stage does not use goes to those after it."""
LEAST_SHARE = 0.1
"""Of its recipe's steps, without which a stage before the joint one is worth nothing."""
EXPORTING = 5.0
"""Seconds of a deadline that are kept for writing weights and for the process to end."""
DRAWING = 10.0
"""Seconds that must be left before a deadline for the curves to be drawn."""
GATING, GATE_FACES = 20.0, 48
"""More seconds and the number of faces for what may earn a name by gates; without a deadline all
validation faces are used."""


@dataclass(frozen=True)
class StageResult:
    """What a stage left behind."""

    stage: str
    path: Path
    """The weights that it made, or the folder of prepared faces."""
    figures: dict[str, float]
    """The last validation."""


def train(request: TrainRequest, progress: Progress | None = None) -> list[StageResult]:
    """Run the stages of a recipe that were asked for, each on from its checkpoint.

    Everything that is missing is told before anything is trained. With a deadline every stage has
    a share of the time and ends in it; a stage that cannot do enough in its share, or fails, is
    left out, the recipe goes on without what it would have given, and the weights say so. Where
    the joint stage is stopped, by its time, Ctrl-C or SIGTERM, what it has by then is exported.

    Returns:
        One result for each stage that was run, in order.

    Raises:
        UsageError: A stage that the recipe has not, or something it needs that was not given.
        DatasetError, InputMissingError: The faces or masks cannot be read.
        WeightsError: Frozen networks or starting weights are missing or altered.
        TrainingError: A loss is not finite, a checkpoint is of another recipe, or the deadline
            leaves the last stage no time.
        OutputError: The output folder cannot be written.
        KeyboardInterrupt: On Ctrl-C and SIGTERM, with everything written.

    """
    progress = progress or Silent()
    with terminated_like_interrupted(), one_thread(request.run.device):
        fabric = open_fabric(request.run.device)
        if not fabric.is_global_zero:
            progress = Silent()
        materials = Materials(request, fabric, progress)
        stages = stages_of(request)
        materials.check(stages)
        return _run_stages(stages, materials)


def _run_stages(stages: Sequence[str], materials: Materials) -> list[StageResult]:
    deadline = materials.request.deadline
    results = []
    for place, stage in enumerate(stages):
        if stage in materials.left_out:
            continue
        later = stages[place:]
        try:
            limit = _limit(deadline, later, earns=materials.recipe.earns is not None)
            results.append(_run_stage(stage, materials, limit))
        except TrainingError as error:
            if deadline is None or stage == PREPARE or len(later) == 1:
                raise
            materials.leave_out(stage, error.what)
    return results


def _limit(deadline: Deadline | None, later: Sequence[str], *, earns: bool = False) -> float | None:
    """Return when the first of the stages that are left must have ended, its weights written."""
    if deadline is None:
        return None
    left = deadline.left - EXPORTING - (GATING if later[-1] == "joint" and earns else 0.0)
    shares = [SHARES[stage] for stage in later if stage in SHARES]
    share = SHARES.get(later[0], 0.0) / sum(shares) if shares else 1.0
    return time.monotonic() + left * share


def stages_of(request: TrainRequest) -> tuple[str, ...]:
    """Return what is to be run, in order: `prepare` comes after the parser, which labels it.

    Raises:
        UsageError: No such stage, or one that the recipe has not.

    """
    recipe, asked = request.recipe, request.stage
    ordered = [stage for stage in STAGES if stage in recipe.stages]
    if asked == ALL:
        if "parser" in ordered and request.parsing is None:
            ordered.remove("parser")
        if request.identity is not None and "identity" in ordered:
            ordered.remove("identity")
        place = 1 if "parser" in ordered else 0
        return (*ordered[:place], PREPARE, *ordered[place:])
    # A recipe may leave out of `all` what it still uses, such as a frozen identity network.
    used = {
        PREPARE: True,
        "parser": recipe.loss.prior > 0,
        "identity": recipe.loss.identity > 0,
    }
    if not (asked in recipe.stages or used.get(asked, False)):
        raise UsageError(
            f"recipe {recipe.name} has no stage {asked!r}",
            where="--stage",
            hint=f"It has {', '.join((PREPARE, *ordered))}; all runs them in order",
        )
    return (asked,)


def relevant(recipe: Recipe, stage: str) -> dict[str, Any]:
    """Return the parts of a recipe that decide what a stage makes, as plain values."""
    values = to_dict(recipe)
    return {name: values[name] for name in _DEPENDS[stage]}


def _run_stage(stage: str, materials: Materials, limit: float | None) -> StageResult:
    if stage == PREPARE:
        materials.faces("train")
        materials.faces("val")
        return StageResult(stage, materials.cache, {})
    if stage == "joint" and materials.request.minutes is not None:
        materials.set_steps(settle(materials, materials.request.minutes).steps)
    task = build_stage(stage, materials)
    return _train(task, materials, limit)


def _train(task: Stage, materials: Materials, limit: float | None) -> StageResult:
    recipe, request, path = materials.recipe, materials.request, materials.product(task.name)
    joint = isinstance(task, JointStage)
    beside = None
    if joint and request.export_every is not None:
        beside = ExportsBeside(path, request.export_every)
    trainer = Trainer(
        task, request.run, relevant(recipe, task.name) | digests(materials, task.name),
        fabric=materials.fabric, progress=materials.progress, limit=limit,
        least=1 if joint else math.ceil(LEAST_SHARE * recipe.steps(task.name).steps),
        about=about(materials) if joint else None, beside=beside,
    )  # fmt: skip
    try:
        network = trainer.run()
    except KeyboardInterrupt:
        if joint and materials.fabric.is_global_zero and trainer.checkpoint.exists():
            materials.progress.note(f"exported: {export_checkpoint(trainer.checkpoint, path)}")
            draw_curves(trainer.folder)
        raise
    finally:
        if beside is not None:
            beside.close()
    figures = last_validation(trainer.folder)
    if materials.fabric.is_global_zero:
        if isinstance(task, JointStage):
            trained = Trained.of_state(trainer.state(), trainer.folder)
            trained.export(path, figures, _gates(task, materials, trained.network))
        else:
            arguments, kept = task.exported(network)
            save_network(path, task.name, arguments, kept, {"recipe": recipe.name})
        if request.deadline is None or request.deadline.left > DRAWING:
            draw_curves(trainer.folder)
    materials.fabric.barrier()
    return StageResult(task.name, path, figures)


def _gates(task: JointStage, materials: Materials, network: nn.Module) -> dict[str, object] | None:
    """Measure the gates of weights that may earn a name by them, where there is time."""
    deadline, device = materials.request.deadline, materials.fabric.device
    if materials.recipe.earns is None or task.validation is None:
        return None
    network = network.to(device)
    described = materials.request.data.name
    if deadline is None:
        return measure(network, task.validation, device, data=described)
    try:
        with interrupted_at(lambda: deadline.at - EXPORTING):
            return measure(network, task.validation, device, limit=GATE_FACES, data=described)
    except InterruptedAtLimit:
        materials.progress.note("no time to compare with lite-camera: the gates are not measured")
        return None
