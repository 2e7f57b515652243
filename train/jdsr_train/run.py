"""Run the stages of a recipe; this is what `jdsr train` calls."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from jdsr_cli.atomic import atomic_file
from jdsr_cli.errors import TrainingError, UsageError
from jdsr_cli.progress import Progress, Silent
from jdsr_cli.signals import interrupting_signals
from jdsr_cli.weights import save_network
from jdsr_train.components import TrainingComponents
from jdsr_train.input_digests import stage_digests
from jdsr_train.processes import single_threaded
from jdsr_train.recipe import STAGES, Recipe
from jdsr_train.recipe_files import to_dict
from jdsr_train.request import TrainRequest
from jdsr_train.requirements import check_given_weights, check_requirements
from jdsr_train.resources import FileResources
from jdsr_train.stages import JointStage, Stage, build_stage
from jdsr_train.stages.validation import Validation, measure_gates
from jdsr_train.timing import load_or_measure_budget
from jdsr_train.trained_generator import (
    PeriodicExport,
    TrainedGenerator,
    export_checkpoint,
    export_metadata,
)
from jdsr_train.training.fabric import open_fabric
from jdsr_train.training.monitoring import draw_curves, last_validation
from jdsr_train.training.time_limit import Deadline, TimeLimitReached, interrupt_at
from jdsr_train.training.trainer import Trainer

if TYPE_CHECKING:
    from lightning_fabric import Fabric

PREPARE = "prepare"
ALL = "all"
SKIPPED_STAGES = "left_out.json"
"""File in the folder of a run: the stages that it skipped, and why."""

_STAGE_SETTINGS = {
    "parser": ("parser", "seed"),
    "identity": ("identity", "data", "seed"),
    "denoise": ("generator", "data", "camera", "loss", "denoise", "seed"),
    "joint": (
        "generator", "data", "camera", "track", "loss", "optimiser", "critic", "stages", "seed",
    ),
}  # fmt: skip
"""The parts of a recipe on which the result of a stage depends."""

TIME_SHARES = {"parser": 0.08, "identity": 0.12, "denoise": 0.12, "joint": 0.68}
"""Shares of the time until a deadline; unused time goes to the following stages."""
MIN_STEPS_SHARE = 0.1
"""Share of the recipe's steps without which a stage before the joint one is useless."""
EXPORT_SECONDS = 5.0
"""Seconds before a deadline that are reserved for writing weights and ending the process."""
CURVES_SECONDS = 10.0
"""Seconds before a deadline without which the curves are not drawn."""
GATES_SECONDS, GATES_FACES = 20.0, 48
"""Additional seconds reserved for measuring the gates, and the number of faces measured; without a
deadline all validation faces are used."""


@dataclass(frozen=True)
class StageResult:
    """The result of a stage."""

    stage: str
    path: Path
    """The weights, or the folder of prepared faces."""
    metrics: dict[str, float]
    """Metrics of the last validation."""


def train(request: TrainRequest, progress: Progress | None = None) -> list[StageResult]:
    """Run the requested stages of a recipe, each from its last checkpoint.

    Everything that is missing is reported before training starts. With a deadline every stage has a
    share of the time and ends in it. A stage that fails, or cannot do enough steps in its share, is
    skipped: the recipe continues without its result, and the weights record this. If the joint
    stage is stopped by its time, Ctrl-C or SIGTERM, its current weights are exported.

    Returns:
        One result for each stage that was run, in order.

    Raises:
        UsageError: The recipe does not have the stage, or an option that it needs is missing.
        DatasetError, InputMissingError: The faces or masks cannot be read.
        WeightsError: Frozen networks or initial weights are missing or altered.
        TrainingError: A loss is not finite, a checkpoint belongs to another recipe, or the deadline
            leaves no time for the last stage.
        OutputError: The output folder cannot be written.
        KeyboardInterrupt: On Ctrl-C, SIGTERM and SIGHUP, after everything has been written.

    """
    progress = progress or Silent()
    with interrupting_signals(), single_threaded(request.run.device):
        fabric = open_fabric(request.run.device)
        if not fabric.is_global_zero:
            progress = Silent()
        components = open_components(request, fabric, progress)
        stages = stages_of(request)
        check_requirements(components, stages)
        check_given_weights(components, stages)
        return _run_stages(stages, components)


def open_components(
    request: TrainRequest, fabric: Fabric, progress: Progress
) -> TrainingComponents:
    """Return the components of a run, without the stages that earlier starts of it skipped.

    Raises:
        TrainingError: The list of skipped stages is damaged.

    """
    resources = FileResources(request, fabric, progress)
    components = TrainingComponents(request, resources, fabric, progress)
    if request.deadline is not None:
        for stage, why in _read_skipped(request.run.out).items():
            components.skip_stage(stage, why)
    return components


def _run_stages(stages: Sequence[str], components: TrainingComponents) -> list[StageResult]:
    deadline = components.request.deadline
    results = []
    for index, stage in enumerate(stages):
        if stage in components.skipped:
            continue
        remaining = stages[index:]
        try:
            limit = _limit(deadline, remaining, has_gates=components.recipe.earns is not None)
            results.append(_run_stage(stage, components, limit))
        except TrainingError as error:
            if deadline is None or stage == PREPARE or len(remaining) == 1:
                raise
            components.skip_stage(stage, error.what)
            components.progress.note(f"{stage}: skipped, {error.what}")
            if components.fabric.is_global_zero:
                _write_skipped(components.request.run.out, components.skipped)
    return results


def _limit(
    deadline: Deadline | None, remaining: Sequence[str], *, has_gates: bool = False
) -> float | None:
    """Return when the first of the remaining stages must have ended and written its weights."""
    if deadline is None:
        return None
    gates = GATES_SECONDS if remaining[-1] == "joint" and has_gates else 0.0
    available = deadline.left - EXPORT_SECONDS - gates
    shares = [TIME_SHARES[stage] for stage in remaining if stage in TIME_SHARES]
    share = TIME_SHARES.get(remaining[0], 0.0) / sum(shares) if shares else 1.0
    return time.monotonic() + available * share


def _read_skipped(run: Path) -> dict[str, str]:
    """Return the stages that a run has skipped, and why."""
    path = run / SKIPPED_STAGES
    if not path.exists():
        return {}
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return {str(stage): str(why) for stage, why in values.items()}
    except (OSError, ValueError, AttributeError) as error:
        raise TrainingError(
            f"the list of skipped stages cannot be read ({error})",
            where=path,
            hint="Delete it to try them again",
        ) from error


def _write_skipped(run: Path, skipped: dict[str, str]) -> None:
    with atomic_file(run / SKIPPED_STAGES, make_folder=True) as temporary:
        temporary.write_text(json.dumps(skipped, indent=1), encoding="utf-8")


def stages_of(request: TrainRequest) -> tuple[str, ...]:
    """Return the requested stages in order; `prepare` follows the parser, which labels the faces.

    Raises:
        UsageError: The recipe does not have the stage.

    """
    recipe, requested = request.recipe, request.stage
    ordered = [stage for stage in STAGES if stage in recipe.stages]
    if requested == ALL:
        if "parser" in ordered and request.parsing is None:
            ordered.remove("parser")
        if request.identity is not None and "identity" in ordered:
            ordered.remove("identity")
        if request.init is not None and "denoise" in ordered:
            ordered.remove("denoise")  # the joint stage starts from the given weights
        index = 1 if "parser" in ordered else 0
        return (*ordered[:index], PREPARE, *ordered[index:])
    # A stage that `all` does not run can still be used, such as a frozen identity network.
    used = {
        PREPARE: True,
        "parser": recipe.loss.parsing,
        "identity": recipe.loss.recognition,
    }
    if not (requested in recipe.stages or used.get(requested, False)):
        raise UsageError(
            f"recipe {recipe.name} has no stage {requested!r}",
            where="--stage",
            hint=f"It has {', '.join((PREPARE, *ordered))}; all runs them in order",
        )
    return (requested,)


def stage_settings(recipe: Recipe, stage: str) -> dict[str, Any]:
    """Return the parts of a recipe on which the result of a stage depends, as plain values."""
    values = to_dict(recipe)
    names = _STAGE_SETTINGS[stage]
    if stage == "joint" and recipe.loss.super_identity:
        names += ("identity",)  # its network is trained on in the joint stage
    return {name: values[name] for name in names}


def _run_stage(name: str, components: TrainingComponents, limit: float | None) -> StageResult:
    if name == PREPARE:
        components.faces("train")
        components.faces("val")
        return StageResult(name, components.request.cache_folder, {})
    minutes = components.request.minutes
    if name == "joint" and minutes is not None:
        components.set_steps(load_or_measure_budget(components, minutes).steps)
    return _train(build_stage(name, components), components, limit)


def _train(stage: Stage, components: TrainingComponents, limit: float | None) -> StageResult:
    recipe, request = components.recipe, components.request
    path, is_joint = components.weights_path(stage.name), isinstance(stage, JointStage)
    export = None
    if is_joint and request.export_every is not None:
        export = PeriodicExport(path, request.export_every)
    steps = recipe.steps(stage.name).steps
    trainer = Trainer(
        stage, request.run,
        stage_settings(recipe, stage.name) | stage_digests(components, stage.name),
        fabric=components.fabric, progress=components.progress, limit=limit,
        min_steps=1 if is_joint else math.ceil(MIN_STEPS_SHARE * steps),
        metadata=export_metadata(components) if is_joint else None, callback=export,
    )  # fmt: skip
    try:
        network = trainer.run()
    except KeyboardInterrupt:
        if is_joint and components.fabric.is_global_zero and trainer.checkpoint.exists():
            components.progress.note(f"exported: {export_checkpoint(trainer.checkpoint, path)}")
            draw_curves(trainer.folder)
        raise
    finally:
        if export is not None:
            export.close()
    metrics = last_validation(trainer.folder)
    if components.fabric.is_global_zero:
        if isinstance(stage, JointStage):
            trained = TrainedGenerator.from_state(trainer.state(), trainer.folder)
            trained.export(path, metrics, _gates(stage, components, trained.network))
        else:
            arguments, module = stage.export_module(network)
            save_network(path, stage.name, arguments, module, {"recipe": recipe.name})
        if request.deadline is None or request.deadline.left > CURVES_SECONDS:
            draw_curves(trainer.folder)
    components.fabric.barrier()
    return StageResult(stage.name, path, metrics)


def _gates(
    stage: JointStage, components: TrainingComponents, network: nn.Module
) -> dict[str, object] | None:
    """Measure the gates of weights that can earn a registry name, if there is time."""
    deadline, device = components.request.deadline, components.fabric.device
    if components.recipe.earns is None or not isinstance(stage.validation, Validation):
        return None
    network = network.to(device)
    data = components.request.data.name
    if deadline is None:
        return measure_gates(network, stage.validation, device, data=data)
    try:
        with interrupt_at(lambda: deadline.at - EXPORT_SECONDS):
            return measure_gates(network, stage.validation, device, limit=GATES_FACES, data=data)
    except TimeLimitReached:
        components.progress.note("the gates are not measured: no time to compare with lite-camera")
        return None
