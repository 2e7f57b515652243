"""The landmark network of DIC and the maps of the face's components."""

from __future__ import annotations

import pytest
import torch

from jdsr_train.baselines.feedback_landmarks import (
    COMPONENTS,
    FeedbackHourglass,
    PlainBottleneck,
    component_maps,
)
from jdsr_train.data.labels import MIRROR_68


@pytest.mark.parametrize(
    ("landmark", "component"),
    [
        (0, "outline"),
        (16, "outline"),
        (26, "outline"),
        (27, "nose"),
        (35, "nose"),
        (36, "left eye"),
        (41, "left eye"),
        (42, "right eye"),
        (47, "right eye"),
        (48, "mouth"),
        (67, "mouth"),
    ],
)
def test_a_landmark_marks_its_component_only(landmark: int, component: str) -> None:
    maps = torch.zeros(1, 68, 8, 8)
    maps[0, landmark, 3, 5] = 0.4
    components = component_maps(maps)
    assert components.shape == (1, 5, 8, 8)
    assert components.nonzero().tolist() == [[0, list(COMPONENTS).index(component), 3, 5]]
    assert components.max() == 1


def test_every_landmark_belongs_to_one_component() -> None:
    indices = [index for points in COMPONENTS.values() for index in range(68)[points]]
    assert sorted(indices) == list(range(68))


def test_components_of_a_mirrored_face_are_those_of_the_other_side() -> None:
    mirrored = {
        name: {int(MIRROR_68[index]) for index in range(68)[points]}
        for name, points in COMPONENTS.items()
    }
    points = {name: set(range(68)[part]) for name, part in COMPONENTS.items()}
    assert mirrored["left eye"] == points["right eye"]
    assert all(mirrored[name] == points[name] for name in ("nose", "mouth", "outline"))


def test_heat_maps_have_equal_peaks_before_they_are_summed_but_empty_ones_stay_faint() -> None:
    maps = torch.zeros(2, 68, 8, 8)
    maps[0, 36, 1, 1], maps[0, 37, 2, 2] = 0.2, 2.0
    maps[0, 38, 3, 3] = 0.01  # below 0.05, a fifth of it is left
    maps[1, 36, 1, 1] = 0.9
    eye = component_maps(maps)[:, 0]
    assert eye[0, 1, 1] == eye[0, 2, 2] == eye[1, 1, 1] == 1
    assert float(eye[0, 3, 3]) == pytest.approx(0.2)


def test_landmarks_of_a_component_are_added() -> None:
    maps = torch.zeros(1, 68, 8, 8)
    maps[0, 48:68, 4, 4] = 0.5
    assert component_maps(maps)[0, 3, 4, 4] == 20


def test_the_first_step_takes_the_features_of_the_picture_twice() -> None:
    torch.manual_seed(0)
    network, received = FeedbackHourglass(width=8, landmarks=3, depth=1), []
    network.compress.register_forward_pre_hook(lambda _, inputs: received.append(inputs[0]))
    picture = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        maps, hidden = network(picture)
        network(picture, hidden)
    assert maps.shape == (1, 3, 8, 8)
    assert hidden.shape == (1, 8, 8, 8)
    features = received[0][:, :8]
    assert torch.equal(received[0][:, 8:], features)
    assert torch.equal(received[1], torch.cat([features, hidden], dim=1))


def test_maps_and_kept_features_are_different_halves_of_the_hourglass() -> None:
    torch.manual_seed(0)
    network, returned, received = FeedbackHourglass(width=8, landmarks=3, depth=1), [], []
    network.hourglass.register_forward_hook(lambda *call: returned.append(call[2]))
    network.head.register_forward_pre_hook(lambda _, inputs: received.append(inputs[0]))
    with torch.no_grad():
        _, hidden = network(torch.rand(1, 3, 32, 32))
    assert torch.equal(received[0], returned[0][:, :8])
    assert torch.equal(hidden, returned[0][:, 8:])


@pytest.mark.parametrize("inputs", [4, 8])
def test_a_plain_bottleneck_adds_to_its_input(inputs: int) -> None:
    block = PlainBottleneck(inputs, 8)
    torch.nn.init.zeros_(block.last.weight)
    torch.nn.init.zeros_(block.last.bias)
    x = torch.randn(1, inputs, 5, 7)
    assert torch.equal(block(x), x if inputs == 8 else block.skip(x))
