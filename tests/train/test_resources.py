"""Starting a run from the weights of another network."""

import pytest
import torch
from tiny_generator import tiny_arguments

from jdsr_cli.errors import WeightsError
from jdsr_cli.networks import build
from jdsr_train.resources import load_matching_tensors


def test_training_starts_from_the_matching_tensors() -> None:
    network = build("lite", tiny_arguments(16))
    initial = {name: value.clone() for name, value in network.state_dict().items()}
    weights = {name: torch.full_like(value, 0.5).half() for name, value in initial.items()}
    weights["stem.weight"] = torch.zeros(1)
    weights["unknown"] = torch.zeros(3)
    note = load_matching_tensors(network, weights)
    assert note == f"started from given weights: {len(initial) - 1} of {len(initial)} tensors fit"
    assert float(network.get_parameter("head.weight").detach().min()) == 0.5
    assert network.get_parameter("head.weight").dtype == torch.float32
    assert torch.equal(network.get_parameter("stem.weight"), initial["stem.weight"])
    with pytest.raises(WeightsError, match="no tensor of the starting weights fits"):
        load_matching_tensors(network, {"unknown": torch.zeros(3)})
