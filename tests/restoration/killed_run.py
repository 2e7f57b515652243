"""Runs in a separate process that gets a signal at a chosen point.

A point is the n-th call of a function of jdsr, so that it does not depend on timing.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from jdsr_cli import atomic
from jdsr_cli.media.writing import joining
from jdsr_cli.restoration import crop_faces, restore, sinks, workspace
from jdsr_cli.restoration.journal import Journal
from jdsr_cli.restoration.workspace import Workspace
from jdsr_cli.settings import CropSettings, RestoreSettings


@dataclass(frozen=True)
class Point:
    """A point of a run: the n-th call of a function, or the n-th with matching arguments."""

    owner: Any
    function: str
    call: int = 1
    after: bool = False
    """Whether the signal comes after the call instead of before it."""
    matches: Callable[..., bool] = lambda *_, **__: True


def _named(end: str) -> Callable[..., bool]:
    return lambda _, path, **__: path.name.endswith(end)


def _published(path: Path) -> bool:
    """Return whether a removed file was of a run whose results are already published."""
    return path.parent.name == "work" and not (path.parents[1] / "results").exists()


POINTS = {
    "before a segment is done": Point(sinks.VideoSink, "write", 5),
    "in the middle of a segment": Point(sinks.VideoSink, "write", 2 * 20),
    "while a picture of a face is written": Point(atomic, "publish", 2, matches=_named(".png")),
    "while a state is written": Point(atomic, "publish", 2, matches=_named(".state.npz")),
    "before a line of the journal": Point(Journal, "add", 2),
    "after the first segment": Point(Journal, "add", after=True),
    "after the second segment": Point(Journal, "add", 2, after=True),
    "before a journal is there": Point(atomic, "publish", matches=_named(Journal.NAME)),
    "while the journal is written": Point(Journal, "_write"),
    "after the last whole segment": Point(Journal, "add", 3, after=True),
    "before segments are joined": Point(sinks, "join_segments"),
    "while segments are joined": Point(joining, "verify_file", 2),
    "before the results are published": Point(Workspace, "publish"),
    "while working files are removed": Point(workspace, "remove", 2, matches=_published),
}
"""Points of a run that writes two videos, of `suite_clips.walk` in segments of 8."""

Settings = RestoreSettings | CropSettings

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["jdsr_cli.restoration", "torch", "cv2"])


def run_until_killed(
    point: str,
    source: str | Path,
    out: Path,
    settings: Settings,
    by: signal.Signals = signal.SIGKILL,
) -> None:
    """Run in a process that must be ended by a signal, SIGKILL by default, at the named point."""
    process = start_run(point, source, out, settings, by)
    process.join()
    assert process.exitcode == -by, f"{point}: the run ended with {process.exitcode}"


def start_run(
    point: str, source: str | Path, out: Path, settings: Settings, by: signal.Signals
) -> ForkServerProcess:
    """Start a run in a process that sends itself a signal at the named point."""
    process = _CONTEXT.Process(target=_run, args=(point, str(source), out, settings, by))
    process.start()
    return process


def _run(point: str, source: str, out: Path, settings: Settings, by: signal.Signals) -> None:
    import cv2
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _send_at(POINTS[point], by)
    if isinstance(settings, RestoreSettings):
        restore([source], out, settings)
    else:
        crop_faces([source], out, settings)


def _send_at(point: Point, by: signal.Signals) -> None:
    original = getattr(point.owner, point.function)
    calls = 0

    def wrapped(*args: Any, **named: Any) -> Any:
        nonlocal calls
        calls += point.matches(*args, **named)
        due = calls == point.call
        if due and not point.after:
            os.kill(os.getpid(), by)
        result = original(*args, **named)
        if due and point.after:
            os.kill(os.getpid(), by)
        return result

    setattr(point.owner, point.function, wrapped)
