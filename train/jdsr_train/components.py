"""Build the components of the stages: samples, frozen networks, generator and critic options."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from jdsr_cli.datasets.face_set import FaceSet
from jdsr_cli.datasets.samples import Degrader, SampleSettings
from jdsr_cli.errors import DatasetError, UsageError
from jdsr_cli.networks import JDSRGenerator, build
from jdsr_cli.progress import Progress
from jdsr_cli.synthesis.mask_drawing import draw_sprites
from jdsr_cli.synthesis.masks import Sprite, load_templates
from jdsr_train.auxiliary import AuxiliaryModel, build_auxiliary_models
from jdsr_train.data.parsing_set import ParsingSamples
from jdsr_train.data.samples import TrainingSamples
from jdsr_train.data.tracks import TrackSamples
from jdsr_train.frozen_features import FeatureExtractor
from jdsr_train.networks import IdentityClassifier, IdentityNetwork, MarginHead
from jdsr_train.recipe import Recipe
from jdsr_train.recipe_files import without_stage
from jdsr_train.request import TrainRequest, stage_weights_path
from jdsr_train.resources import TrainingResources
from jdsr_train.training.fabric import PrecisionWrapper

if TYPE_CHECKING:
    from lightning_fabric import Fabric

MASK_SEED = 20231
PAPER_LANDMARKS = 81
DENSE_LANDMARKS = 68
"""Landmarks of iBUG's order, which DIC groups by the parts of the face."""
OWN_NETWORKS = ("lite", "burst")
"""Networks that no publication describes."""
PRIOR_NETWORKS = ("jdsr", "fsrnet", "dic")
"""Networks with landmark heat maps, whose number is an argument."""
PARENT_FACES = 1_220_775 * 8
"""Number of faces in the joint training of the paper's parent work; the paper states none."""


class TrainingComponents:
    """Builds what the stages of a run need, each object at its first use.

    Args:
        request: The request.
        resources: The data and the pretrained weights.
        fabric: The processes and device of the run.
        progress: Receives reports.

    """

    def __init__(
        self,
        request: TrainRequest,
        resources: TrainingResources,
        fabric: Fabric,
        progress: Progress,
    ) -> None:
        self.request, self.resources = request, resources
        self.fabric, self.progress = fabric, progress
        self.recipe = request.recipe
        self.skipped: dict[str, str] = {}
        """Stages that the run has skipped, and why."""

    def skip_stage(self, stage: str, why: str) -> None:
        """Remove a stage from the recipe, with the loss term that needs its network."""
        self.skipped[stage] = why
        self.recipe = without_stage(self.recipe, stage)

    def set_steps(self, steps: int) -> None:
        """Replace the number of steps of the joint stage."""
        options = replace(self.recipe.optimiser, steps=steps)
        self.recipe = replace(self.recipe, optimiser=options)

    def weights_path(self, stage: str) -> Path:
        """Return the path of the weights that a stage of this run writes."""
        return stage_weights_path(self.request.run.out, stage, self.recipe)

    def faces(self, split: str) -> FaceSet:
        """Return the faces of a split."""
        return self.resources.faces(split)

    @cached_property
    def degrader(self) -> Degrader:
        """Applies the masks and the degradation of the recipe."""
        return Degrader(mask_pool(self.recipe, self.request.masks), sample_settings(self.recipe))

    def samples(self, split: str, seed: int) -> TrainingSamples:
        """Return the training samples of a split."""
        return TrainingSamples(self.faces(split), self.degrader, seed)

    def track_samples(self, split: str, seed: int) -> TrackSamples:
        """Return the training tracks of a split."""
        recipe = self.recipe
        return TrackSamples(
            self.faces(split), self.degrader, recipe.track, seed, recipe.optimiser.batch
        )

    def parsing_samples(self, split: str) -> ParsingSamples:
        """Return the labelled faces of a split, augmented if it is the training split."""
        pictures = self.resources.parsing_set(split)
        return ParsingSamples(pictures, self.recipe.seed, augment=split == "train")

    @property
    def _half(self) -> bool:
        return self.recipe.optimiser.precision == "bfloat16"

    @cached_property
    def features(self) -> FeatureExtractor | None:
        """The frozen features; None if no loss term needs them."""
        if not self.recipe.loss.features:
            return None
        features = self.resources.features(self._half)
        return None if features is None else features.to(self.fabric.device)

    @cached_property
    def identity(self) -> nn.Module | None:
        """The frozen identity network; None if the identity term has no weight.

        It runs in the precision of the generator and returns float32 features.
        """
        if not self.recipe.loss.identity:
            return None
        network = identity_network(self.recipe)
        self.resources.load_identity(network)
        network.eval().requires_grad_(False).to(memory_format=torch.channels_last)
        return PrecisionWrapper(network, self._half).to(self.fabric.device)

    def auxiliary_models(self) -> list[AuxiliaryModel]:
        """Build the models that are trained beside the generator, from the recipe's seed."""
        torch.manual_seed(self.recipe.seed)
        recogniser = None
        if self.recipe.loss.super_identity:
            people = self.faces("train").people
            if len(people) < 2:
                raise DatasetError(
                    "loss.super_identity needs faces whose people are known",
                    where=self.request.data,
                    hint="Put identity_CelebA.txt beside the images, or an identity column into "
                    "faces.csv",
                )
            network, settings = identity_network(self.recipe), self.recipe.identity
            self.resources.load_identity(network)
            head = MarginHead(
                settings.features, len(people),
                scale=settings.scale, margin=settings.margin,
            )  # fmt: skip
            recogniser = IdentityClassifier(network, head)
        return build_auxiliary_models(self.recipe, recogniser)

    def generator_arguments(self) -> dict[str, Any]:
        """Return the arguments of the generator: `recipe_arguments` and the number of landmarks.

        Raises:
            UsageError: The recipe states a different number of landmarks from the data, or
                contradicts itself.

        """
        arguments = recipe_arguments(self.recipe)
        if self.recipe.generator.network not in PRIOR_NETWORKS or not self.recipe.loss.prior:
            return arguments
        count = self.faces("train").heat_points.shape[1]
        if self.recipe.generator.network == "dic" and count != DENSE_LANDMARKS:
            raise UsageError(
                f"the network dic needs {DENSE_LANDMARKS} landmarks, the faces have {count}",
                where=self.request.data,
                hint="Use --landmarks fan, or an ONNX network",
            )
        if arguments.setdefault("landmarks", count) != count:
            raise UsageError(
                f"the recipe's generator has {arguments['landmarks']} landmarks, the faces {count}",
                where=f"recipe {self.recipe.name}",
                hint="Leave generator.arguments.landmarks out, or choose other --landmarks",
            )
        return arguments

    def generator(self) -> nn.Module:
        """Build the generator with random weights from the recipe's seed.

        Raises:
            UsageError: The recipe's scale does not match its input size.

        """
        torch.manual_seed(self.recipe.seed)
        network = build(self.recipe.generator.network, self.generator_arguments())
        check_input_size(self.recipe, network)
        return network

    def initialise(self, generator: nn.Module) -> None:
        """Load the weights with which the joint stage starts.

        They are those of `--init` or of the trained denoiser, and the base of the recipe.
        """
        if self.recipe.generator.base is not None:
            self.resources.load_base(generator, self.recipe.generator)
        if self.request.init is not None:
            self.resources.load_initial(generator)
        elif "denoise" in self.recipe.stages and isinstance(generator, JDSRGenerator):
            self.resources.load_denoiser(generator.denoiser)

    def deviations(self) -> tuple[str, ...]:
        """Describe how the run differs from the paper, or a baseline from its publication."""
        recipe, request = self.recipe, self.request
        found = list(recipe.stated_deviations)
        found += [f"no {stage} stage: {why}" for stage, why in self.skipped.items()]
        if recipe.starts_from is not None and request.init is None:
            found.append(f"not started from {recipe.starts_from}")
        network = recipe.generator.network
        if network in OWN_NETWORKS:
            return tuple(found)
        if self.features is not None and self.features.deviation:
            found.append(self.features.deviation)
        if recipe.loss.prior:
            faces = self.faces("train")
            count = faces.heat_points.shape[1]
            if network != "dic" and count != PAPER_LANDMARKS:
                found.append(f"{count} landmarks instead of the {PAPER_LANDMARKS} of SeetaFace")
            if recipe.loss.parsing and faces.parsing is None:
                found.append("no parsing labels: the parsing half of the prior's loss is idle")
        if recipe.generator.arguments.get("grid") == "lr":
            found.append("the denoiser works on the low-resolution grid")
        face_count = recipe.optimiser.steps * recipe.optimiser.batch
        options = request.recipe.optimiser
        planned = request.planned_faces or options.steps * options.batch
        if network == "jdsr" and face_count < PARENT_FACES:
            found.append(f"scheduled for {face_count:,} faces instead of about {PARENT_FACES:,}")
        elif face_count != planned:
            found.append(f"scheduled for {face_count:,} faces, the recipe for {planned:,}")
        if request.init is not None:
            start = Path(request.init).stem
            if start != recipe.starts_from:
                found.append(f"started from {start}")
        elif "denoise" in recipe.stages:
            found.append("the denoiser is warmed up alone")
        return tuple(found)

    def data_description(self) -> str:
        """Describe the training data of the generator."""
        data = self.recipe.data
        return (
            f"{len(self.faces('train'))} faces of {self.request.data.name}; "
            f"{self._describe_masks()}; {data.degradation} degradation"
        )

    def _describe_masks(self) -> str:
        data, templates = self.recipe.data, self.request.masks
        if data.masked == 0:
            return "bare"
        kinds = ["drawn masks"] if data.drawn_masks else []
        kinds += [] if templates is None else [templates.name]
        share = "" if data.masked == 1 else f"{data.masked:.0%} of them with "
        return share + " and ".join(kinds)


def identity_network(recipe: Recipe) -> IdentityNetwork:
    """Build the identity network of a recipe."""
    settings = recipe.identity
    return IdentityNetwork(settings.widths, settings.blocks, settings.features)


def recipe_arguments(recipe: Recipe) -> dict[str, Any]:
    """Return the generator arguments that a recipe determines.

    The argument `noise` of the paper's generator states the target of its noise map. If that is the
    difference, as in the paper, the argument is omitted.

    Raises:
        UsageError: The noise map is interpreted differently from what it learns.

    """
    arguments, learnt = dict(recipe.generator.arguments), recipe.data.noise_truth
    if recipe.generator.network != "jdsr":
        return arguments
    if arguments.get("noise", learnt) != learnt:
        raise UsageError(
            f"the noise map learns {learnt!r} and is read as {arguments['noise']!r}",
            where=f"recipe {recipe.name}",
            hint="Leave generator.arguments.noise out, data.noise_truth determines it",
        )
    return arguments if learnt == "difference" else {**arguments, "noise": learnt}


def check_input_size(recipe: Recipe, network: nn.Module) -> None:
    """Check that a generator takes inputs of the size that the recipe's scale gives.

    Raises:
        UsageError: It does not.

    """
    given, expected = sample_settings(recipe).lr_size, network.lr_size
    if given != expected:
        raise UsageError(
            f"generator.scale gives inputs of {given} px, the network takes {expected} px",
            where=f"recipe {recipe.name}",
            hint="Set scale to 128 divided by the network's lr_size",
        )


def mask_pool(recipe: Recipe, templates: Path | None) -> list[Sprite]:
    """Return the masks of a recipe: drawn ones, and about as many copies of the templates.

    There are none if all faces are bare.
    """
    if recipe.data.masked == 0:
        return []
    drawn = list(_drawn_masks(recipe.data.drawn_masks))
    if templates is None:
        return drawn
    loaded = load_templates(templates)
    return drawn + loaded * max(1, round(len(drawn) / len(loaded)))


@lru_cache(maxsize=1)
def _drawn_masks(count: int) -> tuple[Sprite, ...]:
    """Draw masks, which takes seconds, once for all plans and runs of this process."""
    return tuple(draw_sprites(count, MASK_SEED))


def sample_settings(recipe: Recipe) -> SampleSettings:
    """Return the sample settings of a recipe."""
    data = recipe.data
    return SampleSettings(
        lr_size=128 // recipe.generator.scale,
        degradation=data.degradation,
        masked=data.masked,
        camera=recipe.camera,
        occluded=data.occluded,
        lowered=data.lowered,
        canonical=data.canonical,
        priors=max(recipe.loss.prior, recipe.loss.super_identity) > 0,
        heat_sigma=data.heat_sigma,
    )
