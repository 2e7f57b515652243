"""The paper's generator at a small width."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from jdsr_cli.errors import UsageError
from jdsr_cli.networks import JDSRConfig, JDSRGenerator, occlusion_from_noise
from jdsr_cli.networks.denoiser import NoiseEstimator
from jdsr_cli.networks.layers import enlarge

TINY = {
    "landmarks": 5,
    "hourglass_blocks": 1,
    "noise_width": 16,
    "denoiser_widths": (16, 16, 16),
    "width": 16,
    "prior_width": 32,
}


def tiny(**changes: object) -> JDSRGenerator:
    torch.manual_seed(0)
    return JDSRGenerator(JDSRConfig(**{**TINY, **changes}))  # type: ignore[arg-type]


def faces(side: int, count: int = 2) -> Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("grid", ["hr", "lr"])
@pytest.mark.parametrize("side", [32, 16])
def test_the_output_has_every_field(grid: str, side: int) -> None:
    network = tiny(grid=grid, lr_size=side).eval()
    with torch.no_grad():
        output = network(faces(side))
    inner = 128 if grid == "hr" else side
    assert output.restored.shape == output.coarse.shape == (2, 3, 128, 128)
    assert output.denoised.shape == output.noise_map.shape == (2, 3, inner, inner)
    assert output.occlusion.shape == (2, 1, inner, inner)
    assert output.landmarks.shape == (2, 5, 64, 64)
    assert output.parsing.shape == (2, 11, 64, 64)
    tensors = [value for value in vars(output).values() if isinstance(value, Tensor)]
    assert len(tensors) == 7
    for value in tensors:
        assert value.dtype == torch.float32
        assert value.isfinite().all()
    assert output.noise_map.min() > 0
    assert 0 < output.landmarks.min() <= output.landmarks.max() < 1
    assert 0 <= output.occlusion.min() <= output.occlusion.max() <= 1


@pytest.mark.parametrize("grid", ["hr", "lr"])
def test_denoiser_adds_to_its_input(grid: str) -> None:
    network = tiny(grid=grid).eval()
    network.denoiser.output.weight.data.zero_()
    lr = faces(32)
    with torch.no_grad():
        output = network(lr)
    expected = enlarge(lr, 128) if grid == "hr" else lr
    assert torch.equal(output.denoised, expected)


@pytest.mark.parametrize("grid", ["hr", "lr"])
def test_super_resolver_receives_the_denoised_face(grid: str) -> None:
    network = tiny(grid=grid).eval()
    received: list[Tensor] = []
    network.super_resolver.register_forward_pre_hook(lambda _, inputs: received.append(inputs[0]))
    with torch.no_grad():
        output = network(faces(32))
    assert torch.equal(
        received[0], enlarge(output.denoised, 128) if grid == "lr" else output.denoised
    )


def test_prior_and_encoder_receive_the_coarse_face_and_the_decoder_the_maps() -> None:
    network = tiny().eval()
    received: dict[str, Tensor] = {}
    for name in ("prior", "encoder", "decoder"):
        part = network.super_resolver.get_submodule(name)
        part.register_forward_pre_hook(lambda _, x, name=name: received.update({name: x[0]}))
    with torch.no_grad():
        output = network(faces(32))
    assert torch.equal(received["prior"], output.coarse)
    assert torch.equal(received["encoder"], output.coarse)
    assert received["decoder"].shape[1] == 16 + 5 + 11
    assert torch.equal(received["decoder"][:, 16:21], output.landmarks)
    parts = received["decoder"][:, 21:]
    assert torch.equal(parts, output.parsing.softmax(dim=1))
    assert torch.allclose(parts.sum(dim=1), torch.ones(2, 64, 64), atol=1e-5)


def test_every_parameter_has_a_gradient_from_the_restored_face() -> None:
    network = tiny().train()
    network(faces(32)).restored.square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        # Batch normalisation cancels a constant bias before it, and the single hidden channel
        # of this narrow attention may be inactive.
        if not name.endswith("bias") and "squeeze" not in name and "excite" not in name:
            assert parameter.grad.abs().max() > 0, name


def test_untrained_heat_maps_are_not_saturated() -> None:
    network = tiny(hourglass_blocks=4, prior_width=64).train()
    with torch.no_grad():
        output = network(faces(32))
    assert output.parsing.abs().max() < 10
    assert 0.01 < output.landmarks.min() < output.landmarks.max() < 0.99


def test_half_precision_gives_float32_close_to_full() -> None:
    network = tiny().eval()
    with torch.no_grad():
        full = network(faces(32))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = network(faces(32))
    for name, value in vars(half).items():
        assert not isinstance(value, Tensor) or value.dtype == torch.float32, name
    assert not torch.equal(half.restored, full.restored)
    assert (half.denoised - full.denoised).abs().mean() < 0.02


def test_the_noise_map_always_has_a_gradient() -> None:
    estimator = NoiseEstimator(16)
    with torch.no_grad():
        estimator.output.weight.zero_()
        estimator.output.bias.fill_(-0.5)
    gamma = estimator(faces(16))
    gamma.sum().backward()
    assert gamma.min() > 0
    assert gamma.max() < 1e-4
    assert estimator.output.bias.grad is not None
    assert estimator.output.bias.grad.abs().min() > 0


def test_occlusion_is_computed_from_the_noise_map() -> None:
    noise = torch.zeros(1, 3, 1, 5)
    noise[0, 1, 0] = torch.tensor([0.0, 0.02, 0.07, 0.12, 0.9])
    occlusion = occlusion_from_noise(noise)
    assert occlusion.shape == (1, 1, 1, 5)
    assert torch.allclose(occlusion.flatten(), torch.tensor([0.0, 0.0, 0.5, 1.0, 1.0]), atol=1e-6)


def test_occlusion_of_an_alpha_map_is_its_probability() -> None:
    """At g = 0.3, 0.3 * 0.3 / (0.7 * 0.7 + 0.3 * 0.3); one half where both weights are equal."""
    level = torch.tensor([0.0, 0.3, 0.5, 0.7, 1.0, 1.4])
    noise = torch.stack([level - 0.1, level, level + 0.1])[None, :, None]  # the mean is used
    occlusion = occlusion_from_noise(noise, "alpha")
    assert occlusion.shape == (1, 1, 1, 6)
    expected = torch.tensor([0.0, 0.09 / 0.58, 0.3, 0.5, 1.0, 1.0])
    assert torch.allclose(occlusion.flatten(), expected, atol=1e-6)


@pytest.mark.parametrize("kind", ["difference", "alpha"])
def test_occlusion_is_computed_by_the_configured_kind_of_noise_map(kind: str) -> None:
    network = tiny(noise=kind).eval()
    with torch.no_grad():
        network.denoiser.noise.output.weight.mul_(4)  # untrained, its values are all small
        network.denoiser.noise.output.bias.fill_(0.1)
        output = network(faces(32))
    readings = {
        name: occlusion_from_noise(output.noise_map, name) for name in ("difference", "alpha")
    }
    assert (readings["difference"] - readings["alpha"]).abs().mean() > 0.1
    assert torch.equal(output.occlusion, readings[kind])


@pytest.mark.parametrize(
    "changes",
    [
        {"grid": "mid"},
        {"noise": "mask"},
        {"lr_size": 24},
        {"landmarks": 0},
        {"hourglass_blocks": 0},
        {"width": 8},
        {"denoiser_widths": (16, 16)},
    ],
)
def test_invalid_configurations_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="jdsr"):
        tiny(**changes)
