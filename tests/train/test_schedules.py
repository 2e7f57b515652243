"""How fast weights move, and what moves them."""

import itertools

import pytest
import torch
from torch import nn

from jdsr_train.meter import gradient_shares
from jdsr_train.recipe import OptimiserRecipe
from jdsr_train.schedule import rate_at


def test_the_rate_warms_up_and_falls_to_a_hundredth() -> None:
    options = OptimiserRecipe(steps=110, warmup=10, rate=1.0)
    rates = [rate_at(step, options) for step in range(111)]
    assert rates[:10] == pytest.approx([0.1 * n for n in range(1, 11)])
    assert rates[10] == 1.0
    assert rates[60] == pytest.approx(0.505)
    assert rates[110] == pytest.approx(0.01)
    assert all(late <= early for early, late in itertools.pairwise(rates[10:]))
    assert rate_at(0, OptimiserRecipe(warmup=0, rate=1.0)) == 1.0


def test_a_constant_rate_falls_to_zero_at_the_end() -> None:
    options = OptimiserRecipe(steps=60, warmup=0, rate=1.0, schedule="constant", tail=1 / 6)
    rates = [rate_at(step, options) for step in range(61)]
    assert rates[:51] == [1.0] * 51
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
