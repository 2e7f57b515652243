"""Simulate a leased machine for rehearsals: a local folder with its limits, and tiny recipes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jdsr_cli.errors import UsageError
from jdsr_train.lease.checkout import carried_files
from jdsr_train.lease.files import MIB, format_mib
from jdsr_train.lease.plan import Call, Limits
from jdsr_train.lease.workspace import ROOT_VARIABLE, LeaseWorkspace, end_group, read_state

TIMED_OUT = 124
LOST = "lost"
_NAME = re.compile(r"[A-Za-z0-9._-]+")
_HIDDEN = ("PYTHONPATH", "JDSR_WEIGHTS", "OUT")
"""Environment variables that the simulated machine does not have."""


@dataclass(frozen=True)
class Reply:
    """The result of a call."""

    code: int | str
    """Exit code of the command; `lost` if the lease ended during the call."""
    seconds: float
    printed: str
    sent: int
    """Bytes sent to the machine."""
    returned: tuple[int, ...]
    """Size of each returned file in bytes."""
    files_at: Path
    """Folder of the returned files, read-only and only until the next call."""


class SimulatedMachine:
    """A local folder that simulates a leased machine.

    Args:
        folder: A new folder for its files.
        checkout: The checkout that calls carry.
        limits: Limits of a call.

    """

    def __init__(self, folder: Path, checkout: Path, limits: Limits) -> None:
        self.checkout, self.limits = checkout, limits
        self.work, self.files_at, self._out = folder / "work", folder / "files", folder / "out"
        self.workspace = LeaseWorkspace(folder / "root")
        self._programs = folder / "bin"
        self._programs.mkdir(parents=True)
        python = self._programs / "python3"
        python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', encoding="utf-8")
        python.chmod(0o755)

    def call(self, call: Call, lost_after: float | None = None) -> Reply:
        """Copy the checkout, run a command in the copy, and return its files from $OUT.

        Args:
            call: The call.
            lost_after: Seconds after which the lease ends, during the call.

        Raises:
            UsageError: The call or its files in $OUT exceed the limits.

        """
        sent = self._send(call)
        for folder in (self._out, self.files_at):
            _remove(folder)
        self._out.mkdir()
        start = time.monotonic()
        log = self._programs / "printed"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["bash", "-c", call.command], cwd=self.work, env=self._environment(),
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
        code: int | str
        try:
            code = process.wait(call.timeout if lost_after is None else lost_after)
        except subprocess.TimeoutExpired:
            code = TIMED_OUT if lost_after is None else LOST
        finally:
            if process.poll() is None:
                end_group(process.pid)
                process.wait()
        text = log.read_text(encoding="utf-8", errors="replace")
        if code == LOST:
            self.reclaim()
            return Reply(code, time.monotonic() - start, text, sent, (), self.files_at)
        returned = self._collect_output()
        return Reply(code, time.monotonic() - start, text, sent, returned, self.files_at)

    def reclaim(self) -> None:
        """End all processes and remove all files except the last returned ones."""
        for _ in range(2):  # the runner first, then processes that it may have started meanwhile
            state = read_state(self.workspace)
            for group in (state.runner, state.process):
                if group:
                    end_group(group)
                    _wait_for_end(group)
        for folder in (self.workspace.root, self.work, self._out):
            _remove(folder)

    def _environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if name not in _HIDDEN}
        return {
            **inherited,
            "PATH": f"{self._programs}{os.pathsep}{os.environ.get('PATH', '')}",
            ROOT_VARIABLE: str(self.workspace.root),
            "OUT": str(self._out),
        }

    def _send(self, call: Call) -> int:
        limits = self.limits
        if len(call.command) > limits.characters or call.timeout > limits.seconds:
            raise UsageError(
                f"a command has {limits.characters} characters and {limits.seconds} s at most",
                where=call.command[:60],
            )
        if len(call.carry) > limits.carried:
            raise UsageError(f"{len(call.carry)} paths are carried, not {limits.carried} at most")
        paths = carried_files(self.checkout)
        for name in call.carry:
            folder = self.checkout / name
            paths += [one.relative_to(self.checkout) for one in folder.rglob("*") if one.is_file()]
        size = sum((self.checkout / path).stat().st_size for path in paths)
        if size > limits.call_mib * MIB:
            raise UsageError(
                f"a call has {format_mib(size)}, {limits.call_mib:g} at most", where=self.checkout
            )
        _remove(self.work)
        for path in paths:
            (self.work / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.checkout / path, self.work / path)
        return size

    def _collect_output(self) -> tuple[int, ...]:
        paths = sorted(path for path in self._out.rglob("*") if not path.is_dir())
        sizes = tuple(path.stat().st_size for path in paths)
        limits, faults = self.limits, list[str]()
        if len(paths) > limits.files or sum(sizes) > limits.total_mib * MIB:
            faults.append(f"{len(paths)} files of {format_mib(sum(sizes))} together")
        for path, size in zip(paths, sizes, strict=True):
            relative = path.relative_to(self._out)
            valid_name = all(_NAME.fullmatch(part) for part in relative.parts)
            if size > limits.file_mib * MIB or not valid_name or len(relative.parts) > 3:
                faults.append(f"{relative}, {format_mib(size)}")
        if faults:
            raise UsageError(f"cannot be returned: {'; '.join(faults)}", where=self._out)
        shutil.copytree(self._out, self.files_at)
        for path in self.files_at.rglob("*"):
            path.chmod(0o555 if path.is_dir() else 0o444)
        self.files_at.chmod(0o555)
        return sizes


def _wait_for_end(number: int) -> None:
    """Wait until a killed process has ended or is a zombie."""
    stat = Path(f"/proc/{number}/stat")
    with suppress(OSError):
        for _ in range(100):
            if stat.read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] in "ZX":
                return
            time.sleep(0.05)


def _remove(folder: Path) -> None:
    if folder.exists():
        folder.chmod(0o755)
        shutil.rmtree(folder)


STEPS = 12
"""Steps of the stages before the joint one, which runs until its time is over."""
DIVERGING_RATE = 1e30
"""A learning rate with which no loss stays finite."""
_LITE: dict[str, Any] = {
    "widths": [16, 16],
    "encoder_blocks": [1, 1],
    "decoder_blocks": [1],
    "tail_width": 16,
    "tail_blocks": 1,
}
_ARGUMENTS: dict[str, dict[str, Any]] = {
    "jdsr": {
        "hourglass_blocks": 1,
        "noise_width": 16,
        "denoiser_widths": [16, 16, 16],
        "width": 16,
        "prior_width": 32,
    },
    "lite": _LITE,
    "burst": {**_LITE, "weight_width": 8, "rank": 2},
    "cbdnet": {"noise_width": 16, "denoiser_widths": [16, 16, 16]},
    "srfbn": {"features": 4, "groups": 1, "feedback_steps": 2},
    "drn": {"features": 4, "blocks": 1},
    "sicnn": {"width": 4, "growth": 2, "layers": 1, "tail_layers": 1},
    "fsrnet": {"width": 4, "prior_width": 4, "depth": 1, "encoder_blocks": 1},
    "dic": {
        "features": 4,
        "groups": 1,
        "feedback_steps": 2,
        "fusion_blocks": 1,
        "prior_width": 8,
        "depth": 1,
    },
}


def tiny_recipe(recipe: str, *, failing: bool = False) -> tuple[str, bool]:
    """Return a recipe with the stages and loss terms of another and tiny networks, in float32.

    Some CPUs emulate bfloat16, which takes a hundred times as long.

    Args:
        recipe: Name or file of a recipe.
        failing: Whether the loss of its identity stage diverges, or that of the joint stage if it
            has no identity stage.

    Returns:
        The text of the recipe file, and whether the whole run is expected to fail.

    Raises:
        UsageError: The recipe does not exist.

    """
    import tomli_w

    from jdsr_train import recipe_files  # imports torch

    original = recipe_files.load(recipe)
    common: dict[str, Any] = {"batch": 2, "warmup": 0, "precision": "float32"}
    identity = {**common, "steps": STEPS, "kind": "sgd", "rate": 0.01}
    joint = dict(common)
    has_identity = "identity" in original.stages
    if failing:
        (identity if has_identity else joint)["rate"] = DIVERGING_RATE
    base = recipe if not recipe.endswith(".toml") else str(Path(recipe).absolute())
    tables: dict[str, dict[str, Any]] = {
        "generator": {"arguments": _ARGUMENTS[original.generator.network]},
        "data": {"drawn_masks": 4},
        "critic": {"widths": [4] * len(original.critic.widths)},
        "identity": {
            "widths": [4, 4, 8, 8],
            "blocks": [1, 1, 1, 1],
            "features": 16,
            "optimiser": identity,
        },
        "parser": {"width": 4, "optimiser": {**common, "steps": STEPS}},
        "optimiser": joint,
        "denoise": {**common, "steps": STEPS},
    }
    text = tomli_w.dumps({"base": base, "name": original.name, **tables})
    return text, failing and not has_identity
