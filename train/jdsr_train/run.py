"""`jdsr train` as plain functions: a recipe, faces, a folder; weights come out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from jdsr_cli.errors import UsageError
from jdsr_cli.progress import Progress, Silent
from jdsr_cli.weights import save_network
from jdsr_train.budget import settle
from jdsr_train.export import export
from jdsr_train.fabric import open_fabric
from jdsr_train.logbook import last_validation
from jdsr_train.materials import Materials, TrainRequest
from jdsr_train.recipe import STAGES, Recipe
from jdsr_train.recipes import to_dict
from jdsr_train.stages import JointStage, Stage, build_stage
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

    Everything that is missing is told before anything is trained.

    Returns:
        One result for each stage that was run, in order.

    Raises:
        UsageError: A stage that the recipe has not, or something it needs that was not given.
        DatasetError, InputMissingError: The faces or masks cannot be read.
        WeightsError: Frozen networks or starting weights are missing or altered.
        TrainingError: A loss is not finite, or a checkpoint is of another recipe.
        OutputError: The output folder cannot be written.

    """
    progress = progress or Silent()
    fabric = open_fabric(request.run.device)
    if not fabric.is_global_zero:
        progress = Silent()
    materials = Materials(request, fabric, progress)
    stages = stages_of(request)
    materials.check(stages)
    return [_run_stage(stage, materials) for stage in stages]


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


def _run_stage(stage: str, materials: Materials) -> StageResult:
    if stage == PREPARE:
        materials.faces("train")
        materials.faces("val")
        return StageResult(stage, materials.cache, {})
    if stage == "joint" and materials.request.minutes is not None:
        materials.set_steps(settle(materials, materials.request.minutes).steps)
    task = build_stage(stage, materials)
    trainer = Trainer(
        task, materials.request.run, relevant(materials.recipe, stage),
        fabric=materials.fabric, progress=materials.progress,
    )  # fmt: skip
    network = trainer.run()
    figures = last_validation(trainer.folder)
    if materials.fabric.is_global_zero:
        _keep(task, materials, network, figures)
    materials.fabric.barrier()
    return StageResult(stage, materials.product(stage), figures)


def _keep(task: Stage, materials: Materials, network: nn.Module, figures: dict[str, float]) -> None:
    """Write what later stages, or other commands, use of a stage."""
    recipe, path = materials.recipe, materials.product(task.name)
    if isinstance(task, JointStage):
        export(
            path, recipe, materials.generator_arguments(), network,
            data=materials.described(), figures=figures, deviations=task.deviations,
        )  # fmt: skip
    else:
        arguments, kept = task.exported(network)
        save_network(path, task.name, arguments, kept, {"recipe": recipe.name})
