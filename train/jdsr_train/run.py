"""`jdsr train` as a plain function: a recipe, a set of faces, a folder; weights come out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from jdsr_cli.errors import UsageError
from jdsr_cli.progress import Progress, Silent
from jdsr_cli.weights import load_state, save_generator
from jdsr_train import evaluation
from jdsr_train.data import (
    Degrader,
    Exam,
    FaceSet,
    SampleSettings,
    TrainingSamples,
    exams,
    load_faces,
    to_tensor,
)
from jdsr_train.degradations import CameraSettings
from jdsr_train.features import SqueezeNetFeatures
from jdsr_train.masks import Sprite, draw_pool, load_templates
from jdsr_train.pictures import curves, face_rows
from jdsr_train.recipes import Recipe
from jdsr_train.trainer import LOG, RunSettings, Trainer

MASK_SEED = 20231
PANEL_FACES = 10


@dataclass(frozen=True)
class TrainRequest:
    """What `jdsr train` is asked to do."""

    recipe: Recipe
    data: Path
    """Folder of aligned faces: `train*.tar` and `val*.tar`."""
    run: RunSettings
    masks: Path | None = None
    """Template folder whose masks are worn beside the drawn ones, half and half."""
    init: str | None = None
    """Weights to start from: a name of the registry or a file."""
    features: Path | None = None
    """SqueezeNet 1.1 state dict for the perceptual term, where the recipe has one."""
    cache: Path | None = None
    """Folder of the decoded faces; `cache` in the output folder when None."""
    validation_faces: int = 200


def train(request: TrainRequest, progress: Progress | None = None) -> Path:
    """Run a recipe to its end, or on from its checkpoint.

    Returns:
        The exported weight file, `<recipe>.safetensors` in the output folder.

    Raises:
        UsageError: Features are given that nothing uses, or are needed and not given.
        DatasetError, InputMissingError: The faces or masks cannot be read.
        TrainingError: A loss is not finite, or the checkpoint is of another recipe.
        OutputError: The output folder cannot be written.

    """
    progress = progress or Silent()
    recipe, run = request.recipe, request.run
    cache = request.cache or run.out / "cache"
    training = load_faces(request.data, "train", cache, progress)
    validation = load_faces(request.data, "val", cache, progress)
    degrader = Degrader(sprites(recipe, request.masks), sample_settings(recipe))
    trainer = Trainer(
        recipe,
        TrainingSamples(training, degrader, recipe.seed),
        run,
        initial=None if request.init is None else load_state(request.init),
        features=_features(request),
        validate=Validation(validation, degrader, request),
        progress=progress,
    )
    network = trainer.run()
    if (run.out / LOG).exists():
        curves(run.out / LOG, run.out / "curves.png")
    path = run.out / f"{recipe.name}.safetensors"
    generator = recipe.generator
    save_generator(
        path, generator.network, generator.arguments, network,
        {
            "recipe": recipe.name,
            "steps": str(recipe.optimiser.steps),
            "features": "none" if request.features is None else request.features.name,
        },
    )  # fmt: skip
    return path


def _features(request: TrainRequest) -> SqueezeNetFeatures | None:
    if request.features is None:
        return None
    if not request.recipe.loss.features:
        raise UsageError(
            f"recipe {request.recipe.name} has no perceptual term that could use them",
            where="--features",
            hint="Leave the option out, or give the recipe one",
        )
    half = request.recipe.optimiser.precision == "bfloat16"
    return SqueezeNetFeatures(request.features, half=half)


def sprites(recipe: Recipe, templates: Path | None) -> list[Sprite]:
    """Masks of a recipe: drawn ones, and as many copies of the templates as weigh the same."""
    drawn = draw_pool(recipe.data.drawn_masks, MASK_SEED)
    if templates is None:
        return drawn
    loaded = load_templates(templates)
    return drawn + loaded * max(1, round(len(drawn) / len(loaded)))


def sample_settings(recipe: Recipe) -> SampleSettings:
    """How a recipe makes samples of faces."""
    return SampleSettings(
        lr_size=128 // recipe.generator.scale,
        degradation=recipe.data.degradation,
        masked=recipe.data.masked,
        camera=CameraSettings(native_width=recipe.data.native_width),
    )


class Validation:
    """Scores a network on the validation faces and draws a panel of some of them."""

    def __init__(self, faces: FaceSet, degrader: Degrader, request: TrainRequest) -> None:
        self.out = request.run.out
        self.device = request.run.device
        limit = request.validation_faces
        self.sets: dict[str, Sequence[Exam]] = {}
        if degrader.settings.masked > 0:
            self.sets["masked"] = list(exams(faces, degrader, masked=True, limit=limit))
        if degrader.settings.masked < 1:
            self.sets["plain"] = list(exams(faces, degrader, masked=False, limit=limit))

    def __call__(self, network: nn.Module, step: int) -> dict[str, float]:
        """Return the mean figures of each set; the panel is written as `panel.png`."""
        figures: dict[str, float] = {}
        restore = evaluation.restorer(network, self.device)
        rows = []
        for name, chosen in self.sets.items():
            scores = evaluation.score(restore, chosen)
            figures |= {f"{name}_{figure}": value for figure, value in scores.means().items()}
            shown = chosen[:: max(1, len(chosen) // PANEL_FACES)][:PANEL_FACES]
            restored = restore(to_tensor([exam.pair.lr for exam in shown])).clamp(0, 1)
            pictures = (restored * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
            rows += [
                [exam.pair.lr for exam in shown],
                list(pictures),
                [exam.pair.hr for exam in shown],
            ]
        face_rows(rows, self.out / "panel.png")
        return figures
