"""Where everything lies on the lent machine."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from jdsr_cli.errors import InputMissingError
from jdsr_train.lease.parts import Table, read_table
from jdsr_train.lease.plan import Model, Plan, read

ROOT_VARIABLE = "JDSR_LEASE_ROOT"
DEFAULT_ROOT = "/tmp/jdsr-lease"
PLAN = "plan.toml"
COMMIT = "COMMIT"


@dataclass(frozen=True)
class Places:
    """Folders below one root, which outlives the calls."""

    root: Path

    @classmethod
    def here(cls) -> Places:
        """Return the places of this machine: below $JDSR_LEASE_ROOT, or /tmp/jdsr-lease."""
        return cls(Path(os.environ.get(ROOT_VARIABLE) or DEFAULT_ROOT).absolute())

    @property
    def data(self) -> Path:
        """What was brought to be trained on."""
        return self.root / "data"

    @property
    def code(self) -> Path:
        """A copy of the packages, since the copy of the checkout may change between calls."""
        return self.root / "code"

    @property
    def common(self) -> Path:
        """The plan, its recipe files and the table of parts."""
        return self.root / "common"

    @property
    def out(self) -> Path:
        """The runs, the state and the logs."""
        return self.root / "out"

    @property
    def log(self) -> Path:
        """What the runner and the processes that train print."""
        return self.out / "log"

    @property
    def end(self) -> Path:
        """When the machine goes back."""
        return self.out / "end.json"

    def plan(self) -> Plan:
        """Read the plan that was brought.

        Raises:
            InputMissingError: None was brought yet.

        """
        if not (self.common / PLAN).is_file():
            raise InputMissingError(
                "nothing was taken in yet", where=self.common, hint="Run `take 1` first"
            )
        return read(self.common / PLAN)

    def table(self) -> Table:
        """Read the table of parts that was brought."""
        return read_table(self.common)

    def run(self, model: Model | str) -> Path:
        """Return the folder of a model's run."""
        return self.out / (model if isinstance(model, str) else model.name)

    def has(self, table: Table, kind: str) -> bool:
        """Whether every file of a kind is there; files appear only when they are whole."""
        return all(
            (self.data / file.path).is_file()
            and (self.data / file.path).stat().st_size == file.bytes
            for file in table.of_kind(kind)
        )
