"""Breaking off a computation that lasts: between the layers of a network, there and back.

A step of a large network can take minutes on a CPU, longer than all the time that is left. Nothing
is broken off inside an update of weights.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook


class InterruptedAtLimit(Exception):  # noqa: N818 - nothing went wrong
    """A computation was broken off because its time is over."""


@contextmanager
def interrupted_at(when: Callable[[], float]) -> Iterator[None]:
    """Break off whatever networks compute, or are differentiated, once a time has come.

    Looks at the clock after every module's forward pass and when its output gets its gradient, in
    this thread's work on a CPU; a GPU computes long after it was asked to.

    Args:
        when: Returns the time on the clock of `time.monotonic`, in seconds, which may move.

    Raises:
        InterruptedAtLimit: From within what is computed.

    """

    def look(*_: object) -> None:
        if time.monotonic() >= when():
            raise InterruptedAtLimit

    def follow(module: nn.Module, given: object, output: object) -> None:
        look()
        for tensor in _tensors(output):
            if tensor.requires_grad:
                tensor.register_hook(look)  # type: ignore[no-untyped-call]

    handle = register_module_forward_hook(follow)
    try:
        yield
    finally:
        handle.remove()


def _tensors(output: Any) -> Iterator[Tensor]:
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, Mapping):
        for part in output.values():
            yield from _tensors(part)
    elif isinstance(output, Sequence) and not isinstance(output, str):
        for part in output:
            yield from _tensors(part)
