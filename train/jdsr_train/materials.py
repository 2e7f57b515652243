"""What the stages of a run are made from: faces, masks, frozen networks, the generator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import nn

from jdsr_cli.datasets.face_set import FaceSet
from jdsr_cli.datasets.preparation import open_faces
from jdsr_cli.datasets.prepare_settings import PrepareSettings
from jdsr_cli.datasets.samples import Degrader, SampleSettings
from jdsr_cli.errors import InputMissingError, UsageError
from jdsr_cli.networks import JDSRGenerator, build
from jdsr_cli.progress import Progress
from jdsr_cli.synthesis.mask_drawing import draw_sprites
from jdsr_cli.synthesis.masks import Sprite, load_templates
from jdsr_cli.weights import load_state
from jdsr_train.data.parsing_set import ParsingSamples, ParsingSet, open_parsing_set
from jdsr_train.data.part_labellers import label_source
from jdsr_train.data.samples import TrainingSamples
from jdsr_train.fabric import Adapted
from jdsr_train.frozen_features import VGG16, FeatureExtractor, load_features
from jdsr_train.left_out import keep_left_out, read_left_out, without
from jdsr_train.networks import Critic, IdentityNetwork
from jdsr_train.recipe import STAGES, Recipe
from jdsr_train.request import OWN_PARSER, TrainRequest, weights_of
from jdsr_train.starting import fill, start_from

if TYPE_CHECKING:
    from lightning_fabric import Fabric

T = TypeVar("T")

MASK_SEED = 20231
PAPER_LANDMARKS = 81
PARENT_FACES = 1_220_775 * 8
"""Faces seen in the joint training of the paper's parent work; the paper does not tell its own."""


class Materials:
    """Opens what the stages need, once, and tells early what is missing."""

    def __init__(self, request: TrainRequest, fabric: Fabric, progress: Progress) -> None:
        self.request, self.fabric, self.progress = request, fabric, progress
        self.recipe = request.recipe
        self.cache = request.cache or request.run.out / "cache"
        self._faces: dict[str, FaceSet] = {}
        self._labelled: dict[str, ParsingSet] = {}
        self.left_out: dict[str, str] = {}
        """Stages that the run goes on without, and why."""
        if request.deadline is not None:
            for stage, why in read_left_out(request.run.out).items():
                self._do_without(stage, why)

    def leave_out(self, stage: str, why: str) -> None:
        """Go on without what a stage would have made; later starts of the run do so, too.

        Raises:
            OutputError: The folder cannot be written.

        """
        self._do_without(stage, why)
        self.progress.note(f"{stage}: left out, {why}")
        if self.fabric.is_global_zero:
            keep_left_out(self.request.run.out, self.left_out)

    def _do_without(self, stage: str, why: str) -> None:
        self.left_out[stage] = why
        self.recipe = without(self.recipe, stage)

    def set_steps(self, steps: int) -> None:
        """Give the joint stage another number of steps than the recipe has."""
        options = replace(self.recipe.optimiser, steps=steps)
        self.recipe = replace(self.recipe, optimiser=options)

    def check(self, stages: Sequence[str]) -> None:
        """Say at once what these stages need and was not given.

        Raises:
            UsageError: Everything that is missing, in one message.
            WeightsError: The frozen features cannot be had.

        """
        weights, faults = self.recipe.loss, list[str]()
        out = self.request.run.out
        if "parser" in stages and self.request.parsing is None:
            faults.append("the parser stage needs labelled faces (--parsing)")
        for option, given, used in (
            ("--features", self.request.features is not None, weights.features),
            ("--parsing", self.request.parsing is not None, weights.prior > 0),
            ("--labels", self.request.labels != OWN_PARSER, weights.prior > 0),
            ("--identity", self.request.identity is not None, weights.identity > 0),
        ):
            if given and not used:
                faults.append(f"nothing in the recipe uses {option}, leave it out")
        for earlier, needed, otherwise in (
            (
                "identity",
                weights.identity > 0 and self.request.identity is None,
                "loss.identity = 0",
            ),
            (
                "denoise",
                "denoise" in self.recipe.stages and self.request.init is None,
                'stages = ["joint"]',
            ),
        ):
            absent = earlier not in stages and not self.product(earlier).exists()
            if "joint" in stages and needed and absent:
                faults.append(
                    f"the joint stage needs {self.product(earlier)}: "
                    f"run --stage {earlier} first, or set {otherwise}"
                )
        for stage in stages:
            if stage in STAGES:
                batch, world = self.recipe.steps(stage).batch, self.fabric.world_size
                if batch % world:
                    faults.append(f"{stage}: {world} processes cannot share {batch} faces equally")
        if self.request.minutes is not None and "joint" not in stages:
            faults.append("--minutes is for the joint stage, which is not asked for")
        data = self.recipe.data
        if data.drawn_masks == 0 and data.masked > 0 and self.request.masks is None:
            faults.append("data.drawn_masks = 0 needs mask templates (--masks)")
        if faults:
            raise UsageError("; ".join(faults), where=f"recipe {self.recipe.name} in {out}")
        request = self.request
        for path in (request.data, request.parsing, request.masks, request.identity):
            if path is not None and not path.exists():
                raise InputMissingError("no such file or folder", where=path)
        self._check_networks(stages)
        if "joint" in stages and self.request.init is not None:
            load_state(self.request.init)
        if {"denoise", "joint"} & set(stages):
            _ = self.features

    def _check_networks(self, stages: Sequence[str]) -> None:
        """Build what the stages train, without its weights."""
        recipe = self.recipe
        with torch.device("meta"):
            if "identity" in stages or (recipe.loss.identity and "joint" in stages):
                IdentityNetwork(
                    recipe.identity.widths, recipe.identity.blocks, recipe.identity.features
                )
            if not {"denoise", "joint"} & set(stages):
                return
            if recipe.loss.adversarial and "joint" in stages:
                Critic(recipe.critic.widths, fold=recipe.critic.fold)
            network = build(recipe.generator.network, arguments_of(recipe))
        self._check_size(network)
        if "denoise" in stages and not isinstance(network, JDSRGenerator):
            raise UsageError(
                f"network {recipe.generator.network!r} has no denoiser of its own to warm up",
                where=f"recipe {recipe.name}",
                hint='Leave "denoise" out of its stages',
            )
        _ = self.degrader

    def _check_size(self, network: nn.Module) -> None:
        given, wanted = sample_settings(self.recipe).lr_size, network.lr_size
        if given != wanted:
            raise UsageError(
                f"generator.scale makes inputs of {given} px and the network takes {wanted} px",
                where=f"recipe {self.recipe.name}",
                hint="Let scale be 128 divided by the network's lr_size",
            )

    def faces(self, split: str) -> FaceSet:
        """Return a split's faces; the first process prepares them for all."""
        if split not in self._faces:
            deadline, progress = self.request.deadline, self.progress
            if deadline is not None:
                progress = deadline.watching(progress, "the faces were prepared")
            self._faces[split] = self._in_turn(
                lambda: open_faces(
                    self.request.data, split, self.cache, self.prepare_settings, progress
                )
            )
        return self._faces[split]

    def _in_turn(self, opened: Callable[[], T]) -> T:
        """Let the first process fill the cache before the others read it."""
        if not self.fabric.is_global_zero:
            self.fabric.barrier()
        found = opened()
        if self.fabric.is_global_zero:
            self.fabric.barrier()
        return found

    @property
    def prepare_settings(self) -> PrepareSettings:
        """How the faces are prepared."""
        labels = self.request.labels
        if labels == OWN_PARSER:
            trained = self.product("parser")
            labels = str(trained) if trained.exists() and self.recipe.loss.prior else "none"
        return PrepareSettings(
            crop=self.recipe.data.crop,
            landmarks=self.request.landmarks,
            labels=label_source(labels),
            workers=self.request.run.workers,
        )

    @cached_property
    def degrader(self) -> Degrader:
        """Masks and cameras of the recipe."""
        return Degrader(sprites(self.recipe, self.request.masks), sample_settings(self.recipe))

    def samples(self, split: str, seed: int) -> TrainingSamples:
        """Return the stream of samples of a split."""
        return TrainingSamples(self.faces(split), self.degrader, seed)

    def parsing_samples(self, split: str) -> ParsingSamples:
        """Return the stream of labelled faces of a split."""
        source = self.request.parsing
        assert source is not None
        if split not in self._labelled:
            self._labelled[split] = self._in_turn(
                lambda: open_parsing_set(source, split, self.cache, self.progress)
            )
        return ParsingSamples(self._labelled[split], self.recipe.seed, augment=split == "train")

    @cached_property
    def features(self) -> FeatureExtractor | None:
        """The frozen features, where a term needs them."""
        if not self.recipe.loss.features:
            return None
        found = self._open_features()
        return None if found is None else found.to(self.fabric.device)

    def _open_features(self) -> FeatureExtractor | None:
        half = self.recipe.optimiser.precision == "bfloat16"
        return load_features(self.request.features or VGG16, half=half)

    @cached_property
    def identity(self) -> nn.Module | None:
        """The frozen identity network, where the identity term has a weight.

        It judges in the generator's arithmetic; its features are float32.
        """
        if not self.recipe.loss.identity:
            return None
        settings = self.recipe.identity
        network = IdentityNetwork(settings.widths, settings.blocks, settings.features)
        self._fill_identity(network)
        network.eval().requires_grad_(False).to(memory_format=torch.channels_last)
        half = self.recipe.optimiser.precision == "bfloat16"
        return Adapted(network, half).to(self.fabric.device)

    def _fill_identity(self, network: IdentityNetwork) -> None:
        fill(network, self.request.identity or self.product("identity"))

    def generator_arguments(self) -> dict[str, Any]:
        """Return what the generator is built from: `arguments_of`, and the data's landmark count.

        Raises:
            UsageError: The recipe names another number than the data has, or contradicts itself.

        """
        chosen = arguments_of(self.recipe)
        if self.recipe.generator.network != "jdsr" or not self.recipe.loss.prior:
            return chosen
        found = self.faces("train").heat_points.shape[1]
        if chosen.setdefault("landmarks", found) != found:
            raise UsageError(
                f"the recipe's generator has {chosen['landmarks']} landmarks, the faces {found}",
                where=f"recipe {self.recipe.name}",
                hint="Leave generator.arguments.landmarks out, or choose other --landmarks",
            )
        return chosen

    def generator(self) -> nn.Module:
        """Build the generator with the weights that the recipe's seed draws.

        Raises:
            UsageError: Its input is not what the recipe's scale makes.

        """
        torch.manual_seed(self.recipe.seed)
        network = build(self.recipe.generator.network, self.generator_arguments())
        self._check_size(network)
        return network

    def start(self, generator: nn.Module) -> None:
        """Give the generator what the warm-up learnt, or the weights that were named."""
        if self.request.init is not None:
            self.progress.note(start_from(generator, load_state(self.request.init)))
        elif "denoise" in self.recipe.stages and isinstance(generator, JDSRGenerator):
            fill(generator.denoiser, self.product("denoise"))

    def deviations(self) -> tuple[str, ...]:
        """In what this run differs from the paper, for runs of the paper's network."""
        found = [f"no {stage} stage: {why}" for stage, why in self.left_out.items()]
        if self.recipe.generator.network != "jdsr":
            return tuple(found)
        if self.features is not None and self.features.deviation:
            found.append(self.features.deviation)
        if self.recipe.loss.prior:
            faces = self.faces("train")
            count = faces.heat_points.shape[1]
            if count != PAPER_LANDMARKS:
                found.append(f"{count} landmarks instead of the {PAPER_LANDMARKS} of SeetaFace")
            if faces.parsing is None:
                found.append("no parsing labels: the parsing half of eq. 14 is idle")
        if self.recipe.generator.arguments.get("grid") == "lr":
            found.append("the denoiser works on the low-resolution grid")
        seen = self.recipe.optimiser.steps * self.recipe.optimiser.batch
        if seen < PARENT_FACES:
            found.append(f"scheduled for {seen:,} faces instead of about {PARENT_FACES:,}")
        if self.request.init is not None:
            found.append(f"started from {Path(self.request.init).stem}")
        elif "denoise" in self.recipe.stages:
            found.append("the denoiser is warmed up alone")
        return tuple(found)

    def described(self) -> str:
        """Say what the generator is trained on."""
        masks = "drawn masks"
        if self.request.masks is not None:
            masks += f" and {self.request.masks.name}"
        data = self.recipe.data
        return (
            f"{len(self.faces('train'))} faces of {self.request.data.name}; {masks}; "
            f"{data.degradation} degradation"
        )

    def product(self, stage: str) -> Path:
        """Where a stage leaves its weights."""
        out = self.request.run.out
        if stage == "joint":
            return weights_of(out, self.recipe)
        return out / stage / f"{stage}.safetensors"


def arguments_of(recipe: Recipe) -> dict[str, Any]:
    """Return what a recipe alone says of its generator.

    The paper's generator is told of a noise map that learns the mask's share. Where it learns the
    difference, as in the paper's own runs, the argument is left out, so that those keep theirs.

    Raises:
        UsageError: The recipe has the noise map read as something else than it learns.

    """
    chosen, learnt = dict(recipe.generator.arguments), recipe.data.noise_truth
    if recipe.generator.network != "jdsr":
        return chosen
    if chosen.get("noise", learnt) != learnt:
        raise UsageError(
            f"the noise map learns {learnt!r} and is read as {chosen['noise']!r}",
            where=f"recipe {recipe.name}",
            hint="Leave generator.arguments.noise out, data.noise_truth decides",
        )
    return chosen if learnt == "difference" else {**chosen, "noise": learnt}


def sprites(recipe: Recipe, templates: Path | None) -> list[Sprite]:
    """Masks of a recipe: drawn ones, and as many copies of the templates as weigh the same."""
    drawn = draw_sprites(recipe.data.drawn_masks, MASK_SEED)
    if templates is None:
        return drawn
    loaded = load_templates(templates)
    return drawn + loaded * max(1, round(len(drawn) / len(loaded)))


def sample_settings(recipe: Recipe) -> SampleSettings:
    """How a recipe makes samples of faces."""
    data = recipe.data
    return SampleSettings(
        lr_size=128 // recipe.generator.scale,
        degradation=data.degradation,
        masked=data.masked,
        camera=recipe.camera,
        occluded=data.occluded,
        lowered=data.lowered,
        canonical=data.canonical,
        priors=recipe.loss.prior > 0,
        heat_sigma=data.heat_sigma,
    )
