"""Learning rates, shares of the gradient, and states of optimisers."""

import copy
import itertools
from typing import Any

import pytest
import torch
from torch import nn

from jdsr_train.recipe import OptimiserRecipe
from jdsr_train.training.monitoring import gradient_shares
from jdsr_train.training.stage import (
    SchedulePosition,
    WeightAverage,
    build_optimiser,
    learning_rate,
)


def by_steps(step: int, options: OptimiserRecipe) -> float:
    """Return the learning rate of a run whose schedule depends on steps only."""
    return learning_rate(SchedulePosition(step, step / options.steps), options)


def test_the_rate_warms_up_and_falls_to_a_hundredth() -> None:
    options = OptimiserRecipe(steps=110, warmup=10, rate=1.0)
    rates = [by_steps(step, options) for step in range(111)]
    assert rates[:10] == pytest.approx([0.1 * n for n in range(1, 11)])
    assert rates[10] == 1.0
    assert rates[60] == pytest.approx(0.505)
    assert rates[110] == pytest.approx(0.01)
    assert all(late <= early for early, late in itertools.pairwise(rates[10:]))
    assert by_steps(0, OptimiserRecipe(warmup=0, rate=1.0)) == 1.0


def test_a_constant_rate_falls_to_zero_at_the_end() -> None:
    options = OptimiserRecipe(steps=60, warmup=0, rate=1.0, schedule="constant", tail=1 / 6)
    rates = [by_steps(step, options) for step in range(61)]
    assert rates[:51] == pytest.approx([1.0] * 51)
    assert rates[55] == pytest.approx(0.5)
    assert rates[60] == 0


def test_shares_of_the_gradient_add_up_to_one() -> None:
    weight = nn.Parameter(torch.tensor([1.0, 2.0]))
    terms = {"one": 3 * weight[0], "other": weight[1], "fixed": torch.tensor(1.0)}
    shares = gradient_shares(terms, iter([weight]))
    assert {name: float(share) for name, share in shares.items()} == {
        "share_one": pytest.approx(0.75),
        "share_other": pytest.approx(0.25),
    }


@pytest.mark.parametrize("schedule", ["cosine", "constant"])
@pytest.mark.parametrize("taken", [3, 40, 1000])
def test_a_schedule_that_depends_on_time_reaches_its_end(schedule: str, taken: int) -> None:
    """The same shares of the schedule give the same rates for any number of steps."""
    options = OptimiserRecipe(steps=100_000, warmup=20, rate=1.0, schedule=schedule, tail=0.2)
    rates = [
        learning_rate(SchedulePosition(step, (step + 1) / taken), options) for step in range(taken)
    ]
    assert rates[-1] <= 0.01
    assert max(rates) <= 1.0
    assert all(late <= early for early, late in itertools.pairwise(rates[options.warmup :]))
    if taken > 2 * options.warmup:
        assert max(rates) > 0.9
    assert rates[0] == pytest.approx(0.05, rel=0.4)


@pytest.mark.parametrize("kind", ["adamw", "adam", "sgd"])
def test_states_of_unfused_optimisers_can_be_resumed(kind: str) -> None:
    """Checkpoints of CPUs were written without `fused`."""
    options = OptimiserRecipe(kind=kind, rate=0.1, betas=(0.9, 0.99), weight_decay=0.01)

    def one() -> tuple[nn.Parameter, Any]:
        weight = nn.Parameter(torch.linspace(-1, 1, 7))
        return weight, build_optimiser(iter([weight]), options)

    def step(weight: nn.Parameter, optimiser: Any, number: int) -> None:
        weight.grad = torch.cos(torch.arange(7.0) + number)
        optimiser.step()

    weight, optimiser = one()
    for group in optimiser.param_groups:
        group["fused"] = None
    for number in range(3):
        step(weight, optimiser, number)
    state = optimiser.state_dict()
    assert state["param_groups"][0]["fused"] is None
    other, resumed = one()
    with torch.no_grad():
        other.copy_(weight)
    resumed.load_state_dict(copy.deepcopy(state))
    assert resumed.param_groups[0]["fused"] is True
    for number in range(3, 6):
        step(weight, optimiser, number)
        step(other, resumed, number)
    assert torch.allclose(weight, other, rtol=0, atol=1e-6)
    assert not torch.equal(other, torch.linspace(-1, 1, 7))


def test_the_average_follows_the_weights_in_the_first_steps_and_then_decays_slowly() -> None:
    network = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        network.weight.fill_(0.0)
    average, expected = WeightAverage(network, 0.5), 0.0
    for step, decay in ((1, 2 / 11), (2, 3 / 12), (30, 0.5), (31, 0.5)):
        with torch.no_grad():
            network.weight.fill_(float(step))
        average.update(step)
        expected = decay * expected + (1 - decay) * step
        assert float(average.network.weight) == pytest.approx(expected, rel=1e-5)


def test_an_average_without_decay_is_the_last_state() -> None:
    network = nn.Linear(2, 2)
    average = WeightAverage(network, 0.0)
    with torch.no_grad():
        network.weight.fill_(3.0)
    average.update(1)
    assert torch.equal(average.network.weight, network.weight)
