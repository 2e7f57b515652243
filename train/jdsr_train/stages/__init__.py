"""The stages of training, and how each is made of a run's materials."""

from __future__ import annotations

from jdsr_train.materials import Materials
from jdsr_train.stages.denoise import DenoiseStage
from jdsr_train.stages.identity import IdentityStage
from jdsr_train.stages.joint import JointStage
from jdsr_train.stages.parser import ParserStage
from jdsr_train.stages.validation import Validation

__all__ = ["DenoiseStage", "IdentityStage", "JointStage", "ParserStage", "Stage", "build_stage"]

Stage = DenoiseStage | IdentityStage | JointStage | ParserStage


def build_stage(name: str, materials: Materials) -> Stage:
    """Make a stage, ready for the trainer."""
    recipe = materials.recipe
    if name == "parser":
        return ParserStage(
            recipe, materials.parsing_samples("train"), materials.parsing_samples("val")
        )
    if name == "identity":
        return IdentityStage(recipe, materials.faces("train"))
    generator = materials.generator()
    samples = materials.samples("train", recipe.seed)
    if name == "denoise":
        return DenoiseStage(
            recipe, generator, samples, materials.samples("val", seed=1),
            materials.features, materials.deviations(),
        )  # fmt: skip
    materials.start(generator)
    validation, held_out = None, materials.faces("val")
    if materials.fabric.is_global_zero:
        validation = Validation(
            held_out, materials.degrader, materials.request.run.out / name,
            materials.request.validation_faces, materials.fabric.device,
        )  # fmt: skip
    return JointStage(
        recipe, generator, samples, features=materials.features, identity=materials.identity,
        validation=validation, deviations=materials.deviations(),
    )  # fmt: skip
