"""The order in which files are flushed, named and removed."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from jdsr_cli import renames


@dataclass(frozen=True)
class Step:
    """What was done to a path."""

    what: Literal["flush", "name", "remove"]
    """`name`: it was renamed or linked from `source`; `remove`: by `unlink` or `rmtree`."""
    path: Path
    source: Path | None = None


@contextmanager
def recorded_steps() -> Iterator[list[Step]]:
    """Yield the steps that are done in the block."""
    steps: list[Step] = []
    with pytest.MonkeyPatch.context() as patch:

        def watch(owner: Any, name: str, what: Literal["name", "remove"]) -> None:
            original = getattr(owner, name)

            def call(*args: Any, **named: Any) -> Any:
                done = original(*args, **named)
                if done is not False:  # an operation that the file system does not know
                    paths = [Path(one).absolute() for one in args[: 2 if what == "name" else 1]]
                    steps.append(Step(what, paths[-1], paths[0] if what == "name" else None))
                return done

            patch.setattr(owner, name, call)

        fsync = os.fsync

        def flush(descriptor: int) -> None:
            fsync(descriptor)
            steps.append(Step("flush", Path(f"/proc/self/fd/{descriptor}").readlink()))

        patch.setattr(os, "fsync", flush)
        for owner, name in ((Path, "replace"), (Path, "rename"), (renames, "_renamed")):
            watch(owner, name, "name")
        watch(Path, "unlink", "remove")
        watch(shutil, "rmtree", "remove")
        yield steps


def unsafe_names(steps: list[Step], folder: Path) -> list[Path]:
    """Return the names in a folder after which a loss of power could lose content.

    What gets a name is flushed before, and the folder of the name afterwards, before anything that
    is not incomplete is removed.
    """
    unsafe = []
    for number, step in enumerate(steps):
        if step.what != "name" or not step.path.is_relative_to(folder):
            continue
        before = any(one == Step("flush", step.source or step.path) for one in steps[:number])
        after = False
        for one in steps[number + 1 :]:
            after = one == Step("flush", step.path.parent)
            if after or (one.what == "remove" and ".partial" not in one.path.name):
                break
        if not (before and after):
            unsafe.append(step.path)
    return unsafe
