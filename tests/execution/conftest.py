"""Clips that are restored in one process once, for comparison with several."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from reference_run import Reference
from restoration.suite_clips import walk, walk_settings

from jdsr_cli.restoration import restore


@pytest.fixture(scope="session")
def reference(
    tmp_path_factory: pytest.TempPathFactory,
    astronaut: np.ndarray,
    hopper: np.ndarray,
    tiny_weights: Callable[[int], Path],
) -> Reference:
    """Two clips of the same name and a file that is none."""
    folder = tmp_path_factory.mktemp("execution")
    settings = walk_settings(tiny_weights(64), device="auto")
    inputs = [folder / "a" / "walk.mkv", folder / "broken.mp4", folder / "b" / "walk.mkv"]
    for path in (inputs[0], inputs[2]):
        path.parent.mkdir()
    walk(inputs[0], astronaut, hopper)
    walk(inputs[2], hopper, astronaut)
    inputs[1].write_bytes(b"no media")
    summary = restore(inputs, folder / "out", settings)
    assert summary.exit_code == 4
    return Reference(inputs, settings, folder / "out", summary)
