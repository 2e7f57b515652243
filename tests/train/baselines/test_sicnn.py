"""SICNN's hallucination network: its published size, its range and its dense blocks."""

from __future__ import annotations

import pytest
import torch
from network_counts import gmac, parameters
from torch import Tensor, nn

from jdsr_cli.errors import UsageError
from jdsr_train.baselines.sicnn import SICNN, DenseBlock, SICNNConfig


def tiny(**changes: int) -> SICNN:
    torch.manual_seed(0)
    shape = {"lr_size": 16, "width": 4, "growth": 2, "layers": 2, "tail_layers": 1, **changes}
    return SICNN(SICNNConfig(**shape)).eval()


def faces(side: int = 16) -> Tensor:
    return torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("config", "count", "cost"),
    [(SICNNConfig(), 3_079_382, 12.523), (SICNNConfig(lr_size=16), 5_114_590, 13.961)],
    ids=["x4", "x8"],
)
def test_parameters_and_multiply_adds_of_sicnn(
    config: SICNNConfig, count: int, cost: float
) -> None:
    with torch.device("meta"):
        network = SICNN(config)
    assert parameters(network) == count
    assert round(gmac(network, 3, config.lr_size), 3) == cost


@torch.no_grad()
def test_colours_inside_are_distances_from_the_middle_grey() -> None:
    network, received = tiny(), []
    network.body.register_forward_pre_hook(lambda _, inputs: received.append(inputs[0]))
    network(torch.tensor([1.0, 0.5, 0.0])[:, None, None].expand(1, 3, 16, 16))
    expected = torch.tensor([127.5 / 128, 0.0, -127.5 / 128])
    torch.testing.assert_close(received[0][0, :, 3, 3], expected)


@pytest.mark.parametrize(
    ("value", "restored"), [(50.0, 255.5 / 255), (-50.0, -0.5 / 255), (0.0, 0.5)]
)
@torch.no_grad()
def test_the_output_is_limited_to_half_a_level_beyond_black_and_white(
    value: float, restored: float
) -> None:
    network = tiny()
    nn.init.zeros_(network.output.weight)
    nn.init.constant_(network.output.bias, value)
    torch.testing.assert_close(
        network(faces()).restored, torch.full((2, 3, 128, 128), restored), atol=1e-6, rtol=0
    )


@torch.no_grad()
def test_each_layer_of_a_dense_block_takes_all_earlier_results() -> None:
    torch.manual_seed(0)
    block, received = DenseBlock(inputs=3, width=4, growth=2, layers=3), []
    for layer in block.layers:
        layer.register_forward_pre_hook(lambda _, inputs: received.append(inputs[0]))
    features = block(faces())
    assert features.shape == (2, 4 + 3 * 2, 16, 16)
    assert [one.shape[1] for one in received] == [4, 6, 8]
    for one in received:
        assert torch.equal(one, features[:, : one.shape[1]])


@pytest.mark.parametrize(("lr_size", "kernels"), [(32, [3, 5]), (16, [3, 5, 5])])
def test_a_transposed_convolution_doubles_the_side_in_each_stage(
    lr_size: int, kernels: list[int]
) -> None:
    layers = [part for part in tiny(lr_size=lr_size).modules()
              if isinstance(part, nn.ConvTranspose2d)]  # fmt: skip
    assert [layer.kernel_size for layer in layers] == [(kernel, kernel) for kernel in kernels]
    for layer in layers:
        assert layer(torch.zeros(1, layer.in_channels, 6, 6)).shape[-2:] == (12, 12)


@torch.no_grad()
def test_sicnn_passes_its_input_on_as_denoised() -> None:
    output = tiny()(faces())
    assert torch.equal(output.denoised, faces())
    assert output.noise_map.abs().max() == output.occlusion.max() == 0


def test_initial_weights_of_sicnn_are_he_normal_without_bias() -> None:
    torch.manual_seed(0)
    layer = SICNN().body[0].layers[5][0]
    assert layer.bias.abs().max() == 0
    assert layer.weight.std().item() == pytest.approx((2 / (224 * 9)) ** 0.5, rel=0.05)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lr_size": 64}, "lr_size is 64, it can be 16 or 32"),
        ({"layers": 0}, "at least 1"),
        ({"tail_layers": 0}, "at least 1"),
    ],
)
def test_impossible_shapes_of_sicnn_are_refused(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        SICNNConfig(**arguments)
