"""The stages of training, and how each is built from the components of a run."""

from __future__ import annotations

from pathlib import Path

from jdsr_train.components import TrainingComponents
from jdsr_train.stages.face_analysis import IdentityStage, ParserStage
from jdsr_train.stages.generator import DenoiseStage, JointStage
from jdsr_train.stages.track_validation import TrackValidation
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
    if name == "denoise":
        return DenoiseStage(
            recipe, generator, components.samples("train", recipe.seed),
            components.samples("val", seed=1),
            components.features, components.deviations(),
        )  # fmt: skip
    components.initialise(generator)
    samples = (
        components.track_samples("train", recipe.seed)
        if recipe.of_tracks
        else components.samples("train", recipe.seed)
    )
    return JointStage(
        recipe, generator, samples, auxiliary=components.auxiliary_models(),
        features=components.features, identity=components.identity,
        validation=_validation(components, components.request.run.out / name),
        deviations=components.deviations(),
    )  # fmt: skip


def _validation(
    components: TrainingComponents, folder: Path
) -> Validation | TrackValidation | None:
    """Return the validation of the joint stage; None in processes other than the first."""
    faces, device = components.faces("val"), components.fabric.device
    limit = components.request.validation_faces
    if not components.fabric.is_global_zero:
        return None
    if not components.recipe.of_tracks:
        return Validation(faces, components.degrader, folder, limit, device)
    track = components.recipe.track
    return TrackValidation(faces, components.degrader, track, folder, limit, device)
