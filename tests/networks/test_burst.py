"""`burst`: one shot as the generator of single shots, any order, and what each shot contributes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from jdsr_cli.errors import UsageError
from jdsr_cli.networks import BurstConfig, BurstGenerator, LiteGenerator, build

TINY = {
    "widths": (16, 16),
    "encoder_blocks": (1, 1),
    "decoder_blocks": (1,),
    "tail_width": 16,
    "tail_blocks": 1,
    "weight_width": 8,
    "rank": 2,
}


def tiny(side: int = 64, *, trained: bool = True) -> BurstGenerator:
    """Return a network, with random values in place of the zeros of an untrained one."""
    torch.manual_seed(0)
    network = BurstGenerator(BurstConfig(lr_size=side, **TINY))  # type: ignore[arg-type]
    single = network.single
    with torch.no_grad():
        for layer in (single.head, single.fine_head, single.to_image):
            assert layer is not None
            layer.weight.normal_(std=0.05)
        if trained:
            for parameter in network.parameters():
                if parameter.requires_grad and not parameter.any():
                    parameter.normal_(std=0.1)
    return network.eval()


def shots_of(count: int, side: int = 64, faces: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(count)
    return torch.rand(faces, count, 3, side, side, generator=generator)


def maps_of(count: int, side: int = 64, faces: int = 2) -> Tensor:
    return torch.rand(faces, count, 1, side, side, generator=torch.Generator().manual_seed(9))


@pytest.mark.parametrize("side", [64, 128])
def test_one_shot_is_restored_exactly_as_by_the_single_generator(side: int) -> None:
    network, shots = tiny(side), shots_of(1, side)
    with torch.no_grad():
        expected = network.single(shots[:, 0])
        for given in (network(shots), network(shots[:, 0]), network(shots, maps_of(1, side))):
            for name in ("restored", "denoised", "noise_map", "occlusion"):
                assert torch.equal(getattr(given, name), getattr(expected, name))


@pytest.mark.parametrize("count", [2, 3, 8, 11])
def test_the_order_of_the_shots_does_not_matter(count: int) -> None:
    network, shots, maps = tiny(), shots_of(count), maps_of(count)
    weights = torch.rand(2, count) + 0.1
    order = torch.randperm(count, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        one = network(shots, maps, weights)
        other = network(shots[:, order], maps[:, order], weights[:, order])
    assert one.restored.shape == (2, 3, 128, 128)
    assert torch.allclose(one.restored, other.restored, atol=1e-5)
    assert torch.allclose(one.occlusion, other.occlusion, atol=1e-5)


@pytest.mark.parametrize("count", [2, 5, 8])
def test_an_untrained_network_restores_the_weighted_mean(count: int) -> None:
    network, shots = tiny(trained=False), shots_of(count)
    weights = torch.rand(2, count) + 0.1
    share = (weights / weights.sum(1, keepdim=True))[:, :, None, None, None]
    with torch.no_grad():
        given = network(shots, None, weights).restored
        expected = network.single((share * shots).sum(1)).restored
    assert torch.allclose(given, expected, atol=1e-5)


def test_equal_shots_are_not_the_same_as_one_for_a_trained_network() -> None:
    network, shots = tiny(), shots_of(1)
    with torch.no_grad():
        several = network(shots.expand(-1, 6, -1, -1, -1)).restored
        assert not torch.allclose(several, network(shots).restored, atol=1e-3)


@pytest.mark.parametrize("place", [(slice(0, 32), slice(0, 64)), (slice(20, 44), slice(10, 50))])
def test_what_a_mask_covers_comes_from_the_shots_without_it(place: tuple[slice, slice]) -> None:
    """A covered part has hardly any influence, whatever it shows."""
    network, shots, maps = tiny(), shots_of(4), torch.ones(2, 4, 1, 64, 64)
    maps[:, :3, :, *place] = 0.0
    changed = shots.clone()
    changed[:, :3, :, *place] = 1.0 - changed[:, :3, :, *place]
    with torch.no_grad():
        fused, _ = network._combine(shots, maps, None)
        other, _ = network._combine(changed, maps, None)
    inside = fused[..., place[0], place[1]]
    assert (inside - shots[:, 3, :, *place]).abs().max() < 0.15
    assert (fused - other).abs().max() < 0.15


def test_a_part_that_all_shots_cover_is_their_mean() -> None:
    network, shots = tiny(trained=False), shots_of(3)
    maps = torch.ones(2, 3, 1, 64, 64)
    maps[..., 30:, :] = 0.0
    with torch.no_grad():
        fused, _ = network._combine(shots, maps, None)
    assert torch.allclose(fused, shots.mean(1), atol=1e-5)


def test_only_parameters_of_its_own_are_trained() -> None:
    network = tiny()
    network.train()(shots_of(3), maps_of(3)).restored.square().mean().backward()
    for name, parameter in network.named_parameters():
        if name.startswith("single."):
            assert parameter.grad is None
        else:
            assert parameter.grad is not None, name
            assert parameter.grad.any(), name


def test_changes_are_a_fraction_of_the_single_generator() -> None:
    with torch.device("meta"):
        network = build("burst", {})
    assert isinstance(network, BurstGenerator)
    counts = {True: 0, False: 0}
    for name, parameter in network.named_parameters():
        counts[name.startswith("single.")] += parameter.numel()
    assert counts[False] < 0.2 * counts[True]
    assert isinstance(network.single, LiteGenerator)


def test_shots_do_not_exchange_pixels_between_faces() -> None:
    network, shots = tiny(), shots_of(4, faces=3)
    changed = shots.clone()
    changed[1] = 0.5
    with torch.no_grad():
        one, other = network(shots).restored, network(changed).restored
    assert torch.allclose(one[[0, 2]], other[[0, 2]], atol=1e-6)
    assert not torch.allclose(one[1], other[1], atol=1e-3)


@pytest.mark.parametrize(
    "arguments", [{"lr_size": 32}, {"lr_size": 16}, {"rank": 0}, {"weight_width": 0}]
)
def test_shapes_that_are_not_possible_are_refused(arguments: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        build("burst", arguments)
