"""What the runner tells of itself in a file, for the calls that come later."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import Any

from jdsr_cli.errors import InputUnreadableError
from jdsr_train.lease.files import read_json, write_json
from jdsr_train.lease.places import Places

STATE = "state.json"
WAITING, RUNNING, READY, FAILED = "waiting", "running", "ready", "failed"


@dataclass
class ModelState:
    """How far a model is."""

    state: str = WAITING
    note: str = ""
    """Why it failed, or how it ended."""
    first: list[str] = field(default_factory=list)
    """Stages before it that were run, whether they succeeded or not."""


@dataclass
class State:
    """How far the plan is."""

    models: dict[str, ModelState] = field(default_factory=dict)
    job: str = ""
    """What runs now, in words; empty between jobs."""
    process: int = 0
    """Its process group."""
    runner: int = 0
    """The process group of the runner."""
    done: bool = False

    def save(self, places: Places) -> None:
        """Write it for others to read."""
        write_json(places.out / STATE, asdict(self))

    def told(self) -> str:
        """Return it as lines."""
        lines = [
            f"{name}: {one.state}{f' ({one.note})' if one.note else ''}"
            for name, one in self.models.items()
        ]
        return "\n".join([*lines, f"now: {self.job or ('done' if self.done else 'nothing')}"])


def read_state(places: Places) -> State:
    """Read the state; that of a plan which was not begun where there is none.

    Raises:
        InputUnreadableError: It is damaged.

    """
    values: dict[str, Any] = read_json(places.out / STATE) or {}
    try:
        models = {name: ModelState(**one) for name, one in values.pop("models", {}).items()}
        return State(models=models, **values)
    except (TypeError, AttributeError) as error:
        raise InputUnreadableError(
            f"is no state of a plan ({error})", where=places.out / STATE, hint="Delete it"
        ) from error


def set_end(places: Places, seconds: float) -> None:
    """Say that the machine goes back in so many seconds."""
    write_json(places.end, time.time() + seconds)


def seconds_left(places: Places) -> float:
    """Return the seconds until the machine goes back; 0 where nobody has said."""
    end = read_json(places.end)
    return 0.0 if end is None else float(end) - time.time()
