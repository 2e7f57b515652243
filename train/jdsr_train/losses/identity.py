"""The identity term: the restored face shall look like the same person (eq. 15)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from jdsr_cli.errors import UsageError


def identity_loss(found: Tensor, wanted: Tensor, reduction: str = "mean") -> Tensor:
    """Squared difference of identity features of length 1, averaged over the batch (eq. 15).

    Args:
        found: (B, F) features of I_SR; they are normalised here.
        wanted: (B, F) features of the true face, no gradient.
        reduction: Over the F numbers. `mean` is our default, beside which the pixel term keeps
            its say; `sum`, from 0 to 4, is the equation as printed (SPEC 2).

    Raises:
        UsageError: The reduction is neither.

    """
    error = (F.normalize(found.float()) - F.normalize(wanted.detach().float())) ** 2
    if reduction == "mean":
        return error.mean()
    if reduction == "sum":
        return error.sum(dim=1).mean()
    raise UsageError(f"no reduction is called {reduction!r}", hint="Use mean or sum")
