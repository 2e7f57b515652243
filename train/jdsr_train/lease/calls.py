"""The calls that a lease is made of, as they are to be typed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

LEFT = "SECONDS_LEFT"
"""In a printed command: the seconds for which the machine is still lent, less a minute."""
COMMAND = "PYTHONPATH=train python3 -m jdsr_train.lease"
WATCHED = 560
"""Seconds that a watching call waits at most."""


@dataclass(frozen=True)
class Call:
    """One call to the machine."""

    command: str
    carry: tuple[str, ...]
    timeout: int

    def told(self) -> str:
        """Return it as a line to be read."""
        return f"carry {', '.join(self.carry)}; timeout {self.timeout} s\n    {self.command}"


def bringing(into: str, parts: int, seconds: str = LEFT) -> list[Call]:
    """Return the calls that bring everything; the first one starts the plan.

    Args:
        into: The staging folder.
        parts: How many parts there are.
        seconds: How long the machine is still lent.

    """
    return [
        Call(
            f"{COMMAND} take {part} --lease {into} && {COMMAND} start {seconds}",
            (f"{into}/common", f"{into}/part-{part}"),
            240 if part == 1 else 120,
        )
        for part in range(1, parts + 1)
    ]


def watching(into: str, seconds: int, words: Sequence[str] = ()) -> Call:
    """Return the call that waits for a model and brings it home."""
    command = " ".join([COMMAND, "watch", str(seconds), *words])
    return Call(command, (f"{into}/common",), seconds + 30)


def runbook(into: str, parts: int, tree_mib: float) -> str:
    """Return all calls as text."""
    lines = [f"The calls, one after the other ({tree_mib:.1f} MiB of checkout travel with each):"]
    calls = [*bringing(into, parts), watching(into, WATCHED), watching(into, 420, ["--midway"])]
    lines += [f"{number}. {call.told()}" for number, call in enumerate(calls, 1)]
    lines += [
        f"{LEFT}: what the lender says is left, less 60 for the call itself; the later number "
        "corrects the earlier one.",
        "Call `watch` again until it says that all models are home. After each, at once:",
        "    PYTHONPATH=train python3 -m jdsr_train.lease join FILES_AT TARGET",
        f"Then give the machine back, and: {COMMAND} unstage --remove",
    ]
    return "\n".join(lines)
