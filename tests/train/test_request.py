"""Conversion of the options of `jdsr train` to a request."""

from dataclasses import replace
from pathlib import Path

import pytest

from jdsr_cli.errors import UsageError
from jdsr_cli.settings import TrainSettings
from jdsr_train.request import VALIDATE_EVERY, make_request, without_option

SETTINGS = TrainSettings(data=Path("faces"), device="cpu")


def test_the_scale_selects_a_recipe_where_none_is_given() -> None:
    assert make_request(SETTINGS, 0.0).recipe.name == "lite_x4"
    assert make_request(replace(SETTINGS, scale=8), 0.0).recipe.name == "lite_x8"
    assert make_request(replace(SETTINGS, scale=8, recipe="lite_x8"), 0.0).recipe.name == "lite_x8"


@pytest.mark.parametrize(("recipe", "scale"), [("lite_x8", 4), ("lite_x4", 8)])
def test_a_scale_that_differs_from_the_recipe_is_an_error(recipe: str, scale: int) -> None:
    with pytest.raises(
        UsageError, match=f"recipe {recipe} enlarges .* times, not {scale}"
    ) as error:
        make_request(replace(SETTINGS, scale=scale, recipe=recipe), 0.0)
    assert error.value.where == "--scale"


def test_defaults_depend_on_recipe_and_deadline() -> None:
    request = make_request(SETTINGS, 0.0)
    assert request.run.out == Path("runs/lite_x4")
    assert request.run.validate_every == VALIDATE_EVERY
    assert request.deadline is None
    timed = make_request(replace(SETTINGS, deadline=60.0), 5.0)
    assert timed.run.validate_every is None
    assert timed.deadline is not None
    own = replace(SETTINGS, deadline=60.0, validate_every=7, out=Path("x"))
    assert make_request(own, 5.0).run.validate_every == 7
    assert make_request(own, 5.0).run.out == Path("x")


def test_steps_replace_those_of_the_recipe() -> None:
    assert make_request(replace(SETTINGS, steps=3), 0.0).recipe.optimiser.steps == 3


def test_an_option_is_removed_from_a_command_line() -> None:
    words = ["train", "--processes", "2", "--data", "x", "--processes=3", "--processes-x"]
    assert without_option("--processes", words) == ["train", "--data", "x", "--processes-x"]
