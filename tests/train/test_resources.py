"""Starting a run from the weights of another network."""

from pathlib import Path

import pytest
import torch
from tiny_generator import tiny_arguments

from jdsr_cli.errors import WeightsCorruptError, WeightsError
from jdsr_cli.networks import build
from jdsr_train.networks import IdentityNetwork
from jdsr_train.recipe import GeneratorRecipe, Recipe
from jdsr_train.request import RunSettings, TrainRequest
from jdsr_train.resources import identity_state, initial_tensors, matching_tensors


def request_of(folder: Path, **options: object) -> TrainRequest:
    recipe = Recipe("tiny", generator=GeneratorRecipe("lite", tiny_arguments(16), scale=8))
    return TrainRequest(recipe, folder, RunSettings(folder / "out"), **options)  # type: ignore[arg-type]


def test_tensors_of_the_same_name_and_shape_match() -> None:
    network = build("lite", tiny_arguments(16))
    own = network.state_dict()
    weights = {name: torch.full_like(value, 0.5).half() for name, value in own.items()}
    weights["stem.weight"] = torch.zeros(1)
    weights["unknown"] = torch.zeros(3)
    matching = matching_tensors(network, weights)
    assert set(matching) == set(own) - {"stem.weight"}
    assert float(matching["head.weight"].min()) == 0.5
    assert matching["head.weight"].dtype == torch.float32


@pytest.mark.parametrize("wrapped", [False, True])
def test_files_of_other_trainings_are_read(tmp_path: Path, wrapped: bool) -> None:
    network = build("lite", tiny_arguments(16))
    state = network.state_dict()
    written = {"epoch": 3, "state_dict": state, "best": 28.5} if wrapped else state
    torch.save(written, tmp_path / "other.pth")
    found = initial_tensors(network, request_of(tmp_path, init=str(tmp_path / "other.pth")))
    assert set(found) == set(state)


def test_weights_of_which_nothing_fits_are_an_error(tmp_path: Path) -> None:
    torch.save({"unknown": torch.zeros(3)}, tmp_path / "other.pth")
    given = request_of(tmp_path, init=str(tmp_path / "other.pth"))
    with torch.device("meta"):
        network = build("lite", tiny_arguments(16))
    with pytest.raises(WeightsError, match=r"no tensor of .*other\.pth fits the network 'lite'"):
        initial_tensors(network, given)


def test_a_given_identity_network_of_another_shape_is_not_said_to_be_the_runs(
    tmp_path: Path,
) -> None:
    torch.save(IdentityNetwork((4,), (1,), 4).state_dict(), tmp_path / "identity.pth")
    with torch.device("meta"):
        network = IdentityNetwork((8,), (1,), 4)
    given = request_of(tmp_path, identity=tmp_path / "identity.pth")
    with pytest.raises(WeightsCorruptError, match="the weights of another network") as caught:
        identity_state(network, given)
    assert "--out" not in str(caught.value)
