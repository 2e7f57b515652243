"""`lite`: within its budget, same interface, one trunk for every input size."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from jdsr_cli.errors import UsageError
from jdsr_cli.networks import LiteConfig, LiteGenerator
from jdsr_cli.networks.lite import unfold_state

TINY = {
    "widths": (16, 16),
    "encoder_blocks": (1, 1),
    "decoder_blocks": (1,),
    "tail_width": 16,
}
SIDES = [16, 32, 64, 128]
SHAPE = {"widths": (16, 16), "encoder_blocks": (1, 1), "decoder_blocks": (1,)}


def enlarge(grid: torch.Tensor, factor: int = 2) -> torch.Tensor:
    return F.interpolate(grid, scale_factor=factor, mode="bilinear", align_corners=False)


def tiny(side: int) -> LiteGenerator:
    torch.manual_seed(0)
    return LiteGenerator(LiteConfig(lr_size=side, **TINY))  # type: ignore[arg-type]


@pytest.mark.parametrize(("side", "budget"), [(16, 3.0), (32, 3.0), (64, 4.0), (128, 4.0)])
def test_multiply_adds_and_parameters_are_within_budget(side: int, budget: float) -> None:
    with torch.device("meta"):
        network = LiteGenerator(LiteConfig(lr_size=side)).eval()
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            output = network(torch.zeros(1, 3, side, side))
    assert counter.get_total_flops() / 2e9 <= budget
    assert sum(parameter.numel() for parameter in network.parameters()) <= 8_000_000
    assert output.restored.shape == (1, 3, 128, 128)


@pytest.mark.parametrize("side", SIDES)
def test_outputs_have_their_shapes_and_ranges(side: int) -> None:
    network = tiny(side).eval()
    assert network.lr_size == side
    with torch.no_grad():
        # The heads are initialised with zeros: randomise them.
        for layer in (network.head, network.to_image):
            layer.weight.normal_(std=0.5)
        output = network(torch.rand(2, 3, side, side))
    assert output.restored.shape == (2, 3, 128, 128)
    assert output.denoised.shape == output.noise_map.shape == (2, 3, side, side)
    assert output.occlusion.shape == (2, 1, side, side)
    assert output.coarse is None
    assert output.landmarks is None
    assert output.parsing is None
    assert output.noise_map.min() >= 0
    assert output.noise_map.std() > 0
    assert 0 <= output.occlusion.min() < output.occlusion.max() <= 1


@pytest.mark.parametrize("side", SIDES)
def test_an_untrained_network_enlarges_uncovered_pixels_by_bicubic(side: int) -> None:
    lr = torch.rand(1, 3, side, side)
    network = tiny(side).eval()
    with torch.no_grad():
        network.head.bias[6] = -30.0
        output = network(lr)
    expected = F.interpolate(lr, size=(128, 128), mode="bicubic", align_corners=False)
    assert torch.allclose(output.restored, expected, atol=1e-6)
    assert torch.allclose(output.denoised, lr, atol=1e-6)


@pytest.mark.parametrize("side", [64, 128])
def test_detail_of_covered_pixels_is_removed(side: int) -> None:
    network = tiny(side).eval()
    lr = torch.rand(1, 3, side, side)
    with torch.no_grad():
        network.head.bias[6] = 30.0
        covered = network(lr).denoised
        network.head.bias[6] = -30.0
        bare = network(lr).denoised
    fold = side // 32
    shown = enlarge(F.avg_pool2d(lr, fold), fold)
    assert torch.allclose(covered, shown, atol=1e-5)
    assert torch.allclose(bare, lr, atol=1e-5)


def test_sizes_share_a_trunk() -> None:
    states = {side: tiny(side).state_dict() for side in SIDES}
    assert {k: v.shape for k, v in states[16].items()} == {
        k: v.shape for k, v in states[32].items()
    }
    for side in (64, 128):
        shared = {
            k for k, v in states[side].items() if k in states[32] and v.shape == states[32][k].shape
        }
        own = {key.split(".")[0] for key in set(states[side]) - shared}
        assert own == {"stem", "fine_head", "detail"}


def test_outputs_are_float32_in_half_precision() -> None:
    network = tiny(32).eval()
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        output = network(torch.rand(1, 3, 32, 32))
    for name in ("restored", "denoised", "noise_map", "occlusion"):
        assert getattr(output, name).dtype == torch.float32, name


@pytest.mark.parametrize(
    "changes", [{"lr_size": 96}, {"encoder_blocks": (1,)}, {"decoder_blocks": (1, 1)}]
)
def test_invalid_configurations_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="lite"):
        LiteConfig(**{**TINY, **changes})  # type: ignore[arg-type]


def initialised_from(small: LiteGenerator, side: int, **changes: object) -> LiteGenerator:
    config = LiteConfig(**{"lr_size": side, **SHAPE, **changes})  # type: ignore[arg-type]
    large = LiteGenerator(config)
    large.load_state_dict(unfold_state(small.state_dict(), large))
    return large


def randomised(side: int, **changes: object) -> LiteGenerator:
    network = LiteGenerator(LiteConfig(**{"lr_size": side, **SHAPE, **changes}))  # type: ignore[arg-type]
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    return network


@pytest.mark.parametrize("factor", [2, 4])
def test_a_larger_generator_initialised_from_32_px_weights_is_equivalent(factor: int) -> None:
    small = randomised(32)
    large = initialised_from(small, 32 * factor, tail_blocks=2)
    lr = torch.rand(2, 3, 32, 32)
    spread = lr.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
    with torch.no_grad():
        expected, actual = small(lr), large(spread)
    logits = enlarge(expected.occlusion.logit(), factor)
    assert torch.allclose(actual.occlusion.logit(), logits, atol=1e-3)
    visible = (1 - actual.occlusion) * (spread - enlarge(lr, factor))
    assert torch.allclose(actual.denoised, enlarge(expected.denoised, factor) + visible, atol=1e-4)


def test_a_128_px_generator_initialised_from_64_px_weights_is_equivalent() -> None:
    small = randomised(64)
    large = initialised_from(small, 128)
    lr = torch.rand(2, 3, 64, 64)
    spread = lr.repeat_interleave(2, 2).repeat_interleave(2, 3)
    with torch.no_grad():
        expected, actual = small(lr), large(spread)
    for name in ("occlusion", "denoised"):
        target, reduced = getattr(expected, name), F.avg_pool2d(getattr(actual, name), 2)
        assert torch.allclose(reduced, target, atol=0.02), name
    # The tail adds the same at 64 px in both, except that the maps of the heads are smoother.
    added = expected.restored - F.interpolate(expected.denoised, size=128, mode="bicubic")
    assert torch.allclose(actual.restored - actual.denoised, added, atol=0.02)


def test_a_generator_can_be_initialised_from_one_with_more_blocks() -> None:
    deeper = LiteGenerator(LiteConfig(widths=(16, 16), encoder_blocks=(2, 1), decoder_blocks=(1,)))
    shallower = initialised_from(deeper, 64)
    copied = shallower.encoder[0][0].conv1.weight
    assert torch.equal(copied, deeper.encoder[0][0].conv1.weight)
