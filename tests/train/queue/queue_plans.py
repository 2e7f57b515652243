"""A small plan with recipes of its own, and processes that write weights without training."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from jdsr_cli.progress import Silent
from jdsr_cli.settings import TrainSettings
from jdsr_train.queue.children import ChildResult, Interruption
from jdsr_train.queue.execution import QueueOutcome

FEW_MASKS = "[data]\ndrawn_masks = 2\n"
RECIPES = {
    "whole": f'base = "paper_x4_small"\n{FEW_MASKS}',
    "ablation": f'base = "paper_x4_small"\n{FEW_MASKS}[loss]\nstyle_lr = 0.0\n',
    "denoiser": f'base = "cbdnet_x4_small"\n{FEW_MASKS}',
    "resolver": f'base = "drn_x4_small"\n{FEW_MASKS}',
    "longer": 'base = "resolver.toml"\n',
}
PLAN = """
tables = ["2", "generality"]

[[job]]
recipe = "whole.toml"
gpus = 4
[[job]]
recipe = "ablation.toml"
labels = "whole"
identity = "whole"
[[job]]
recipe = "denoiser.toml"
share = 0.5
[[job]]
recipe = "resolver.toml"
share = 0.5
[[job]]
recipe = "longer.toml"
init = "resolver"
[[chain]]
denoiser = "denoiser"
super_resolver = "resolver"
"""
ORDER = ["whole", "ablation", "denoiser", "resolver", "cbd_resolver_x4", "longer"]


def write_plan(folder: Path, text: str = PLAN) -> Path:
    """Write the plan and its recipes, and return the path of the plan."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, recipe in RECIPES.items():
        recipe = recipe.replace("resolver.toml", str(folder / "resolver.toml"))
        (folder / f"{name}.toml").write_text(recipe, encoding="utf-8")
    path = folder / "plan.toml"
    path.write_text(text, encoding="utf-8")
    return path


def settings(folder: Path, **options: object) -> TrainSettings:
    """Return the options of a run of the plan in a folder, on a CPU."""
    given: dict[str, object] = {
        "data": folder / "faces", "plan": str(folder / "plan.toml"), "out": folder / "out",
        "device": "cpu", "parsing": folder / "parsing.tar", "features": str(folder / "vgg.pth"),
    }  # fmt: skip
    return TrainSettings(**{**given, **options})  # type: ignore[arg-type]


def states(outcome: QueueOutcome) -> dict[str, str]:
    """Return the state of each job by its name."""
    return {one.name: one.record.state for one in outcome.jobs}


def recorded(folder: Path) -> dict[str, Any]:
    """Return the records of the jobs of a queue in `settings(folder)`."""
    values = json.loads((folder / "out" / "queue.json").read_text())
    return dict(values["jobs"])


class Notes(Silent):
    """Keeps the notes, and the tasks with their totals."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.tasks: dict[str, int | None] = {}

    def begin(self, task: str, total: int | None) -> None:
        self.tasks[task] = total

    def note(self, message: str) -> None:
        self.notes.append(message)


@dataclass
class FakeProcesses:
    """Stands for `children.run_child`: each job writes what a training would leave."""

    failing: dict[str, str] = field(default_factory=dict)
    """Error by job."""
    interrupted: str | None = None
    """Job during which a signal comes."""
    version: int = 1
    """Value in the files."""
    started: list[str] = field(default_factory=list)
    words: dict[str, list[str]] = field(default_factory=dict)

    def __call__(
        self, words: Sequence[str], log: Path, interruption: Interruption,
        on_line: Callable[[str], None], on_tick: Callable[[], None], lock: int | None = None,
    ) -> ChildResult:  # fmt: skip
        folder = log.parent
        name = folder.name
        self.started.append(name)
        self.words[name] = list(words)
        on_tick()
        if name in self.failing:
            return ChildResult(1, self.failing[name])
        if words[0] == "train":
            self.write(folder / "joint" / "checkpoint.pt")
            if name == self.interrupted:
                raise KeyboardInterrupt
            for stage in ("parser", "identity"):
                if "--parsing" in words or stage == "identity":
                    self.write(folder / stage / f"{stage}.safetensors")
        self.write(folder / "weights" / f"{name}.safetensors")
        on_line("done")
        return ChildResult(0, "")

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        safetensors.torch.save_file({"x": torch.tensor(self.version)}, path, {"steps": "7"})
