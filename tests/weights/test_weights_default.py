"""Which generator `auto` stands for."""

from __future__ import annotations

import pytest
from weights_home import Home

from jdsr_cli.errors import WeightsMissingError
from jdsr_cli.weights import default_weights


def test_a_cpu_takes_the_light_generator(home: Home) -> None:
    home.add("lite-camera")
    home.add("camera")
    chosen = default_weights("cpu")
    assert chosen.name == "lite-camera"
    assert "on cpu" in chosen.reason


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_gpu_takes_the_papers_generator_where_it_is(home: Home, device: str) -> None:
    home.add("lite-camera")
    path = home.add("camera")
    assert default_weights(device).name == "camera"
    path.unlink()
    chosen = default_weights(device)
    assert chosen.name == "lite-camera"
    assert "jdsr weights fetch camera" in chosen.reason


def test_a_gpu_says_that_nothing_better_is_listed(home: Home) -> None:
    home.add("lite-camera")
    chosen = default_weights("cuda")
    assert chosen.name == "lite-camera"
    assert "no weights called camera" in chosen.reason


def test_a_gpu_without_any_manifest_is_told(home: Home) -> None:
    with pytest.raises(WeightsMissingError):
        default_weights("cuda")
