"""Monitor training: finite losses and gradients, running means and gradient shares.

Reading a number from a GPU waits for it. The values that the finite check needs therefore stay on
the device and are read together before anything is logged, validated or saved, so that no state
with a non-finite loss is stored.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from jdsr_cli.errors import TrainingError

if TYPE_CHECKING:
    from lightning_fabric import Fabric

HINT = "Lower the learning rate; the last checkpoint is intact"


@dataclass(frozen=True)
class _Entry:
    step: int
    model: str
    terms: tuple[str, ...]
    values: Tensor
    """The terms, then the gradient norm; on the training device."""


class FiniteMonitor:
    """Collects losses and gradient norms of a stage, and checks that they are finite.

    Args:
        stage: Name of the stage, for errors.

    """

    def __init__(self, stage: str) -> None:
        self.stage = stage
        self._entries: list[_Entry] = []

    def add(self, step: int, model: str, terms: Mapping[str, Tensor], norm: Tensor) -> None:
        """Collect the scalar loss terms and the gradient norm of an optimiser step."""
        values = torch.stack([*(value.detach().float() for value in terms.values()), norm.float()])
        self._entries.append(_Entry(step, model, tuple(terms), values))

    def check(self) -> None:
        """Check everything that was added since the last check, waiting for the device once.

        Raises:
            TrainingError: A value is not finite; the error names the first such step and its terms.

        """
        entries, self._entries = self._entries, []
        if not entries:
            return
        finite = iter(torch.isfinite(torch.cat([entry.values for entry in entries])).tolist())
        for entry in entries:
            flags = [next(finite) for _ in range(len(entry.values))]
            if not all(flags):
                raise self._error(entry, flags)

    def _error(self, entry: _Entry, flags: list[bool]) -> TrainingError:
        broken = [name for name, fine in zip(entry.terms, flags, strict=False) if not fine]
        if broken:
            return TrainingError(
                f"the loss is not finite at step {entry.step}: {', '.join(broken)}",
                where=self.stage,
                hint=HINT,
            )
        return TrainingError(
            f"the gradient is not finite at step {entry.step}",
            where=f"{self.stage}, {entry.model}",
            hint=HINT,
        )


class RunningMeans:
    """Means over all steps and processes since the last reset, and the training speed."""

    def __init__(self, fabric: Fabric) -> None:
        self.fabric = fabric
        self.reset()

    def reset(self) -> None:
        """Discard all values and restart the timer."""
        self._sums: dict[str, tuple[Tensor, int]] = {}
        self.steps, self._started = 0, time.monotonic()

    def add(self, values: Mapping[str, Tensor]) -> None:
        """Add the values of a step; each is averaged over the steps that have it."""
        self.steps += 1
        for name, value in values.items():
            total, count = self._sums.get(name, (torch.zeros_like(value), 0))
            self._sums[name] = total + value.detach(), count + 1

    def compute(self, batch: int) -> dict[str, float]:
        """Return the means and `samples_per_s`, and reset.

        Args:
            batch: Faces of a step.

        """
        speed = self.steps * batch / max(time.monotonic() - self._started, 1e-9)
        means = {name: float(total / count) for name, (total, count) in self._sums.items()}
        if self.fabric.world_size > 1 and means:
            local = torch.tensor(list(means.values()), device=self.fabric.device)
            shared = self.fabric.all_reduce(local, reduce_op="mean")
            assert isinstance(shared, Tensor)
            means = dict(zip(means, shared.tolist(), strict=True))
        self.reset()
        return {"samples_per_s": round(speed, 2), **means}


def gradient_shares(
    terms: Mapping[str, Tensor], parameters: Iterator[nn.Parameter]
) -> dict[str, Tensor]:
    """Return each term's share, 0 to 1, of the sum of the terms' gradient norms."""
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    norms: dict[str, Tensor] = {}
    for name, term in terms.items():
        if term.requires_grad:
            gradients = torch.autograd.grad(term, trained, retain_graph=True, allow_unused=True)
            squares = [(part.detach() ** 2).sum() for part in gradients if part is not None]
            if squares:
                norms[f"share_{name}"] = torch.stack(squares).sum().sqrt()
    total = sum(norms.values(), torch.zeros(())) + 1e-30
    return {name: norm / total for name, norm in norms.items()}
