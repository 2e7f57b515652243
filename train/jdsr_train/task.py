"""What a stage is to the trainer: players that move in turns, batches, and a validation."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn

from jdsr_train.data.batches import Packed
from jdsr_train.recipe import OptimiserRecipe


@dataclass(frozen=True)
class Moment:
    """Where a stage is: its step, and how much of its schedule is done."""

    step: int
    """Counted from 0."""
    share: float
    """Of the schedule, 0 to 1: of the recipe's steps or, where it is further on, of the time."""


@dataclass(frozen=True)
class Player:
    """A network that a stage trains."""

    network: nn.Module
    options: OptimiserRecipe
    """How it moves; `steps` and `batch` are those of the stage."""


@dataclass(frozen=True)
class Turn:
    """A player's loss: it is minimised as soon as it is given, before the next turn is asked."""

    player: str
    terms: Mapping[str, Tensor]
    """Scalars, already multiplied by their weights; the loss is their sum."""


Networks = Mapping[str, Callable[..., Any]]
"""The players' networks by name, ready to be called on the run's device."""


class Task(Protocol):
    """One stage of training."""

    @property
    def name(self) -> str:
        """What the stage is called; its folder, too."""

    @property
    def players(self) -> Mapping[str, Player]:
        """The networks that it trains, by name."""

    @property
    def kept(self) -> str:
        """The player whose (averaged) weights are validated and kept."""

    @property
    def deviations(self) -> tuple[str, ...]:
        """In what the run differs from the paper, in words; kept in checkpoints."""

    def batches(
        self, first: int, last: int, workers: int, rank: int, world: int
    ) -> Iterator[Packed[Any]]:
        """Batches number `first` up to and without `last`, of one process among `world`."""

    def play(self, networks: Networks, batch: Any, moment: Moment) -> Iterator[Turn]:
        """Give the turns of a step, one after the other, on an unpacked batch."""

    def validate(
        self, network: nn.Module, moment: Moment, until: float = math.inf
    ) -> dict[str, float]:
        """Measure the kept player's network, in evaluation mode; returns named figures.

        Args:
            network: The averaged network.
            moment: Decides which terms are measured.
            until: Time of `time.monotonic` after which no further batch is begun; where that cut
                the measuring short, `validation_faces` is among the figures.

        """
