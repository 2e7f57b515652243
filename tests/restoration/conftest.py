"""A run that nothing disturbed, with which others are compared."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from suite_clips import Undisturbed, walk, walk_settings

from jdsr_cli.restoration import restore


@pytest.fixture(scope="package")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory,
    astronaut: np.ndarray,
    hopper: np.ndarray,
    tiny_weights: Callable[[int], Path],
) -> Undisturbed:
    folder = tmp_path_factory.mktemp("undisturbed")
    settings = walk_settings(tiny_weights(64))
    clip = walk(folder / "walk.mkv", astronaut, hopper, 24)
    assert restore([clip], folder / "out", settings).exit_code == 0
    return Undisturbed(clip, settings, folder / "out" / "walk")
