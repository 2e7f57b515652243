"""The stages of training, and how each is built from the components of a run."""

from __future__ import annotations

from jdsr_train.components import TrainingComponents
from jdsr_train.stages.face_analysis import IdentityStage, ParserStage
from jdsr_train.stages.generator import DenoiseStage, JointStage
from jdsr_train.stages.validation import Validation

__all__ = ["DenoiseStage", "IdentityStage", "JointStage", "ParserStage", "Stage", "build_stage"]

Stage = DenoiseStage | IdentityStage | JointStage | ParserStage


def build_stage(name: str, components: TrainingComponents) -> Stage:
    """Build a stage for the trainer.

    Args:
        name: `parser`, `identity`, `denoise` or `joint`.
        components: The components of the run.

    """
    recipe = components.recipe
    if name == "parser":
        return ParserStage(
            recipe, components.parsing_samples("train"), components.parsing_samples("val")
        )
    if name == "identity":
        return IdentityStage(recipe, components.faces("train"))
    generator = components.generator()
    samples = components.samples("train", recipe.seed)
    if name == "denoise":
        return DenoiseStage(
            recipe, generator, samples, components.samples("val", seed=1),
            components.features, components.deviations(),
        )  # fmt: skip
    components.initialise(generator)
    validation, held_out = None, components.faces("val")
    if components.fabric.is_global_zero:
        validation = Validation(
            held_out, components.degrader, components.request.run.out / name,
            components.request.validation_faces, components.fabric.device,
        )  # fmt: skip
    return JointStage(
        recipe, generator, samples, features=components.features, identity=components.identity,
        validation=validation, deviations=components.deviations(),
    )  # fmt: skip
