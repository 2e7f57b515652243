"""FSRNet: its published size, its range, its prior, and the losses that apply to it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from network_counts import gmac, parameters
from torch import Tensor, nn

from jdsr_cli.errors import UsageError
from jdsr_cli.networks.layers import enlarge
from jdsr_train import losses
from jdsr_train.baselines.fsrnet import FSRNet, FSRNetConfig, NormalisedBlock

TINY: dict[str, Any] = {
    "lr_size": 16,
    "landmarks": 5,
    "width": 4,
    "coarse_blocks": 1,
    "encoder_blocks": 1,
    "decoder_blocks": 1,
    "prior_width": 8,
    "prior_blocks": 1,
    "hourglasses": 1,
    "depth": 1,
}


def tiny(**changes: Any) -> FSRNet:
    torch.manual_seed(0)
    return FSRNet(FSRNetConfig(**{**TINY, **changes})).eval()


def faces(side: int = 16) -> Tensor:
    return torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("config", "count", "cost"),
    [
        (FSRNetConfig(), 3_253_404, 15.237),
        (FSRNetConfig(lr_size=16), 3_253_404, 15.237),
        (FSRNetConfig(decoded="features"), 3_274_140, 15.322),
        (FSRNetConfig(decoded="features", prior_width=256, depth=4), 9_775_644, 26.141),
        # A landmark has 129 parameters in its head and 576 in the decoder, at 64x64.
        (FSRNetConfig(landmarks=68), 3_253_404 - 13 * (129 + 576), 15.199),
    ],
    ids=["x4", "x8", "features", "wider", "68-landmarks"],
)
def test_parameters_and_multiply_adds_of_fsrnet(
    config: FSRNetConfig, count: int, cost: float
) -> None:
    with torch.device("meta"):
        network = FSRNet(config)
    assert parameters(network) == count
    assert round(gmac(network, 3, config.lr_size), 3) == cost


@torch.no_grad()
def test_fsrnet_returns_its_coarse_face_and_its_prior() -> None:
    output = tiny()(faces())
    assert output.restored.shape == output.coarse.shape == (2, 3, 128, 128)
    assert output.landmarks.shape == (2, 5, 64, 64)
    assert output.parsing.shape == (2, 11, 64, 64)
    assert 0 < output.landmarks.min() <= output.landmarks.max() < 1
    assert output.parsing.min() < 0 < output.parsing.max()
    assert torch.equal(output.denoised, faces())
    assert output.noise_map.abs().max() == output.occlusion.max() == 0


@torch.no_grad()
def test_the_coarse_network_takes_the_bicubic_enlargement_from_minus_one_to_one() -> None:
    network, received = tiny(), []
    network.coarse.register_forward_pre_hook(lambda _, inputs: received.append(inputs[0]))
    network(faces())
    torch.testing.assert_close(received[0], 2 * enlarge(faces(), 128) - 1)


@pytest.mark.parametrize("part", ["coarse", "decoder"])
@torch.no_grad()
def test_pictures_are_limited_to_black_and_white(part: str) -> None:
    network = tiny()
    network.get_submodule(part)[-1].weight.mul_(1e8)
    output = network(faces())
    picture = output.coarse if part == "coarse" else output.restored
    assert picture.min() == 0
    assert picture.max() == 1


@torch.no_grad()
def test_encoder_and_prior_take_the_coarse_face() -> None:
    network, received = tiny(), []
    for part in (network.encoder, network.prior):
        part.register_forward_pre_hook(lambda _, inputs: received.append(inputs[0]))
    coarse = network(faces()).coarse
    assert len(received) == 2
    for picture in received:
        torch.testing.assert_close(picture, 2 * coarse - 1)


@torch.no_grad()
def test_the_decoder_takes_the_maps() -> None:
    network, received, encoded = tiny(), [], []
    network.decoder.register_forward_pre_hook(lambda _, inputs: received.append(inputs[0]))
    network.encoder.register_forward_hook(lambda *call: encoded.append(call[2]))
    output = network(faces())
    features, landmarks, parsing = received[0].split([4, 5, 11], dim=1)
    assert torch.equal(features, encoded[0])
    assert torch.equal(landmarks, output.landmarks)
    assert torch.equal(parsing, output.parsing.softmax(1))


@torch.no_grad()
def test_the_decoder_can_take_the_features_of_the_prior() -> None:
    network, received, prior = tiny(decoded="features"), [], []
    network.decoder.register_forward_pre_hook(lambda _, inputs: received.append(inputs[0]))
    network.prior.register_forward_hook(lambda *call: prior.append(call[2]))
    network(faces())
    assert torch.equal(received[0][:, 4:], prior[0])


@torch.no_grad()
def test_borders_of_residual_blocks_are_continued_by_reflection() -> None:
    """Zeros around a flat picture would show at its border."""
    block = NormalisedBlock(2).eval()
    result = block(torch.ones(1, 2, 6, 6))
    torch.testing.assert_close(result, result[..., :1, :1].expand_as(result))
    assert not torch.equal(result, torch.ones_like(result))


def test_the_losses_of_the_prior_apply_to_fsrnet() -> None:
    network = tiny().train()
    output = network(faces())
    truth = torch.rand(2, 5, 64, 64)
    labels = torch.randint(0, 11, (2, 64, 64))
    sum(
        [
            losses.squared_loss(output.coarse, torch.rand(2, 3, 128, 128)),
            losses.landmark_loss(output.landmarks, truth),
            losses.parsing_loss(output.parsing, labels),
        ]
    ).backward()
    for head in (network.landmarks, network.parsing, network.coarse[-1]):
        assert head.weight.grad.abs().max() > 0


def test_initial_weights_of_fsrnet_have_the_published_deviation() -> None:
    torch.manual_seed(0)
    network = FSRNet()
    assert network.encoder[0].weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert network.decoder[3].weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert network.landmarks.weight.std().item() == pytest.approx(0.002, rel=0.05)
    assert network.landmarks.bias.abs().max() == 0
    scales = [part.weight for part in network.modules() if isinstance(part, nn.BatchNorm2d)]
    assert torch.cat(scales).std().item() == pytest.approx(0.02, rel=0.05)
    assert torch.cat(scales).mean().item() == pytest.approx(1.0, abs=0.005)


@torch.no_grad()
def test_untrained_maps_of_fsrnet_are_not_saturated() -> None:
    torch.manual_seed(0)
    changes = {"width": 16, "prior_width": 64, "hourglasses": 2, "depth": 3}
    output = tiny(**changes).train()(faces())
    assert output.parsing.abs().max() < 10
    assert 0.001 < output.landmarks.min() < output.landmarks.max() < 0.999


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lr_size": 64}, "lr_size is 64, it can be 16 or 32"),
        ({"landmarks": 0}, "at least 1"),
        ({"encoder_blocks": 0}, "at least 1"),
        ({"prior_width": 1}, "prior_width is 1"),
        ({"depth": 7}, "depth is 7.*6 times"),
        ({"decoded": "both"}, "decoded is 'both'.*'maps' or 'features'"),
    ],
)
def test_impossible_shapes_of_fsrnet_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        FSRNetConfig(**arguments)


@torch.no_grad()
def test_the_deepest_hourglass_reaches_a_single_pixel() -> None:
    assert tiny(depth=6)(faces()).landmarks.shape == (2, 5, 64, 64)
