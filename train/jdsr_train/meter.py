"""What is seen of a run: means over steps and processes, and what pulls at the weights."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from lightning_fabric import Fabric


class Meter:
    """Means of what was seen since it was last read, over all processes; `steps` counts it."""

    def __init__(self, fabric: Fabric) -> None:
        self.fabric = fabric
        self.restart()

    def restart(self) -> None:
        """Forget, and start the clock."""
        self._sums: dict[str, tuple[Tensor, int]] = {}
        self.steps, self._started = 0, time.monotonic()

    def add(self, values: Mapping[str, Tensor]) -> None:
        """See the values of one more step; each is averaged over the steps that had it."""
        self.steps += 1
        for name, value in values.items():
            total, seen = self._sums.get(name, (torch.zeros_like(value), 0))
            self._sums[name] = total + value.detach(), seen + 1

    def read(self, batch: int) -> dict[str, float]:
        """Return the means and the speed, and forget them."""
        speed = self.steps * batch / max(time.monotonic() - self._started, 1e-9)
        means = {name: float(total / seen) for name, (total, seen) in self._sums.items()}
        if self.fabric.world_size > 1 and means:
            local = torch.tensor(list(means.values()), device=self.fabric.device)
            shared = self.fabric.all_reduce(local, reduce_op="mean")
            assert isinstance(shared, Tensor)
            means = dict(zip(means, shared.tolist(), strict=True))
        self.restart()
        return {"samples_per_s": round(speed, 2), **means}


def gradient_shares(
    terms: Mapping[str, Tensor], parameters: Iterator[nn.Parameter]
) -> dict[str, Tensor]:
    """Return each term's share of the summed gradient norms over the parameters, 0 to 1."""
    moved = [parameter for parameter in parameters if parameter.requires_grad]
    norms: dict[str, Tensor] = {}
    for name, term in terms.items():
        if term.requires_grad:
            found = torch.autograd.grad(term, moved, retain_graph=True, allow_unused=True)
            squares = [(part.detach() ** 2).sum() for part in found if part is not None]
            if squares:
                norms[f"share_{name}"] = torch.stack(squares).sum().sqrt()
    total = sum(norms.values(), torch.zeros(())) + 1e-30
    return {name: norm / total for name, norm in norms.items()}
