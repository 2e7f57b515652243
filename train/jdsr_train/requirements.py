"""Check at the start of a run that everything its stages need is available."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from jdsr_cli.datasets.sources import data_kind
from jdsr_cli.errors import InputMissingError, UsageError
from jdsr_cli.networks import JDSRGenerator, build
from jdsr_train.auxiliary import build_auxiliary_models
from jdsr_train.chained_weights import SUPER_RESOLVERS
from jdsr_train.components import (
    PRIOR_NETWORKS,
    TrainingComponents,
    check_input_size,
    identity_network,
    recipe_arguments,
)
from jdsr_train.recipe import STAGES
from jdsr_train.request import OWN_PARSER
from jdsr_train.resources import identity_state, initial_tensors

DENOISING_TERMS = (
    "asymmetric", "total_variation", "style_lr", "perceptual_lr", "pixel_lr", "smooth_lr",
    "squared_lr", "occlusion",
)  # fmt: skip
"""Terms of the denoised face, the noise map and the occlusion map. They are constant for networks
that enlarge bare faces, which return their input as the denoised face."""


def check_requirements(components: TrainingComponents, stages: Sequence[str]) -> None:
    """Check what the stages of a run need.

    Raises:
        UsageError: Options are missing, unused or contradictory; all of them in one message.
        InputMissingError: A file or folder does not exist.
        WeightsError: Frozen features cannot be read.

    """
    request, recipe = components.request, components.recipe
    faults = [
        *_option_faults(components, stages),
        *_loss_faults(components, stages),
        *_stage_faults(components, stages),
        *_batch_faults(components, stages),
    ]
    if request.minutes is not None and "joint" not in stages:
        faults.append("--minutes is for the joint stage, which is not requested")
    if recipe.data.drawn_masks == 0 and recipe.data.masked > 0 and request.masks is None:
        faults.append("data.drawn_masks = 0 needs mask templates (--masks)")
    if faults:
        raise UsageError("; ".join(faults), where=f"recipe {recipe.name} in {request.run.out}")
    for path in (request.data, request.parsing, request.masks, request.identity):
        if path is not None and not path.exists():
            raise InputMissingError("no such file or folder", where=path)
    _check_networks(components, stages)
    if {"denoise", "joint"} & set(stages):
        _ = components.features


def check_given_weights(components: TrainingComponents, stages: Sequence[str]) -> None:
    """Check that the networks of `--init` and `--identity` fit those that the stages train.

    Raises:
        UsageError: There are no such weights.
        WeightsError: They cannot be read, or do not fit.

    """
    request, recipe = components.request, components.recipe
    if "joint" not in stages:
        return
    with torch.device("meta"):
        network = build(recipe.generator.network, recipe_arguments(recipe))
        identity = identity_network(recipe)
    if request.identity is not None and recipe.loss.recognition:
        identity_state(identity, request)
    if request.init is not None:
        initial_tensors(network, request)


def _option_faults(components: TrainingComponents, stages: Sequence[str]) -> Iterator[str]:
    """Find options that are missing, and options that nothing uses."""
    request, weights = components.request, components.recipe.loss
    masked = components.recipe.data.masked > 0
    if "parser" in stages and request.parsing is None:
        yield "the parser stage needs labelled faces (--parsing)"
    for option, given, used in (
        ("--masks", request.masks is not None, masked),
        ("--landmarks", request.landmarks != "five", weights.prior > 0 or masked),
        ("--features", request.features is not None, weights.features),
        ("--parsing", request.parsing is not None, weights.parsing),
        ("--labels", request.labels != OWN_PARSER, weights.parsing),
        ("--identity", request.identity is not None, weights.recognition),
    ):
        if given and not used:
            yield f"nothing in the recipe uses {option}, leave it out"
    if request.init is not None and "joint" not in stages:
        yield "--init is for the joint stage, which is not requested"


def _loss_faults(components: TrainingComponents, stages: Sequence[str]) -> Iterator[str]:
    """Find terms that the network or the data make constant, and landmarks it cannot use."""
    network, weights = components.recipe.generator.network, components.recipe.loss
    if "joint" not in stages:
        return
    for term, weight, networks in (
        ("dual", weights.dual, ("drn",)),
        ("steps_hr", weights.steps_hr, ("srfbn", "drn", "dic")),
        ("coarse", weights.coarse, ("jdsr", "fsrnet")),
        ("prior", weights.prior, PRIOR_NETWORKS),
    ):
        if weight and network not in networks:
            yield f"loss.{term} belongs to {', '.join(networks)}, not to the network {network}"
    if network in SUPER_RESOLVERS:
        for term in DENOISING_TERMS:
            if getattr(weights, term):
                yield f"loss.{term} has no effect: the network {network} does not remove masks"
    if components.recipe.data.masked == 0:
        covered = components.recipe.critic.sees == "covered" and weights.adversarial
        for name, value in (
            ("loss.perceptual_covered", weights.perceptual_covered),
            ('critic.sees = "covered"', covered),
        ):
            if value:
                yield f"{name} has no effect: data.masked = 0"
    if network == "dic" and weights.parsing:
        yield "loss.prior_parsing has no effect: the network dic has landmarks alone"
    if network == "dic" and weights.prior and _has_five_points(components):
        yield "the network dic needs 68 landmarks (--landmarks fan, or an ONNX network)"


def _has_five_points(components: TrainingComponents) -> bool:
    """Return whether the faces have five landmarks for certain, before they are prepared."""
    request = components.request
    if request.landmarks != "five" or not request.data.exists():
        return False
    return data_kind(request.data) in ("celeba", "pictures")


def _stage_faults(components: TrainingComponents, stages: Sequence[str]) -> Iterator[str]:
    """Find weights of earlier stages that the joint stage needs and that do not exist."""
    request, recipe = components.request, components.recipe
    for earlier, needed, otherwise in (
        (
            "identity",
            recipe.loss.recognition and request.identity is None,
            "loss.identity and loss.super_identity = 0",
        ),
        ("denoise", "denoise" in recipe.stages and request.init is None, 'stages = ["joint"]'),
    ):
        path = components.weights_path(earlier)
        if "joint" in stages and needed and earlier not in stages and not path.exists():
            yield (f"the joint stage needs {path}: run --stage {earlier} first, or set {otherwise}")


def _batch_faults(components: TrainingComponents, stages: Sequence[str]) -> Iterator[str]:
    world = components.fabric.world_size
    for stage in stages:
        batch = components.recipe.steps(stage).batch if stage in STAGES else world
        if batch % world:
            yield f"{stage}: {world} processes cannot share {batch} faces equally"


def _check_networks(components: TrainingComponents, stages: Sequence[str]) -> None:
    """Build the networks that the stages train, without their weights."""
    recipe = components.recipe
    with torch.device("meta"):
        if "identity" in stages or (recipe.loss.recognition and "joint" in stages):
            identity_network(recipe)
        if not {"denoise", "joint"} & set(stages):
            return
        if "joint" in stages:
            build_auxiliary_models(recipe)
        network = build(recipe.generator.network, recipe_arguments(recipe))
    check_input_size(recipe, network)
    if "denoise" in stages and not isinstance(network, JDSRGenerator):
        raise UsageError(
            f"network {recipe.generator.network!r} has no separate denoiser to train",
            where=f"recipe {recipe.name}",
            hint='Leave "denoise" out of its stages',
        )
    _ = components.degrader
