"""A training step contains no operation that synchronises with the GPU.

Which operations do so does not depend on the device, so that the CPU can be tested.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_generator import tiny_arguments
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torchvision.models import squeezenet1_1

from jdsr_cli.datasets.face_set import FaceSet
from jdsr_cli.datasets.samples import Degrader
from jdsr_cli.networks import build
from jdsr_cli.synthesis.mask_drawing import draw_sprites
from jdsr_train import recipe_files
from jdsr_train.auxiliary import build_auxiliary_models
from jdsr_train.components import sample_settings
from jdsr_train.data.samples import TrainingSamples
from jdsr_train.frozen_features import load_features
from jdsr_train.networks import IdentityNetwork
from jdsr_train.recipe import Recipe
from jdsr_train.request import RunSettings
from jdsr_train.stages import JointStage
from jdsr_train.training.trainer import Trainer

SYNCHRONISING = {
    "_local_scalar_dense", "equal", "is_nonzero", "masked_select", "nonzero", "nonzero_static",
    "_unique2", "unique_consecutive", "unique_dim",
}  # fmt: skip
"""Operations for whose result, or its shape, the host waits for the device."""
INDEXED = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index"}
"""Operations that synchronise if an index is boolean."""

CAMERA = {
    "generator": {"arguments": tiny_arguments(128)},
    "critic": {"widths": (4, 4, 4), "fold": 8},
}
PAPER = {
    "generator": {
        "arguments": {
            "hourglass_blocks": 1, "noise_width": 16, "denoiser_widths": [16, 16, 16],
            "width": 16, "prior_width": 16, "landmarks": 68,
        }
    },
    "critic": {"widths": (4, 4, 4), "fold": 8},
    "identity": {"widths": (4, 4, 8, 8), "blocks": (1, 1, 1, 1), "features": 16},
}  # fmt: skip


class SynchronisationError(Exception):
    """An operation that synchronises with a GPU."""


class NoSynchronisation(TorchDispatchMode):
    """Refuses synchronising operations."""

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        name = func.overloadpacket.__name__
        masked = name in INDEXED and any(
            isinstance(index, Tensor) and index.dtype in (torch.bool, torch.uint8)
            for index in args[1]
        )
        if name in SYNCHRONISING or masked:
            raise SynchronisationError(name)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    "operation",
    [
        lambda values: float(values[0]),
        lambda values: bool((values > 0).any()),
        lambda values: values[values > 0],
        lambda values: values.masked_select(values > 0),
        lambda values: torch.equal(values, values),
        lambda values: values.index_put_((values > 0,), values[:1]),
    ],
)
def test_synchronising_operations_are_detected(operation: Callable[[Tensor], object]) -> None:
    with pytest.raises(SynchronisationError), NoSynchronisation():
        operation(torch.tensor([1.0, -1.0]))


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("features") / "squeezenet.pth"
    torch.save(squeezenet1_1(weights=None).state_dict(), path)
    return path


def tiny(name: str, changes: Mapping[str, Mapping[str, Any]]) -> Recipe:
    """Return a recipe with tiny networks, all of its terms active from the start."""
    recipe = recipe_files.load(name)
    parts = {
        part: dataclasses.replace(getattr(recipe, part), **values)
        for part, values in changes.items()
    }
    loss = dataclasses.replace(
        recipe.loss, perceptual_from=0.0, identity_from=0.0, adversarial_from=0.0
    )
    optimiser = dataclasses.replace(recipe.optimiser, steps=4, batch=2, precision="float32")
    return dataclasses.replace(recipe, **parts, loss=loss, optimiser=optimiser)


@pytest.mark.parametrize("shares", [False, True])
@pytest.mark.parametrize(("name", "changes"), [("lite_camera", CAMERA), ("short_x4", PAPER)])
def test_a_training_step_does_not_synchronise(
    name: str,
    changes: Mapping[str, Mapping[str, Any]],
    shares: bool,
    features: Path,
    face_set: FaceSet,
    tmp_path: Path,
) -> None:
    recipe = tiny(name, changes)
    labels = np.random.default_rng(0).integers(0, 11, (len(face_set), 64, 64)).astype(np.uint8)
    samples = TrainingSamples(
        dataclasses.replace(face_set, parsing=labels),
        Degrader(draw_sprites(2, 1), sample_settings(recipe)),
        seed=0,
    )
    identity = None
    if recipe.loss.identity:
        options = recipe.identity
        identity = IdentityNetwork(options.widths, options.blocks, options.features).eval()
        identity.requires_grad_(False)
    stage = JointStage(
        recipe, build(recipe.generator.network, dict(recipe.generator.arguments)), samples,
        auxiliary=build_auxiliary_models(recipe), features=load_features(str(features)),
        identity=identity,
    )  # fmt: skip
    trainer = Trainer(stage, RunSettings(tmp_path, workers=0), {})
    first, second = stage.batches(0, 2, 0, 0, 1)
    with NoSynchronisation():
        terms = trainer.train_step(first)
        terms |= trainer.train_step(second, shares=shares)
    expected = {"critic_wasserstein", "critic_gradient_penalty", "adversarial", "pixel_hr"}
    expected |= (
        {"perceptual_covered", "occlusion", "jaw"}
        if name == "lite_camera"
        else {"perceptual_hr", "identity", "prior_parsing", "prior_landmarks", "style_lr"}
    )
    assert expected <= set(terms)
    assert ("share_adversarial" in terms) == shares
    assert all(torch.isfinite(value) for value in terms.values())
