"""SRFBN: its published size, its range and its recurrence."""

from __future__ import annotations

import pytest
import torch
from network_counts import gmac, parameters
from torch import Tensor, nn
from torch.nn import functional as F

from jdsr_cli.errors import UsageError
from jdsr_train.baselines.srfbn import SRFBN, SRFBNConfig


def tiny(**changes: int) -> SRFBN:
    torch.manual_seed(0)
    shape = {"lr_size": 16, "features": 4, "groups": 2, "feedback_steps": 3, **changes}
    return SRFBN(SRFBNConfig(**shape)).eval()


def faces(side: int = 16) -> Tensor:
    return torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("config", "count", "cost"),
    [
        (SRFBNConfig(), 3_631_454, 19.934),
        (SRFBNConfig(lr_size=16), 7_891_294, 13.457),
        (SRFBNConfig(features=32, groups=3), 483_122, 2.321),
    ],
    ids=["x4", "x8", "small-x4"],
)
def test_parameters_and_multiply_adds_of_srfbn(
    config: SRFBNConfig, count: int, cost: float
) -> None:
    with torch.device("meta"):
        network = SRFBN(config)
    assert parameters(network) == count
    assert round(gmac(network, 3, config.lr_size), 3) == cost


@torch.no_grad()
def test_steps_are_differences_from_the_bilinear_enlargement() -> None:
    network = tiny()
    nn.init.zeros_(network.output.weight)
    nn.init.constant_(network.output.bias, 25.5)
    output = network(faces())
    enlarged = F.interpolate(faces(), scale_factor=8, mode="bilinear", align_corners=False)
    assert len(output.steps) == 3
    for step in output.steps:
        torch.testing.assert_close(step, enlarged + 0.1)


@torch.no_grad()
def test_pictures_inside_are_levels_less_the_mean() -> None:
    network, received = tiny(), []
    network.enter.register_forward_pre_hook(lambda _, inputs: received.append(inputs[0]))
    network(torch.tensor([1.0, 0.5, 0.0])[:, None, None].expand(1, 3, 16, 16))
    expected = torch.tensor([255 * (1 - 0.4488), 255 * (0.5 - 0.4371), -255 * 0.4040])
    torch.testing.assert_close(received[0][0, :, 3, 3], expected)


@torch.no_grad()
def test_the_first_step_takes_the_features_twice_and_later_ones_the_last_result() -> None:
    network, received, returned = tiny(), [], []
    network.compress.register_forward_pre_hook(lambda _, inputs: received.append(inputs[0]))
    network.block.register_forward_hook(lambda *call: returned.append(call[2]))
    network(faces())
    features = received[0][:, :4]
    assert torch.equal(received[0][:, 4:], features)
    for step in (1, 2):
        assert torch.equal(received[step][:, :4], features)
        assert torch.equal(received[step][:, 4:], returned[step - 1])


@torch.no_grad()
def test_more_steps_continue_the_same_recurrence() -> None:
    few, many = tiny(feedback_steps=2), tiny(feedback_steps=4)
    first = few(faces()).steps
    steps = many(faces()).steps
    assert torch.equal(steps[0], first[0])
    assert torch.equal(steps[1], first[1])
    assert not torch.equal(steps[3], steps[1])


@torch.no_grad()
def test_a_super_resolver_passes_its_input_on_as_denoised() -> None:
    output = tiny()(faces())
    assert torch.equal(output.denoised, faces())
    assert output.noise_map.abs().max() == output.occlusion.max() == 0


def test_weights_are_initially_he_normal_without_bias() -> None:
    torch.manual_seed(0)
    layer = SRFBN().compress[0]
    assert layer.bias.abs().max() == 0
    assert layer.weight.std().item() == pytest.approx((2 / 128) ** 0.5, rel=0.05)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"lr_size": 64}, "lr_size is 64, it can be 16 or 32"), ({"groups": 0}, "at least 1")],
)
def test_impossible_shapes_of_srfbn_are_refused(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        SRFBNConfig(**arguments)
