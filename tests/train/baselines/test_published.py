"""Published state dicts of SRFBN and DRN fit the modules here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from jdsr_cli.errors import UsageError, WeightsCorruptError
from jdsr_cli.networks import build
from jdsr_train.baselines.drn import DRN, DRNConfig
from jdsr_train.baselines.published import from_published, is_published, published_configuration
from jdsr_train.baselines.srfbn import SRFBN, SRFBNConfig
from jdsr_train.recipe_files import load as load_recipe
from jdsr_train.request import RunSettings, TrainRequest
from jdsr_train.resources import initial_tensors

MEAN = 255 * torch.tensor([0.4488, 0.4371, 0.4040])
NETWORKS = {"srfbn": SRFBN, "drn": DRN}
Shapes = Iterator[tuple[str, tuple[int, ...]]]


def layer(name: str, outputs: int, inputs: int, kernel: int, bias: bool = True) -> Shapes:
    yield f"{name}.weight", (outputs, inputs, kernel, kernel)
    if bias:
        yield f"{name}.bias", (outputs,)


def with_prelu(name: str, outputs: int, inputs: int, kernel: int) -> Shapes:
    yield from layer(f"{name}.0", outputs, inputs, kernel)
    yield f"{name}.1.weight", (1,)


def srfbn_shapes(kernel: int, features: int = 64, groups: int = 6) -> Shapes:
    """Yield names and shapes as in Paper99/SRFBN_CVPR19."""
    yield from layer("sub_mean", 3, 3, 1)
    yield from with_prelu("conv_in", 4 * features, 3, 3)
    yield from with_prelu("feat_in", features, 4 * features, 1)
    yield from with_prelu("block.compress_in", features, 2 * features, 1)
    for index in range(groups):
        yield from with_prelu(f"block.upBlocks.{index}", features, features, kernel)
        yield from with_prelu(f"block.downBlocks.{index}", features, features, kernel)
    for index in range(groups - 1):
        inputs = (index + 2) * features
        yield from with_prelu(f"block.uptranBlocks.{index}", features, inputs, 1)
        yield from with_prelu(f"block.downtranBlocks.{index}", features, inputs, 1)
    yield from with_prelu("block.compress_out", features, groups * features, 1)
    yield from with_prelu("out", features, features, kernel)
    yield from layer("conv_out.0", 3, features, 3)
    yield from layer("add_mean", 3, 3, 1)


def drn_shapes(octaves: int, blocks: int, features: int) -> Shapes:
    """Yield names and shapes as in guoyongcs/DRN."""
    yield from layer("sub_mean", 3, 3, 1)
    yield from layer("head", features, 3, 3)
    for index in range(octaves):
        width = features * 2**index
        yield from layer(f"down.{index}.dual_module.0.0", width, width, 3, bias=False)
        yield from layer(f"down.{index}.dual_module.1", 2 * width, width, 3, bias=False)
    widths = [features * 2**power for power in (octaves, *range(octaves, 0, -1))]
    outputs = [features * 2**power for power in range(octaves - 1, -1, -1)]
    for index in range(octaves):
        width, stage = widths[index], f"up_blocks.{index}"
        for block in range(blocks):
            body = f"{stage}.{block}.body"
            yield from layer(f"{body}.0", width, width, 3)
            yield from layer(f"{body}.2", width, width, 3)
            yield from layer(f"{body}.3.conv_du.0", width // 16, width, 1)
            yield from layer(f"{body}.3.conv_du.2", width, width // 16, 1)
        yield from layer(f"{stage}.{blocks}.0", 4 * width, width, 3)
        yield from layer(f"{stage}.{blocks + 1}", outputs[index], width, 1)
    for index, width in enumerate(widths):
        yield from layer(f"tail.{index}", 3, width, 3)
    yield from layer("add_mean", 3, 3, 1)


def empty(shapes: Shapes) -> dict[str, Tensor]:
    return {name: torch.empty(shape, device="meta") for name, shape in shapes}


def filled(shapes: Shapes) -> dict[str, Tensor]:
    """Return small random tensors, and the published constants of the shifts."""
    torch.manual_seed(0)
    state = {name: 0.1 * torch.randn(shape) for name, shape in shapes}
    for name, sign in (("sub_mean", -1), ("add_mean", 1)):
        state[f"{name}.weight"] = torch.eye(3)[:, :, None, None]
        state[f"{name}.bias"] = sign * MEAN
    return state


def load(name: str, state: dict[str, Tensor]) -> Any:
    network = NETWORKS[name](published_configuration(name, state)).eval()
    network.load_state_dict(from_published(name, state), strict=True)
    return network


def tiny_state(name: str) -> dict[str, Tensor]:
    return filled(srfbn_shapes(12, 4, 3) if name == "srfbn" else drn_shapes(3, 2, 4))


def faces() -> Tensor:
    return torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("name", "shapes", "config"),
    [
        ("srfbn", srfbn_shapes(8), SRFBNConfig()),
        ("srfbn", srfbn_shapes(12), SRFBNConfig(lr_size=16)),
        ("srfbn", srfbn_shapes(8, 32, 3), SRFBNConfig(features=32, groups=3)),
        ("drn", drn_shapes(2, 30, 16), DRNConfig(blocks=30, features=16)),
        ("drn", drn_shapes(2, 40, 20), DRNConfig(blocks=40, features=20)),
        ("drn", drn_shapes(3, 30, 8), DRNConfig(lr_size=16, blocks=30, features=8)),
        ("drn", drn_shapes(3, 36, 10), DRNConfig(lr_size=16, blocks=36, features=10)),
    ],
    ids=["srfbn-x4", "srfbn-x8", "srfbn-s-x4", "drn-s-x4", "drn-l-x4", "drn-s-x8", "drn-l-x8"],
)
def test_a_published_layout_fits_the_network(
    name: str, shapes: Shapes, config: SRFBNConfig | DRNConfig
) -> None:
    state = empty(shapes)
    assert published_configuration(name, state) == config
    with torch.device("meta"):
        network = NETWORKS[name](config)
    network.load_state_dict(from_published(name, state), strict=True)


@pytest.mark.parametrize(
    ("recipe", "shapes", "prefix"),
    [
        ("srfbn_x4", srfbn_shapes(8), ""),
        ("srfbn_x8", srfbn_shapes(12), "module."),
        ("drn_large_x4", drn_shapes(2, 40, 20), "module."),
    ],
    ids=["srfbn-x4", "srfbn-x8", "drn-l-x4"],
)
def test_every_tensor_of_a_published_file_fits_before_the_training(
    recipe: str, shapes: Shapes, prefix: str, tmp_path: Path
) -> None:
    state = filled(shapes)
    path = tmp_path / "published.pth"
    torch.save({"epoch": 1, "state_dict": {prefix + key: one for key, one in state.items()}}, path)
    request = TrainRequest(load_recipe(recipe), tmp_path, RunSettings(tmp_path), init=str(path))
    with torch.device("meta"):
        network = build(request.recipe.generator.network, request.recipe.generator.arguments)
    found = initial_tensors(network, request)
    assert set(found) == set(network.state_dict())
    assert {one.device.type for one in found.values()} == {"cpu"}


@pytest.mark.parametrize(("size", "blocks", "features"), [("S", 30, 16), ("L", 40, 20)])
def test_a_published_size_of_drn_has_the_same_shape(size: str, blocks: int, features: int) -> None:
    assert DRNConfig(size=size).shape == DRNConfig(blocks=blocks, features=features).shape  # type: ignore[arg-type]


@pytest.mark.parametrize("name", NETWORKS)
def test_values_and_constant_shifts_are_kept(name: str) -> None:
    state = tiny_state(name)
    converted = from_published(name, state)
    names = {
        "srfbn": [
            ("conv_in.0.weight", "enter.0.weight"),
            ("block.upBlocks.2.0.weight", "block.up.2.0.weight"),
            ("block.downBlocks.2.0.weight", "block.down.2.0.weight"),
            ("block.uptranBlocks.1.0.weight", "block.merge_coarse.1.0.weight"),
            ("block.downtranBlocks.1.0.weight", "block.merge_fine.1.0.weight"),
            ("out.1.weight", "expand.1.weight"),
        ],
        "drn": [
            ("head.bias", "enter.bias"),
            ("head.weight", "enter.weight"),
            ("tail.2.bias", "outputs.2.bias"),
            ("tail.2.weight", "outputs.2.weight"),
            ("up_blocks.1.0.body.0.weight", "stages.1.blocks.0.conv1.weight"),
            ("up_blocks.1.0.body.2.weight", "stages.1.blocks.0.conv2.weight"),
        ],
    }[name]
    for published, own in names:
        torch.testing.assert_close(converted[own], state[published], rtol=1e-6, atol=1e-7)
    assert load(name, state)(faces()).restored.isfinite().all()


@pytest.mark.parametrize("name", NETWORKS)
def test_the_prefix_of_parallel_training_is_removed(name: str) -> None:
    state = tiny_state(name)
    prefixed = {f"module.{key}": value for key, value in state.items()}
    converted, expected = from_published(name, prefixed), from_published(name, state)
    assert converted.keys() == expected.keys()
    assert all(torch.equal(converted[key], expected[key]) for key in expected)


@torch.no_grad()
def test_trained_output_shifts_of_drn_are_folded() -> None:
    state = tiny_state("drn")
    before = load("drn", state)(faces())
    matrix = torch.eye(3) + 0.1 * torch.randn(3, 3)
    offset = torch.tensor([1.0, -2.0, 3.0])
    state["add_mean.weight"] = matrix[:, :, None, None]
    state["add_mean.bias"] = MEAN + offset
    after = load("drn", state)(faces())
    for picture, shifted in zip(before.steps, after.steps, strict=True):
        bare = 255 * picture - MEAN[:, None, None]
        expected = torch.einsum("ij,bjhw->bihw", matrix, bare) + (MEAN + offset)[:, None, None]
        torch.testing.assert_close(255 * shifted, expected, rtol=1e-4, atol=1e-2)


@torch.no_grad()
def test_trained_input_shifts_of_drn_are_folded() -> None:
    """The first convolution gives what that of the published network gives, inside the border."""
    state = tiny_state("drn")
    matrix = torch.eye(3) + 0.1 * torch.randn(3, 3)
    state["sub_mean.weight"] = matrix[:, :, None, None]
    state["sub_mean.bias"] = torch.tensor([1.0, -2.0, 3.0]) - MEAN
    network, entered, given = load("drn", state), [], []
    network.enter.register_forward_hook(lambda _, inputs, result: entered.append(result))
    network.enter.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
    network(faces())
    levels = given[0] + MEAN[:, None, None]
    shifted = torch.nn.functional.conv2d(levels, state["sub_mean.weight"], state["sub_mean.bias"])
    expected = torch.nn.functional.conv2d(shifted, state["head.weight"], state["head.bias"])
    torch.testing.assert_close(entered[0][..., 1:-1, 1:-1], expected, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("key", ["sub_mean.weight", "add_mean.bias"])
def test_another_mean_of_srfbn_is_refused(key: str) -> None:
    state = tiny_state("srfbn")
    state[key] = state[key] / 255
    with pytest.raises(WeightsCorruptError, match=f"{key[:8]} does not shift by the mean"):
        from_published("srfbn", state)


@pytest.mark.parametrize("name", NETWORKS)
def test_unknown_tensors_are_named(name: str) -> None:
    state = {**tiny_state(name), "extra.weight": torch.zeros(1)}
    with pytest.raises(WeightsCorruptError, match=r"1 tensors are not of the .* 'extra\.weight'"):
        from_published(name, state)


@pytest.mark.parametrize(
    ("name", "key", "message"),
    [
        ("srfbn", "conv_out.0.bias", "1 tensors are missing, the first is 'output.bias'"),
        ("srfbn", "block.upBlocks.0.0.weight", "'block.up.0.0.weight' is missing"),
        ("srfbn", "sub_mean.bias", "'sub_mean.bias' is missing"),
        ("drn", "head.weight", "'enter.weight' is missing"),
        (
            "drn",
            "up_blocks.2.1.body.3.conv_du.0.bias",
            "'stages.2.blocks.1.attention.squeeze.bias'",
        ),
        ("drn", "add_mean.weight", "'add_mean.weight' is missing"),
    ],
)
def test_missing_tensors_are_named(name: str, key: str, message: str) -> None:
    state = tiny_state(name)
    del state[key]
    with pytest.raises(WeightsCorruptError, match=re.escape(message)):
        from_published(name, state)


@pytest.mark.parametrize(
    ("name", "key", "message"),
    [
        ("srfbn", "conv_out.0.weight", "'output.weight' is (3, 9, 1, 1), not (3, 4, 3, 3)"),
        ("drn", "tail.0.weight", "'outputs.0.weight' is (3, 9, 1, 1), not (3, 32, 3, 3)"),
        ("drn", "sub_mean.weight", "'sub_mean.weight' is (3, 9, 1, 1), not (3, 3, 1, 1)"),
    ],
)
def test_tensors_of_another_shape_are_refused(name: str, key: str, message: str) -> None:
    state = {**tiny_state(name), key: torch.zeros(3, 9, 1, 1)}
    with pytest.raises(WeightsCorruptError, match=re.escape(message)):
        from_published(name, state)


def test_other_factors_and_networks_are_refused() -> None:
    with pytest.raises(UsageError, match="enlarges by 2, it can be 4 or 8"):
        from_published("srfbn", empty(srfbn_shapes(6)))
    with pytest.raises(UsageError, match="enlarges by 2, it can be 4 or 8"):
        from_published("drn", empty(drn_shapes(1, 1, 16)))
    with pytest.raises(UsageError, match=r"no published layout of 'lite'.*srfbn, drn"):
        from_published("lite", {})


@pytest.mark.parametrize("name", ["srfbn", "drn"])
def test_published_layouts_are_recognised(name: str) -> None:
    shapes = {"srfbn": srfbn_shapes(8), "drn": drn_shapes(2, 30, 16)}[name]
    state = empty(shapes)
    assert is_published(name, state)
    assert is_published(name, {f"module.{key}": value for key, value in state.items()})
    assert not is_published(name, from_published(name, real(state)))
    assert not is_published("sicnn", state)


def real(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return zeros of the same shapes, with the constants of the mean shifts."""
    made = {name: torch.zeros(value.shape) for name, value in state.items()}
    for layer, sign in (("sub_mean", -1), ("add_mean", 1)):
        made[f"{layer}.weight"] = torch.eye(3).view(3, 3, 1, 1)
        made[f"{layer}.bias"] = sign * MEAN
    return made
