"""Whether losses and gradients stay finite, found out without stopping a GPU at every step.

Asking a GPU for a number makes it wait. What it is asked here is kept on the device and read in
one go, before anything is logged, validated or saved, so that nothing of a broken run is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from jdsr_cli.errors import TrainingError

HINT = "Lower the learning rate; the last checkpoint is intact"


@dataclass(frozen=True)
class _Seen:
    step: int
    player: str
    terms: tuple[str, ...]
    values: Tensor
    """Of the terms, and last the norm of the gradient; on the training device."""


class Watch:
    """Keeps what one stage's steps were like until it is checked.

    Args:
        stage: Named in errors.

    """

    def __init__(self, stage: str) -> None:
        self.stage = stage
        self._seen: list[_Seen] = []

    def add(self, step: int, player: str, terms: Mapping[str, Tensor], norm: Tensor) -> None:
        """Keep the terms of a player's loss at a step and the norm of its gradient, (), each."""
        values = torch.stack([*(value.detach().float() for value in terms.values()), norm.float()])
        self._seen.append(_Seen(step, player, tuple(terms), values))

    def check(self) -> None:
        """Look at everything since the last check, in order, with one wait for the device.

        Raises:
            TrainingError: Something was not finite; the first step where, and the terms, are told.

        """
        seen, self._seen = self._seen, []
        if not seen:
            return
        finite = iter(torch.isfinite(torch.cat([turn.values for turn in seen])).tolist())
        for turn in seen:
            sound = [next(finite) for _ in range(len(turn.values))]
            if not all(sound):
                raise self._broken(turn, sound)

    def _broken(self, turn: _Seen, sound: list[bool]) -> TrainingError:
        broken = [name for name, well in zip(turn.terms, sound, strict=False) if not well]
        if broken:
            return TrainingError(
                f"the loss is not finite at step {turn.step}: {', '.join(broken)}",
                where=self.stage,
                hint=HINT,
            )
        return TrainingError(
            f"the gradient is not finite at step {turn.step}",
            where=f"{self.stage}, {turn.player}",
            hint=HINT,
        )
