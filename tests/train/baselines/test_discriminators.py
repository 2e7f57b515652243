"""The discriminators of FSRGAN and DICGAN."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from network_counts import gmac, parameters
from torch import Tensor, nn

from jdsr_cli.errors import UsageError
from jdsr_train.baselines.discriminators import (
    LightCNNDiscriminator,
    MaxFeatureMap,
    PatchDiscriminator,
)


def tiny_patch() -> PatchDiscriminator:
    torch.manual_seed(0)
    return PatchDiscriminator((4, 4, 4, 4))


def tiny_light_cnn(size: int = 128) -> LightCNNDiscriminator:
    torch.manual_seed(0)
    return LightCNNDiscriminator((4, 4, 4, 4), features=4, size=size)


def faces(side: int = 128, count: int = 3) -> Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("module", "count", "cost"),
    [(PatchDiscriminator, 4_693_697, 1.539), (LightCNNDiscriminator, 5_485_921, 1.055)],
)
def test_parameters_and_multiply_adds_of_discriminators(
    module: type[nn.Module], count: int, cost: float
) -> None:
    with torch.device("meta"):
        network = module()
    assert parameters(network) == count
    assert round(gmac(network, 3, 128), 3) == cost


@pytest.mark.parametrize(("create", "shape"), [(tiny_patch, (3, 1, 8, 8)), (tiny_light_cnn, (3,))])
def test_logits_are_float32_also_in_half_precision_and_not_limited(
    create: Callable[[], nn.Module], shape: tuple[int, ...]
) -> None:
    network = create().eval()
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        logits = network(faces())
    assert logits.shape == shape
    assert logits.dtype == torch.float32
    last = network.body[-1] if create is tiny_patch else network.head[-1]
    nn.init.constant_(last.bias, 30.0)
    with torch.no_grad():
        assert network(faces()).max() > 20


@pytest.mark.parametrize("create", [tiny_patch, tiny_light_cnn])
def test_gradients_reach_the_faces_and_every_weight(create: Callable[[], nn.Module]) -> None:
    network, images = create().train(), faces().requires_grad_()
    network(images).square().sum().backward()
    assert images.grad is not None
    assert images.grad.abs().max() > 0
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        if not name.endswith("bias"):  # batch normalisation cancels a bias before it
            assert parameter.grad.abs().max() > 0, name


@torch.no_grad()
def test_a_patch_is_judged_by_the_pixels_around_it() -> None:
    network, images = tiny_patch().eval(), faces(count=1)
    changed = images.clone()
    changed[..., 120:, 120:] = 1 - changed[..., 120:, 120:]
    difference = (network(changed) - network(images))[0, 0].abs()
    assert difference[7, 7] > 0
    assert difference[:4, :4].max() == 0


@torch.no_grad()
def test_colours_in_the_patch_discriminator_are_from_minus_one_to_one() -> None:
    network, received = tiny_patch().eval(), []
    network.body.register_forward_pre_hook(lambda _, inputs: received.append(inputs[0]))
    network(torch.tensor([0.0, 0.5, 1.0])[:, None, None].expand(1, 3, 128, 128))
    assert received[0][0, :, 0, 0].tolist() == [-1, 0, 1]


def test_all_but_the_first_convolution_of_patches_are_normalised() -> None:
    kinds = [type(part).__name__ for part in tiny_patch().body]
    unit = ["Conv2d", "BatchNorm2d", "LeakyReLU"]
    assert kinds == ["Conv2d", "LeakyReLU", *unit * 7, "Conv2d"]


def test_a_maxout_layer_returns_the_larger_half_of_its_channels() -> None:
    layer = MaxFeatureMap(nn.Identity())
    assert layer(torch.tensor([[1.0, 5.0, 3.0, 4.0]])).tolist() == [[3.0, 5.0]]


@torch.no_grad()
def test_initial_features_of_light_cnn_keep_their_scale() -> None:
    torch.manual_seed(0)
    network, squares = LightCNNDiscriminator((32, 32, 32, 32), features=64, size=32), []
    for part in network.modules():
        if isinstance(part, MaxFeatureMap):
            part.register_forward_hook(lambda *call: squares.append(float((call[2] ** 2).mean())))
    network(faces(32, count=4))
    assert len(squares) == 10
    assert max(squares) < 5 * min(squares)


@pytest.mark.parametrize(
    ("create", "message"),
    [
        (lambda: PatchDiscriminator(()), "at least one width"),
        (lambda: LightCNNDiscriminator((4,)), r"widths \(4,\) cannot take images of 128 px"),
        (lambda: LightCNNDiscriminator((4, 4, 4), size=100), "100 px"),
    ],
)
def test_impossible_shapes_of_discriminators_are_refused(
    create: Callable[[], nn.Module], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        create()


def test_batches_of_the_patch_discriminator_are_normalised_separately() -> None:
    torch.manual_seed(0)
    network = PatchDiscriminator((4, 4))
    one, other = torch.rand(2, 3, 16, 16), 0.1 * torch.rand(2, 3, 16, 16)
    together = network(one, other)
    assert torch.equal(together, torch.cat([network(one), network(other)]))
    assert not torch.allclose(together, network(torch.cat([one, other])))
