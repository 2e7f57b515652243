"""How the library tells of long work: one callback protocol, rendered by the command line.

The library never prints. A caller that wants no progress passes nothing and gets `Silent`.
"""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives the advance of named tasks.

    A task is begun once, advanced any number of times and ended once; `total` is None while
    the amount of work is unknown. `note` carries one line that a person should read.
    """

    def begin(self, task: str, total: int | None) -> None:
        """Start `task`, which has `total` units of work (None: unknown)."""

    def advance(self, task: str, units: int = 1) -> None:
        """Report `units` more units done."""

    def end(self, task: str) -> None:
        """Report that nothing more of `task` will come, finished or not."""

    def note(self, message: str) -> None:
        """Pass on a line for the person at the terminal."""


class Silent:
    """A `Progress` that says nothing."""

    def begin(self, task: str, total: int | None) -> None:
        """Ignore."""

    def advance(self, task: str, units: int = 1) -> None:
        """Ignore."""

    def end(self, task: str) -> None:
        """Ignore."""

    def note(self, message: str) -> None:
        """Ignore."""
