"""DIC: its published size, and what passes between its steps."""

from __future__ import annotations

import pytest
import torch
from network_counts import gmac, parameters
from torch import Tensor, nn
from torch.nn import functional as F

from jdsr_cli.errors import UsageError
from jdsr_train.baselines.dic import DIC, AttentiveFusion, DICConfig
from jdsr_train.baselines.feedback_landmarks import component_maps

MEAN = torch.tensor([0.509, 0.424, 0.378])[:, None, None]
TINY = {
    "lr_size": 16,
    "features": 4,
    "groups": 2,
    "feedback_steps": 3,
    "fusion_blocks": 1,
    "prior_width": 8,
    "depth": 1,
}


def tiny(**changes: int) -> DIC:
    torch.manual_seed(0)
    return DIC(DICConfig(**{**TINY, **changes})).eval()


def faces(side: int = 16) -> Tensor:
    return torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(1))


def inputs_of(part: nn.Module) -> list[tuple[Tensor, ...]]:
    """Return a list to which the inputs of all later calls are added."""
    received: list[tuple[Tensor, ...]] = []
    part.register_forward_pre_hook(lambda _, inputs: received.append(inputs))
    return received


@pytest.mark.parametrize(
    ("config", "count", "cost"),
    [(DICConfig(), 17_389_434, 27.231), (DICConfig(lr_size=16), 21_803_849, 45.337)],
    ids=["x4", "x8"],
)
def test_parameters_and_multiply_adds_of_dic(config: DICConfig, count: int, cost: float) -> None:
    with torch.device("meta"):
        network = DIC(config)
    assert parameters(network) == count
    assert parameters(network.landmarks) == 11_999_172
    assert round(gmac(network, 3, config.lr_size), 3) == cost


@pytest.mark.parametrize("lr_size", [32, 16])
@torch.no_grad()
def test_every_step_has_a_face_and_its_landmarks(lr_size: int) -> None:
    output = tiny(lr_size=lr_size)(faces(lr_size))
    assert [step.shape for step in output.steps] == [(2, 3, 128, 128)] * 3
    assert [maps.shape for maps in output.landmark_steps] == [(2, 68, 32, 32)] * 3
    assert torch.equal(output.steps[-1], output.restored)
    assert torch.equal(output.landmark_steps[-1], output.landmarks)
    assert len({float(step.mean()) for step in output.steps}) == 3
    assert len({float(maps.mean()) for maps in output.landmark_steps}) == 3
    assert torch.equal(output.denoised, faces(lr_size))
    assert output.noise_map.abs().max() == output.occlusion.max() == 0


@torch.no_grad()
def test_faces_of_all_steps_are_differences_from_the_bilinear_enlargement() -> None:
    network = tiny()
    nn.init.zeros_(network.output.weight)
    nn.init.constant_(network.output.bias, 0.1)
    enlarged = F.interpolate(faces(), scale_factor=8, mode="bilinear", align_corners=False)
    for step in network(faces()).steps:
        torch.testing.assert_close(step, enlarged + 0.1)


@torch.no_grad()
def test_features_are_those_of_the_face_less_the_mean_of_celeba() -> None:
    network = tiny()
    received = inputs_of(network.enter)
    network(faces())
    torch.testing.assert_close(received[0][0], faces() - MEAN)


@torch.no_grad()
def test_later_steps_take_the_last_result_and_the_components_of_its_landmarks() -> None:
    network, results, features = tiny(), [], []
    for block in (network.first_block, network.block):
        block.register_forward_hook(lambda *call: results.append(call[2]))
    network.enter.register_forward_hook(lambda *call: features.append(call[2]))
    first, compressed = inputs_of(network.first_compress), inputs_of(network.compress)
    fused = inputs_of(network.fusion)
    output = network(faces())
    assert torch.equal(first[0][0], features[0])
    assert len(first) == 1
    assert len(compressed) == len(fused) == 2
    for step in (0, 1):
        before, components = compressed[step][0], fused[step][1]
        assert torch.equal(before, torch.cat([features[0], results[step]], dim=1))
        assert torch.equal(components, component_maps(output.landmark_steps[step]))


@torch.no_grad()
def test_landmarks_are_searched_in_the_face_of_the_step_with_the_last_features() -> None:
    network, returned = tiny(), []
    received = inputs_of(network.landmarks)
    network.landmarks.register_forward_hook(lambda *call: returned.append(call[2]))
    output = network(faces())
    assert len(received[0]) == 1
    for step in range(3):
        torch.testing.assert_close(received[step][0], output.steps[step] - MEAN)
        assert torch.equal(returned[step][0], output.landmark_steps[step])
    for step in (1, 2):
        assert torch.equal(received[step][1], returned[step - 1][1])


@torch.no_grad()
def test_more_steps_continue_the_same_iteration() -> None:
    few, many = tiny(feedback_steps=2)(faces()), tiny(feedback_steps=4)(faces())
    for step in (0, 1):
        assert torch.equal(many.steps[step], few.steps[step])
        assert torch.equal(many.landmark_steps[step], few.landmark_steps[step])


def test_the_pixel_loss_trains_the_landmark_network() -> None:
    """The published network does not detach the component maps."""
    network = tiny()
    network(faces()).restored.sum().backward()
    assert network.landmarks.output.weight.grad.abs().max() > 0


@torch.no_grad()
def test_each_pixel_takes_the_features_of_the_component_that_is_there() -> None:
    torch.manual_seed(0)
    fusion = AttentiveFusion(features=3, blocks=2)
    x = torch.randn(1, 3, 4, 4)
    components = torch.zeros(1, 5, 4, 4)
    for component in range(4):
        components[:, component, component] = 1e3
    fused = fusion(x, components)
    separate = fusion.body(x).view(1, 5, 3, 4, 4)
    for row in range(4):
        torch.testing.assert_close(fused[:, :, row], separate[:, row, :, row])
    torch.testing.assert_close(fusion(x, torch.zeros(1, 5, 4, 4)), separate.mean(1))


@torch.no_grad()
def test_features_of_components_do_not_mix() -> None:
    torch.manual_seed(0)
    blocks = AttentiveFusion(features=3, blocks=2).body[2:]
    x = torch.randn(1, 15, 4, 4)
    changed = x.clone()
    changed[:, 3:6] += 1
    difference = (blocks(changed) - blocks(x)).abs().amax(dim=(0, 2, 3)) > 0
    assert difference.tolist() == [3 <= channel < 6 for channel in range(15)]


@torch.no_grad()
def test_untrained_steps_neither_grow_nor_saturate() -> None:
    network = tiny(features=8, groups=6, fusion_blocks=7, prior_width=32, depth=4)
    output = network(faces())
    assert max(float(maps.abs().max()) for maps in output.landmark_steps) < 5
    assert max(float((step - output.steps[0]).abs().mean()) for step in output.steps) < 0.3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lr_size": 64}, "lr_size is 64, it can be 16 or 32"),
        ({"landmarks": 81}, "landmarks is 81, .*68 iBUG"),
        ({"groups": 0}, "at least 1"),
        ({"feedback_steps": 1}, "feedback_steps at least 2"),
        ({"prior_width": 20}, "prior_width is 20.*multiple of 8"),
        ({"depth": 6}, "depth is 6.*1 to 5 times"),
    ],
)
def test_impossible_shapes_of_dic_are_refused(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        DICConfig(**arguments)
